//! `docker/assemble` and `docker/install` on machines where a part of the
//! installation exists already, or was done in a different way.

use std::time::Duration;

use molecule_tests::docker::{City, Container, base_image, can_run_containers, checkout_mounts, image_on_base};

const HOUR: Duration = Duration::from_secs(3600);
const INSTALL: &str = "/usr/local/lib/molecule-broker/install";
const ASSEMBLE: &str = "/src/docker/assemble /src /";

/// Prints the type of the shim's file, the target of the other name, and the
/// answer by that name.
const LAYOUT: &str = "cd /usr/local/bin && stat -c %F molecule-askpass && readlink -f git-credential-molecule && \
                      git-credential-molecule capability </dev/null";
const RIGHT: &str = "regular file\n/usr/local/bin/molecule-askpass\nversion 0\n";

#[test]
fn install_replaces_a_layout_made_by_hand() {
    if !can_run_containers("a layout made by hand") {
        return;
    }
    let city = City::new(HOUR);
    let image = image_on_base("debian", "");
    let container = Container::start(&city, &image.name, &[], &["sleep", "infinity"]);
    let by_hand = "cd /usr/local/bin && mv molecule-askpass git-credential-molecule && \
                   ln -s git-credential-molecule molecule-askpass";
    container.sh_as_root(by_hand).ok();
    for _ in 0..2 {
        let ran = container.sh_as_root(INSTALL).ok();
        assert!(!ran.stderr.contains("ln:"), "{ran:?}");
    }
    let there = container.sh_as_root(LAYOUT).ok().stdout;
    assert!(there.starts_with(RIGHT), "{there}");
    assert_eq!(container.sh_as_root("readlink -f /usr/bin/gh").stdout, "/usr/local/bin/molecule-askpass\n");
}

#[test]
fn install_names_the_missing_file_and_how_to_get_it() {
    if !can_run_containers("an installation without its files") {
        return;
    }
    let city = City::new(HOUR);
    let image = image_on_base("debian", "");
    let container = Container::start(&city, &image.name, &[], &["sleep", "infinity"]);
    for file in [
        "/usr/local/lib/molecule-broker/profile.sh",
        "/usr/local/bin/molecule-askpass",
        "/usr/local/bin/molecule-broker",
    ] {
        container.sh_as_root(&format!("rm {file}")).ok();
        let ran = container.sh_as_root(INSTALL);
        assert_eq!(ran.code(), Some(1), "{ran:?}");
        let said = format!(
            "molecule-broker install: there is no {file}; in a checkout of molecule-broker run first, as root: \
             docker/assemble . /\n"
        );
        assert_eq!(ran.stderr, said);
    }
    let ran = container.sh(&city, INSTALL);
    assert_eq!(ran.code(), Some(1), "{ran:?}");
    assert!(ran.stderr.ends_with("run it as root\n"), "{ran:?}");
}

#[test]
fn assemble_can_run_again_over_its_own_files() {
    if !can_run_containers("a machine that is assembled twice") {
        return;
    }
    let city = City::new(HOUR);
    let checkout = checkout_mounts("prebuilt/");
    let options: Vec<&str> = checkout.iter().map(String::as_str).collect();
    let container = Container::start(&city, &base_image("debian"), &options, &["sleep", "infinity"]);
    for _ in 0..2 {
        container.sh_as_root(&format!("{ASSEMBLE} && {INSTALL}")).ok();
    }
    let there = container.sh_as_root(LAYOUT).ok().stdout;
    assert!(there.starts_with(RIGHT), "{there}");
    // Over the other layout, which an older README described.
    let by_hand = "cd /usr/local/bin && rm molecule-askpass && cp --remove-destination /src/prebuilt/molecule-shim \
                   git-credential-molecule && ln -s git-credential-molecule molecule-askpass";
    container.sh_as_root(&format!("{by_hand} && {ASSEMBLE} && {INSTALL}")).ok();
    assert!(container.sh_as_root(LAYOUT).ok().stdout.starts_with(RIGHT));
}
