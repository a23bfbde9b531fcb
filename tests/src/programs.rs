//! The real programs under test and the gits of this machine.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;

use crate::{machine_tool, program};

#[derive(Clone, Debug)]
pub struct Programs {
    pub broker: PathBuf,
    pub shim: PathBuf,
}

/// From `MOLECULE_BIN_DIR`, else built here, once for all test programs that
/// run at the same time.
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| match env::var_os("MOLECULE_BIN_DIR") {
        Some(folder) => in_folder(Path::new(&folder)),
        None => build(),
    })
}

fn in_folder(folder: &Path) -> Programs {
    let programs = Programs { broker: folder.join("molecule-broker"), shim: folder.join("molecule-shim") };
    for program in [&programs.broker, &programs.shim] {
        assert!(
            program.is_file(),
            "MOLECULE_BIN_DIR is set, but {} isn't there; unset it to have the programs built",
            program.display()
        );
    }
    programs
}

fn build() -> Programs {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lock =
        File::create(env::temp_dir().join("molecule-tests-build.lock")).expect("the temporary directory is writable");
    lock.lock().expect("the build lock can be waited for");
    let output = machine_tool(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--quiet"])
        .args(["--package", "molecule-broker", "--package", "molecule-shim"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "broker and shim don't build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = |name: &str| {
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|message| message["target"]["name"] == name && message["executable"].is_string())
            .and_then(|message| message["executable"].as_str().map(PathBuf::from))
            .unwrap_or_else(|| panic!("cargo built no program {name}"))
    };
    Programs { broker: executable("molecule-broker"), shim: executable("molecule-shim") }
}

/// All that gh reads a token from: github.com's two, and then those of an
/// enterprise host.
pub const GH_TOKENS: [&str; 4] = ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];

/// The real gh, as Debian installs it.
pub fn gh() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/bin/gh");
    path.is_file().then_some(path)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    pub path: PathBuf,
    /// Such as `2.47.3`.
    pub version: String,
}

impl Git {
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        let mine: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        mine >= (major, minor)
    }
}

/// Every git of this machine, one for each version.
pub fn gits() -> Vec<Git> {
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
    assert!(!found.is_empty(), "no git on this machine; tests/run installs it");
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
