//! Rule 19: tokens are only where they belong. Every program logs as much as it
//! can, every way to a token is used, and daemons and clients are killed while
//! they hold one. Meanwhile and afterwards, every place is searched for every
//! token ever minted.

mod crashes;
mod secrets;
mod watch;
mod work;

use std::fs;
use std::thread;
use std::time::Duration;

use molecule_tests::git_host::CredentialState;
use molecule_tests::only_in_full_run;
use molecule_tests::world::supervised::Supervised;
use molecule_tests::world::{World, WorldSetup, write_program};

use crate::canary::crashes::Crashes;
use crate::canary::secrets::Secrets;
use crate::canary::watch::Watch;
use crate::canary::work::Work;

const PATIENCE: Duration = Duration::from_secs(30);

/// A quarter of it is the least time that git-lfs has, on a busy machine,
/// between a refresh and the old token's expiry. Most tokens here are requested
/// explicitly.
const LIFE: Duration = Duration::from_secs(24);

/// Writes down everything that a hook can read.
const HOOK: &str = r#"#!/bin/sh
echo "notified of $MOLECULE_CREDENTIAL: $MOLECULE_OUTCOME $MOLECULE_CLASS"
tr '\0' '\n' </proc/$$/environ
tr '\0' ' ' </proc/$$/cmdline
tr '\0' '\n' </proc/$PPID/environ
tr '\0' ' ' </proc/$PPID/cmdline
for descriptor in /proc/$$/fd/*; do
    echo "$descriptor $(readlink "$descriptor")"
    case $(readlink "$descriptor") in /memfd:*) cat "$descriptor" ;; esac
done
cat
"#;

#[test]
fn rule19_a_token_is_in_no_log_argv_environ_file_core_or_trace() {
    if !only_in_full_run("the search for a canary token") {
        return;
    }
    let world = talkative_world();
    world.host.create_repository("acme/app.git");
    let crashes = Crashes::new(world.path());
    let secrets = Secrets::of(&world.ledger);
    let watch = Watch::new(world.path(), &secrets);
    thread::scope(|scope| {
        let watching = watch.begin(scope);
        let supervised = Supervised::start_through(&world, &crashes.command_prefix());
        let work = Work { world: &world, watch: &watch };
        work.by_every_client();
        work.through_rejections_and_failures();
        work.by_every_command();
        crashes.of_daemons(&world, &supervised);
        crashes.of_clients(&world);
        Crashes::of_the_supervisor(&supervised);
        drop(watching);
    });
    let seen = watch.end();
    assert_eq!(seen.found, [""; 0], "a token is in a wrong place");

    // Everything was written, so a token would have been found.
    for place in ["broker.log", "audit.log", "trace", "hooks", "said-by-metrics", "said-by-doctor"] {
        assert!(fs::metadata(world.path().join(place)).unwrap().len() > 0, "{place} is empty");
    }
    let (log, hooks) = (world.broker.log(), fs::read_to_string(world.path().join("hooks")).unwrap());
    assert!(log.contains("TRACE"), "{log}");
    assert!(hooks.contains("notified of github: refreshed") && hooks.contains("notified of github: failed"), "{hooks}");
    assert!(seen.processes > 30, "only {} processes were seen", seen.processes);
    assert!(world.host.shown_count(CredentialState::Live) > 10);
    assert!(world.ledger.count() > 5, "{} tokens", world.ledger.count());
    crashes.leave_no_core(&secrets);
}

/// Creates a world with the most verbose log, and with hooks that write down
/// everything they get.
fn talkative_world() -> World {
    let world = World::new(WorldSetup {
        life: LIFE,
        broker_env: vec![("MOLECULE_BROKER_LOG", Some(String::from("trace")))],
        ..WorldSetup::default()
    });
    let hook = world.path().join("hook");
    write_program(&hook, HOOK);
    let words = format!("[\"/bin/sh\", \"-c\", \"exec {} >>{0}s 2>&1\"]", hook.display());
    let metrics = world.path().join("run/metrics.sock");
    let more = format!(
        "\n[hooks]\non_refresh = {words}\non_failure = {words}\n[metrics]\nlisten = \"{}\"\n",
        metrics.display()
    );
    let config = fs::read_to_string(world.broker.config_file()).unwrap() + &more;
    fs::write(world.broker.config_file(), config).unwrap();
    world
}
