//! E: the socket's life, from bind to SIGTERM and after `kill -9`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::kit::wire;
use crate::kit::world::FAST;
use crate::kit::{Ability, BROKER, DaemonWorld, alone, can, program, set_mode, wait_for};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn rule27_a_second_daemon_gives_up_and_the_first_serves_on() {
    let world = DaemonWorld::settled();
    let (inode, pid) = (inode(&world.socket()), world.status()["pid"].clone());
    let began = Instant::now();
    let (status, said) = world.fails_to_start();
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("another process serves") && said.contains("molecule-broker status"), "{said}");
    assert_eq!((self::inode(&world.socket()), world.status()["pid"].clone()), (inode, pid));
}

#[test]
fn rule27_of_two_at_once_over_a_stale_socket_exactly_one_serves() {
    let _alone = alone();
    let world = DaemonWorld::fast();
    drop(UnixListener::bind(world.socket()).unwrap());
    for round in 0..100 {
        let start = || world.command(BROKER).arg("serve").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut both = [start(), start()];
        let lost = wait_for("one to give up", || both.iter_mut().position(|one| one.try_wait().unwrap().is_some()));
        assert_eq!(both[lost].wait().unwrap().code(), Some(1), "round {round}");
        let winner = both[1 - lost].id();
        let pid = wait_for("the other to serve", || {
            assert!(both[1 - lost].try_wait().unwrap().is_none(), "round {round}: both gave up");
            world.broker(&["status"]).status.code().filter(|code| *code != 3).map(|_| world.status()["pid"].as_u64())
        });
        assert_eq!(pid, Some(u64::from(winner)), "round {round}");
        end(&mut both[1 - lost]);
    }
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn rule28_after_kill_nine_the_next_daemon_serves_within_1_s() {
    let _alone = alone();
    let mut world = DaemonWorld::settled();
    let mut slow = Vec::new();
    for round in 0..200 {
        world.kill();
        assert!(world.socket().exists(), "a killed daemon can't clean up");
        let began = Instant::now();
        world.spawn_serve(&[]);
        while std::os::unix::net::UnixStream::connect(world.socket()).is_err() {
            assert!(began.elapsed() < 10 * SECOND, "round {round}: {}", world.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        slow.extend((began.elapsed() > SECOND).then_some(began.elapsed()));
        assert_eq!(world.status()["pid"].as_u64(), Some(u64::from(world.pid())), "round {round}");
    }
    // A busy machine may stop any process for a second now and then.
    assert!(slow.len() <= 4, "more than a second in {} of 200 rounds: {slow:?}", slow.len());
}

#[test]
fn rule29_a_file_that_replaced_the_socket_stays_at_exit() {
    let mut world = DaemonWorld::settled();
    fs::remove_file(world.socket()).unwrap();
    let theirs = UnixListener::bind(world.socket()).unwrap();
    let before = inode(&world.socket());
    assert_eq!(world.stop().unwrap().code(), Some(0));
    assert_eq!(inode(&world.socket()), before);
    drop(theirs);

    fs::remove_file(world.socket()).unwrap();
    world.start();
    fs::remove_file(world.socket()).unwrap();
    fs::write(world.socket(), "theirs").unwrap();
    assert_eq!(world.stop().unwrap().code(), Some(0));
    assert_eq!(fs::read_to_string(world.socket()).unwrap(), "theirs");
}

#[test]
fn rule30_the_socket_has_its_mode_from_the_first_moment() {
    for mode in ["0600", "0660", "0666"] {
        for umask in ["000", "022", "077", "0777"] {
            let mut world = DaemonWorld::fast();
            world.config(&format!("{FAST}[socket]\nmode = \"{mode}\"\n"));
            let (socket, watching, done) = (world.socket(), Barrier::new(2), AtomicBool::new(false));
            let seen = std::thread::scope(|scope| {
                let watch = scope.spawn(|| {
                    let mut seen = BTreeSet::new();
                    watching.wait();
                    loop {
                        let last = done.load(Ordering::Relaxed);
                        seen.extend(fs::symlink_metadata(&socket).map(|there| there.mode() & 0o777));
                        if last {
                            break seen;
                        }
                    }
                });
                watching.wait();
                world.start_through(&["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
                done.store(true, Ordering::Relaxed);
                watch.join().unwrap()
            });
            let wanted = u32::from_str_radix(mode, 8).unwrap();
            assert_eq!(seen, BTreeSet::from([wanted]), "mode {mode}, umask {umask}");
        }
    }
}

/// Checks for each fault that the command in the error mends it.
#[test]
fn rule30_an_unsafe_folder_is_refused_and_the_remedy_works() {
    if !can(&[Ability::GiveAway]) {
        return;
    }
    type Break = fn(&Path);
    let faults: [(&str, Break); 6] = [
        ("another owner", |run| chown(run, Some(12345), None).unwrap()),
        ("writable by the group", |run| set_mode(run, 0o775)),
        ("writable by all", |run| set_mode(run, 0o777)),
        ("writable by all, though sticky", |run| set_mode(run, 0o1777)),
        ("a symbolic link", |run| {
            fs::rename(run, run.with_file_name("elsewhere")).unwrap();
            symlink(run.with_file_name("elsewhere"), run).unwrap();
        }),
        ("missing", |run| fs::remove_dir(run).unwrap()),
    ];
    for (fault, break_it) in faults {
        let mut world = DaemonWorld::fast();
        break_it(&world.path("run"));
        let before = listing(&world);
        let (status, said) = world.fails_to_start();
        assert_eq!(status, 1, "{fault}: {said}");
        assert_eq!(listing(&world), before, "{fault}: something was touched");
        let (_, mend) = said.split_once(" it with: ").unwrap_or_else(|| panic!("{fault}: {said}"));
        assert!(program("sh").args(["-c", mend.trim()]).status().unwrap().success(), "{fault}: {mend}");
        world.start();
        assert!(world.get().starts_with("molecule/1 ok\n"), "{fault}: {}", world.log());
    }
}

#[test]
fn rule30_a_regular_file_in_the_sockets_place_is_left_as_it_is() {
    let world = DaemonWorld::fast();
    fs::write(world.socket(), "a file").unwrap();
    let before = listing(&world);
    let (status, said) = world.fails_to_start();
    assert!(status == 1 && said.contains("not a socket") && said.contains("move it away"), "{said}");
    assert_eq!((listing(&world), fs::read_to_string(world.socket()).unwrap()), (before, "a file".into()));
}

#[test]
fn rule30_a_108_byte_path_is_refused_and_107_bytes_are_served() {
    let mut world = DaemonWorld::fast();
    let folder = world.path("run").display().to_string();
    let path = |bytes: usize| format!("{folder}/{}", "x".repeat(bytes - folder.len() - 1));
    world.set("MOLECULE_BROKER_SOCKET", path(108));
    let (status, said) = world.fails_to_start();
    assert!(status == 2 && said.contains("108 bytes") && said.contains("107"), "{status}: {said}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    world.set("MOLECULE_BROKER_SOCKET", path(107));
    world.start();
}

#[test]
fn rule30_a_read_only_file_system_is_a_clear_error() {
    if !can(&[Ability::MountNamespace]) {
        return;
    }
    let world = DaemonWorld::fast();
    let run = world.path("run");
    let script = format!("mount -t tmpfs -o ro,mode=0755 none {} && exec {BROKER} serve", run.display());
    let output = world.command("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let said = crate::kit::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Read-only file system") && said.contains(&*run.to_string_lossy()), "{said}");
    assert!(said.contains("MOLECULE_BROKER_SOCKET"), "the error must say what to do: {said}");
}

/// Returns the name, owner, mode and inode of every file in the world.
fn listing(world: &DaemonWorld) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![world.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let there = fs::symlink_metadata(entry.path()).unwrap();
            all.push(format!("{:?} {} {:o} {}", entry.path(), there.uid(), there.mode(), there.ino()));
            if there.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    all.sort();
    all
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// This has no rule number: a clean stop loses no answer that a client waits for.
#[test]
fn at_sigterm_a_waiting_caller_still_gets_its_answer() {
    if !can(&[Ability::LookIntoClosed]) {
        return;
    }
    let _alone = alone();
    let mut world = DaemonWorld::fast();
    world.platform.hold();
    world.start();
    let caller = start_waiting_caller(&world);
    wait_for("the platform to be asked", || (world.platform.count() > 0).then_some(()));
    world.signal(Signal::SIGTERM);
    wait_for("the daemon to stop", || world.log().contains("stopping").then_some(()));
    world.platform.release();
    assert_eq!(wire::password(&caller.join().unwrap()), Some("ghs_minted_1"));
    assert!(world.stopped().success());

    // A caller that waits in vain delays the stop by half a second at most.
    world.platform.hold();
    world.start();
    let caller = start_waiting_caller(&world);
    let began = Instant::now();
    assert!(world.stop().is_some_and(|status| status.success()));
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    assert_eq!(caller.join().unwrap(), "");
}

/// Starts a caller and returns once the daemon has its connection. The thread
/// returns the answer.
fn start_waiting_caller(world: &DaemonWorld) -> JoinHandle<String> {
    let (socket, idle) = (world.socket(), world.descriptors());
    let caller = std::thread::spawn(move || wire::ask(&socket, wire::GET.as_bytes()));
    wait_for("the caller to wait", || (world.descriptors() > idle).then_some(()));
    caller
}
