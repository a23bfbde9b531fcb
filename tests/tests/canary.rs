//! Rule 19: no token is anywhere but where it belongs. Everything at its most
//! talkative, and then every place looked through for every token ever minted.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use molecule_tests::git_host::Worth;
use molecule_tests::platform::Mode;
use molecule_tests::programs::gits;
use molecule_tests::wait::eventually;
use molecule_tests::world::{Setup, Wiring, World, run};

#[test]
fn r19_a_token_is_in_no_log_argument_environment_file_or_trace() {
    let world = World::started(Setup {
        life: Duration::from_secs(3),
        broker_env: vec![("MOLECULE_BROKER_LOG", Some(String::from("trace")))],
        ..Setup::default()
    });
    world.host.create_repository("acme/app.git");
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_processes(world.path(), &over));
        work(&world);
        over.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(seen.len() > 10, "the watcher saw only {} processes", seen.len());
    assert!(world.host.shown_count(Worth::Live) > 10);

    let mut places: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    places.extend(seen);
    for file in files_under(world.path()) {
        let bytes = fs::read(&file).unwrap_or_default();
        places.insert(file.display().to_string(), bytes);
    }
    let has = |name: &str| places.iter().any(|(place, bytes)| place.ends_with(name) && !bytes.is_empty());
    assert!(has("broker.log") && has("audit.log") && has("trace"), "a place to look at isn't there");
    let tokens: Vec<_> = world.ledger.all().into_iter().map(|minted| minted.token).collect();
    let secrets: Vec<_> =
        tokens.iter().flat_map(|token| [token.clone(), STANDARD.encode(format!("x-access-token:{token}"))]).collect();
    for (place, bytes) in &places {
        let text = String::from_utf8_lossy(bytes);
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "a token is in {place}");
    }
}

/// Rotations, rejections and failures: whatever may make a program say more.
fn work(world: &World) {
    let url = world.host.url("acme/app.git");
    let trace = world.path().join("trace");
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        for git in gits() {
            for wiring in [Wiring::Helper, Wiring::Askpass] {
                let mut command = world.git(&git, wiring);
                for variable in ["GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE2", "GIT_TRACE2_EVENT"] {
                    command.env(variable, &trace);
                }
                run(command.args(["ls-remote", &url]), Duration::from_secs(20));
            }
        }
    }
    let token = world.platform.asked().into_iter().rev().find_map(|one| one.token).unwrap();
    world.ledger.revoke(&token);
    run(world.git(&gits()[0], Wiring::Helper).args(["ls-remote", &url]), Duration::from_secs(20));
    let asked = world.platform.asked_count();
    world.platform.next([Mode::Html, Mode::WrongType, Mode::ExpiryPast, Mode::Cut, Mode::Fails]);
    eventually("the bad answers are eaten", Duration::from_secs(20), || world.platform.asked_count() > asked + 5);
    for arguments in [&["status"][..], &["status", "--json"], &["config"], &["refresh"]] {
        let ran = world.broker.control(arguments);
        let place = world.path().join(format!("said-by-{}", arguments.join("")));
        fs::write(place, ran.stdout + &ran.stderr).unwrap();
    }
}

/// Arguments and environments of all processes of this world, as often as it
/// can look.
fn watch_processes(world: &Path, over: &AtomicBool) -> BTreeMap<String, Vec<u8>> {
    let marker = world.display().to_string().into_bytes();
    let mut seen = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        for process in processes.filter(|path| path.join("cmdline").exists()) {
            for what in ["cmdline", "environ"] {
                let bytes = fs::read(process.join(what)).unwrap_or_default();
                if bytes.windows(marker.len()).any(|window| window == marker) {
                    seen.insert(format!("{}/{what}", process.display()), bytes);
                }
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    seen
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_under(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}
