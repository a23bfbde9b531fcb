//! A daemon that takes connections and answers none: whoever asks is done in
//! ten seconds, and git knows that it needn't ask anybody else.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use molecule_tests::programs::gits;
use molecule_tests::wait::eventually;
use molecule_tests::world::supervised::serves;
use molecule_tests::world::{Ran, Setup, Wiring, World, run, run_with_input, write_program};
use nix::sys::signal::Signal;

/// What a shim takes at most.
const LIMIT: Duration = Duration::from_secs(10);

/// Before that it hasn't waited in earnest.
const EARNEST: Duration = Duration::from_secs(8);

/// What git takes around it, on a busy machine: twice the limit is far off.
const AND_GIT: Duration = Duration::from_secs(14);

fn world() -> World {
    let world = World::started(Setup::default());
    world.host.create_repository("acme/app.git");
    eventually("the first token", LIMIT, || serves(&world));
    world
}

/// All at the same time, since each takes its ten seconds.
fn at_once<K: Send>(commands: Vec<(K, Command, String)>) -> Vec<(K, Ran)> {
    thread::scope(|scope| {
        let start = |(key, mut command, input): (K, Command, String)| {
            scope.spawn(move || (key, run_with_input(&mut command, input.as_bytes(), 3 * LIMIT)))
        };
        let running: Vec<_> = commands.into_iter().map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn rule37_of_a_stopped_daemon_every_shim_is_done_within_ten_seconds_and_says_why() {
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
            // A rejection's fate is no news for git.
            "erase" => (0, "", ""),
            // It goes on with its own login.
            "gh" => (0, "gh with nothing and nothing\n", why.as_str()),
            _ => (1, "", why.as_str()),
        };
        assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (Some(code), output, says), "{name}");
        assert!(ran.took >= EARNEST && ran.took <= LIMIT, "{name}: {:?}", ran.took);
    }
}

#[test]
fn rule37_of_a_stopped_daemon_git_asks_once_and_ends() {
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
    assert!(!fs::exists(&next).unwrap(), "the helper behind ours was asked");
    // What was missed is made up for.
    for git in gits() {
        run(world.git(&git, Wiring::Helper).args(["ls-remote", &url]), LIMIT).ok();
    }
}
