//! Abilities that a test may need and not every machine allows. Root in a
//! container lacks most of the rights of root on a machine, and an ordinary
//! user has some of them. So each ability is tested by trying it, once per test
//! program.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::sync::OnceLock;
use std::thread;

use crate::{skip, start};

/// Uid of a user that exists on no machine.
const STRANGER: u32 = 12345;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Starting programs as other users (CAP_SETUID, CAP_SETGID).
    BecomeOthers,
    /// Giving files to other users (CAP_CHOWN).
    GiveAway,
    /// Writing files that only another user may write (CAP_DAC_OVERRIDE).
    IgnoreModes,
    /// chroot (CAP_SYS_CHROOT).
    Chroot,
    /// Mounting a disk for some processes only (unshare, mount).
    MountNamespace,
    /// Creating a PID namespace.
    PidNamespace,
    /// Creating a time namespace with its own boot-time clock.
    TimeNamespace,
    /// Tracing a child with strace.
    Strace,
    /// Making a child's system calls fail with strace.
    FailingCalls,
    /// Looking into processes that are closed to their own user
    /// (CAP_SYS_PTRACE): memory, descriptors, environment.
    LookIntoClosed,
    /// Using every system call: the tests aren't behind a seccomp filter, such
    /// as a container engine's.
    EveryCall,
    /// A C compiler.
    CompileC,
    /// `curl`.
    Curl,
    /// A home folder of this user in the user database, which sinks need.
    OwnHome,
}

const COUNT: usize = 14;

/// Returns true if this machine has all of these abilities. Otherwise prints a
/// SKIP line for the first that is missing.
pub fn can(abilities: &[Ability]) -> bool {
    let missing = abilities.iter().find_map(|ability| Some((ability, ability.fault().as_ref()?)));
    if let Some((ability, fault)) = missing {
        skip(&format!("{}: {fault}", ability.description()));
    }
    missing.is_none()
}

impl Ability {
    fn description(self) -> &'static str {
        match self {
            Self::BecomeOthers => "no program can be started as another user here",
            Self::GiveAway => "no file can be given to another user here",
            Self::IgnoreModes => "file modes bind this user",
            Self::Chroot => "no program can be started in another root directory here",
            Self::MountNamespace => "no disk can be mounted for a few processes here",
            Self::PidNamespace => "no namespace for process numbers can be made here",
            Self::TimeNamespace => "no namespace for clocks can be made here",
            Self::Strace => "strace doesn't work here",
            Self::FailingCalls => "strace can't make system calls fail here",
            Self::LookIntoClosed => "processes that are closed to their own user can't be looked into here",
            Self::EveryCall => "system calls are filtered here",
            Self::CompileC => "there is no C compiler here",
            Self::Curl => "curl doesn't work here",
            Self::OwnHome => "the user database names no home folder for this user",
        }
    }

    /// Returns the error of the attempt if it failed.
    fn fault(self) -> &'static Option<String> {
        static FAULTS: [OnceLock<Option<String>>; COUNT] = [const { OnceLock::new() }; COUNT];
        FAULTS[self as usize].get_or_init(|| self.try_it().err())
    }

    fn try_it(self) -> Result<(), String> {
        match self {
            Self::BecomeOthers => become_stranger(),
            Self::GiveAway => in_new_file(|path| chown(path, Some(STRANGER), Some(STRANGER))),
            Self::IgnoreModes => in_new_file(|path| {
                fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o000))?;
                fs::File::open(path).map(drop)
            }),
            Self::Chroot => run(&["chroot", "/", "true"]),
            Self::MountNamespace => run(&["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]),
            Self::PidNamespace => run(&["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "true"]),
            Self::TimeNamespace => run(&["unshare", "--time", "--boottime", "1000000", "--fork", "true"]),
            Self::Strace => run(&["strace", "-f", "-qq", "-o", "/dev/null", "true"]),
            Self::FailingCalls => fail_a_call(),
            Self::LookIntoClosed => look_into_closed(),
            Self::EveryCall => no_filter(),
            Self::CompileC => run(&["cc", "--version"]),
            Self::Curl => run(&["curl", "--version"]),
            Self::OwnHome => run(&["sh", "-c", "getent passwd \"$(id -u)\" | grep -q ':/[^:]*:[^:]*$'"]),
        }
    }
}

/// Runs a command to its end. The error is its last line of stderr.
fn run(words: &[&str]) -> Result<(), String> {
    let output = start::program(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", words[0]))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(said.lines().next_back().map_or_else(|| format!("{}: {}", words[0], output.status), str::to_owned))
}

fn become_stranger() -> Result<(), String> {
    let mut other = start::program("true");
    let status = other.uid(STRANGER).gid(STRANGER).status().map_err(|error| error.to_string())?;
    status.success().then_some(()).ok_or_else(|| status.to_string())
}

/// Creates an empty file, tries the operation on it and removes it.
fn in_new_file(attempt: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), String> {
    let path = temporary("file");
    let tried = fs::write(&path, "").and_then(|()| attempt(&path));
    let _ = fs::remove_file(&path);
    tried.map_err(|error| error.to_string())
}

fn temporary(name: &str) -> PathBuf {
    env::temp_dir().join(format!("molecule-ability-{name}-{}-{:?}", process::id(), thread::current().id()))
}

/// If strace makes `chdir` fail, the shell's `cd` fails.
fn fail_a_call() -> Result<(), String> {
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=chdir"];
    run(&[&strace[..], &["true"]].concat())?;
    let failing = ["-e", "inject=chdir:error=EPERM", "sh", "-c", "cd /"];
    match run(&[&strace[..], &failing].concat()) {
        Ok(()) => Err("strace didn't make the call fail".into()),
        Err(_) => Ok(()),
    }
}

/// A process is closed to its user if that user may not read its program
/// (execve(2), prctl(2) on PR_SET_DUMPABLE). Root may read every program, so
/// root's example is another user's process.
fn look_into_closed() -> Result<(), String> {
    let program = temporary("sleep");
    let path = program.display().to_string();
    run(&["sh", "-c", "install -m 111 \"$(command -v sleep)\" \"$0\"", &path])?;
    let mut sleep = start::program(&program);
    sleep.arg("60");
    if become_stranger().is_ok() {
        sleep.uid(STRANGER).gid(STRANGER);
    }
    let looked = sleep.spawn().and_then(|mut child| {
        let looked = fs::read(format!("/proc/{}/environ", child.id()));
        child.kill()?;
        child.wait()?;
        looked
    });
    let _ = fs::remove_file(&program);
    looked.map(drop).map_err(|error| error.to_string())
}

/// Reads the seccomp mode from the kernel (proc_pid_status(5)); 0 is no filter.
fn no_filter() -> Result<(), String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    match status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim) {
        Some("0") | None => Ok(()),
        Some(mode) => Err(format!("the tests run in seccomp mode {mode}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Ability; COUNT] = [
        Ability::BecomeOthers,
        Ability::GiveAway,
        Ability::IgnoreModes,
        Ability::Chroot,
        Ability::MountNamespace,
        Ability::PidNamespace,
        Ability::TimeNamespace,
        Ability::Strace,
        Ability::FailingCalls,
        Ability::LookIntoClosed,
        Ability::EveryCall,
        Ability::CompileC,
        Ability::Curl,
        Ability::OwnHome,
    ];

    #[test]
    fn every_ability_has_an_answer_and_its_own_place() {
        for (place, ability) in ALL.into_iter().enumerate() {
            assert_eq!(ability as usize, place, "{ability:?}");
            match ability.fault() {
                Some(fault) => println!("{ability:?}: {}: {fault}", ability.description()),
                None => println!("{ability:?}: yes"),
            }
        }
    }
}
