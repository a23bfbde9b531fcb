//! The memory and the descriptors of a process, and whether they have grown.

use std::fs;
use std::thread;
use std::time::Duration;

/// Number of samples in one measurement.
const LOOKS: usize = 40;
const STEP: Duration = Duration::from_millis(50);

/// Clients connect and disconnect during a measurement, and its minimum counts.
/// Four strangers, a client and the platform may have a connection all the
/// time; a leak takes another descriptor each time.
const SLACK_DESCRIPTORS: usize = 6;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) pid: u32,
    /// Memory that doesn't belong to a file (proc_pid_status(5), `RssAnon`).
    pub(crate) memory_kib: u64,
    /// `None` if this user can't look into processes that are closed to their
    /// user.
    pub(crate) descriptors: Option<usize>,
}

impl Holds {
    /// Returns the least that this process holds within two seconds, or `None`
    /// if it has ended.
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

/// Returns a size of a process that the kernel reports (proc_pid_status(5)).
pub(crate) fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix(name))?;
    size.trim().trim_end_matches(" kB").parse().ok()
}

/// Compares a process with an earlier measurement and returns the problems.
pub(crate) fn problems(name: &str, first: Option<Holds>, last: Option<Holds>, slack_kib: u64) -> Vec<String> {
    let (Some(first), Some(last)) = (first, last) else {
        return vec![format!("the {name} couldn't be measured: {first:?}, {last:?}")];
    };
    let mut problems = Vec::new();
    if first.pid != last.pid {
        problems.push(format!("the {name} was replaced without a reason: {} by {}", first.pid, last.pid));
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
        _ => molecule_tests::skip(&format!("descriptors of the {name} amid chaos: they aren't visible here")),
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_beyond_the_slack_and_a_replacement_are_reported() {
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
    fn a_running_process_can_be_measured_and_an_ended_one_cannot() {
        let own = Holds::of(std::process::id()).expect("this process is running");
        assert!(own.memory_kib > 0 && own.descriptors > Some(2), "{own:?}");
        assert_eq!(Holds::of(u32::MAX), None);
    }
}
