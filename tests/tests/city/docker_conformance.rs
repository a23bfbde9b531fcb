//! The images of the eight guides pass the conformance check. An image that is
//! broken in any way that the check names fails it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use molecule_tests::conformance::examine;
use molecule_tests::docker::{FAMILIES, Image, agent_image, can_run_containers, family_image, repository_root};
use molecule_tests::only_in_full_run;
use molecule_tests::world::run;

#[test]
fn the_guides_match_their_template() {
    let ran =
        run(molecule_tests::program(repository_root().join("docker/guides")).arg("--check"), Duration::from_secs(20))
            .ok();
    assert_eq!(ran.stdout, "", "docker/guides rewrites these");
}

#[test]
fn every_familys_guide_makes_an_image_that_honours_the_contract() {
    if !only_in_full_run("the guides' images") || !can_run_containers("the guides' images") {
        return;
    }
    let pass = |families: &[(&str, &str)]| {
        for (family, _) in families {
            let image = family_image(family);
            let report = examine(&image.name);
            println!("{family}:\n{report}");
            assert!(report.failed().is_empty(), "{family}:\n{report}");
        }
    };
    let (some, others) = FAMILIES.split_at(FAMILIES.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| pass(some));
        pass(others);
    });
}

/// Breaks the agent's image by these lines of a Dockerfile. Exactly these lines
/// of the report must fail.
#[track_caller]
fn breaks(lines: &str, failures: &[&str]) {
    if !only_in_full_run("a broken image") || !can_run_containers("a broken image") {
        return;
    }
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let image = Image::build(&format!("broken-{count}"), &format!("FROM {}\n{lines}\n", agent_image()));
    let report = examine(&image.name);
    let expected: BTreeSet<&str> = failures.iter().copied().collect();
    assert_eq!(report.failed().into_iter().collect::<BTreeSet<_>>(), expected, "{lines}\n{report}");
}

/// Gives each name of the shim its own file, so that it can be broken alone.
const SPLIT: &str = "RUN cd /usr/local/bin && cp molecule-askpass shim && ln -sf shim git-credential-molecule && \
                     ln -sf /usr/local/bin/shim /usr/local/lib/molecule-broker/git-token-helper && \
                     ln -sf /usr/local/bin/shim /usr/bin/gh && ";

const ASKPASS: &str = "askpass is there and executable";
const HELPER: &str = "the helper is on PATH and executable";
const NAMES: &str = "each name answers as its own program";
const GIT: &str = "git is configured for all users";
const GEMINI: &str = "git works as Gemini CLI starts it";
const BARE: &str = "git works with a bare environment";
const SCRIPTS: &str = "the old scripts' paths work";

#[test]
fn an_image_without_askpass_fails() {
    breaks(&format!("{SPLIT} rm molecule-askpass"), &[ASKPASS, NAMES]);
}

#[test]
fn an_image_whose_askpass_is_not_executable_fails() {
    breaks(&format!("{SPLIT} chmod 0644 molecule-askpass"), &[ASKPASS, NAMES]);
}

#[test]
fn an_image_whose_askpass_the_agent_can_change_fails() {
    breaks(&format!("{SPLIT} chown agent molecule-askpass"), &[ASKPASS]);
}

#[test]
fn an_image_without_the_helper_fails() {
    breaks("RUN rm /usr/local/bin/git-credential-molecule", &[HELPER, NAMES, GEMINI, BARE]);
}

#[test]
fn an_image_whose_daemon_can_be_read_fails() {
    breaks("RUN chmod 0755 /usr/local/bin/molecule-broker", &["the daemon's file is root's and unreadable"]);
}

#[test]
fn an_image_whose_askpass_is_another_program_fails() {
    breaks(&format!("{SPLIT} ln -sf /bin/true molecule-askpass"), &[NAMES]);
}

#[test]
fn an_image_whose_helper_is_another_program_fails() {
    breaks("RUN ln -sf /bin/true /usr/local/bin/git-credential-molecule", &[NAMES, GEMINI, BARE]);
}

#[test]
fn an_image_without_gits_configuration_fails() {
    breaks("RUN git config --system --remove-section credential.https://github.com", &[GIT, BARE]);
}

#[test]
fn an_image_whose_helper_is_configured_by_its_name_fails() {
    breaks("RUN git config --system credential.https://github.com.helper molecule molecule", &[GIT, BARE]);
}

#[test]
fn an_image_whose_configuration_asks_another_helper_too_fails() {
    breaks("RUN git config --system --add credential.https://github.com.helper store", &[GIT, "no token is on disk"]);
}

#[test]
fn an_image_without_the_old_scripts_paths_fails() {
    breaks("RUN rm -r /app/scripts", &[SCRIPTS]);
}

#[test]
fn an_image_whose_old_refresher_returns_fails() {
    breaks("RUN ln -sf /bin/true /app/scripts/molecule-gh-token-refresh.sh", &[SCRIPTS]);
}

#[test]
fn an_image_with_the_real_gh_instead_of_the_shim_fails() {
    breaks("RUN mv /usr/bin/gh.distrib /usr/bin/gh", &["gh gets a live token"]);
}

#[test]
fn an_image_whose_shells_keep_the_frozen_token_fails() {
    breaks("RUN rm /etc/profile.d/molecule-broker.sh", &["shells find no frozen token"]);
}

#[test]
fn an_image_that_never_starts_the_broker_fails() {
    breaks(
        "ENTRYPOINT [\"gosu\", \"agent\", \"sleep\", \"infinity\"]",
        &[
            NAMES,
            SCRIPTS,
            "gh gets a live token",
            "the broker serves",
            "git works in a shell that never saw the entrypoint",
            "git works in the agent's environment",
            GEMINI,
            BARE,
            "the agent's environment has no frozen token",
            "the health check is green",
            "a new token is used at once",
            "kill -9 of the daemon loses nothing",
        ],
    );
}

#[test]
fn an_image_that_gives_the_agent_a_frozen_token_fails() {
    breaks(
        "CMD [\"sh\", \"-c\", \"export GH_TOKEN=ghs_frozen; exec sleep infinity\"]",
        &["the agent's environment has no frozen token"],
    );
}

#[test]
fn an_image_that_serves_another_host_fails() {
    breaks("ENV MOLECULE_BROKER_HOSTS=github.com,gist.github.com,evil.example", &[NAMES, "other hosts get nothing"]);
}

#[test]
fn an_image_without_a_health_check_fails() {
    breaks("HEALTHCHECK NONE", &["the health check is green"]);
}

#[test]
fn an_image_whose_health_check_is_red_fails() {
    breaks("HEALTHCHECK CMD [\"false\"]", &["the health check is green"]);
}

#[test]
fn an_image_that_caches_a_token_fails() {
    let cache = "!t=/dev/shm/t; [ -s $t ] || molecule-broker token >$t; echo username=x; echo password=$(cat $t); :";
    breaks(
        &format!(
            "RUN git config --system credential.https://github.com.helper '' 'molecule$' && \
             git config --system --add credential.https://github.com.helper '{cache}'"
        ),
        &[GIT, "a new token is used at once", "kill -9 of the daemon loses nothing", "no token is on disk"],
    );
}

#[test]
fn an_image_that_does_not_restart_a_killed_daemon_fails() {
    breaks(
        "ENTRYPOINT [\"sh\", \"-c\", \"chown agent /configs; molecule-broker serve & \
         unset GITHUB_TOKEN GH_TOKEN; exec gosu agent sleep infinity\"]",
        &[GEMINI, "kill -9 of the daemon loses nothing"],
    );
}

#[test]
fn an_image_that_writes_the_token_into_a_file_fails() {
    breaks("ENV MOLECULE_BROKER_SINKS=file", &["no token is on disk"]);
}
