//! `exec`: becomes a command that has a fresh token in its environment, and
//! none that is dead.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Args;
use molecule_protocol::request::Client;

use super::{Fault, Global, token};
use crate::environment;
use crate::secret::is_installation_token;

/// All that gh reads.
const VARIABLES: [&str; 4] = ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];

/// The status for "not run", as env(1), timeout(1) and docker-run(1) have it.
const NOT_RUN: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Host or origin the token is for [default: the first origin of the credential 'github']
    #[arg(long)]
    pub host: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// # Errors
/// 125 without a token; 126 or 127 where the command can't be run or found.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, Fault> {
    let reply = token::fetch(global, Client::Exec, options.host.as_deref(), NOT_RUN)?;
    let missing = || Fault::new(NOT_RUN, "the broker's answer lacks a part");
    let (secret, host) = (reply.text("password").ok_or_else(missing)?, reply.text("host").ok_or_else(missing)?);
    let (program, arguments) = options.command.split_first().ok_or_else(missing)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for name in VARIABLES {
        if environment::text(name).is_some_and(|value| is_installation_token(&value)) {
            command.env_remove(name);
        }
    }
    if is_github(host) {
        command.env("GH_TOKEN", secret).env("GITHUB_TOKEN", secret);
    } else {
        // gh gives GH_TOKEN to github.com and its subdomains only, and this to
        // whatever other host it is pointed at (gh help environment).
        command.env("GH_ENTERPRISE_TOKEN", secret).env("GH_HOST", host);
        command.env_remove("GITHUB_ENTERPRISE_TOKEN").env_remove("GH_TOKEN").env_remove("GITHUB_TOKEN");
    }
    let error = command.exec();
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
    Err(Fault::new(status, format!("can't run {}: {error}", program.display())))
}

/// Hosts whose token gh reads from `GH_TOKEN`.
fn is_github(host: &str) -> bool {
    host == "github.com" || host == "gist.github.com" || host.ends_with(".ghe.com")
}
