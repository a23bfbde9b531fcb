//! The clients in an agent's sandbox: the real bubblewrap, in a user namespace
//! that maps only the agent, and outside of it a broker under `supervise`.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use molecule_tests::programs::{gits, programs};
use molecule_tests::world::supervised::Supervised;
use molecule_tests::world::{RunResult, World, WorldSetup, run, run_with_input, write_program};
use molecule_tests::{Ability, can, program, skip};
use tempfile::TempDir;

const AGENT: u32 = 54321;
const OWN_USER: u32 = 12345;

/// The command by which Claude Code, Codex and Gemini CLI start it.
const SANDBOX: &str =
    "bwrap --new-session --die-with-parent --unshare-user --unshare-pid --ro-bind / / --dev /dev --proc /proc";

/// A world whose socket and programs are in folders that only root can change.
struct Stage {
    world: World,
    _supervised: Supervised,
    dir: TempDir,
}

impl Stage {
    /// Starts the supervisor as this user. Returns `None`, with a SKIP line, if
    /// there is no sandbox here.
    fn new(user: u32) -> Option<Self> {
        if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
            return None;
        }
        let Ok(dir) = tempfile::Builder::new().prefix("molecule-").tempdir_in("/run") else {
            skip("clients in bubblewrap: /run isn't writable");
            return None;
        };
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let tried = agent(&format!("{SANDBOX} -- true")).stderr(Stdio::null()).status();
        if !tried.is_ok_and(|status| status.success()) {
            skip("clients in bubblewrap: it can't create a user namespace here");
            return None;
        }
        let mut world = World::new(WorldSetup::default());
        world.host.create_repository("acme/app.git");
        let folder = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            path
        };
        let (bin, run) = (folder("bin"), folder("run"));
        let origin = world.host.origin();
        for (name, value) in [
            ("MOLECULE_BROKER_SOCKET", run.join("broker.sock").display().to_string()),
            ("MOLECULE_BROKER_ALLOW_USERS", AGENT.to_string()),
            ("MOLECULE_BROKER_HOSTS", format!("{origin},github.com")),
        ] {
            world.broker.set_env(name, &value);
        }
        install(&bin);
        fs::copy(world.ca_file(), dir.path().join("ca.pem")).unwrap();
        chown(&run, Some(user), Some(user)).unwrap();
        give(world.path(), user);
        let way = ["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"];
        let supervised = Supervised::start_through(&world, &way);
        Some(Self { world, _supervised: supervised, dir })
    }

    /// Runs a command in the agent's sandbox.
    fn in_sandbox(&self, sandbox: &str, words: &str, input: &str) -> RunResult {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let mut command = agent(&format!("{sandbox} -- {words}"));
        command
            .env("PATH", format!("{}:/usr/bin:/bin", path("bin")))
            .env("HOME", "/nonexistent")
            .env("MOLECULE_BROKER_SOCKET", path("run/broker.sock"))
            .env("GIT_SSL_CAINFO", path("ca.pem"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        run_with_input(&mut command, input.as_bytes(), Duration::from_secs(30))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Returns a shell command of the agent, without this process's environment.
fn agent(script: &str) -> Command {
    let (uid, gid) = (format!("--reuid={AGENT}"), format!("--regid={AGENT}"));
    let mut command = program("setpriv");
    command.args([uid.as_str(), gid.as_str(), "--clear-groups", "sh", "-c"]).arg(format!("exec {script}"));
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    command
}

/// Installs the programs in a folder on the agent's `PATH`. gh prints its
/// token.
fn install(bin: &Path) {
    let programs = programs();
    for (name, file) in [("molecule-broker", &programs.broker), ("git-credential-molecule", &programs.shim)] {
        let install =
            [OsStr::new("-m"), OsStr::new("755"), file.as_os_str(), bin.join(name).as_os_str()].map(OsStr::to_owned);
        run(program("install").args(install), Duration::from_secs(60)).ok();
    }
    for name in ["molecule-askpass", "gh"] {
        symlink("git-credential-molecule", bin.join(name)).unwrap();
    }
    write_program(&bin.join("gh.distrib"), "#!/bin/sh\necho \"$GH_TOKEN\"\n");
}

/// Gives the folder and everything in it to this user.
fn give(folder: &Path, user: u32) {
    let mut chown = program("chown");
    run(chown.arg("-R").arg(format!("{user}:{user}")).arg(folder), Duration::from_secs(10)).ok();
}

fn each_broker(test: impl Fn(&Stage)) {
    for user in [0, OWN_USER] {
        match Stage::new(user) {
            Some(stage) => test(&stage),
            None => return,
        }
    }
}

#[test]
fn rule55_git_and_gh_work_in_bubblewraps_user_namespace() {
    each_broker(|stage| {
        let origin = stage.world.host.origin();
        let request = format!("protocol=https\nhost={origin}\n\n");
        for extra in ["", " --uid 0 --gid 0"] {
            let sandbox = format!("{SANDBOX}{extra}");
            let ran = stage.in_sandbox(&sandbox, "git-credential-molecule get", &request).ok();
            assert!(ran.stdout.contains("password=ghs_") && ran.stderr.is_empty(), "{ran:?}");
            let prompt = format!("molecule-askpass \"Password for 'https://x-access-token@{origin}': \"");
            let ran = stage.in_sandbox(&sandbox, &prompt, "").ok();
            assert!(ran.stdout.starts_with("ghs_") && ran.stderr.is_empty(), "{ran:?}");
            let ran = stage.in_sandbox(&sandbox, "gh api /user", "").ok();
            assert!(ran.stdout.starts_with("ghs_") && ran.stderr.is_empty(), "{ran:?}");
        }
        for git in gits() {
            let helper = format!("-c credential.helper={}", stage.file("bin/git-credential-molecule").display());
            let url = stage.world.host.url("acme/app.git");
            let words = format!("{} {helper} ls-remote {url}", git.path.display());
            stage.in_sandbox(SANDBOX, &words, "").ok();
        }
    });
}

#[test]
fn rule25_the_control_commands_work_in_bubblewrap() {
    each_broker(|stage| {
        stage.in_sandbox(SANDBOX, "molecule-broker status", "").ok();
        let token = stage.in_sandbox(SANDBOX, "molecule-broker token", "").ok();
        assert!(token.stdout.starts_with("ghs_"), "{token:?}");
        let ran = stage.in_sandbox(SANDBOX, "molecule-broker exec --host github.com -- printenv GH_TOKEN", "").ok();
        assert!(ran.stdout.starts_with("ghs_"), "{ran:?}");
        let doctor = stage.in_sandbox(SANDBOX, "molecule-broker doctor", "");
        for line in ["ok   socket ", "ok   namespace ", "ok   socket-folder ", "ok   platform "] {
            assert!(doctor.stdout.contains(line), "{doctor:?}");
        }
        assert!(!doctor.stdout.contains("ghs_"), "{doctor:?}");
    });
}

/// `--tmpfs /run` puts folders of the agent on the path of the socket.
#[test]
fn rule25_an_agents_folder_on_the_path_is_named_with_a_remedy() {
    let Some(stage) = Stage::new(0) else { return };
    let way = stage.dir.path().display();
    let sandbox = format!("{SANDBOX} --tmpfs /run --ro-bind {way} {way}");
    for words in ["molecule-broker status", "molecule-broker token", "git-credential-molecule get"] {
        let ran = stage.in_sandbox(&sandbox, words, "protocol=https\nhost=github.com\n\n");
        assert!(!ran.stdout.contains("ghs_"), "{ran:?}");
        assert!(ran.stderr.contains("user namespace") && ran.stderr.contains("--ro-bind / /"), "{ran:?}");
    }
}

/// Agents' sandboxes forbid Unix sockets on Linux like this: `socket(AF_UNIX)`
/// fails, whatever the path.
#[test]
fn rule55_where_unix_sockets_are_forbidden_one_line_says_so() {
    let Some(stage) = Stage::new(0) else { return };
    for (errno, name) in [(1, "EPERM"), (13, "EACCES"), (97, "EAFNOSUPPORT")] {
        let filter = stage.file(&format!("filter-{name}"));
        fs::write(&filter, no_unix_sockets(errno)).unwrap();
        fs::set_permissions(&filter, Permissions::from_mode(0o644)).unwrap();
        let sandbox = format!("9<{} {SANDBOX} --seccomp 9", filter.display());
        let request = "protocol=https\nhost=github.com\n\n";
        let ran = stage.in_sandbox(&sandbox, "git-credential-molecule get", request).ok();
        assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("quit=1\n", 1), "{ran:?}");
        assert!(ran.stderr.contains("sandbox") && ran.stderr.contains(name), "{ran:?}");
        let ran = stage.in_sandbox(&sandbox, "molecule-askpass \"Username for 'https://github.com': \"", "");
        assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.lines().count()), (Some(1), "", 1), "{ran:?}");
        for (words, status) in [("status", 3), ("token", 1), ("exec -- true", 125)] {
            let ran = stage.in_sandbox(&sandbox, &format!("molecule-broker {words}"), "");
            assert_eq!((ran.code(), ran.stdout.as_str()), (Some(status), ""), "{ran:?}");
            assert!(ran.stderr.lines().count() == 1 && ran.stderr.contains("sandbox forbids"), "{ran:?}");
        }
        let ran = stage.in_sandbox(&sandbox, "molecule-broker doctor", "");
        assert!(ran.code() == Some(1) && ran.stdout.contains("sandbox forbids"), "{ran:?}");
    }
}

/// Returns a seccomp program in the form that bubblewrap reads: `struct
/// sock_filter`s.
fn no_unix_sockets(errno: u32) -> Vec<u8> {
    const SOCKET: u32 = if cfg!(target_arch = "x86_64") { 41 } else { 198 };
    const AF_UNIX: u32 = 1;
    // Loads the number of the call, then its first argument: `struct
    // seccomp_data`.
    let program: [(u16, u8, u8, u32); 6] = [
        (0x20, 0, 0, 0),
        (0x15, 0, 3, SOCKET),
        (0x20, 0, 0, 16),
        (0x15, 0, 1, AF_UNIX),
        (0x06, 0, 0, 0x0005_0000 | errno),
        (0x06, 0, 0, 0x7fff_0000),
    ];
    let bytes = program
        .iter()
        .flat_map(|(code, yes, no, k)| code.to_ne_bytes().into_iter().chain([*yes, *no]).chain(k.to_ne_bytes()));
    bytes.collect()
}
