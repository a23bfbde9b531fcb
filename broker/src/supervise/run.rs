//! The loop: waits for a signal, a message or an instant, and does what
//! follows from it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::SIGRTMIN;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::daemon::{Daemon, DaemonSpawn, describe_exit, signal_number_status, signal_status};
use super::fd_store::FdStore;
use super::plan::{CommandEnvironment, LaunchPlan};
use super::restart_backoff::{DaemonEnd, RestartBackoff};
use super::signals::SupervisorSignals;
use super::watchdog::WatchdogVerdict;
use super::{command, exec_stage, log};
use crate::system::clock;
use crate::system::exit::COMMAND_NOT_STARTED;
use crate::system::listening_socket::BoundSocket;

/// How long the command waits for a daemon.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a daemon may take to stop. It has nothing to lose.
const SHUTDOWN_TIME: Duration = Duration::from_millis(500);

/// How long a child may take to read the configuration: what it reads may hang
/// on a file system that does, and the next one may be luckier.
const PLAN_TIME: Duration = Duration::from_secs(10);

/// How many messages are read before signals get their turn.
const BATCH: usize = 64;

/// The longest plan that is listened to.
const LONGEST_PLAN: u64 = 256 * 1024;

pub struct Supervisor {
    arguments: Vec<OsString>,
    user: String,
    argv: Vec<OsString>,
    signals: SupervisorSignals,
    fd_store: FdStore,
    socket: SupervisorSocket,
    /// Ends of plans and of daemons are paced apart.
    planning_backoff: RestartBackoff,
    backoff: RestartBackoff,
    restarts: u64,
    daemon: Option<Daemon>,
    /// When to try again what failed.
    restart_at: Option<Duration>,
    command: CommandState,
    shutdown: Option<Shutdown>,
}

/// On the way to a socket.
enum SupervisorSocket {
    None,
    Asking { child: Pid, answer: ChildStdout, text: Vec<u8>, until: Duration },
    Bound { plan: LaunchPlan, listener: UnixListener, _bound: BoundSocket },
}

enum CommandState {
    /// There is none, or it isn't started yet and will be then.
    Waiting(Duration),
    Running(Pid),
    None,
}

/// The end is decided, and only the daemon is still waited for.
struct Shutdown {
    status: u8,
    until: Duration,
}

impl Supervisor {
    pub fn new(arguments: Vec<OsString>, user: String, argv: Vec<OsString>) -> io::Result<Self> {
        let command =
            if argv.is_empty() { CommandState::None } else { CommandState::Waiting(clock::awake() + PATIENCE) };
        Ok(Self {
            arguments,
            user,
            argv,
            signals: SupervisorSignals::hold()?,
            fd_store: FdStore::default(),
            socket: SupervisorSocket::None,
            planning_backoff: RestartBackoff::default(),
            backoff: RestartBackoff::default(),
            restarts: 0,
            daemon: None,
            restart_at: Some(Duration::ZERO),
            command,
            shutdown: None,
        })
    }

    /// Runs until the command has ended, or a signal says so where there is
    /// none; the status to exit with.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            self.act_on_time();
            if let Some(shutdown) = &self.shutdown
                && self.daemon.is_none()
            {
                return Ok(shutdown.status);
            }
            let (signalled, spoken, planned) = self.wait()?;
            if spoken {
                self.listen();
            }
            if planned {
                self.take_plan();
            }
            if signalled {
                while let Some(signal) = self.signals.next() {
                    self.on_signal(signal);
                }
            }
        }
    }

    fn wait(&self) -> io::Result<(bool, bool, bool)> {
        let notifications = self.daemon.as_ref().map(|daemon| daemon.notifications.as_fd());
        let plan = match &self.socket {
            SupervisorSocket::Asking { answer, .. } => Some(answer.as_fd()),
            _ => None,
        };
        let all = [Some(self.signals.as_fd()), notifications, plan];
        let mut watched: Vec<_> = all.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        // Rounded up: a millisecond early would be a turn for nothing.
        let timeout = self.next_instant().map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_sub(clock::awake()) + Duration::from_micros(999);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut watched = watched.iter();
        let [signalled, spoken, planned] = all.map(|there| there.and_then(|_| watched.next()?.any()).unwrap_or(false));
        Ok((signalled, spoken, planned))
    }

    fn next_instant(&self) -> Option<Duration> {
        let waiting = match self.command {
            CommandState::Waiting(until) => Some(until),
            _ => None,
        };
        let watchdog = self.daemon.as_ref().map(|daemon| daemon.watchdog.deadline());
        let shutdown = self.shutdown.as_ref().map(|shutdown| shutdown.until);
        let planning = match self.socket {
            SupervisorSocket::Asking { until, .. } => Some(until),
            _ => None,
        };
        [self.restart_at, waiting, planning, watchdog, shutdown].into_iter().flatten().min()
    }

    fn act_on_time(&mut self) {
        let now = clock::awake();
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.until <= now) {
            self.daemon.iter().for_each(|daemon| daemon.signal(Signal::SIGKILL));
            self.shutdown.iter_mut().for_each(|shutdown| shutdown.until = now + SHUTDOWN_TIME);
        }
        if self.restart_at.is_some_and(|at| at <= now) && self.shutdown.is_none() {
            self.restart_at = None;
            match self.socket {
                SupervisorSocket::Bound { .. } => self.start_daemon(),
                SupervisorSocket::None => self.ask_for_plan(),
                SupervisorSocket::Asking { .. } => {}
            }
        }
        if let SupervisorSocket::Asking { child, until, .. } = self.socket
            && until <= now
        {
            let _ = kill(child, Signal::SIGKILL);
            self.planning_failed(&format!("reading the configuration and its files took longer than {PLAN_TIME:?}"));
        }
        if matches!(self.command, CommandState::Waiting(until) if until <= now) {
            log::warn("no daemon is ready yet; the command starts without waiting any longer");
            self.start_command();
        }
        if self.daemon.as_ref().is_some_and(|daemon| daemon.watchdog.deadline() <= now) {
            self.listen();
            let Some(daemon) = &mut self.daemon else { return };
            if daemon.watchdog.judge(now) == WatchdogVerdict::Dead {
                log::warn("the daemon gives no sign of life; it is replaced");
                daemon.condemned = true;
                daemon.signal(Signal::SIGKILL);
                // Its end may take a moment, and is waited for like any other.
                daemon.watchdog.sign(now);
            }
        }
    }

    fn ask_for_plan(&mut self) {
        let mut command = exec_stage::this_program("plan");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let asked = command.spawn().and_then(|mut child| {
            let answer = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            fcntl(&answer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
            Ok(SupervisorSocket::Asking { child, answer, text: Vec::new(), until: clock::awake() + PLAN_TIME })
        });
        match asked {
            Ok(asking) => self.socket = asking,
            Err(error) => self.planning_failed(&format!("the configuration can't be read: {error}")),
        }
    }

    /// Reads what there is of it: whole when the child has closed its end, for
    /// which nothing else waits.
    fn take_plan(&mut self) {
        let SupervisorSocket::Asking { answer, text, .. } = &mut self.socket else { return };
        let room = LONGEST_PLAN.saturating_sub(text.len() as u64);
        match answer.take(room).read_to_end(text) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return self.planning_failed(&format!("the configuration can't be read: {error}")),
            Ok(_) => {}
        }
        if text.is_empty() {
            return self.planning_failed("there is no usable configuration yet");
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let bound = LaunchPlan::parse(&text).map_err(str::to_owned).and_then(|plan| {
            log::format(plan.log);
            let (listener, bound) = plan.socket.bind().map_err(|error| error.to_string())?;
            Ok(SupervisorSocket::Bound { plan, listener, _bound: bound })
        });
        match bound {
            Ok(socket) => {
                self.socket = socket;
                self.start_daemon();
            }
            Err(error) => self.planning_failed(&error),
        }
    }

    /// Without a socket there is nothing for a daemon to do: the command goes
    /// ahead, and this is tried again.
    fn planning_failed(&mut self, why: &str) {
        let pause = self.planning_backoff.after(DaemonEnd::GaveUp).max(Duration::from_secs(1));
        log::warn(&format!("{why}; trying again in {pause:?}"));
        self.socket = SupervisorSocket::None;
        self.restart_at = Some(clock::awake() + pause);
        self.start_command();
    }

    fn start_daemon(&mut self) {
        let SupervisorSocket::Bound { plan, listener, .. } = &self.socket else { return };
        let started = Daemon::start(DaemonSpawn {
            arguments: &self.arguments,
            user: &plan.user,
            listener,
            leases: self.fd_store.copies(),
            restarts: self.restarts,
        });
        match started {
            Ok(daemon) => self.daemon = Some(daemon),
            Err(error) => self.schedule_restart(&format!("the daemon can't be started: {error}"), DaemonEnd::GaveUp),
        }
    }

    fn schedule_restart(&mut self, why: &str, end: DaemonEnd) {
        let pause = self.backoff.after(end);
        let when = if pause.is_zero() { "at once".to_owned() } else { format!("in {pause:?}") };
        log::warn(&format!("{why}; starting it again {when}"));
        self.restarts += 1;
        self.restart_at = Some(clock::awake() + pause);
        if end == DaemonEnd::GaveUp && self.restarts > 1 {
            // It may never come; the command doesn't wait for that.
            self.start_command();
        }
    }

    fn start_command(&mut self) {
        if !matches!(self.command, CommandState::Waiting(_)) {
            return;
        }
        let environment = match &self.socket {
            SupervisorSocket::Bound { plan, .. } => plan.command.clone(),
            _ => CommandEnvironment::usual(),
        };
        match command::start(&self.argv, &self.user, &environment) {
            Ok(pid) => self.command = CommandState::Running(pid),
            Err(error) => {
                log::warn(&format!("the command can't be started: {error}"));
                self.shut_down(COMMAND_NOT_STARTED);
            }
        }
    }

    fn listen(&mut self) {
        for _ in 0..BATCH {
            let Some(daemon) = &mut self.daemon else { return };
            let Some(message) = daemon.notifications.next() else { return };
            let now = clock::awake();
            if message.alive || message.ready {
                daemon.watchdog.sign(now);
            }
            if let Some((name, memory)) = message.keep {
                self.fd_store.insert(name, memory);
            }
            message.forget.iter().for_each(|name| self.fd_store.remove(name));
            if message.ready {
                daemon.ready_since.get_or_insert(now);
                self.start_command();
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        if signal == Signal::SIGCHLD {
            // What a daemon said before its end is heard first.
            self.listen();
            return self.reap();
        }
        let ends = matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT);
        match (&self.command, &self.daemon) {
            (CommandState::Running(pid), _) => {
                let _ = kill(*pid, signal);
            }
            (CommandState::Waiting(_), _) if ends => self.shut_down(signal_status(signal)),
            (CommandState::None, _) if ends => self.shut_down(0),
            (CommandState::None, Some(daemon)) if signal == Signal::SIGHUP => daemon.signal(signal),
            _ => {}
        }
    }

    fn reap(&mut self) {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, u8::try_from(status).unwrap_or(COMMAND_NOT_STARTED)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, signal_status(signal)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                // A real-time signal, which has no name here: look who is gone.
                Err(Errno::EINVAL) => match self.child_gone() {
                    Some(pid) => (pid, signal_number_status(SIGRTMIN())),
                    None => continue,
                },
                Ok(_) | Err(_) => continue,
            };
            if matches!(self.command, CommandState::Running(command) if command == pid) {
                self.command = CommandState::None;
                self.shut_down(status);
            } else if self.daemon.as_ref().is_some_and(|daemon| daemon.pid == pid) {
                let Some(daemon) = self.daemon.take() else { continue };
                let end = match daemon.ready_since {
                    Some(since) => DaemonEnd::Served(clock::awake().saturating_sub(since)),
                    None if status > 128 => DaemonEnd::Killed,
                    None => DaemonEnd::GaveUp,
                };
                if self.shutdown.is_none() {
                    self.schedule_restart(
                        &format!("the daemon ended with status {status} ({})", describe_exit(status, daemon.condemned)),
                        end,
                    );
                }
            }
            // A plan's end shows on its pipe; anybody else is an orphan.
        }
    }

    fn child_gone(&self) -> Option<Pid> {
        let command = match self.command {
            CommandState::Running(pid) => Some(pid),
            _ => None,
        };
        let mut ours = command.into_iter().chain(self.daemon.as_ref().map(|daemon| daemon.pid));
        ours.find(|pid| kill(*pid, None) == Err(Errno::ESRCH))
    }

    fn shut_down(&mut self, status: u8) {
        if self.shutdown.is_none() {
            self.daemon.iter().for_each(|daemon| daemon.signal(Signal::SIGTERM));
            self.shutdown = Some(Shutdown { status, until: clock::awake() + SHUTDOWN_TIME });
            if matches!(self.command, CommandState::Waiting(_)) {
                self.command = CommandState::None;
            }
        }
    }
}
