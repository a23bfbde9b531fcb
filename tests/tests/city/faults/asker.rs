//! The only answers that a client may get.

use std::path::Path;
use std::time::Duration;

use molecule_tests::ledger::TokenState;
use molecule_tests::world::{RunResult, World, run_with_input};

/// The shim's ten seconds, and the time to start it on a busy machine.
const TEN_SECONDS: Duration = Duration::from_millis(11_500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A live token.
    Token,
    /// A refusal with its reason.
    No,
    /// Nothing: the fault hit the client itself.
    Nothing,
}

/// Asks as git does.
#[track_caller]
pub(crate) fn ask(world: &World) -> Heard {
    let ran = ask_by(world, &[]);
    match heard(&ran, world) {
        Heard::Nothing => panic!("no answer: {ran:?}"),
        heard => heard,
    }
}

/// Asks through another program, such as strace. The shim has the daemon's list
/// of hosts, as in a container, for the case that it must answer without a
/// daemon.
pub(crate) fn ask_by(world: &World, way: &[String]) -> RunResult {
    let mut command = world.command(Path::new("/usr/bin/env"));
    let shim = world.bin().join("git-credential-molecule");
    command.env("MOLECULE_BROKER_HOSTS", world.host.origin()).args(way).arg(shim).arg("get");
    let question = format!("protocol=https\nhost={}\n\n", world.host.origin());
    run_with_input(&mut command, question.as_bytes(), TEN_SECONDS)
}

/// Classifies an answer. Panics if it is none of the three.
#[track_caller]
pub(crate) fn heard(ran: &RunResult, world: &World) -> Heard {
    assert!(ran.status.is_some(), "a hang: {ran:?}");
    let password = ran.stdout.lines().find_map(|line| line.strip_prefix("password="));
    match password {
        Some(token) => {
            let whole = ran.stdout.starts_with("username=x-access-token\n") && ran.stdout.ends_with('\n');
            assert!(whole && ran.stdout.contains("\npassword_expiry_utc="), "half an answer: {ran:?}");
            assert_eq!(world.ledger.state_of(token), TokenState::Live, "{ran:?}");
            Heard::Token
        }
        None if ran.stdout == "quit=1\n" => {
            assert!(ran.stderr.starts_with("molecule-broker: "), "no reason was given: {ran:?}");
            Heard::No
        }
        None => {
            assert_eq!(ran.stdout, "", "half an answer: {ran:?}");
            Heard::Nothing
        }
    }
}
