//! git works while the daemon is killed again and again and the platform is
//! down. No operation may fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{City, Container, ExecOptions};
use crate::ledger::random_alphanumerics;
use crate::wait::poll;
use crate::world::RunResult;

pub struct KillStorm {
    pub operations: usize,
    pub at_once: usize,
    pub kills: usize,
}

impl Default for KillStorm {
    fn default() -> Self {
        Self { operations: 1000, at_once: 4, kills: 50 }
    }
}

impl KillStorm {
    /// Panics unless every operation succeeded, the token is unchanged and the
    /// platform wasn't asked.
    #[track_caller]
    pub fn survived_by(&self, city: &City, container: &Container) {
        let token = container.token().expect("there is a token before the storm");
        let asked = city.platform.request_count();
        city.platform.refuse_connections();
        let connections = city.platform.connections();
        let done = AtomicBool::new(false);
        let (git, kills) = thread::scope(|scope| {
            let killer = scope.spawn(|| self.kill(container, &done));
            let git = self.git(city, container);
            done.store(true, Ordering::Relaxed);
            (git, killer.join().expect("the killer has no reason to panic"))
        });
        let after = poll(super::PATIENCE, || container.token());
        city.platform.accept_connections();

        assert_eq!(git.stdout.trim(), "", "operations failed over {kills} kills: {}\n{}", git.stderr, container.log());
        assert!(git.success(), "{git:?}");
        assert_eq!(kills, self.kills, "the storm was over before all kills");
        assert!(after.is_some_and(|after| after == token), "the token has changed or is missing");
        assert_eq!((city.platform.request_count(), city.platform.connections()), (asked, connections));
        assert_eq!(city.host.dead_shown(), 0);
        println!("{} git operations over {kills} kills: 0 failed", self.operations);
    }

    /// Runs one shell that starts all operations and prints which of them fail.
    fn git(&self, city: &City, container: &Container) -> RunResult {
        let script = format!(
            "one() {{ for i in $(seq {}); do\n\
             GIT_TERMINAL_PROMPT=0 git ls-remote https://github.com/acme/app.git >/dev/null || echo failed\n\
             done; }}\n\
             for w in $(seq {}); do one & done; wait",
            self.operations / self.at_once,
            self.at_once
        );
        let options = ExecOptions { env: city.git_variables(), ..ExecOptions::default() };
        container.exec_within(&options, &["sh", "-c", &script], Duration::from_secs(590))
    }

    /// Kills the serving daemon at random moments.
    fn kill(&self, container: &Container, done: &AtomicBool) -> usize {
        let mut kills = 0;
        while kills < self.kills && !done.load(Ordering::Relaxed) {
            let random = random_alphanumerics(1).bytes().next().unwrap_or_default();
            thread::sleep(Duration::from_millis(u64::from(random) * 4));
            if let Some(pid) = container.daemon()
                && container.sh_as_root(&format!("kill -9 {pid}")).success()
            {
                kills += 1;
            }
        }
        kills
    }
}
