//! The servers that are compared: our daemon with its audit log on, git's
//! credential-cache daemon with the same credential, and a C server that gives
//! our daemon's answer to every client. The C sources are in `tests/bench`.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use molecule_tests::programs::{Git, gits};
use molecule_tests::wait::poll;
use molecule_tests::world::{World, WorldSetup, run, run_with_input};

use crate::{Choice, calls, gh, load, stats, whole};

pub(crate) const OURS_REQUEST: &[u8] =
    b"molecule/1 get\nclient=helper\ncommand=git-credential-molecule\nprotocol=https\nhost=github.com\n\n";
const CACHE_REQUEST: &[u8] = b"action=get\ntimeout=3600\nprotocol=https\nhost=github.com\n\n";

/// A process that is killed when the value is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) socket: PathBuf,
    pub(crate) request: &'static [u8],
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Peers {
    pub(crate) world: World,
    pub(crate) git: Git,
    pub(crate) cache: Server,
    pub(crate) bare: Server,
    /// The token in the answer that all servers give.
    pub(crate) token: String,
    pub(crate) empty: PathBuf,
    pub(crate) least: PathBuf,
}

impl Peers {
    pub(crate) fn start() -> Result<Self, String> {
        println!("Building the broker, the shims and the C peers …");
        let mut world = World::try_new(WorldSetup {
            hosts: Some(String::from("github.com,gist.github.com")),
            broker_env: vec![("MOLECULE_BROKER_LOG", Some(String::from("info")))],
            ..WorldSetup::default()
        })?;
        world.broker.try_start()?;
        let answer = poll(Duration::from_secs(10), || {
            ask(&world.socket(), OURS_REQUEST).filter(|answer| answer.contains("password="))
        })
        .ok_or("our daemon returns no credential for github.com")?;
        let folder = world.path().join("bench");
        fs::create_dir(&folder)
            .and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(0o700)))
            .map_err(|error| error.to_string())?;
        let git = gits().pop().ok_or("no git")?;
        Ok(Self {
            cache: start_cache(&world, &git, &folder.join("cache"), &answer)?,
            bare: start_bare(&folder, &answer)?,
            token: password_in(&answer).ok_or("our daemon's answer has no password")?,
            empty: compile(&folder, "empty", &["-static", "-nostdlib", "-nostartfiles"])?,
            least: compile(&folder, "least", &["-static", "-nostdlib", "-nostartfiles"])?,
            world,
            git,
        })
    }

    pub(crate) fn compare(&self, choice: &Choice) -> Result<(), String> {
        println!("git {}, {} cores; medians of interleaved rounds\n", self.git.version, cores());
        let rounds = |few, many| if choice.quick { few } else { many };
        if choice.wants("get") {
            whole::compare(self, rounds(100, 1500))?;
        }
        if choice.wants("git") {
            calls::compare(self, rounds(20, 200), rounds(10, 50))?;
        }
        if choice.wants("gh") {
            gh::compare(self, rounds(100, 1500), rounds(20, 100))?;
        }
        if choice.wants("load") {
            load::compare(self, rounds(3, 15))?;
        }
        println!("\nResident memory after that, in MB (PSS, RSS)");
        let daemons =
            [("molecule-broker", self.world.broker.pid()), ("git credential-cache--daemon", self.cache.child.id())];
        for (name, pid) in daemons {
            let [pss, rss] = memory(pid)?;
            println!("  {name:<58} {pss:>6.2} {rss:>6.2}");
        }
        let [pss, _] = memory(self.world.broker.pid())?;
        stats::at_most("molecule-broker, PSS (the limit is for two processes)", pss, 6.0);
        Ok(())
    }
}

/// One round trip. Returns `None` if there is no answer or it isn't text.
pub(crate) fn ask(socket: &Path, request: &[u8]) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn password_in(answer: &str) -> Option<String> {
    answer.lines().find_map(|line| line.strip_prefix("password=")).map(String::from)
}

fn start_cache(world: &World, git: &Git, folder: &Path, answer: &str) -> Result<Server, String> {
    let socket = folder.join("socket");
    let child = world
        .command(&git.path)
        .arg("credential-cache--daemon")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start credential-cache--daemon: {error}"))?;
    let server = Server { child, socket, request: CACHE_REQUEST };
    poll(Duration::from_secs(5), || UnixStream::connect(&server.socket).ok())
        .ok_or("credential-cache--daemon opens no socket")?;
    let lines: Vec<_> = answer.lines().filter(|line| is_credential(line)).collect();
    let stored = format!("protocol=https\nhost=github.com\n{}\n", lines.join("\n"));
    let mut store = world.command(&git.path);
    store.args(["credential-cache", "--timeout", "3600", "--socket"]);
    store.arg(&server.socket).arg("store");
    run_with_input(&mut store, stored.as_bytes(), Duration::from_secs(5));
    match ask(&server.socket, CACHE_REQUEST) {
        Some(answer) if answer.contains("password=") => Ok(server),
        other => Err(format!("credential-cache--daemon answers {other:?}")),
    }
}

fn is_credential(line: &str) -> bool {
    ["username=", "password=", "password_expiry_utc="].iter().any(|key| line.starts_with(key))
}

fn start_bare(folder: &Path, answer: &str) -> Result<Server, String> {
    let program = compile(folder, "server", &[])?;
    let socket = folder.join("bare.sock");
    let child = molecule_tests::program(program)
        .arg(&socket)
        .arg(answer)
        .spawn()
        .map_err(|error| format!("cannot start the C server: {error}"))?;
    let server = Server { child, socket, request: OURS_REQUEST };
    poll(Duration::from_secs(5), || ask(&server.socket, OURS_REQUEST)).ok_or("the C server opens no socket")?;
    Ok(server)
}

fn compile(folder: &Path, name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("bench/{name}.c"));
    let program = folder.join(name);
    let mut cc = molecule_tests::program("cc");
    cc.args(["-O2", "-Wall"]).args(flags).arg("-o").arg(&program).arg(source);
    let ran = run(&mut cc, Duration::from_secs(60));
    if ran.success() { Ok(program) } else { Err(format!("cc {name}.c: {}", ran.stderr)) }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns PSS and RSS in megabytes.
fn memory(pid: u32) -> Result<[f64; 2], String> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let field = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let megabytes = |key| field(key).map(|kilobytes| kilobytes / 1024.0);
    match (megabytes("Pss:"), megabytes("Rss:")) {
        (Some(pss), Some(rss)) => Ok([pss, rss]),
        _ => Err(format!("{file} has no Pss and Rss")),
    }
}
