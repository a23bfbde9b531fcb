//! The supervisor's loop: waits for a signal, a message or a deadline, and acts on it.

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

/// Time limit for the first daemon to be ready. The command waits for it until then.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for a daemon to stop before it is killed. It has no unsaved state.
const SHUTDOWN_TIME: Duration = Duration::from_millis(500);

/// Time limit for a child that reads the configuration. A file system that hangs can block it, and
/// a later child may succeed.
const PLAN_TIME: Duration = Duration::from_secs(10);

/// The largest number of messages that are read before the signals are handled.
const MESSAGE_BATCH: usize = 64;

/// The longest plan that is read, in bytes.
const MAX_PLAN: u64 = 256 * 1024;

pub struct Supervisor {
    arguments: Vec<OsString>,
    user: String,
    argv: Vec<OsString>,
    signals: SupervisorSignals,
    fd_store: FdStore,
    socket: SupervisorSocket,
    /// Back-off of the plan children, separate from the daemons' back-off.
    planning_backoff: RestartBackoff,
    backoff: RestartBackoff,
    restarts: u64,
    daemon: Option<Daemon>,
    /// Time of the next start of a plan child or a daemon.
    restart_at: Option<Duration>,
    command: CommandState,
    shutdown: Option<Shutdown>,
}

/// The supervisor's progress towards a listening socket.
enum SupervisorSocket {
    None,
    /// A child reads the configuration; `text` is what it has written so far.
    Planning {
        child: Pid,
        output: ChildStdout,
        text: Vec<u8>,
        until: Duration,
    },
    Bound {
        plan: LaunchPlan,
        listener: UnixListener,
        _bound: BoundSocket,
    },
}

enum CommandState {
    /// Not started yet. It starts at this instant at the latest.
    Waiting(Duration),
    Running(Pid),
    /// There is no command, or it has ended.
    None,
}

/// The supervisor's shutdown: its exit status is decided, and only the daemon's end is awaited.
struct Shutdown {
    status: u8,
    /// Time at which the daemon is killed.
    until: Duration,
}

impl Supervisor {
    pub fn new(arguments: Vec<OsString>, user: String, argv: Vec<OsString>) -> io::Result<Self> {
        let command =
            if argv.is_empty() { CommandState::None } else { CommandState::Waiting(clock::awake() + READY_TIMEOUT) };
        Ok(Self {
            arguments,
            user,
            argv,
            signals: SupervisorSignals::block_all()?,
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

    /// Runs until the command has ended or, without a command, until a signal ends the supervisor.
    /// Returns the status to exit with.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            self.handle_deadlines();
            if let Some(shutdown) = &self.shutdown
                && self.daemon.is_none()
            {
                return Ok(shutdown.status);
            }
            let (signalled, notified, planned) = self.wait()?;
            if notified {
                self.read_notifications();
            }
            if planned {
                self.read_plan();
            }
            if signalled {
                while let Some(signal) = self.signals.next() {
                    self.on_signal(signal);
                }
            }
        }
    }

    /// Waits for the next event. Tells whether there are signals, notifications, or output of the
    /// plan child.
    fn wait(&self) -> io::Result<(bool, bool, bool)> {
        let notifications = self.daemon.as_ref().map(|daemon| daemon.notifications.as_fd());
        let plan = match &self.socket {
            SupervisorSocket::Planning { output, .. } => Some(output.as_fd()),
            _ => None,
        };
        let all = [Some(self.signals.as_fd()), notifications, plan];
        let mut watched: Vec<_> = all.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        // Rounded up: to wake up a millisecond early would be one useless turn of the loop.
        let timeout = self.next_deadline().map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_sub(clock::awake()) + Duration::from_micros(999);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut watched = watched.iter();
        let [signalled, notified, planned] = all.map(|fd| fd.and_then(|_| watched.next()?.any()).unwrap_or(false));
        Ok((signalled, notified, planned))
    }

    fn next_deadline(&self) -> Option<Duration> {
        let waiting = match self.command {
            CommandState::Waiting(until) => Some(until),
            _ => None,
        };
        let watchdog = self.daemon.as_ref().map(|daemon| daemon.watchdog.deadline());
        let shutdown = self.shutdown.as_ref().map(|shutdown| shutdown.until);
        let planning = match self.socket {
            SupervisorSocket::Planning { until, .. } => Some(until),
            _ => None,
        };
        [self.restart_at, waiting, planning, watchdog, shutdown].into_iter().flatten().min()
    }

    fn handle_deadlines(&mut self) {
        let now = clock::awake();
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.until <= now) {
            self.daemon.iter().for_each(|daemon| daemon.signal(Signal::SIGKILL));
            self.shutdown.iter_mut().for_each(|shutdown| shutdown.until = now + SHUTDOWN_TIME);
        }
        if self.restart_at.is_some_and(|at| at <= now) && self.shutdown.is_none() {
            self.restart_at = None;
            match self.socket {
                SupervisorSocket::Bound { .. } => self.start_daemon(),
                SupervisorSocket::None => self.start_planning(),
                SupervisorSocket::Planning { .. } => {}
            }
        }
        if let SupervisorSocket::Planning { child, until, .. } = self.socket
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
            self.read_notifications();
            let Some(daemon) = &mut self.daemon else { return };
            if daemon.watchdog.check(now) == WatchdogVerdict::Dead {
                log::warn("the daemon gives no sign of life; it is replaced");
                daemon.killed_by_watchdog = true;
                daemon.signal(Signal::SIGKILL);
                // The process may take a moment to end. Like any other end, SIGCHLD reports it.
                daemon.watchdog.reset(now);
            }
        }
    }

    fn start_planning(&mut self) {
        let mut command = exec_stage::this_program("plan");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let planning = command.spawn().and_then(|mut child| {
            let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
            Ok(SupervisorSocket::Planning { child, output, text: Vec::new(), until: clock::awake() + PLAN_TIME })
        });
        match planning {
            Ok(planning) => self.socket = planning,
            Err(error) => self.planning_failed(&format!("the configuration can't be read: {error}")),
        }
    }

    /// Reads what the child has written so far. The plan is complete once the child has closed its
    /// end of the pipe; nothing else waits for the child's end.
    fn read_plan(&mut self) {
        let SupervisorSocket::Planning { output, text, .. } = &mut self.socket else { return };
        let room = MAX_PLAN.saturating_sub(text.len() as u64);
        match output.take(room).read_to_end(text) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return self.planning_failed(&format!("the configuration can't be read: {error}")),
            Ok(_) => {}
        }
        if text.is_empty() {
            return self.planning_failed("there is no usable configuration yet");
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let bound = LaunchPlan::parse(&text).map_err(str::to_owned).and_then(|plan| {
            log::set_format(plan.log);
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

    /// Schedules another attempt and starts the command. Without a socket no daemon can serve, so
    /// the command doesn't wait for one.
    fn planning_failed(&mut self, why: &str) {
        let pause = self.planning_backoff.pause_after(DaemonEnd::ExitedEarly).max(Duration::from_secs(1));
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
            Err(error) => {
                self.schedule_restart(&format!("the daemon can't be started: {error}"), DaemonEnd::ExitedEarly)
            }
        }
    }

    fn schedule_restart(&mut self, why: &str, end: DaemonEnd) {
        let pause = self.backoff.pause_after(end);
        let when = if pause.is_zero() { "at once".to_owned() } else { format!("in {pause:?}") };
        log::warn(&format!("{why}; starting it again {when}"));
        self.restarts += 1;
        self.restart_at = Some(clock::awake() + pause);
        if end == DaemonEnd::ExitedEarly && self.restarts > 1 {
            // The daemon may never be ready, so the command doesn't wait for it any longer.
            self.start_command();
        }
    }

    fn start_command(&mut self) {
        if !matches!(self.command, CommandState::Waiting(_)) {
            return;
        }
        let environment = match &self.socket {
            SupervisorSocket::Bound { plan, .. } => plan.command.clone(),
            _ => CommandEnvironment::without_config(),
        };
        match command::start(&self.argv, &self.user, &environment) {
            Ok(pid) => self.command = CommandState::Running(pid),
            Err(error) => {
                log::warn(&format!("the command can't be started: {error}"));
                self.shut_down(COMMAND_NOT_STARTED);
            }
        }
    }

    fn read_notifications(&mut self) {
        for _ in 0..MESSAGE_BATCH {
            let Some(daemon) = &mut self.daemon else { return };
            let Some(message) = daemon.notifications.next() else { return };
            let now = clock::awake();
            if message.alive || message.ready {
                daemon.watchdog.reset(now);
            }
            if let Some((name, memory)) = message.store {
                self.fd_store.insert(name, memory);
            }
            message.remove.iter().for_each(|name| self.fd_store.remove(name));
            if message.ready {
                daemon.ready_since.get_or_insert(now);
                self.start_command();
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        if signal == Signal::SIGCHLD {
            // First reads the messages that the daemon sent before it ended.
            self.read_notifications();
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
                // A child was killed by a real-time signal, which nix's `Signal` can't represent.
                Err(Errno::EINVAL) => match self.find_gone_child() {
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
                    None => DaemonEnd::ExitedEarly,
                };
                if self.shutdown.is_none() {
                    self.schedule_restart(
                        &format!(
                            "the daemon ended with status {status} ({})",
                            describe_exit(status, daemon.killed_by_watchdog)
                        ),
                        end,
                    );
                }
            }
            // The end of a plan child shows on its pipe. All other processes are orphans.
        }
    }

    fn find_gone_child(&self) -> Option<Pid> {
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
