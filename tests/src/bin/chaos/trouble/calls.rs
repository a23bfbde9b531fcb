//! System calls of the daemon fail for a while: strace injects their results.

use std::fs;
use std::path::{Path, PathBuf};

use molecule_tests::skip;
use molecule_tests::strace::Strace;
use nix::unistd::Pid;

use crate::dice::Dice;

/// One kind of system call, and the ways in which it fails.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    calls: &'static str,
    errors: &'static [&'static str],
    /// Selection of the failing calls, in strace's syntax.
    when: &'static [&'static str],
    pub(crate) hits: Hits,
}

/// The connections that it disturbs, besides making the daemon slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hits {
    /// Those between the daemon and its clients, which try again.
    Callers,
    /// The one between the daemon and its platform.
    Platform,
    /// The one between the daemon and its audit log.
    Audit,
    /// All of these, and the one between the daemon and its runner, without
    /// which it ends.
    Daemon,
}

/// Only errors that a kernel can return. For example, if accept failed with
/// EAGAIN while a client waits, nothing would wake up the daemon afterwards.
pub(crate) const CALLS: [Call; 8] = [
    Call {
        name: "accept fails",
        calls: "accept4",
        errors: &["EMFILE", "ENFILE", "ECONNABORTED", "EINTR", "ENOMEM", "EPERM"],
        when: &["1..4", "2+3", "1+2"],
        hits: Hits::Callers,
    },
    Call {
        name: "receive fails",
        calls: "recvfrom",
        errors: &["ECONNRESET", "EINTR", "ENOMEM"],
        when: &["2+3"],
        hits: Hits::Daemon,
    },
    Call {
        name: "send fails",
        calls: "sendto",
        errors: &["EPIPE", "ECONNRESET", "ENOBUFS"],
        when: &["2+3"],
        hits: Hits::Daemon,
    },
    Call {
        name: "connect fails",
        calls: "connect",
        errors: &["ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"],
        when: &["1+", "1+2"],
        hits: Hits::Platform,
    },
    Call {
        name: "socket fails",
        calls: "socket",
        errors: &["EMFILE", "ENOBUFS"],
        when: &["1+", "1+2"],
        hits: Hits::Platform,
    },
    Call {
        name: "open fails",
        calls: "openat",
        errors: &["EMFILE", "ENFILE", "EIO", "EACCES"],
        when: &["1+", "1+2"],
        hits: Hits::Platform,
    },
    Call {
        name: "write of the audit fails",
        calls: "write",
        errors: &["ENOSPC", "EIO", "EROFS", "EINTR"],
        when: &["1+2", "2+3", "1..6"],
        hits: Hits::Audit,
    },
    Call { name: "read fails", calls: "read", errors: &["EIO", "ENOMEM"], when: &["1+3"], hits: Hits::Daemon },
];

/// Tells whether strace can attach here, and prints a SKIP line if not.
pub(crate) fn can_fail() -> bool {
    let Ok(mut other) = molecule_tests::program("sleep").arg("60").spawn() else { return false };
    let words = ["-qq", "-o", "/dev/null"].map(String::from);
    let there = i32::try_from(other.id()).ok().and_then(|pid| Strace::attach(Pid::from_raw(pid), &words)).is_some();
    let _ = other.kill();
    let _ = other.wait();
    if !there {
        skip("system calls that fail amid chaos: strace can't attach here");
    }
    there
}

/// The calls fail until this is dropped.
pub(crate) struct Failing {
    _strace: Strace,
    trace: PathBuf,
    pub(crate) how: String,
}

impl Failing {
    pub(crate) fn begin(call: &Call, pid: Pid, dice: &mut Dice, folder: &Path, audit: &Path) -> Option<Self> {
        let mut one_of = |words: &[&'static str]| words[dice.below(words.len())];
        let (error, when) = (one_of(call.errors), one_of(call.when));
        let trace = folder.join("trace");
        let _ = fs::remove_file(&trace);
        // Logs whole strings, with every byte in hexadecimal, so that none has
        // to be parsed as C.
        let mut words = ["-f", "-qq", "-xx", "-s", "4096", "-o"].map(String::from).to_vec();
        words.push(trace.display().to_string());
        if call.hits == Hits::Audit {
            words.extend([String::from("-P"), audit.display().to_string()]);
        }
        let inject = format!("inject={}:error={error}:when={when}", call.calls);
        words.extend(["-e", &format!("trace={}", call.calls), "-e", &inject].map(String::from));
        let strace = Strace::attach(pid, &words)?;
        Some(Self { _strace: strace, trace, how: format!("{} {error}, {when}", call.calls) })
    }

    /// Returns the trace lines of the calls that have failed so far.
    pub(crate) fn failed(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.trace).unwrap_or_default();
        text.lines().filter(|line| line.ends_with("(INJECTED)")).map(String::from).collect()
    }
}

/// Returns the text that a failed write should have written, from its line in a
/// trace.
pub(crate) fn written(line: &str) -> Option<String> {
    let (_, arguments) = line.split_once("write(")?;
    let text = arguments.split('"').nth(1)?;
    let bytes: Option<Vec<u8>> = text.split("\\x").skip(1).map(|two| u8::from_str_radix(two, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_failed_write_is_read_from_its_trace() {
        let line = r#"17 write(9, "\x7b\x22\x61\x22\x7d\x0a", 6) = -1 ENOSPC (No space left on device) (INJECTED)"#;
        assert_eq!(written(line).as_deref(), Some("{\"a\"}\n"));
        assert_eq!(written("17 write(9, 0x7ffe, 6) = -1 EFAULT (Bad address) (INJECTED)"), None);
        assert_eq!(written("17 read(9, \"\\x7b\", 6) = 1"), None);
    }
}
