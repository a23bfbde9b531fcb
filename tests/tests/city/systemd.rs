//! The units under a real systemd, which is booted in a container.

use std::time::Duration;

use molecule_tests::blocks;
use molecule_tests::docker::{City, Container, Image, KillStorm, base_image, can_run_containers, checkout_mounts};
use molecule_tests::git_host::CredentialState;
use molecule_tests::wait::eventually;

const HOUR: Duration = Duration::from_secs(3600);

/// The least rights that systemd needs to boot and to sandbox a service.
const BOOTS: [&str; 7] = [
    "--cap-add=SYS_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--cgroupns=private",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp",
];

/// Boots an empty machine and follows the page.
fn booted(city: &City) -> (Image, Container) {
    let lines = "RUN useradd -u 1000 -m agent\nCMD [\"/lib/systemd/systemd\"]\n";
    let image = Image::build("booted", &format!("FROM {}\n{lines}", base_image("systemd")));
    let checkout = checkout_mounts("");
    let options: Vec<&str> = BOOTS.into_iter().chain(checkout.iter().map(String::as_str)).collect();
    let container = Container::start(city, &image.name, &options, &[]);
    eventually("systemd is up", Duration::from_secs(60), || {
        let state = container.sh_as_root("systemctl is-system-running").stdout;
        ["running", "degraded"].contains(&state.trim())
    });
    let environment = format!("PLATFORM_URL={}\nWORKSPACE_ID={}\n", city.platform.url(), city.platform.workspace());
    let write = format!("mkdir -p /etc/molecule-broker && printf '{environment}' >/etc/molecule-broker/environment");
    container.sh_as_root(&write).ok();
    let lines = blocks::find_block("systemd/README.md", "install -m 0711 molecule-broker /usr/local/bin/").text;
    container.sh_as_root(&format!("set -e; cd /src\n{lines}")).ok();
    container.sh_as_root("chmod 0644 /configs/.auth_token").ok();
    (image, container)
}

fn service_is(container: &Container, state: &str) -> bool {
    container.sh_as_root("systemctl is-active molecule-broker.service").stdout.trim() == state
}

#[test]
fn the_first_request_starts_the_daemon_and_kill_9_loses_nothing() {
    if !can_run_containers("a real systemd") {
        return;
    }
    let city = City::new(HOUR);
    let (_image, container) = booted(&city);
    assert!(service_is(&container, "inactive"));

    container.sh(&city, "git ls-remote https://github.com/acme/app.git").ok();
    assert!(service_is(&container, "active"));
    assert!(city.host.shown_count(CredentialState::Live) > 0);
    let (token, pid) = (container.token().unwrap(), container.daemon().unwrap());
    let asked = city.platform.request_count();

    for ends_it in ["kill --signal=KILL", "restart"] {
        container.sh_as_root(&format!("systemctl {ends_it} molecule-broker.service")).ok();
        let after = container.token().unwrap();
        assert!(after == token, "the token changed after {ends_it}");
    }
    assert_ne!(container.daemon().unwrap(), pid);
    assert_eq!(city.platform.request_count(), asked);
}

#[test]
fn git_never_notices_kills_under_systemd_in_an_outage() {
    if !can_run_containers("a real systemd") {
        return;
    }
    let city = City::new(HOUR);
    let (_image, container) = booted(&city);
    container.sh(&city, "git ls-remote https://github.com/acme/app.git").ok();
    KillStorm::default().survived_by(&city, &container);
}

#[test]
fn the_units_are_clean_and_hardened() {
    if !can_run_containers("a real systemd") {
        return;
    }
    let city = City::new(HOUR);
    let (_image, container) = booted(&city);
    let ran = container.sh_as_root("systemd-analyze verify /etc/systemd/system/molecule-broker.*").ok();
    assert_eq!(ran.stdout + &ran.stderr, "");
    let unit = "/etc/systemd/system/molecule-broker.service";
    let ran =
        container.sh_as_root(&format!("systemd-analyze security --offline=true --threshold=15 --no-pager {unit}"));
    assert!(ran.success(), "{}", ran.stdout);
}

#[test]
fn the_journal_has_no_errors_caused_by_the_sandbox() {
    if !can_run_containers("a real systemd") {
        return;
    }
    let city = City::new(HOUR);
    let (_image, container) = booted(&city);
    container.sh(&city, "git ls-remote https://github.com/acme/app.git").ok();
    container.sh_as_root("systemctl reload molecule-broker.service && molecule-broker refresh").ok();
    let journal = container.sh_as_root("journalctl --unit=molecule-broker.service --no-pager").stdout;
    for word in ["WARN", "ERROR", "not permitted", "denied"] {
        assert!(!journal.contains(word), "{journal}");
    }
}
