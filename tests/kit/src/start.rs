//! The commands that tests start. A developer's shell, a git hook or an agent
//! exports variables that point git at another repository: with `GIT_DIR` set,
//! the `git commit` of a test lands in the developer's own one. So no test
//! inherits its caller's environment, and no test calls `Command::new` itself
//! (`tests/tests/city/hermetic.rs` checks that).

use std::env;
use std::ffi::OsStr;
use std::process::Command;

/// Root's `PATH` on Debian, for callers without one.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that a test program needs from its caller: where programs are,
/// where temporary files go, and which build is tested.
const INHERITED: [&str; 3] = ["PATH", "TMPDIR", "MOLECULE_BIN_DIR"];

/// Variables that cargo sets for the test programs that it starts (Cargo's
/// reference, 'Environment variables'). A cargo that inherits them rebuilds
/// crates whose build scripts depend on them, such as ring.
const SET_BY_CARGO: [&str; 7] = [
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "LD_LIBRARY_PATH",
];

/// Returns a command with a small environment of its own. In it, git doesn't
/// read any configuration of the user or the machine, and doesn't ask on a
/// terminal.
pub fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", USUAL_PATH);
    command.envs(INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

/// Returns a command for a tool that depends on the machine's settings, such as
/// proxies, certificates and the engine's address: cargo, docker, mmdebstrap.
/// It inherits the caller's environment except for git's and cargo's variables.
pub fn machine_tool(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(path);
    for name in env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if name.starts_with("GIT_") || SET_BY_CARGO.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}
