//! A daemon that accepts connections and answers none. Clients give up within
//! ten seconds, and git asks no other helper.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use molecule_tests::programs::gits;
use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::serves;
use molecule_tests::world::{RunResult, Wiring, World, WorldSetup, run, run_with_input, write_program};
use nix::sys::signal::Signal;

/// The longest time of a shim.
const LIMIT: Duration = Duration::from_secs(10);

/// A client that gives up earlier hasn't really waited.
const EARNEST: Duration = Duration::from_secs(8);

/// The longest time of git around it, on a busy machine. Twice the limit is far
/// from it.
const AND_GIT: Duration = Duration::from_secs(14);

fn world() -> World {
    let world = World::started(WorldSetup::default());
    world.host.create_repository("acme/app.git");
    eventually("the first token", LIMIT, || serves(&world));
    world
}

/// Runs all commands at the same time, since each takes ten seconds.
fn at_once<K: Send>(commands: Vec<(K, Command, String)>) -> Vec<(K, RunResult)> {
    thread::scope(|scope| {
        let start = |(key, mut command, input): (K, Command, String)| {
            scope.spawn(move || (key, run_with_input(&mut command, input.as_bytes(), 3 * LIMIT)))
        };
        let running: Vec<_> = commands.into_iter().map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn rule37_every_shim_gives_up_on_a_stopped_daemon_within_10_s() {
    let world = world();
    world.link_shim(&world.path().join("gh/gh"));
    let gh = "#!/bin/sh\necho \"gh with ${GH_TOKEN-nothing} and ${GH_ENTERPRISE_TOKEN-nothing}\"\n";
    write_program(&world.path().join("gh/gh.distrib"), gh);
    let shim = |name: &str, argument: String| {
        let mut shim = world.shim(name);
        shim.arg(argument);
        shim
    };
    let origin = world.host.origin();
    let asked = format!("protocol=https\nhost={origin}\n\n");
    let rejected = format!("protocol=https\nhost={origin}\nusername=x-access-token\npassword=ghs_any\n\n");
    let mut real_gh = world.command(&world.path().join("gh/gh"));
    real_gh.args(["api", "user"]).env("GH_HOST", &origin);
    let prompts = [format!("Username for 'https://{origin}': "), format!("Password for 'https://a@{origin}': ")];
    let [username, password] = prompts.map(|prompt| shim("molecule-askpass", prompt));

    world.broker.signal(Signal::SIGSTOP);
    let nothing = String::new;
    let ran = at_once(vec![
        ("get", shim("git-credential-molecule", "get".into()), asked),
        ("erase", shim("git-credential-molecule", "erase".into()), rejected),
        ("_fetch_token", shim("git-credential-molecule", "_fetch_token".into()), nothing()),
        ("username", username, nothing()),
        ("password", password, nothing()),
        ("gh", real_gh, nothing()),
    ]);
    world.broker.signal(Signal::SIGCONT);

    let why = format!(
        "molecule-broker: no answer from {} in time; see `molecule-broker status` and the broker's log\n",
        world.socket().display()
    );
    for (name, ran) in ran {
        let (code, output, says) = match name {
            "get" => (0, "quit=1\n", why.as_str()),
            // git doesn't need to know the outcome of a rejection.
            "erase" => (0, "", ""),
            // gh continues with its own login.
            "gh" => (0, "gh with nothing and nothing\n", why.as_str()),
            _ => (1, "", why.as_str()),
        };
        assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (Some(code), output, says), "{name}");
        assert!(ran.took >= EARNEST && ran.took <= LIMIT, "{name}: {:?}", ran.took);
    }
}

#[test]
fn rule37_git_asks_a_stopped_daemon_once_and_ends() {
    let world = world();
    let url = world.host.url("acme/app.git");
    let next = world.path().join("next-was-asked");
    let mut commands = Vec::new();
    for git in gits() {
        for wiring in [Wiring::Helper, Wiring::Both, Wiring::Askpass] {
            let mut command = world.git(&git, wiring);
            if wiring != Wiring::Askpass {
                command.args(["-c", &format!("credential.helper=!touch {};:", next.display())]);
            }
            command.args(["ls-remote", &url]);
            commands.push(((git.version.clone(), wiring), command, String::new()));
        }
    }
    world.broker.signal(Signal::SIGSTOP);
    let ran = at_once(commands);
    world.broker.signal(Signal::SIGCONT);
    for ((version, wiring), ran) in ran {
        let about = format!("git {version} {wiring:?}: {ran:?}");
        assert_eq!(ran.code(), Some(128), "{about}");
        assert!(ran.took >= EARNEST && ran.took < AND_GIT, "{about}");
        assert_eq!(ran.stderr.matches("molecule-broker: no answer from").count(), 1, "{about}");
        let end = match wiring {
            Wiring::Askpass => "terminal prompts disabled",
            _ => "credential helper 'molecule' told us to quit",
        };
        assert!(ran.stderr.contains(end), "{about}");
    }
    assert!(!fs::exists(&next).unwrap(), "the helper after ours was asked");
    // Afterwards everything works again.
    for git in gits() {
        run(world.git(&git, Wiring::Helper).args(["ls-remote", &url]), LIMIT).ok();
    }
}
