//! Agents at work: each runs real programs that need a password, one after the
//! other, and all of it is written down.
//!
//! - [`agent`]: what one of them does;
//! - [`reject`]: what a git says of a token that its host refused.

pub mod agent;
pub mod reject;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

pub use self::agent::Agent;
pub use self::reject::reject_newest;
use crate::world::{Ran, run};

/// One program that needed a password, from its start to its end.
#[derive(Clone, Debug)]
pub struct Operation {
    pub name: &'static str,
    /// What did it, such as `git 2.47.3`.
    pub program: String,
    /// The `host:port` that it worked with. Where each agent has a name of its
    /// own for the host, it tells whose line in the audit is whose.
    pub host: String,
    pub began: SystemTime,
    pub took: Duration,
    /// All that was said, where it failed.
    pub failure: Option<String>,
}

/// How it ended and what it said, unless all is well.
pub fn failure(ran: &Ran) -> Option<String> {
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

/// What was done, and whether it is time to stop.
#[derive(Debug, Default)]
pub struct Traffic {
    done: Mutex<Vec<Operation>>,
    stop: AtomicBool,
}

impl Traffic {
    pub fn note(&self, operation: Operation) {
        self.lock().push(operation);
    }

    /// Runs it to its end, or for so long, and writes down what `who`, a program
    /// at a host, did; whether it went well.
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
