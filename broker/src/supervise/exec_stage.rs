//! Exec stages: a child of the supervisor runs one of these steps, then execs
//! the daemon or the command.
//!
//! A stage changes the user, restores the signal mask and sets the variables that hold a pid. It
//! is a separate program (this one, executed again) because hardly anything is allowed between
//! fork(2) and exec (signal-safety(7)).

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::sys::signal::SigSet;
use nix::unistd::{Uid, geteuid, getpgrp, initgroups, setgid, setgroups, setuid, tcsetpgrp};

use super::{NAME, THIS_PROGRAM};
use crate::system::exit::{COMMAND_CANNOT_RUN, COMMAND_NOT_FOUND, COMMAND_NOT_STARTED};
use crate::system::inherited_fds;
use crate::system::users::{self, User};

pub(super) const DAEMON: &str = "@daemon";
pub(super) const COMMAND: &str = "@command";

/// Returns the child that becomes a daemon as this user. `last_fd` is the last descriptor that it
/// gets.
pub(super) fn for_daemon(user: &str, last_fd: usize) -> Command {
    let mut command = this_program(DAEMON);
    command.arg(user).arg(last_fd.to_string());
    command
}

/// Returns the child that becomes the container's command as this user.
pub(super) fn for_command(user: &str, argv: &[OsString]) -> Command {
    let mut command = this_program(COMMAND);
    command.arg(user).args(argv);
    command
}

pub(super) fn this_program(word: &str) -> Command {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(NAME).arg(word);
    command
}

pub(super) type StageError = (u8, String);

pub(super) fn become_daemon(args: &[OsString]) -> Result<ExitCode, StageError> {
    let failed = |error: String| (COMMAND_NOT_STARTED, format!("the daemon can't be started: {error}"));
    let [user, last_fd, arguments @ ..] = args else { return Err(failed("arguments are missing".into())) };
    let last_fd =
        last_fd.to_str().and_then(|fd| fd.parse().ok()).ok_or_else(|| failed("a descriptor is missing".into()))?;
    become_user(user).map_err(failed)?;
    inherited_fds::close_above(last_fd);
    let _ = SigSet::empty().thread_set_mask();
    let pid = std::process::id().to_string();
    let mut serve = Command::new(THIS_PROGRAM);
    serve.arg0(NAME).args(arguments).env("LISTEN_PID", &pid).env("WATCHDOG_PID", &pid);
    Err(failed(serve.exec().to_string()))
}

pub(super) fn become_command(args: &[OsString]) -> Result<ExitCode, StageError> {
    let [user, program, arguments @ ..] = args else {
        return Err((COMMAND_NOT_STARTED, "the command is missing".into()));
    };
    let user = become_user(user).map_err(|error| (COMMAND_NOT_STARTED, format!("can't run the command: {error}")))?;
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(user) = user {
        // As su(1) and gosu set them; `SHELL` is for login shells to set.
        command.env("HOME", user.home.as_deref().unwrap_or(Path::new("/")));
        command.env("USER", &user.name).env("LOGNAME", &user.name);
    }
    // Makes the command's process group the terminal's foreground group, as docker-init does: the
    // terminal's signals go to the command and not to the daemon. A background process may do
    // this because its signals are still blocked (tcsetpgrp(3)).
    if io::stdin().is_terminal() {
        let _ = tcsetpgrp(io::stdin(), getpgrp());
    }
    let _ = SigSet::empty().thread_set_mask();
    let error = command.exec();
    let status = if error.kind() == io::ErrorKind::NotFound { COMMAND_NOT_FOUND } else { COMMAND_CANNOT_RUN };
    Err((status, format!("can't run {}: {error}", program.display())))
}

/// Switches to the user of this name. Returns `None`, and changes nothing, for an empty name.
fn become_user(name: &OsStr) -> Result<Option<User>, String> {
    let name = name.to_str().ok_or("the user name isn't UTF-8 text")?;
    if name.is_empty() {
        return Ok(None);
    }
    let user = users::user(name).map_err(|error| error.to_string())?;
    if user.uid != geteuid() {
        switch_user(&user).map_err(|error| format!("can't switch to user {name}: {error}"))?;
    }
    Ok(Some(user))
}

/// Switches to a user with all its groups, irrevocably.
///
/// # Errors
/// Returns an error if this process isn't root.
pub(super) fn switch_user(user: &User) -> io::Result<()> {
    match CString::new(user.name.as_str()) {
        Ok(name) if user.home.is_some() => initgroups(&name, user.gid)?,
        _ => setgroups(&[user.gid])?,
    }
    setgid(user.gid)?;
    setuid(user.uid)?;
    if !user.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err(io::Error::other("this process could switch back to root"));
    }
    Ok(())
}
