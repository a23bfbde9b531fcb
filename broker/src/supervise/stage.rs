//! Steps between two programs: after a child has begun and before it is what
//! it is meant to be, its user changes, signals come through again, and pids
//! are known. As a program of its own each is plain code, where after fork(2)
//! next to nothing would be allowed.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::fcntl::OFlag;
use nix::sys::signal::SigSet;
use nix::unistd::{Uid, close, geteuid, getpgrp, initgroups, setgid, setgroups, setuid, tcsetpgrp};

use super::{FAILED, NAME, OURSELVES, Supervisor};
use crate::fault::Fault;
use crate::harden;
use crate::users::{self, User};

const SUPERVISE: &str = "@supervise";
const DAEMON: &str = "@daemon";
const COMMAND: &str = "@command";

const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Becomes the supervisor, whose memory then holds nothing of what it took to
/// read the command line.
///
/// # Errors
/// The user can't be taken on, or this program can't be started again.
pub fn begin(daemon: &[OsString], user: Option<&str>, command: &[OsString]) -> Result<ExitCode, String> {
    if let Some(name) = user {
        let user = users::user(name).map_err(|error| format!("--user: {error}"))?;
        if user.uid != geteuid() && !geteuid().is_root() {
            return Err(format!("--user {name}: only root can start a command as another user"));
        }
    }
    let mut again = ourselves(SUPERVISE);
    again.arg(user.unwrap_or_default()).arg(daemon.len().to_string()).args(daemon).args(command);
    Err(format!("can't start the supervisor: {}", again.exec()))
}

/// One of these programs, if the arguments ask for one.
#[must_use]
pub fn stage(args: &[OsString]) -> Option<Result<ExitCode, Fault>> {
    let (word, rest) = args.get(1..)?.split_first()?;
    let done = match word.to_str()? {
        SUPERVISE => supervise(rest),
        DAEMON => become_daemon(rest),
        COMMAND => become_command(rest),
        _ => return None,
    };
    Some(done.map_err(|(status, message)| Fault::new(status, message)))
}

/// The child that becomes a daemon as this user. `last` is the last descriptor
/// it gets.
pub(super) fn daemon(user: &str, last: usize) -> Command {
    let mut command = ourselves(DAEMON);
    command.arg(user).arg(last.to_string());
    command
}

/// The child that becomes a command as this user.
pub(super) fn command(user: &str, argv: &[OsString]) -> Command {
    let mut command = ourselves(COMMAND);
    command.arg(user).args(argv);
    command
}

pub(super) fn ourselves(word: &str) -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg0(NAME).arg(word);
    command
}

type Failed = (u8, String);

fn supervise(args: &[OsString]) -> Result<ExitCode, Failed> {
    let malformed = || (FAILED, "this command is for molecule-broker itself".to_owned());
    let [user, count, rest @ ..] = args else { return Err(malformed()) };
    let count = count.to_str().and_then(|count| count.parse().ok()).ok_or_else(malformed)?;
    let (daemon, command) = rest.split_at_checked(count).ok_or_else(malformed)?;
    harden::take_name();
    let supervisor = Supervisor::new(daemon.to_vec(), user.to_string_lossy().into_owned(), command.to_vec());
    let status = supervisor.and_then(Supervisor::run);
    status.map(ExitCode::from).map_err(|error| (FAILED, format!("supervise can't go on: {error}")))
}

fn become_daemon(args: &[OsString]) -> Result<ExitCode, Failed> {
    let failed = |error: String| (FAILED, format!("the daemon can't be started: {error}"));
    let [user, last, arguments @ ..] = args else { return Err(failed("arguments are missing".into())) };
    let last = last.to_str().and_then(|last| last.parse().ok()).ok_or_else(|| failed("a number is missing".into()))?;
    become_user(user).map_err(failed)?;
    close_after(last);
    let _ = SigSet::empty().thread_set_mask();
    let pid = std::process::id().to_string();
    let mut serve = Command::new(OURSELVES);
    serve.arg0(NAME).args(arguments).env("LISTEN_PID", &pid).env("WATCHDOG_PID", &pid);
    Err(failed(serve.exec().to_string()))
}

fn become_command(args: &[OsString]) -> Result<ExitCode, Failed> {
    let [user, program, arguments @ ..] = args else { return Err((FAILED, "the command is missing".into())) };
    let user = become_user(user).map_err(|error| (FAILED, format!("can't run the command: {error}")))?;
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(user) = user {
        // As su(1) and gosu have it; the shell is for login shells to set.
        command.env("HOME", user.home.as_deref().unwrap_or(Path::new("/")));
        command.env("USER", &user.name).env("LOGNAME", &user.name);
    }
    // In its own group, as under docker-init: the terminal's signals go to the
    // command and not to its daemon. Signals are still blocked, so the
    // terminal takes this from a background process (tcsetpgrp(3)).
    if io::stdin().is_terminal() {
        let _ = tcsetpgrp(io::stdin(), getpgrp());
    }
    let _ = SigSet::empty().thread_set_mask();
    let error = command.exec();
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
    Err((status, format!("can't run {}: {error}", program.display())))
}

/// `None` for nobody in particular, and then nothing changes.
fn become_user(name: &OsStr) -> Result<Option<User>, String> {
    let name = name.to_str().ok_or("its user's name is no text")?;
    if name.is_empty() {
        return Ok(None);
    }
    let user = users::user(name).map_err(|error| error.to_string())?;
    if user.uid != geteuid() {
        take_on(&user).map_err(|error| format!("it can't be {name}: {error}"))?;
    }
    Ok(Some(user))
}

/// Takes on a user with all its groups, for good.
///
/// # Errors
/// This process isn't root.
pub(super) fn take_on(user: &User) -> io::Result<()> {
    match CString::new(user.name.as_str()) {
        Ok(name) if user.home.is_some() => initgroups(&name, user.gid)?,
        _ => setgroups(&[user.gid])?,
    }
    setgid(user.gid)?;
    setuid(user.uid)?;
    if !user.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("root could be taken back"));
    }
    Ok(())
}

/// The daemon gets what it is given and nothing that somebody left open.
fn close_after(last: i32) {
    let Ok(folder) =
        nix::dir::Dir::open("/proc/self/fd", OFlag::O_RDONLY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
    else {
        return;
    };
    let mut folder = folder;
    let names: Vec<i32> =
        folder.iter().flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()).collect();
    drop(folder);
    for descriptor in names.into_iter().filter(|descriptor| *descriptor > last) {
        let _ = close(descriptor);
    }
}
