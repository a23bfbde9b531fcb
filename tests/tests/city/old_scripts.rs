//! A script that was written for the old helper still works unchanged, in an
//! image that `docker/install` wired.

use std::time::Duration;

use molecule_tests::docker::{City, Container, ExecOptions, agent_image, can_run_containers, repository_root};
use molecule_tests::git_host::CredentialState;
use molecule_tests::ledger::TokenState;

const HELPER: &str = "/app/scripts/molecule-git-token-helper.sh";
const GITHUB: &str = "protocol=https\nhost=github.com\n\n";

#[test]
fn every_action_works_in_an_old_script() {
    if !can_run_containers("an old script") {
        return;
    }
    // So short that a token may be rejected at once.
    let city = City::new(Duration::from_secs(60));
    let script =
        format!("--volume={}:/old-caller.sh:ro", repository_root().join("tests/images/old-caller.sh").display());
    let container = Container::start(&city, agent_image(), &[&script, &city.short_times()], &[]).wait_until_ready();
    // The copy that the runtime unpacks later, and its replacement.
    let copies = "mkdir -p ~/.molecule-runtime/scripts && cd ~/.molecule-runtime/scripts && \
                  printf '#!/bin/sh\nexit 7\n' >molecule-git-token-helper.sh && \
                  /usr/local/lib/molecule-broker/install --scripts ~/.molecule-runtime/scripts";
    container.sh(&city, copies).ok();
    let mut options = ExecOptions { env: city.git_variables(), ..ExecOptions::default() };
    options.env.push(("SSL_CERT_FILE", String::from("/city/ca.pem")));
    let ran = container.exec(&options, &["timeout", "50", "bash", "/old-caller.sh"]);
    assert!(ran.success(), "{ran:?}\n{}", container.log());
    assert_eq!(ran.stderr, "");
    let learned: Vec<(&str, &str)> = ran
        .stdout
        .lines()
        .map(|line| line.strip_prefix("learned ").unwrap_or_else(|| panic!("it prints {line:?}")))
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect();
    let names: Vec<&str> = learned.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "fetched",
            "got",
            "got-without-action",
            "fetched-by-the-runtimes-copy",
            "fetched-after-store",
            "fetched-after-erase",
            "fetched-after-invalidate",
            "written-for-tools",
            "gh-is-logged-in"
        ],
        "some names are missing or the refresher was respawned"
    );
    for (name, token) in &learned {
        assert_eq!(city.ledger.state_of(token), TokenState::Live, "{name}: {token:?}");
    }
    let same = |names: &[&str]| {
        let mut tokens: Vec<_> = learned.iter().filter(|(name, _)| names.contains(name)).map(|(_, t)| t).collect();
        tokens.dedup();
        tokens.len() == 1
    };
    let before = ["fetched", "got", "got-without-action", "fetched-by-the-runtimes-copy", "fetched-after-store"];
    assert!(same(&before), "{learned:?}");
    assert!(same(&["written-for-tools", "gh-is-logged-in"]), "{learned:?}");
    assert!(!same(&["fetched", "fetched-after-erase"]), "a rejected token is served again");
    assert!(!same(&["fetched-after-erase", "fetched-after-invalidate"]), "the cache wasn't invalidated");
    assert!(!same(&["fetched-after-invalidate", "gh-is-logged-in"]), "gh was logged in without a refresh");
    assert!(city.host.shown_count(CredentialState::Live) > 0);
    assert_eq!(city.host.dead_shown(), 0);
}

#[test]
fn without_a_token_they_fail_with_the_old_statuses() {
    if !can_run_containers("an old script without a token") {
        return;
    }
    let city = City::new(Duration::from_secs(3600));
    city.platform.refuse_connections();
    let container = Container::start(&city, agent_image(), &["--env=GITHUB_TOKEN=", "--env=GH_TOKEN="], &[]);
    let answers = container.sh_as_root("molecule-broker status --wait 10s; [ $? != 3 ]");
    assert!(answers.success(), "{answers:?}");
    for (action, code) in [("_fetch_token", 1), ("_refresh_gh", 1), ("_invalidate_cache", 0), ("store", 0), ("get", 0)]
    {
        for words in [&[HELPER, action][..], &["bash", HELPER, action]] {
            let ran = container.exec(&ExecOptions { input: GITHUB.into(), ..ExecOptions::default() }, words);
            assert_eq!(ran.code(), Some(code), "{words:?}: {ran:?}");
            assert!(!ran.stdout.contains("password="), "{words:?}: {ran:?}");
            assert!(action != "_fetch_token" || ran.stdout.is_empty(), "{words:?}: {ran:?}");
        }
    }
}
