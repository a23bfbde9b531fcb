//! Rule 53: tokens of every length and form pass through every path unchanged,
//! and their rejection is recognised.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use molecule_tests::git_host::CredentialState;
use molecule_tests::ledger::random_alphanumerics;
use molecule_tests::platform::PlatformMode;
use molecule_tests::programs::gits;
use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::Supervised;
use molecule_tests::world::{Wiring, World, WorldSetup, run, run_with_input};
use nix::sys::signal::{Signal, kill};

const LENGTHS: [usize; 9] = [40, 383, 512, 513, 523, 700, 1_500, 4_000, 8_192];
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a token of `ghs_` and letters, or of GitHub's form of 2026,
/// `ghs_<APPID>_<JWT>`. A JWT is three parts of base64url with dots between
/// them (RFC 7519).
fn token(is_jwt: bool, length: usize) -> String {
    let head = if is_jwt { "ghs_12_" } else { "ghs_" };
    let mut text = format!("{head}{}", random_alphanumerics(length - head.len()));
    if is_jwt {
        let (first, second) = (head.len() + length / 8, length - length / 8);
        for (at, byte) in [(first, "."), (second, "."), (first + 2, "-"), (second - 2, "_")] {
            text.replace_range(at..=at, byte);
        }
    }
    text
}

fn every_token() -> impl Iterator<Item = String> {
    LENGTHS.into_iter().flat_map(|length| [token(false, length), token(true, length)])
}

/// Makes the broker hold this token, and returns the base64 of its SHA-256.
fn hold(world: &World, token: &str, life: Duration) -> String {
    world.ledger.register(token.to_owned(), life);
    world.platform.script_next([PlatformMode::TokenText(token.to_owned())]);
    world.broker.control(&["refresh", "github"]).ok();
    world.broker.credential("github")["token_sha256"].as_str().unwrap().to_owned()
}

fn helper(world: &World, action: &str, lines: &str) -> String {
    let mut helper = world.shim("git-credential-molecule");
    let input = format!("protocol=https\nhost={}\n{lines}\n", world.host.origin());
    run_with_input(helper.arg(action), input.as_bytes(), PATIENCE).ok().stdout
}

/// Returns the output of each client with its name.
fn printed(world: &World) -> [(&'static str, String); 4] {
    let stdout = |command: &mut std::process::Command| run(command, PATIENCE).ok().stdout;
    let got = helper(world, "get", "capability[]=authtype\ncapability[]=state\n");
    let password = got.lines().find_map(|line| line.strip_prefix("password=")).unwrap_or_default();
    let prompt = format!("Password for 'https://x-access-token@{}': ", world.host.origin());
    let broker = world.bin().join("molecule-broker");
    let script = "printf %s \"$GITHUB_TOKEN$GH_ENTERPRISE_TOKEN\"";
    [
        ("helper", password.to_owned()),
        ("askpass", stdout(world.shim("molecule-askpass").arg(prompt)).trim_end().to_owned()),
        ("token", stdout(world.command(&broker).arg("token")).trim_end().to_owned()),
        ("exec", stdout(world.command(&broker).args(["exec", "--", "sh", "-c", script]))),
    ]
}

#[test]
fn rule53_every_client_gets_tokens_of_every_length_whole() {
    let folder = tempfile::tempdir().unwrap();
    let sink: PathBuf = folder.path().join("token");
    let config_head = format!("[sinks]\nfile = \"{}\"\n", sink.display());
    let world = World::started(WorldSetup { config_head, ..WorldSetup::default() });
    world.host.create_repository("acme/app.git");
    for token in every_token() {
        let shown = hold(&world, &token, Duration::from_secs(3600));
        for (client, got) in printed(&world) {
            assert_eq!(got, token, "{client}, {} bytes", token.len());
        }
        eventually("the sink has it", PATIENCE, || fs::read_to_string(&sink).is_ok_and(|text| text.trim() == token));
        for git in gits() {
            let mut list = world.git(&git, Wiring::Helper);
            run(list.args(["ls-remote", &world.host.url("acme/app.git")]), PATIENCE).ok();
        }
        let (audit, log) = (world.broker.audit(), world.broker.log());
        assert!(audit.contains(&shown), "{} bytes", token.len());
        assert!(!audit.contains(&token) && !log.contains(&token), "{} bytes", token.len());
    }
    assert_eq!(world.host.dead_shown(), 0);
    assert!(world.host.shown_count(CredentialState::Live) >= 2 * LENGTHS.len());
}

#[test]
fn rule53_an_erase_of_tokens_of_every_length_is_recognised() {
    let life = Duration::from_secs(60);
    let world = World::started(WorldSetup { life, ..WorldSetup::default() });
    for (at, token) in every_token().enumerate() {
        hold(&world, &token, life);
        let generation = || world.broker.credential("github")["generation"].as_u64().unwrap();
        let held = generation();
        let rejected = match at % 2 {
            0 => format!("username=x-access-token\npassword={token}\n"),
            _ => format!("authtype=Basic\ncredential={}\n", STANDARD.encode(format!("x-access-token:{token}"))),
        };
        // For a moment, a token may be too new for a rejection to be accepted.
        eventually("the rejected token is replaced", PATIENCE, || {
            assert!(helper(&world, "erase", &rejected).is_empty());
            generation() > held
        });
    }
}

#[test]
fn rule53_the_longest_token_outlives_its_daemon() {
    let world = World::new(WorldSetup::default());
    let token = token(true, 8_192);
    world.ledger.register(token.clone(), Duration::from_secs(3600));
    world.platform.script_next([PlatformMode::TokenText(token.clone())]);
    let supervised = Supervised::start(&world);
    let served = || world.broker.control(&["token"]).stdout.trim_end() == token;
    eventually("it is served", PATIENCE, served);
    world.platform.set_mode(PlatformMode::Fails);
    kill(supervised.daemon().unwrap(), Signal::SIGKILL).unwrap();
    eventually("the next daemon serves it", PATIENCE, served);
}
