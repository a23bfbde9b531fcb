//! Agents at work. Each runs real programs that need a password, one after the
//! other, and every run is recorded.
//!
//! - [`agent`]: the operations of one agent;
//! - [`reject`]: a git's report of a token that its host refused.

pub mod agent;
pub mod reject;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

pub use self::agent::Agent;
pub use self::reject::reject_newest;
use crate::world::{RunResult, run};

/// One run of a program that needed a password.
#[derive(Clone, Debug)]
pub struct Operation {
    pub name: &'static str,
    /// The program, such as `git 2.47.3`.
    pub program: String,
    /// The `host:port` that it worked with. If each agent has its own name for
    /// the host, this tells whose line in the audit log is whose.
    pub host: String,
    pub began: SystemTime,
    pub took: Duration,
    /// Everything that the program printed, if it failed.
    pub failure: Option<String>,
}

/// Returns how a run ended and what it printed, unless it succeeded.
pub fn failure(ran: &RunResult) -> Option<String> {
    match ran.status {
        None => Some(format!("killed after {:.1?}: {}", ran.took, ran.stderr.trim())),
        Some(status) if status.success() => None,
        Some(status) => Some(format!("{status}: {}", ran.stderr.trim())),
    }
}

impl Operation {
    pub fn ended(&self) -> SystemTime {
        self.began + self.took
    }
}

/// The finished operations, and a flag that tells the agents to stop.
#[derive(Debug, Default)]
pub struct Traffic {
    done: Mutex<Vec<Operation>>,
    stop: AtomicBool,
}

impl Traffic {
    pub fn note(&self, operation: Operation) {
        self.lock().push(operation);
    }

    /// Runs the command to its end or to this limit, and records it as an
    /// operation of `who`, a program at a host. Returns whether it succeeded.
    pub fn run(&self, name: &'static str, who: (&str, &str), command: &mut Command, limit: Duration) -> bool {
        let (program, host) = who;
        let began = SystemTime::now();
        let ran = run(command, limit);
        let failure = failure(&ran);
        let works = failure.is_none();
        let (program, host) = (String::from(program), String::from(host));
        self.note(Operation { name, program, host, began, took: ran.took, failure });
        works
    }

    pub fn operations(&self) -> Vec<Operation> {
        self.lock().clone()
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.done.lock().expect("no holder panics")
    }
}
