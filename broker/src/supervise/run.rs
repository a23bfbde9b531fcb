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

use super::daemon::{Daemon, Hand, by_number, by_signal, meaning};
use super::fd_store::KeptLeases;
use super::plan::{CommandEnvironment, Plan};
use super::restart_backoff::{End, Pace};
use super::signals::Signals;
use super::watchdog::Verdict;
use super::{FAILED, command, exec_stage, log};
use crate::system::clock;
use crate::system::listening_socket::BoundSocket;

/// How long the command waits for a daemon.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a daemon may take to stop. It has nothing to lose.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a child may take to read the configuration: what it reads may hang
/// on a file system that does, and the next one may be luckier.
const PLANNING: Duration = Duration::from_secs(10);

/// How many messages are read before signals get their turn.
const BATCH: usize = 64;

/// The longest plan that is listened to.
const LONGEST_PLAN: u64 = 256 * 1024;

pub struct Supervisor {
    arguments: Vec<OsString>,
    user: String,
    argv: Vec<OsString>,
    signals: Signals,
    kept: KeptLeases,
    place: Place,
    /// Ends of plans and of daemons are paced apart.
    planning: Pace,
    pace: Pace,
    restarts: u64,
    daemon: Option<Daemon>,
    /// When to try again what failed.
    again_at: Option<Duration>,
    command: Command,
    farewell: Option<Farewell>,
}

/// On the way to a socket.
enum Place {
    None,
    Asking { child: Pid, answer: ChildStdout, text: Vec<u8>, until: Duration },
    BoundSocket { plan: Plan, listener: UnixListener, _bound: BoundSocket },
}

enum Command {
    /// There is none, or it isn't started yet and will be then.
    Waiting(Duration),
    Running(Pid),
    None,
}

/// The end is decided, and only the daemon is still waited for.
struct Farewell {
    status: u8,
    until: Duration,
}

impl Supervisor {
    pub fn new(arguments: Vec<OsString>, user: String, argv: Vec<OsString>) -> io::Result<Self> {
        let command = if argv.is_empty() { Command::None } else { Command::Waiting(clock::awake() + PATIENCE) };
        Ok(Self {
            arguments,
            user,
            argv,
            signals: Signals::hold()?,
            kept: KeptLeases::default(),
            place: Place::None,
            planning: Pace::default(),
            pace: Pace::default(),
            restarts: 0,
            daemon: None,
            again_at: Some(Duration::ZERO),
            command,
            farewell: None,
        })
    }

    /// Runs until the command has ended, or a signal says so where there is
    /// none; the status to exit with.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            self.act_on_time();
            if let Some(farewell) = &self.farewell
                && self.daemon.is_none()
            {
                return Ok(farewell.status);
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
        let inbox = self.daemon.as_ref().map(|daemon| daemon.inbox.as_fd());
        let plan = match &self.place {
            Place::Asking { answer, .. } => Some(answer.as_fd()),
            _ => None,
        };
        let all = [Some(self.signals.as_fd()), inbox, plan];
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
            Command::Waiting(until) => Some(until),
            _ => None,
        };
        let watchdog = self.daemon.as_ref().map(|daemon| daemon.watchdog.deadline());
        let farewell = self.farewell.as_ref().map(|farewell| farewell.until);
        let planning = match self.place {
            Place::Asking { until, .. } => Some(until),
            _ => None,
        };
        [self.again_at, waiting, planning, watchdog, farewell].into_iter().flatten().min()
    }

    fn act_on_time(&mut self) {
        let now = clock::awake();
        if self.farewell.as_ref().is_some_and(|farewell| farewell.until <= now) {
            self.daemon.iter().for_each(|daemon| daemon.signal(Signal::SIGKILL));
            self.farewell.iter_mut().for_each(|farewell| farewell.until = now + FAREWELL);
        }
        if self.again_at.is_some_and(|at| at <= now) && self.farewell.is_none() {
            self.again_at = None;
            match self.place {
                Place::BoundSocket { .. } => self.start_daemon(),
                Place::None => self.ask_for_plan(),
                Place::Asking { .. } => {}
            }
        }
        if let Place::Asking { child, until, .. } = self.place
            && until <= now
        {
            let _ = kill(child, Signal::SIGKILL);
            self.no_place(&format!("reading the configuration and its files took longer than {PLANNING:?}"));
        }
        if matches!(self.command, Command::Waiting(until) if until <= now) {
            log::warn("no daemon is ready yet; the command starts without waiting any longer");
            self.start_command();
        }
        if self.daemon.as_ref().is_some_and(|daemon| daemon.watchdog.deadline() <= now) {
            self.listen();
            let Some(daemon) = &mut self.daemon else { return };
            if daemon.watchdog.judge(now) == Verdict::Dead {
                log::warn("the daemon gives no sign of life; it is replaced");
                daemon.condemned = true;
                daemon.signal(Signal::SIGKILL);
                // Its end may take a moment, and is waited for like any other.
                daemon.watchdog.sign(now);
            }
        }
    }

    fn ask_for_plan(&mut self) {
        let mut command = exec_stage::ourselves("plan");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let asked = command.spawn().and_then(|mut child| {
            let answer = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
            fcntl(&answer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            let child = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
            Ok(Place::Asking { child, answer, text: Vec::new(), until: clock::awake() + PLANNING })
        });
        match asked {
            Ok(asking) => self.place = asking,
            Err(error) => self.no_place(&format!("the configuration can't be read: {error}")),
        }
    }

    /// Reads what there is of it: whole when the child has closed its end, for
    /// which nothing else waits.
    fn take_plan(&mut self) {
        let Place::Asking { answer, text, .. } = &mut self.place else { return };
        let room = LONGEST_PLAN.saturating_sub(text.len() as u64);
        match answer.take(room).read_to_end(text) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return self.no_place(&format!("the configuration can't be read: {error}")),
            Ok(_) => {}
        }
        if text.is_empty() {
            return self.no_place("there is no usable configuration yet");
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let bound = Plan::parse(&text).map_err(str::to_owned).and_then(|plan| {
            log::format(plan.log);
            let (listener, bound) = plan.socket.bind().map_err(|error| error.to_string())?;
            Ok(Place::BoundSocket { plan, listener, _bound: bound })
        });
        match bound {
            Ok(place) => {
                self.place = place;
                self.start_daemon();
            }
            Err(error) => self.no_place(&error),
        }
    }

    /// Without a socket there is nothing for a daemon to do: the command goes
    /// ahead, and this is tried again.
    fn no_place(&mut self, why: &str) {
        let pause = self.planning.after(End::GaveUp).max(Duration::from_secs(1));
        log::warn(&format!("{why}; trying again in {pause:?}"));
        self.place = Place::None;
        self.again_at = Some(clock::awake() + pause);
        self.start_command();
    }

    fn start_daemon(&mut self) {
        let Place::BoundSocket { plan, listener, .. } = &self.place else { return };
        let started = Daemon::start(Hand {
            arguments: &self.arguments,
            user: &plan.user,
            listener,
            leases: self.kept.copies(),
            restarts: self.restarts,
        });
        match started {
            Ok(daemon) => self.daemon = Some(daemon),
            Err(error) => self.daemon_again(&format!("the daemon can't be started: {error}"), End::GaveUp),
        }
    }

    fn daemon_again(&mut self, why: &str, end: End) {
        let pause = self.pace.after(end);
        let when = if pause.is_zero() { "at once".to_owned() } else { format!("in {pause:?}") };
        log::warn(&format!("{why}; starting it again {when}"));
        self.restarts += 1;
        self.again_at = Some(clock::awake() + pause);
        if end == End::GaveUp && self.restarts > 1 {
            // It may never come; the command doesn't wait for that.
            self.start_command();
        }
    }

    fn start_command(&mut self) {
        if !matches!(self.command, Command::Waiting(_)) {
            return;
        }
        let environment = match &self.place {
            Place::BoundSocket { plan, .. } => plan.command.clone(),
            _ => CommandEnvironment::usual(),
        };
        match command::start(&self.argv, &self.user, &environment) {
            Ok(pid) => self.command = Command::Running(pid),
            Err(error) => {
                log::warn(&format!("the command can't be started: {error}"));
                self.end(FAILED);
            }
        }
    }

    fn listen(&mut self) {
        for _ in 0..BATCH {
            let Some(daemon) = &mut self.daemon else { return };
            let Some(letter) = daemon.inbox.next() else { return };
            let now = clock::awake();
            if letter.alive || letter.ready {
                daemon.watchdog.sign(now);
            }
            if let Some((name, memory)) = letter.keep {
                self.kept.keep(name, memory);
            }
            letter.forget.iter().for_each(|name| self.kept.forget(name));
            if letter.ready {
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
            (Command::Running(pid), _) => {
                let _ = kill(*pid, signal);
            }
            (Command::Waiting(_), _) if ends => self.end(by_signal(signal)),
            (Command::None, _) if ends => self.end(0),
            (Command::None, Some(daemon)) if signal == Signal::SIGHUP => daemon.signal(signal),
            _ => {}
        }
    }

    fn reap(&mut self) {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, u8::try_from(status).unwrap_or(FAILED)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, by_signal(signal)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                // A real-time signal, which has no name here: look who is gone.
                Err(Errno::EINVAL) => match self.gone() {
                    Some(pid) => (pid, by_number(SIGRTMIN())),
                    None => continue,
                },
                Ok(_) | Err(_) => continue,
            };
            if matches!(self.command, Command::Running(command) if command == pid) {
                self.command = Command::None;
                self.end(status);
            } else if self.daemon.as_ref().is_some_and(|daemon| daemon.pid == pid) {
                let Some(daemon) = self.daemon.take() else { continue };
                let end = match daemon.ready_since {
                    Some(since) => End::Served(clock::awake().saturating_sub(since)),
                    None if status > 128 => End::Killed,
                    None => End::GaveUp,
                };
                if self.farewell.is_none() {
                    self.daemon_again(
                        &format!("the daemon ended with status {status} ({})", meaning(status, daemon.condemned)),
                        end,
                    );
                }
            }
            // A plan's end shows on its pipe; anybody else is an orphan.
        }
    }

    fn gone(&self) -> Option<Pid> {
        let command = match self.command {
            Command::Running(pid) => Some(pid),
            _ => None,
        };
        let mut ours = command.into_iter().chain(self.daemon.as_ref().map(|daemon| daemon.pid));
        ours.find(|pid| kill(*pid, None) == Err(Errno::ESRCH))
    }

    fn end(&mut self, status: u8) {
        if self.farewell.is_none() {
            self.daemon.iter().for_each(|daemon| daemon.signal(Signal::SIGTERM));
            self.farewell = Some(Farewell { status, until: clock::awake() + FAREWELL });
            if matches!(self.command, Command::Waiting(_)) {
                self.command = Command::None;
            }
        }
    }
}
