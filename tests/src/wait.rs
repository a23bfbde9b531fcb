//! Waits for a condition with a deadline, instead of for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(5);

/// Waits until the condition holds. Panics with `what` if it doesn't hold in
/// time.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    eventually_some(what, within, || holds().then_some(()));
}

/// The same as [`eventually`], for a condition that yields a value.
#[track_caller]
pub fn eventually_some<T>(what: &str, within: Duration, probe: impl FnMut() -> Option<T>) -> T {
    match poll(within, probe) {
        Some(value) => value,
        None => panic!("not within {within:?}: {what}"),
    }
}

/// Calls `probe` until it returns a value or the time is up. The probe is
/// called once more at the deadline.
pub fn poll<T>(within: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(STEP);
    }
}
