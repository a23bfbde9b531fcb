//! The broker as a container's entrypoint, on a real Docker engine.

use std::time::Duration;

use molecule_tests::blocks;
use molecule_tests::docker::{
    AGENT, City, Container, ExecOptions, Image, KillStorm, PATIENCE, agent_image, can_run_containers, docker,
    image_on_base,
};
use molecule_tests::git_host::CredentialState;
use molecule_tests::ledger::TokenState;
use molecule_tests::only_in_full_run;
use molecule_tests::wait::{eventually, eventually_some};
use molecule_tests::world::{RunResult, run};

const GUIDE: &str = "docs/images/README.md";
const HOUR: Duration = Duration::from_secs(3600);
const FETCH: &str = "git ls-remote https://github.com/acme/app.git";

fn started(city: &City, options: &[&str], command: &[&str]) -> Container {
    Container::start(city, agent_image(), options, command)
}

#[test]
fn started_as_root_it_runs_command_and_daemon_as_the_agent() {
    if !can_run_containers("a start as root") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &[], &[]).wait_until_ready();
    container.sh(&city, FETCH).ok();
    let owners = "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = sleep ] && stat -c %U $p; done 2>/dev/null";
    assert_eq!(container.sh_as_root(owners).stdout.trim(), "agent");
    let daemon = format!("stat -c %U /proc/{}", container.daemon().unwrap());
    assert_eq!(container.sh_as_root(&daemon).stdout.trim(), "agent");
}

#[test]
fn a_daemon_that_can_read_the_bearer_is_its_own_user() {
    if !can_run_containers("the daemon's own user") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &["--env=CONFIGS_DIR=/broker-configs"], &[]);
    // Only the daemon can read the bearer, which is there before the next
    // start.
    let lines = blocks::find_block(GUIDE, "install -d -m 0755 -o root /broker-configs").text;
    container.sh_as_root(&format!("set -e; cd /configs\n{lines}")).ok();
    docker(&["restart", "--time", "5", container.name()]).ok();
    let container = container.wait_until_ready();
    let pid = container.daemon().unwrap();
    assert_eq!(container.sh_as_root(&format!("stat -c %U /proc/{pid}")).stdout.trim(), "molecule-broker");
    assert!(!container.sh(&city, "cat /broker-configs/.auth_token").success(), "the agent can read the bearer");
    let swap = "echo mine >/tmp/bearer && mv -f /tmp/bearer /broker-configs/.auth_token";
    assert!(!container.sh(&city, swap).success(), "the agent can replace the bearer");
    container.sh(&city, FETCH).ok();
}

/// The agent replaces the folder by a link. That must not have an effect at the
/// next start, whether the folder is named directly or is below one of the
/// agent's.
#[test]
fn the_entrypoint_gives_away_no_folder_through_a_link() {
    if !can_run_containers("a link in the place of CONFIGS_DIR") {
        return;
    }
    let city = City::new(HOUR);
    for (configs, link) in [
        ("/home/agent/configs", "rmdir ~/configs && ln -s /etc ~/configs"),
        ("/home/agent/a/configs", "mv ~/a ~/b && ln -s /opt ~/a"),
    ] {
        let container = started(&city, &[&format!("--env=CONFIGS_DIR={configs}")], &[]);
        let owner = |path: &str| container.sh_as_root(&format!("stat -c %U {path}")).stdout;
        eventually("the folder is the agent's", PATIENCE, || owner(configs) == "agent\n");
        container.sh(&city, &format!("cd; {link}")).ok();
        docker(&["restart", "--time", "5", container.name()]).ok();
        eventually("it is up again", PATIENCE, || container.status().is_some());
        assert_eq!(owner("/etc"), "root\n", "{}", container.log());
        assert_ne!(owner("/opt/configs"), "agent\n", "{}", container.log());
    }
}

/// An existing folder of root stays root's.
#[test]
fn the_entrypoint_gives_away_no_existing_folder_of_root() {
    if !can_run_containers("a CONFIGS_DIR that is root's") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &["--env=CONFIGS_DIR=/broker-configs", "--volume=/broker-configs"], &[]);
    eventually("it is up", PATIENCE, || container.status().is_some());
    assert_eq!(container.sh_as_root("stat -c %U /broker-configs").stdout, "root\n");
}

/// The wiring runs again as root in the agent's home folder. Neither a link to
/// a folder, nor a link among the files, nor a folder without rights makes it
/// write to another place.
#[test]
fn a_second_run_of_the_wiring_follows_no_link_of_the_agent() {
    if !can_run_containers("the agent's links in the way of the wiring") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &[], &[]);
    let install = "/usr/local/lib/molecule-broker/install";
    let scripts = "/home/agent/.molecule-runtime/scripts";
    container.sh_as_root("install -d /opt/roots && echo roots >/opt/roots/file").ok();
    // Every name that the shell of a process in the near future would use, as
    // older versions did.
    let plant = "mkdir -p ~/.molecule-runtime/scripts && cd ~/.molecule-runtime/scripts && perl -e \
                 'symlink \"/opt/roots/file\", \"molecule-git-token-helper.sh.molecule-broker.$_\" for 1 .. 4000'";
    container.sh(&city, plant).ok();
    container.sh_as_root(install).ok();
    assert_eq!(container.sh_as_root("cat /opt/roots/file").stdout, "roots\n");
    let helper = format!("{scripts}/molecule-git-token-helper.sh");
    assert_eq!(container.sh_as_root(&format!("stat -c '%U %a' {helper}")).stdout, "agent 755\n");
    let call = format!("bash {helper} _fetch_token");
    container.sh(&city, &call).ok();

    for link in [
        "rm -r scripts && ln -s /opt/roots scripts",
        "cd .. && rm -r .molecule-runtime && ln -s /opt/roots .molecule-runtime && ! ls /opt/roots/scripts",
    ] {
        container.sh(&city, &format!("cd ~/.molecule-runtime && {link}")).ok();
        container.sh_as_root(install).ok();
        container.sh_as_root(&format!("{install} --scripts {scripts}"));
        let there = container.sh_as_root("find /opt/roots ! -name scripts").stdout;
        assert_eq!(there, "/opt/roots\n/opt/roots/file\n");
    }
    let closed =
        "rm -f ~/.molecule-runtime && mkdir -p ~/.molecule-runtime/scripts && chmod 0 ~/.molecule-runtime/scripts";
    container.sh(&city, closed).ok();
    container.sh_as_root(install).ok();
}

#[test]
fn removing_the_wiring_restores_the_image() {
    if !can_run_containers("the wiring taken out") {
        return;
    }
    let city = City::new(HOUR);
    let image = image_on_base(
        "debian",
        "RUN useradd -u 1000 -m agent\nCOPY old-script.sh /app/scripts/molecule-git-token-helper.sh\n",
    );
    let container = Container::start(&city, &image.name, &[], &["sleep", "infinity"]);
    let state = || container.sh_as_root(WIRED).ok().stdout;
    let before = state();
    for _ in 0..2 {
        container.sh_as_root("/usr/local/lib/molecule-broker/install").ok();
    }
    assert_ne!(state(), before);
    container.sh_as_root("/usr/local/lib/molecule-broker/install --remove").ok();
    assert_eq!(state(), before);
    let left = "ls -A /usr/local/lib/molecule-broker /usr/local/bin | grep -E 'molecule'";
    assert_eq!(container.sh_as_root(left).stdout, "");
}

#[test]
fn started_without_root_it_serves() {
    if !can_run_containers("a start without root") {
        return;
    }
    let city = City::new(HOUR);
    let lines = blocks::find_block(GUIDE, "RUN /usr/local/lib/molecule-broker/install --starts-as agent").text;
    let image = Image::build("not-root", &format!("FROM {}\n{lines}", agent_image()));
    let container = Container::start(&city, &image.name, &[], &[]).wait_until_ready();
    container.sh(&city, FETCH).ok();
}

#[test]
fn on_a_read_only_root_file_system_it_serves() {
    if !can_run_containers("a read-only root file system") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &["--read-only", "--tmpfs=/run"], &[]).wait_until_ready();
    container.sh(&city, FETCH).ok();
    let pid = container.daemon().unwrap();
    container.sh_as_root(&format!("kill -9 {pid}")).ok();
    container.sh(&city, FETCH).ok();
}

/// Returns the time from the first signal to the end, as the engine recorded
/// it. The time of its client on a busy machine doesn't count.
fn took_to_stop(container: &Container) -> Option<Duration> {
    let named = format!("container={}", container.name());
    let format = "{{.Action}} {{.TimeNano}}";
    let events = docker(&["events", "--since", "5m", "--until", "0s", "--filter", &named, "--format", format]).stdout;
    let at = |what: &str| -> Option<u64> {
        events.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(' ')?.parse().ok())
    };
    Some(Duration::from_nanos(at("die")? - at("kill")?))
}

#[test]
fn docker_stop_takes_under_two_seconds() {
    if !can_run_containers("docker stop") {
        return;
    }
    let city = City::new(HOUR);
    for command in [&[][..], &["sh", "-c", "sleep 1000 & wait"]] {
        let container = started(&city, &[], command).wait_until_ready();
        docker(&["stop", "--time", "10", container.name()]).ok();
        // The engine selects past events by whole seconds.
        let took = eventually_some("the engine reports the stop", PATIENCE, || took_to_stop(&container));
        assert!(took < Duration::from_secs(2), "{took:?}");
        println!("docker stop: {took:?}");
    }
}

/// The pause is also longer than the watchdog's period of 52 s.
#[test]
fn git_works_at_once_after_a_pause_longer_than_a_tokens_life() {
    if !only_in_full_run("a pause longer than a life") {
        return;
    }
    if !can_run_containers("docker pause") {
        return;
    }
    let city = City::new(Duration::from_secs(60));
    let container = started(&city, &[&city.short_times()], &[]).wait_until_ready();
    let (token, pid) = (container.token().unwrap(), container.daemon().unwrap());
    docker(&["pause", container.name()]).ok();
    eventually("the token expires", 2 * PATIENCE, || city.ledger.state_of(&token) == TokenState::Expired);
    docker(&["unpause", container.name()]).ok();
    container.sh(&city, FETCH).ok();
    assert_eq!(city.host.dead_shown(), 0);
    assert_eq!(container.daemon(), Some(pid), "a pause restarted the daemon");
}

#[test]
fn the_commands_exit_status_is_the_containers() {
    if !can_run_containers("exit statuses") {
        return;
    }
    for (command, status) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["no-such-command"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let city = City::new(HOUR);
        let container = started(&city, &[], command);
        assert_eq!(container.end(PATIENCE), Some(status), "{command:?}: {}", container.log());
    }
}

/// Prints the signal that it receives, and ends with its own status.
const HEARS: &str =
    "for s in TERM INT HUP USR1; do trap \"echo heard $s; exit 3\" $s; done; echo up; while :; do sleep 1 & wait; done";

#[test]
fn signals_reach_the_command_as_under_docker_init() {
    if !can_run_containers("signals") {
        return;
    }
    let city = City::new(HOUR);
    let end = |container: &Container, signal: &str| {
        eventually("the command is up", PATIENCE, || container.log().contains("up\n"));
        container.signal(signal);
        let status = container.end(PATIENCE);
        let heard: Vec<String> =
            container.log().lines().filter(|line| line.starts_with("heard")).map(String::from).collect();
        (status, heard)
    };
    for signal in ["TERM", "INT", "HUP", "USR1"] {
        let ours = started(&city, &[], &["bash", "-c", HEARS]);
        let theirs = Container::start(&city, agent_image(), &["--init", "--entrypoint=bash"], &["-c", HEARS]);
        assert_eq!(end(&ours, signal), end(&theirs, signal), "{signal}");
    }
}

#[test]
fn orphans_are_reaped_as_under_docker_init() {
    if !can_run_containers("orphans") {
        return;
    }
    let city = City::new(HOUR);
    // The process in the middle ends at once, so its child has lost its parent.
    let orphans = "for i in $(seq 20); do (sleep 0.2 & ); done; echo made; exec sleep infinity";
    let zombies = |container: &Container| {
        let script =
            "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l; grep -lx sleep /proc/[0-9]*/comm | wc -l";
        container.sh_as_root(script).stdout
    };
    for (options, command) in
        [(&[][..], &["bash", "-c", orphans][..]), (&["--init", "--entrypoint=bash"], &["-c", orphans])]
    {
        let container = started(&city, options, command);
        eventually("all orphans are made", PATIENCE, || container.log().contains("made"));
        eventually_some("only the command is left, and no zombie", PATIENCE, || {
            (zombies(&container) == "0\n1\n").then_some(())
        });
    }
}

#[test]
fn a_bad_configuration_does_not_keep_the_command_from_starting() {
    if !can_run_containers("a bad configuration") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &["--env=MOLECULE_BROKER_HOSTS=://"], &["sh", "-c", "echo the command runs"]);
    assert_eq!(container.end(PATIENCE), Some(0));
    let log = container.log();
    assert!(log.contains("the command runs") && log.contains("MOLECULE_BROKER_HOSTS"), "{log}");
}

#[test]
fn git_never_notices_kills_while_the_platform_is_down() {
    if !only_in_full_run("a storm of kills in a container") {
        return;
    }
    if !can_run_containers("a killed daemon") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &[], &[]).wait_until_ready();
    KillStorm::default().survived_by(&city, &container);
}

/// Prints everything that the wiring may change, except for the copied files,
/// which belong to it, and for the backups that useradd(8) keeps.
const WIRED: &str = "ours='/usr/local/*/*molecule*'\n\
    find /etc /app /usr/local /usr/bin /home /root -xdev ! -path \"$ours\" ! -path '/etc/*-' ! -name .pwd.lock \
    -printf '%p %m %u %l\\n' | sort\n\
    find /etc /app /usr/local /usr/bin/gh* -xdev -type f ! -name resolv.conf ! -path \"$ours\" ! -path '/etc/*-' | sort | xargs sha256sum\n\
    dpkg-divert --list '*gh*'";

#[test]
fn a_second_run_of_the_wiring_changes_nothing() {
    if !can_run_containers("the wiring run twice") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &[], &[]);
    let state = || container.sh_as_root(WIRED).ok().stdout;
    let before = state();
    container.sh_as_root("/usr/local/lib/molecule-broker/install").ok();
    assert_eq!(state(), before);
}

/// The socket is in one container, the shim in another, which has no glibc.
#[test]
fn the_shim_answers_in_an_image_without_glibc() {
    if !can_run_containers("an image with musl alone") {
        return;
    }
    let city = City::new(HOUR);
    let volume = format!("molecule-test-run-{}", std::process::id());
    let mount = format!("--volume={volume}:/run/molecule-broker");
    let musl = image_on_base("musl", "");
    let ask = || -> RunResult {
        let mut command = molecule_tests::machine_tool("docker");
        command.args(["run", "--rm", "--network=none", &format!("--user={AGENT}"), &mount, &musl.name]);
        command.args(["/usr/local/bin/molecule-askpass", "Password for 'https://x-access-token@github.com': "]);
        run(&mut command, PATIENCE)
    };
    let container = started(&city, &[&mount], &[]).wait_until_ready();
    let ran = ask();
    let daemon = docker(&["run", "--rm", "--network=none", &musl.name, "/usr/local/bin/molecule-broker", "--version"]);
    drop(container);
    docker(&["volume", "rm", "--force", &volume]);
    assert_eq!(city.ledger.state_of(ran.stdout.trim()), TokenState::Live, "{:?}", ran.stderr);
    // The guide says so about these images: the daemon has to be built for
    // them.
    assert!(!daemon.success());
}

#[test]
fn a_shell_without_the_entrypoints_variables_is_served() {
    if !can_run_containers("docker exec") {
        return;
    }
    let city = City::new(HOUR);
    let container = started(&city, &[], &[]).wait_until_ready();
    let script = format!("env -i PATH=$PATH HOME=/tmp https_proxy=$https_proxy GIT_SSL_CAINFO=$GIT_SSL_CAINFO {FETCH}");
    container.sh(&city, &script).ok();
    container.exec(&ExecOptions { env: city.git_variables(), ..ExecOptions::default() }, &["bash", "-lc", FETCH]).ok();
    assert_eq!((city.host.shown_count(CredentialState::Live) > 0, city.host.dead_shown()), (true, 0));
}

#[test]
fn without_a_broker_the_token_of_the_provisioner_is_given() {
    if !can_run_containers("a container without the broker") {
        return;
    }
    let city = City::new(HOUR);
    let container = Container::start(&city, agent_image(), &["--entrypoint=sleep"], &["infinity"]);
    let ran =
        container.exec(&ExecOptions::default(), &["/app/scripts/molecule-git-token-helper.sh", "_fetch_token"]).ok();
    assert!(ran.stdout.trim() == city.frozen, "{}", ran.stderr);
}
