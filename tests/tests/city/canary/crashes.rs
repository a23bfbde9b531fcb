//! Daemons and clients that are killed while they hold a token, without a limit
//! for the size of a core.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use molecule_tests::programs::gits;
use molecule_tests::wait::{eventually, poll};
use molecule_tests::world::supervised::{Supervised, serves};
use molecule_tests::world::{Wiring, World, run};
use molecule_tests::{program, skip};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;
use crate::canary::secrets::Secrets;

const PAUSE: Duration = Duration::from_millis(5);

/// A shell line that execs a command whose core may have any size.
const UNLIMITED: &str = "ulimit -c unlimited; exec \"$0\" \"$@\"";

pub(crate) struct Crashes {
    /// The folder in which all of them run. A core is the only file that can
    /// appear there.
    folder: PathBuf,
    /// The folder where cores are left, if it isn't that one.
    elsewhere: Option<PathBuf>,
    before: BTreeSet<PathBuf>,
}

impl Crashes {
    pub(crate) fn new(world: &Path) -> Self {
        let folder = world.join("crashes");
        fs::create_dir(&folder).unwrap();
        // core(5), "Naming of core dump files".
        let pattern = PathBuf::from(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().trim());
        let elsewhere = pattern.parent().filter(|_| pattern.is_absolute()).map(Path::to_owned);
        let mut crashes = Self { folder, elsewhere, before: BTreeSet::new() };
        crashes.can_be_seen();
        crashes.before = crashes.cores();
        crashes
    }

    /// Prints a SKIP line if this machine wouldn't leave a core.
    fn can_be_seen(&self) {
        let mut crash = program("sh");
        crash.args(["-c", UNLIMITED, "sh", "-c", "kill -ABRT $$"]).current_dir(&self.folder);
        run(&mut crash, PATIENCE);
        let left: Vec<_> = self.cores().into_iter().collect();
        if left.is_empty() {
            skip("cores with a token: this machine leaves none as a file (core_pattern, or a hard limit)");
        }
        left.iter().filter(|core| core.starts_with(&self.folder)).for_each(|core| fs::remove_file(core).unwrap());
    }

    fn cores(&self) -> BTreeSet<PathBuf> {
        let folders = [Some(&self.folder), self.elsewhere.as_ref()].into_iter().flatten();
        folders.flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// Returns words that exec a program whose core would be found.
    pub(crate) fn command_prefix(&self) -> [&str; 6] {
        ["env", "-C", self.folder.to_str().unwrap(), "sh", "-c", UNLIMITED]
    }

    pub(crate) fn of_daemons(&self, world: &World, supervised: &Supervised) {
        let url = world.host.url("acme/app.git");
        for signal in [Signal::SIGKILL, Signal::SIGABRT, Signal::SIGSEGV] {
            eventually("the daemon has a token", PATIENCE, || serves(world));
            let daemon = supervised.daemon().unwrap();
            crash(daemon, signal);
            eventually("the next daemon", PATIENCE, || supervised.daemon().is_some_and(|next| next != daemon));
            // Again with hooks, of a daemon that took over its leases.
            let hooks = count_of_hooks(world);
            world.broker.control(&["refresh"]).ok();
            eventually("the hook", PATIENCE, || count_of_hooks(world) > hooks);
            for wiring in [Wiring::Helper, Wiring::Askpass] {
                run(world.git(&gits()[0], wiring).args(["ls-remote", &url]), PATIENCE).ok();
            }
        }
    }

    /// Kills clients that have their answer and can't write it, because it
    /// isn't read.
    pub(crate) fn of_clients(&self, world: &World) {
        let asked = format!("protocol=https\nhost={}\n\n", world.host.origin());
        let prompt = format!("Password for 'https://x-access-token@{}': ", world.host.origin());
        let environment = world.broker.command(&[]);
        for (words, input) in [
            (&["git-credential-molecule", "get"][..], asked.as_str()),
            (&["molecule-askpass", &prompt], ""),
            (&["molecule-broker", "token"], ""),
        ] {
            let mut client = world.command(Path::new("env"));
            client.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
            client.args(&self.command_prefix()[1..]).arg(world.bin().join(words[0])).args(&words[1..]);
            self.of_one(world, client, input);
        }
    }

    fn of_one(&self, world: &World, mut client: Command, input: &str) {
        let served = world.broker.audit().lines().count();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let room = fcntl(writer.as_fd(), FcntlArg::F_GETPIPE_SZ).unwrap();
        writer.write_all(&vec![0; usize::try_from(room).unwrap()]).unwrap();
        let mut child = client.stdin(Stdio::piped()).stdout(writer).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        eventually("it is served", PATIENCE, || world.broker.audit().lines().count() > served);
        let state = || state(child.id());
        eventually("it waits for its reader", PATIENCE, || {
            (0..10).all(|_| poll(PAUSE, || None::<()>).is_none() && state() == Some('S'))
        });
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGABRT).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::SIGABRT as i32), false), "{client:?}");
        drop(reader);
    }

    /// Kills the supervisor, and with it its daemon.
    pub(crate) fn of_the_supervisor(supervised: &Supervised) {
        let [supervisor, daemon] = supervised.pids().unwrap();
        crash(Pid::from_raw(supervisor.try_into().unwrap()), Signal::SIGSEGV);
        eventually("its daemon ends", PATIENCE, || is_over(daemon));
    }

    pub(crate) fn leave_no_core(&self, secrets: &Secrets<'_>) {
        for core in self.cores().difference(&self.before) {
            // The folder may also contain cores of other programs.
            let ours = core.starts_with(&self.folder) || secrets.are_in(&fs::read(core).unwrap_or_default());
            assert!(!ours, "{} was left", core.display());
        }
    }
}

fn count_of_hooks(world: &World) -> usize {
    let said = fs::read(world.path().join("hooks")).unwrap_or_default();
    String::from_utf8_lossy(&said).matches("notified of github").count()
}

/// Sends as many signals as it takes. The first SIGSEGV that isn't caused by a
/// fault is lost in the handler by which Rust detects stack overflows.
fn crash(pid: Pid, signal: Signal) {
    let number = pid.as_raw().try_into().unwrap();
    eventually("it ends", PATIENCE, || {
        let _ = kill(pid, signal);
        is_over(number)
    });
}

fn is_over(pid: u32) -> bool {
    state(pid).is_none_or(|state| state == 'Z')
}

/// Returns `S` for a sleeping process, `Z` for one that has ended, and `None`
/// if it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}
