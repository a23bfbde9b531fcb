//! Times of trouble at the platform, times when the daemon couldn't reach it,
//! times when the daemon was held up, and jumps of its clock.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: SystemTime,
    pub(crate) to: SystemTime,
}

/// A jump of the boot clock into the future, as over a suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    pub(crate) at: SystemTime,
    pub(crate) by: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Calendar {
    troubles: Mutex<Vec<Span>>,
    /// Start of the current trouble.
    since: Mutex<Option<SystemTime>>,
    cut_offs: Mutex<Vec<Span>>,
    pauses: Mutex<Vec<Span>>,
    jumps: Mutex<Vec<Jump>>,
}

impl Span {
    pub(crate) fn length(&self) -> Duration {
        self.to.duration_since(self.from).unwrap_or_default()
    }

    /// True if the two spans have an instant in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// Returns the length of the union of the spans.
pub(crate) fn in_all(spans: &[Span]) -> Duration {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|span| span.from);
    let mut until = SystemTime::UNIX_EPOCH;
    sorted.iter().fold(Duration::ZERO, |sum, span| {
        let new = Span { from: span.from.max(until), to: span.to };
        until = until.max(span.to);
        sum + new.length()
    })
}

impl Calendar {
    pub(crate) fn begin(&self) {
        locked(&self.since).get_or_insert_with(SystemTime::now);
    }

    pub(crate) fn end(&self) {
        if let Some(from) = locked(&self.since).take() {
            locked(&self.troubles).push(Span { from, to: SystemTime::now() });
        }
    }

    /// Records that until now the daemon couldn't reach its platform, whatever
    /// state that was in.
    pub(crate) fn cut_off(&self, since: SystemTime) {
        locked(&self.cut_offs).push(Span { from: since, to: SystemTime::now() });
    }

    /// Records that until now the daemon was killed, stopped, reloaded or
    /// traced. An answer that it received meanwhile may be lost.
    pub(crate) fn paused(&self, since: SystemTime) {
        locked(&self.pauses).push(Span { from: since, to: SystemTime::now() });
    }

    /// Records that the daemon was killed just now. It may take this long until
    /// the next one runs.
    pub(crate) fn killed(&self, pace: Duration) {
        let from = SystemTime::now();
        locked(&self.pauses).push(Span { from, to: from + pace });
    }

    pub(crate) fn jumped(&self, at: SystemTime, by: Duration) {
        locked(&self.jumps).push(Jump { at, by });
    }

    pub(crate) fn troubles(&self) -> Vec<Span> {
        locked(&self.troubles).clone()
    }

    pub(crate) fn cut_offs(&self) -> Vec<Span> {
        locked(&self.cut_offs).clone()
    }

    pub(crate) fn pauses(&self) -> Vec<Span> {
        locked(&self.pauses).clone()
    }

    pub(crate) fn jumps(&self) -> Vec<Jump> {
        locked(&self.jumps).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}
