//! Isolation of daemon and supervisor from another process of the same uid,
//! which isn't root. That process is called the neighbour. It is this test
//! program itself, started again with that uid.

use std::fs::{self, File};
use std::io::Read;
use std::process::Command;

use crate::kit;
use crate::kit::DaemonWorld;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const UID: u32 = 12345;

/// Command that runs another one with the uid [`UID`].
const AS_UID: [&str; 6] = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--inh-caps=-all", "--"];

/// Creates a world of that uid, with the program installed as it should be:
/// owned by root and execute-only.
fn world() -> Option<(DaemonWorld, String)> {
    if !kit::can(&[kit::Ability::BecomeOthers, kit::Ability::GiveAway]) {
        return None;
    }
    let mut world = DaemonWorld::new();
    let installed = world.path("bin/molecule-broker");
    fs::copy(kit::BROKER, &installed).unwrap();
    kit::set_mode(&installed, 0o711);
    for folder in ["home", "run", "configs", "repo", "configs/.auth_token"] {
        std::os::unix::fs::chown(world.path(folder), Some(UID), Some(UID)).unwrap();
    }
    world.set("GITHUB_TOKEN", "ghs_canary");
    Some((world, installed.display().to_string()))
}

struct Running<'w> {
    world: &'w DaemonWorld,
    supervisor: std::process::Child,
}

impl<'w> Running<'w> {
    fn start(world: &'w DaemonWorld, installed: &str) -> Self {
        let mut command = world.command(AS_UID[0]);
        let log = File::options().create(true).append(true).open(world.path("log")).unwrap();
        command.args(&AS_UID[1..]).args([installed, "supervise", "--", "sleep", "600"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self { world, supervisor: command.spawn().unwrap() }
    }

    fn daemon_but(&self, not: Option<Pid>) -> Pid {
        kit::wait_for("a daemon", || self.world.daemon().filter(|pid| Some(*pid) != not))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.supervisor.id() as i32)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = self.supervisor.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.world.log());
        }
    }
}

/// Runs one of the probes below as the neighbour and returns its output.
fn neighbour(world: &DaemonWorld, probe: &str, pids: &[Pid]) -> String {
    let copy = world.path("bin/neighbour");
    if !copy.exists() {
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        kit::set_mode(&copy, 0o755);
    }
    let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let mut command: Command = world.command(AS_UID[0]);
    command
        .args(&AS_UID[1..])
        .arg(copy)
        .args(["--exact", &format!("neighbours::{probe}"), "--ignored", "--nocapture"])
        .env("PROBED", pids);
    let done = command.output().unwrap();
    kit::text(&done.stdout)
}

#[test]
fn rule20_the_same_uid_cant_look_into_daemon_or_supervisor() {
    let Some((world, installed)) = world() else { return };
    let running = Running::start(&world, &installed);
    let daemon = running.daemon_but(None);
    let said = neighbour(&world, "probe_everything", &[running.pid(), daemon]);
    assert!(said.contains("probed 2 processes") && !said.contains("COULD"), "{said}");
    // The same probes succeed on a process that isn't guarded.
    let mut plain = world.command(AS_UID[0]).args(&AS_UID[1..]).args(["sleep", "600"]).spawn().unwrap();
    let pid = Pid::from_raw(plain.id() as i32);
    kit::wait_for("the plain process to run", || {
        fs::read_to_string(format!("/proc/{pid}/comm")).ok().filter(|c| c == "sleep\n")
    });
    let said = neighbour(&world, "probe_everything", &[pid]);
    plain.kill().unwrap();
    plain.wait().unwrap();
    for way in ["read environ", "open mem", "read maps", "attach", "read memory", "take a descriptor"] {
        let found = said.contains(&format!("COULD {way}"));
        // A seccomp filter here may refuse some of these calls for every process.
        assert!(found || !kit::can(&[kit::Ability::EveryCall]), "{way}: {said}");
    }
}

/// The race of rule 20 is between a daemon's start and its first instruction.
#[test]
fn rule20_the_same_uid_cant_look_into_a_daemon_that_starts() {
    let Some((world, installed)) = world() else { return };
    let running = Running::start(&world, &installed);
    running.daemon_but(None);
    let said = neighbour(&world, "probe_restarts", &[running.pid()]);
    assert!(said.contains("restarts seen: 12") && !said.contains("COULD"), "{said}");
}

#[test]
fn rule20_a_crash_leaves_no_core() {
    let Some((world, installed)) = world() else { return };
    let running = Running::start(&world, &installed);
    let daemon = running.daemon_but(None);
    let limits = fs::read_to_string(format!("/proc/{daemon}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_ascii_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    kill(daemon, Signal::SIGABRT).unwrap();
    running.daemon_but(Some(daemon));
    let left: Vec<_> = fs::read_dir(world.path("repo")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
#[ignore = "is started by the tests above, as another user"]
fn probe_everything() {
    let Ok(pids) = std::env::var("PROBED") else { return };
    let pids: Vec<i32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
    for pid in &pids {
        assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "the process runs");
        look(*pid);
        attach(*pid);
    }
    println!("probed {} processes", pids.len());
}

#[test]
#[ignore = "is started by the tests above, as another user"]
fn probe_restarts() {
    let Ok(supervisor) = std::env::var("PROBED") else { return };
    let listed = format!("/proc/{supervisor}/task/{supervisor}/children");
    let mut seen = std::collections::BTreeSet::new();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while seen.len() < 12 && std::time::Instant::now() < until {
        for pid in fs::read_to_string(&listed).unwrap().split_ascii_whitespace() {
            let pid: i32 = pid.parse().unwrap();
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let Some(word) = words.split(|b| *b == 0).nth(1) else { continue };
            if word == b"600" {
                continue;
            }
            look(pid);
            // Look at it a growing number of times before it is killed.
            if word == b"serve" && seen.insert(pid) {
                (0..seen.len() * 40).for_each(|_| look(pid));
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
    println!("restarts seen: {}", seen.len());
}

fn look(pid: i32) {
    let mut bytes = [0; 64];
    let mut first = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        File::open(path).and_then(|mut file| file.read(&mut bytes)).is_ok_and(|length| length > 0)
    };
    if first("environ") {
        println!("COULD read environ of {pid}");
    }
    if first("maps") {
        println!("COULD read maps of {pid}");
    }
    if File::open(format!("/proc/{pid}/mem")).is_ok() {
        println!("COULD open mem of {pid}");
    }
}

fn attach(pid: i32) {
    use nix::libc;
    let mut byte = 0_u8;
    let ours = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // The content of the address doesn't matter. The call fails with EPERM if the
    // process may not be read at all, and with EFAULT if nothing is mapped there.
    let theirs = libc::iovec { iov_base: std::ptr::without_provenance_mut(1 << 20), iov_len: 1 };
    // SAFETY: `ours` is one byte that lives until after the call.
    let read = unsafe { libc::process_vm_readv(pid, &ours, 1, &theirs, 1, 0) };
    if read >= 0 || Errno::last() != Errno::EPERM {
        println!("COULD read memory of {pid}");
    }
    // SAFETY: plain system calls with numbers for arguments.
    let (pidfd, taken) = unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        (pidfd, libc::syscall(libc::SYS_pidfd_getfd, pidfd, 0, 0))
    };
    if pidfd < 0 || taken >= 0 || Errno::last() != Errno::EPERM {
        println!("COULD take a descriptor of {pid}");
    }
    // SAFETY: seizing stops nothing and touches no memory.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) };
    if seized >= 0 || Errno::last() != Errno::EPERM {
        println!("COULD attach to {pid}");
    }
}
