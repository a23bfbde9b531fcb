//! The real programs under test, and the gits and ghs of this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::{machine_tool, program};

#[derive(Clone, Debug)]
pub struct Programs {
    pub broker: PathBuf,
    pub shim: PathBuf,
}

/// Returns the programs in `MOLECULE_BIN_DIR` if it is set. Otherwise builds
/// them as they are shipped. Test programs that run at the same time wait for
/// each other, because cargo locks its target folder.
pub fn programs() -> &'static Programs {
    PROGRAMS.get_or_init(|| find_or_build(shipped_build).unwrap_or_else(|problem| panic!("{problem}")))
}

/// Builds the programs for the demo, in the profile and with the features of
/// the running program, so that cargo builds nothing twice.
///
/// # Errors
/// The build fails. cargo has printed the reason.
pub fn build_like_this_program() -> Result<(), String> {
    if PROGRAMS.get().is_none() {
        let programs = find_or_build(matching_build)?;
        PROGRAMS.get_or_init(|| programs);
    }
    Ok(())
}

static PROGRAMS: OnceLock<Programs> = OnceLock::new();

fn find_or_build(build: impl Fn() -> Command) -> Result<Programs, String> {
    match env::var_os("MOLECULE_BIN_DIR") {
        Some(folder) => in_folder(Path::new(&folder)),
        None => built_by(build()),
    }
}

fn in_folder(folder: &Path) -> Result<Programs, String> {
    let programs = Programs { broker: folder.join("molecule-broker"), shim: folder.join("molecule-shim") };
    for program in [&programs.broker, &programs.shim] {
        if !program.is_file() {
            let missing = program.display();
            return Err(format!(
                "MOLECULE_BIN_DIR is set, but {missing} doesn't exist; unset the variable to build the programs"
            ));
        }
    }
    Ok(programs)
}

fn shipped_build() -> Command {
    let mut cargo = cargo_build();
    cargo.args(["--release", "--package", "molecule-broker", "--package", "molecule-shim"]);
    cargo
}

/// Cargo unifies the features of the packages that are named together (the
/// Cargo book, "Features": resolver version 2). This package is named too, so
/// that the other two are built from the same libraries that it is linked with.
fn matching_build() -> Command {
    let folder = env::current_exe().ok().and_then(|program| Some(program.parent()?.file_name()?.to_owned()));
    let profile = folder.filter(|name| name != "debug").unwrap_or_else(|| "dev".into());
    let mut cargo = cargo_build();
    cargo.arg("--profile").arg(profile);
    cargo.args(["--package", "molecule-tests", "--package", "molecule-broker", "--package", "molecule-shim"]);
    cargo.args(["--bin", "molecule-broker", "--bin", "molecule-shim"]);
    cargo
}

fn cargo_build() -> Command {
    let mut cargo = machine_tool(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked"]).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    cargo
}

fn built_by(mut build: Command) -> Result<Programs, String> {
    let output = build
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from("broker and shim don't build; cargo says why above"));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = |name: &str| {
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|message| message["target"]["name"] == name && message["executable"].is_string())
            .and_then(|message| message["executable"].as_str().map(PathBuf::from))
            .ok_or_else(|| format!("cargo built no program {name}"))
    };
    Ok(Programs { broker: executable("molecule-broker")?, shim: executable("molecule-shim")? })
}

/// All variables that gh reads a token from: the two for github.com, then the
/// two for an enterprise host.
pub const GH_TOKENS: [&str; 4] = ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gh {
    pub path: PathBuf,
    /// For example `2.46.0`.
    pub version: String,
}

impl Gh {
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        is_at_least(&self.version, major, minor)
    }
}

/// Returns the real gh in the place where Debian installs it.
pub fn gh() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/bin/gh");
    path.is_file().then_some(path)
}

/// Returns every real gh of this machine, one for each version: the installed
/// one, then those that `tests/fetch-ghs` put below the target folder, oldest
/// first.
pub fn ghs() -> Vec<Gh> {
    static FOUND: OnceLock<Vec<Gh>> = OnceLock::new();
    FOUND.get_or_init(find_ghs).clone()
}

fn find_ghs() -> Vec<Gh> {
    let mut found: Vec<Gh> = gh().and_then(|path| gh_at(&path)).into_iter().collect();
    let folders = fs::read_dir(fetched_programs()).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut fetched: Vec<Gh> = folders.filter_map(|folder| gh_at(&folder.join("bin/gh"))).collect();
    fetched.sort_by_key(|gh| numbers(&gh.version).collect::<Vec<_>>());
    for gh in fetched {
        if found.iter().all(|known| known.version != gh.version) {
            found.push(gh);
        }
    }
    found
}

/// Returns the folder where `tests/fetch-ghs` and `tests/fetch-programs` put
/// programs. It is in the target folder, and so is the running test program.
pub fn fetched_programs() -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    let beside_own = own.ancestors().skip(1).map(|folder| folder.join("programs")).find(|folder| folder.is_dir());
    beside_own.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target/programs"))
}

fn gh_at(path: &Path) -> Option<Gh> {
    fs::metadata(path).ok()?;
    // gh 2.102 writes a file into its state folder, which without HOME is here.
    let output =
        program(path).arg("--version").env("XDG_STATE_HOME", "/dev/null").env("GH_TELEMETRY", "false").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.strip_prefix("gh version ")?.split_whitespace().next()?;
    Some(Gh { path: path.to_path_buf(), version: String::from(version) })
}

fn numbers(version: &str) -> impl Iterator<Item = u32> {
    version.split('.').map(|part| part.parse().unwrap_or(0))
}

fn is_at_least(version: &str, major: u32, minor: u32) -> bool {
    let mut numbers = numbers(version);
    let mine: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    mine >= (major, minor)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    pub path: PathBuf,
    /// For example `2.47.3`.
    pub version: String,
}

impl Git {
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        is_at_least(&self.version, major, minor)
    }
}

/// Returns the git that the stand-ins run.
///
/// # Errors
/// No git was found.
pub fn first_git() -> Result<PathBuf, String> {
    static FIRST: OnceLock<Option<PathBuf>> = OnceLock::new();
    let first = FIRST.get_or_init(|| find_gits().into_iter().next().map(|git| git.path));
    first.clone().ok_or_else(|| String::from(NO_GIT))
}

const NO_GIT: &str =
    "there is no git in /usr/bin, /usr/local/bin, /opt/git/bin or on PATH; install it (on Debian: apt-get install git)";

/// Returns every git of this machine, one for each version.
#[track_caller]
pub fn gits() -> Vec<Git> {
    let found = find_gits();
    assert!(!found.is_empty(), "{NO_GIT}");
    found
}

fn find_gits() -> Vec<Git> {
    let path = env::var_os("PATH").unwrap_or_default();
    let fixed = ["/usr/bin", "/usr/local/bin", "/opt/git/bin"].map(PathBuf::from);
    let mut found: Vec<Git> = Vec::new();
    for folder in fixed.into_iter().chain(env::split_paths(&path)) {
        let Some(git) = git_at(&folder.join("git")) else {
            continue;
        };
        if found.iter().all(|known| known.version != git.version) {
            found.push(git);
        }
    }
    found
}

pub fn has_git_lfs() -> bool {
    program("git-lfs").arg("version").output().is_ok_and(|output| output.status.success())
}

fn git_at(path: &Path) -> Option<Git> {
    fs::metadata(path).ok()?;
    let output = program(path).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.strip_prefix("git version ")?.split_whitespace().next()?;
    Some(Git { path: path.to_path_buf(), version: String::from(version) })
}
