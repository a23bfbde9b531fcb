//! The eight guides are built and pass, and an image broken in any way that
//! the conformance check names doesn't.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use molecule_tests::conformance::examine;
use molecule_tests::docker::{FAMILIES, Image, agent, available, of_family, root};
use molecule_tests::world::run;

#[test]
fn the_guides_are_what_their_template_says() {
    let ran = run(Command::new(root().join("docker/guides")).arg("--check"), Duration::from_secs(20)).ok();
    assert_eq!(ran.stdout, "", "docker/guides writes these anew");
}

#[test]
fn every_familys_guide_makes_an_image_that_honours_the_contract() {
    if !available("the guides' images") {
        return;
    }
    for (family, _) in FAMILIES {
        let image = of_family(family);
        let report = examine(&image.name);
        assert!(report.failed().is_empty(), "{family}:\n{report}");
    }
}

/// Breaks the agent's image by these lines of a Dockerfile: just these lines
/// of the report must say so.
#[track_caller]
fn breaks(lines: &str, failures: &[&str]) {
    if !available("a broken image") {
        return;
    }
    let image = Image::build("broken", &format!("FROM {}\n{lines}\n", agent()));
    let report = examine(&image.name);
    let expected: BTreeSet<&str> = failures.iter().copied().collect();
    assert_eq!(report.failed().into_iter().collect::<BTreeSet<_>>(), expected, "{lines}\n{report}");
}
