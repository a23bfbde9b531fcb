//! What a process holds, and whether it has come to hold more.

use std::fs;
use std::thread;
use std::time::Duration;

/// What a look at a process takes, in steps.
const LOOKS: usize = 40;
const STEP: Duration = Duration::from_millis(50);

/// Callers come and go while it is looked at, and the least counts. Four
/// strangers, a caller and the platform may have a connection all the while; a
/// leak takes one each time.
const SLACK_DESCRIPTORS: usize = 6;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) pid: u32,
    /// What belongs to no file (proc_pid_status(5), `RssAnon`).
    pub(crate) memory_kib: u64,
    /// `None` where processes that are closed to their user can't be looked into.
    pub(crate) descriptors: Option<usize>,
}

impl Holds {
    /// The least that this process holds within two seconds; `None` where it has
    /// ended.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let mut least = Self::now(pid)?;
        for _ in 1..LOOKS {
            thread::sleep(STEP);
            let now = Self::now(pid)?;
            least.memory_kib = least.memory_kib.min(now.memory_kib);
            least.descriptors = least.descriptors.min(now.descriptors);
        }
        Some(least)
    }

    fn now(pid: u32) -> Option<Self> {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count);
        Some(Self { pid, memory_kib: status_kib(pid, "RssAnon:")?, descriptors })
    }
}

/// One of the sizes that the kernel tells of a process (proc_pid_status(5)).
pub(crate) fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix(name))?;
    size.trim().trim_end_matches(" kB").parse().ok()
}

/// What is wrong with what it holds at the end, if it held this before.
pub(crate) fn problems(name: &str, first: Option<Holds>, last: Option<Holds>, slack_kib: u64) -> Vec<String> {
    let (Some(first), Some(last)) = (first, last) else {
        return vec![format!("the {name} wasn't there to be looked at: {first:?}, {last:?}")];
    };
    let mut problems = Vec::new();
    if first.pid != last.pid {
        problems.push(format!("the {name} was replaced with nothing to explain it: {} by {}", first.pid, last.pid));
    }
    if last.memory_kib > first.memory_kib + slack_kib {
        let (before, after) = (first.memory_kib, last.memory_kib);
        problems.push(format!("the {name}'s memory has grown from {before} to {after} KiB"));
    }
    match (first.descriptors, last.descriptors) {
        (Some(first), Some(last)) if last > first + SLACK_DESCRIPTORS => {
            problems.push(format!("the {name} leaks descriptors: {first} and then {last}"));
        }
        (Some(_), Some(_)) => {}
        _ => molecule_tests::skip(&format!("descriptors of the {name} amid chaos: they can't be seen here")),
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_beyond_its_slack_and_who_was_replaced_is_told() {
        let first = Holds { pid: 7, memory_kib: 1000, descriptors: Some(20) };
        let last = Holds { pid: 7, memory_kib: 1100, descriptors: Some(26) };
        assert!(problems("daemon", Some(first), Some(last), 100).is_empty());
        for (more, why) in [
            (Holds { memory_kib: 1101, ..last }, "memory has grown from 1000 to 1101"),
            (Holds { descriptors: Some(27), ..last }, "leaks descriptors: 20 and then 27"),
            (Holds { pid: 8, ..last }, "replaced"),
        ] {
            let told = problems("daemon", Some(first), Some(more), 100);
            assert!(matches!(&told[..], [one] if one.contains(why)), "{told:?}");
        }
        assert_eq!(problems("daemon", None, Some(last), 100).len(), 1);
    }

    #[test]
    fn a_process_that_runs_holds_something_and_one_that_does_not_holds_nothing() {
        let own = Holds::of(std::process::id()).expect("this one runs");
        assert!(own.memory_kib > 0 && own.descriptors > Some(2), "{own:?}");
        assert_eq!(Holds::of(u32::MAX), None);
    }
}
