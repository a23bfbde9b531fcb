//! Daemons and clients that are killed while they hold a token, with no limit
//! to the core that they could leave.

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

/// Becomes a command that may leave a core of any size.
const UNLIMITED: &str = "ulimit -c unlimited; exec \"$0\" \"$@\"";

pub(crate) struct Crashes {
    /// Where all of them run, and nothing but a core would be.
    folder: PathBuf,
    /// Where cores are left, if not there.
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

    /// Says so where no core would be seen if there were one.
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

    /// Becomes a program whose core would be seen.
    pub(crate) fn way(&self) -> [&str; 6] {
        ["env", "-C", self.folder.to_str().unwrap(), "sh", "-c", UNLIMITED]
    }

    pub(crate) fn of_daemons(&self, world: &World, supervised: &Supervised) {
        let url = world.host.url("acme/app.git");
        for signal in [Signal::SIGKILL, Signal::SIGABRT, Signal::SIGSEGV] {
            eventually("the daemon has a token", PATIENCE, || serves(world));
            let daemon = supervised.daemon().unwrap();
            crash(daemon, signal);
            eventually("the next daemon", PATIENCE, || supervised.daemon().is_some_and(|next| next != daemon));
            // Hooks again, of a daemon that was handed its leases.
            let hooks = count_of_hooks(world);
            world.broker.control(&["refresh"]).ok();
            eventually("the hook", PATIENCE, || count_of_hooks(world) > hooks);
            for wiring in [Wiring::Helper, Wiring::Askpass] {
                run(world.git(&gits()[0], wiring).args(["ls-remote", &url]), PATIENCE).ok();
            }
        }
    }

    /// With the answer in hand, and a reader who doesn't take it.
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
            client.args(&self.way()[1..]).arg(world.bin().join(words[0])).args(&words[1..]);
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

    /// And with it of its daemon.
    pub(crate) fn of_the_supervisor(supervised: &Supervised) {
        let [supervisor, daemon] = supervised.both().unwrap();
        crash(Pid::from_raw(supervisor.try_into().unwrap()), Signal::SIGSEGV);
        eventually("its daemon ends", PATIENCE, || is_over(daemon));
    }

    pub(crate) fn leave_no_core(&self, secrets: &Secrets<'_>) {
        for core in self.cores().difference(&self.before) {
            // Others' may be where all are.
            let ours = core.starts_with(&self.folder) || secrets.are_in(&fs::read(core).unwrap_or_default());
            assert!(!ours, "{} was left", core.display());
        }
    }
}

fn count_of_hooks(world: &World) -> usize {
    let said = fs::read(world.path().join("hooks")).unwrap_or_default();
    String::from_utf8_lossy(&said).matches("told of github").count()
}

/// By as many signals as it takes: the first SIGSEGV that no fault has caused
/// is lost on the handler by which Rust finds overflown stacks.
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

/// `S` where it sleeps, `Z` where it has ended; nothing where it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}
