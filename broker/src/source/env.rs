//! The provision-time token, which is fixed in the container's environment. It is valid for at most
//! 60 min after the container was created, and is still in the environment, unchanged but expired,
//! when the container restarts. The only bound known for its life is 60 min after PID 1 started.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::credential::lease::{Class, Failure, Fresh, GITHUB_TOKEN_LIFE, SourceKind};
use crate::credential::secret::Secret;
use crate::system::clock;
use crate::system::time::{Boot, Deadline, Moment};

pub struct Env {
    token: Secret,
    stat: PathBuf,
}

impl Env {
    #[must_use]
    pub fn new(token: Secret) -> Self {
        Self { token, stat: PathBuf::from("/proc/1/stat") }
    }

    /// Returns the token with its deadline.
    ///
    /// # Errors
    /// Returns an error if the token must have expired, or if its age can't be determined.
    pub fn fetch(&self) -> Result<Fresh, Failure> {
        let unknown = |why: String| {
            Failure::new(
                Class::Config,
                format!(
                    "the provision-time token is not served, since its age is unknown: {} {why}",
                    self.stat.display()
                ),
            )
        };
        let stat = std::fs::read(&self.stat).map_err(|e| unknown(format!("can't be read: {e}")))?;
        let ticks =
            sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
        let now = clock::now();
        let deadline = start_time(&stat, ticks)
            .and_then(|start| deadline(start, now))
            .ok_or_else(|| unknown("doesn't say when PID 1 started".to_owned()))?;
        if deadline.left(now).is_zero() {
            return Err(Failure::new(
                Class::Expired,
                "the provision-time token has expired: the container started more than 60 min ago",
            ));
        }
        Ok(Fresh { username: None, secret: self.token.clone(), deadline: Some(deadline), source: SourceKind::Env })
    }
}

/// Returns the start time of a process from field 22 of its `stat` file (proc_pid_stat(5)). The
/// second field is the process's name in parentheses. The name may contain blanks and parentheses,
/// so fields are counted after the last closing one. The kernel shifts the value into the reader's
/// time namespace, as it does with the reader's boot clock.
fn start_time(stat: &[u8], ticks_per_second: u64) -> Option<Boot> {
    let name_end = stat.iter().rposition(|b| *b == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let ticks: u64 = fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()?;
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// Returns the deadline of a token that is as old as a process with this start time. Returns `None`
/// for a start in the future: in a time namespace that was set back, a start before the clock's
/// zero looks like that.
fn deadline(start: Boot, now: Moment) -> Option<Deadline> {
    let age = now.boot.checked_sub(start)?;
    Some(Deadline { boot: start + GITHUB_TOKEN_LIFE, wall: now.wall.saturating_sub(age) + GITHUB_TOKEN_LIFE })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn stat(name: &str, start: &str) -> String {
        format!("1 ({name}) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {start} 9 10 11")
    }

    fn with_stat(content: &str, token: &str) -> Result<Fresh, Failure> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let mut env = Env::new(Secret::token(token).unwrap());
        env.stat = file.path().to_owned();
        env.fetch()
    }

    #[test]
    fn the_start_is_found_behind_any_process_name() {
        for name in ["init", "a b", "x) S 1 1 1", ":-) (", "\u{fffd}"] {
            let start = start_time(stat(name, "1234").as_bytes(), 100);
            assert_eq!(start, Some(Duration::from_millis(12_340)), "{name}");
        }
        for bad in ["", "1 (init", "1 (init) S 0 1", &stat("init", "-5"), &stat("init", "x")] {
            assert_eq!(start_time(bad.as_bytes(), 100), None, "{bad}");
        }
    }

    #[test]
    fn it_dies_an_hour_after_the_container_began_on_both_clocks() {
        let now = Moment { boot: Duration::from_secs(5000), wall: Duration::from_secs(1_000_000) };
        let deadline = deadline(Duration::from_secs(4000), now).unwrap();
        assert_eq!(deadline.boot, Duration::from_secs(7600));
        assert_eq!(deadline.wall, Duration::from_secs(1_002_600));
    }

    #[test]
    fn an_unknown_age_serves_nothing_and_says_why() {
        for content in ["", &stat("init", "1844674406893")] {
            let failure = with_stat(content, "ghs_canary").unwrap_err();
            assert_eq!(failure.class, Class::Config);
            assert!(failure.message.contains("PID 1 started"), "{failure}");
            assert!(!failure.message.contains("canary"));
        }
    }

    #[test]
    fn a_young_container_serves_it_and_an_old_one_does_not() {
        let ticks = |age: u64| {
            let start = clock::now().boot.saturating_sub(Duration::from_secs(age));
            (start.as_millis() / 10).to_string()
        };
        let fresh = with_stat(&stat("init", &ticks(0)), "ghs_a").unwrap();
        assert_eq!(fresh.secret.expose(), "ghs_a");
        let left = fresh.deadline.unwrap().left(clock::now());
        assert!(left <= GITHUB_TOKEN_LIFE && left > GITHUB_TOKEN_LIFE / 2);
        if clock::now().boot < GITHUB_TOKEN_LIFE {
            println!("SKIP: this machine has been up for less than an hour");
            return;
        }
        let failure = with_stat(&stat("init", &ticks(3601)), "ghs_a").unwrap_err();
        assert_eq!(failure.class, Class::Expired);
    }
}
