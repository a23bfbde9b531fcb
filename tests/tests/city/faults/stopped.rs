//! A daemon that is stopped for longer than its token lives.

use std::process::Stdio;
use std::time::Duration;

use molecule_tests::ledger::TokenState;
use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::serves;
use molecule_tests::world::{World, WorldSetup};
use nix::sys::signal::Signal;

use crate::faults::asker::{Heard, ask};

const LIFE: Duration = Duration::from_secs(3);

#[test]
fn rule44_a_daemon_stopped_past_expiry_gives_no_dead_token() {
    for (platform_is_well, expected) in [(true, Heard::Token), (false, Heard::No)] {
        let world = World::started(WorldSetup { life: LIFE, ..WorldSetup::default() });
        eventually("the first token", Duration::from_secs(10), || serves(&world));
        world.broker.signal(Signal::SIGSTOP);
        if !platform_is_well {
            world.platform.refuse_connections();
        }
        // A client that asked before the expiry and gets its answer afterwards.
        let waiting = world.broker.command(&["token"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let all_are_dead =
            || world.ledger.all().iter().all(|one| world.ledger.state_of(&one.token) == TokenState::Expired);
        eventually("the token expires", LIFE * 2, all_are_dead);
        world.broker.signal(Signal::SIGCONT);
        let waited = waiting.wait_with_output().unwrap();
        let token = String::from_utf8(waited.stdout).unwrap();
        match expected {
            Heard::Token => assert_eq!(world.ledger.state_of(token.trim()), TokenState::Live, "{token}"),
            _ => assert_eq!(token, "", "{:?}", waited.stderr),
        }
        assert_eq!(ask(&world), expected);
    }
}
