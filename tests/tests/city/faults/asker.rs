//! What a caller may come to hear, and no more than that.

use std::path::Path;
use std::time::Duration;

use molecule_tests::ledger::Verdict;
use molecule_tests::world::{Ran, World, run_with_input};

/// The shim's ten seconds, and the time to start it on a busy machine.
const TEN_SECONDS: Duration = Duration::from_millis(11_500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A living token.
    Token,
    /// That there is none, and why.
    No,
    /// Nothing: the fault took the caller itself.
    Nothing,
}

/// Asks as git does.
#[track_caller]
pub(crate) fn ask(world: &World) -> Heard {
    let ran = ask_by(world, &[]);
    match heard(&ran, world) {
        Heard::Nothing => panic!("silence: {ran:?}"),
        heard => heard,
    }
}

/// By way of a program, such as strace. The shim has the configuration that the
/// daemon has, as in a container, for when it must answer without one.
pub(crate) fn ask_by(world: &World, way: &[String]) -> Ran {
    let mut command = world.command(Path::new("/usr/bin/env"));
    let shim = world.bin().join("git-credential-molecule");
    command.env("MOLECULE_BROKER_HOSTS", world.host.origin()).args(way).arg(shim).arg("get");
    let question = format!("protocol=https\nhost={}\n\n", world.host.origin());
    run_with_input(&mut command, question.as_bytes(), TEN_SECONDS)
}

/// Panics at anything else than the three.
#[track_caller]
pub(crate) fn heard(ran: &Ran, world: &World) -> Heard {
    assert!(ran.status.is_some(), "a hang: {ran:?}");
    let password = ran.stdout.lines().find_map(|line| line.strip_prefix("password="));
    match password {
        Some(token) => {
            let whole = ran.stdout.starts_with("username=x-access-token\n") && ran.stdout.ends_with('\n');
            assert!(whole && ran.stdout.contains("\npassword_expiry_utc="), "a part of an answer: {ran:?}");
            assert_eq!(world.ledger.verdict(token), Verdict::Live, "{ran:?}");
            Heard::Token
        }
        None if ran.stdout == "quit=1\n" => {
            assert!(ran.stderr.starts_with("molecule-broker: "), "nobody said why: {ran:?}");
            Heard::No
        }
        None => {
            assert_eq!(ran.stdout, "", "a part of an answer: {ran:?}");
            Heard::Nothing
        }
    }
}
