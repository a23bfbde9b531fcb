//! `setup-git`: configures git to use the credential helper, in git's files with `git config`, or
//! by variables.

mod git_file;
mod git_text;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use molecule_protocol::origin::Pattern;

use self::git_file::GitFile;
use super::{ExitError, Global, launch};
use crate::config::OriginPattern;
use crate::git_config::variables::{self, LONGEST};
use crate::git_config::{Wiring, installed};
use crate::system::exit::{BAD_CONFIGURATION, FAILED};
use crate::system::{environment, text};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Write the configuration of all users of this machine or image
    #[arg(long, conflicts_with_all = ["global", "env"])]
    pub system: bool,
    /// Write this user's own configuration (the default)
    #[arg(long, conflicts_with = "env")]
    pub global: bool,
    /// Host or origin to configure; can be repeated [default: all origins of the broker's configuration]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Print variables for a shell instead, which no repository's configuration can undo
    #[arg(long)]
    pub env: bool,
    /// Remove what this command wrote, for the named hosts or for all
    #[arg(long, conflicts_with = "env")]
    pub remove: bool,
}

/// # Errors
/// Returns status 2 for a bad configuration or host, and 1 if git can't write or the helper isn't
/// installed.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    let file = GitFile(if options.system { "--system" } else { "--global" });
    let done = if options.remove {
        remove(&file, options)?
    } else {
        let wiring = resolve_wiring(global, options)?;
        let helper = installed::helper_value().map_err(|missing| ExitError::new(FAILED, missing))?;
        if options.env { shell_exports(&wiring, &helper)? } else { write(&file, &wiring, &helper)? }
    };
    print(if done.is_empty() { "nothing to change\n" } else { &done })?;
    Ok(ExitCode::SUCCESS)
}

fn write(file: &GitFile, wiring: &Wiring, helper: &str) -> Result<String, ExitError> {
    let mut done = String::new();
    for key in &wiring.keys {
        if file.claim(key, helper)? {
            done.push_str(&format!("set {key}\n"));
        }
    }
    if wiring.open && file.set_askpass(&installed::askpass_path().to_string_lossy())? {
        done.push_str(
            "set core.askPass, for the persona without a scope; name its hosts in MOLECULE_BROKER_PERSONA_HOSTS\n",
        );
    }
    Ok(done)
}

/// Removes our entries from git's file. The configuration that named the hosts may be gone, so it
/// isn't read.
fn remove(file: &GitFile, options: &Options) -> Result<String, ExitError> {
    let named = Wiring::from_origins(&parse_origins(&options.host)?).keys;
    let is_meant = |key: &str| options.host.is_empty() || named.iter().any(|name| name.eq_ignore_ascii_case(key));
    Ok(file.release(is_meant)?.iter().map(|key| format!("removed {}\n", text::visible(key))).collect())
}

fn resolve_wiring(global: &Global, options: &Options) -> Result<Wiring, ExitError> {
    if options.host.is_empty() {
        // An image that is being built has no folder for the socket yet.
        let global = Global { socket: Some(launch::client_socket(global)), ..global.clone() };
        let config = launch::config(&global).map_err(|problems| ExitError::new(BAD_CONFIGURATION, problems))?;
        return Ok(Wiring::from_config(&config));
    }
    Ok(Wiring::from_origins(&parse_origins(&options.host)?))
}

fn parse_origins(hosts: &[String]) -> Result<Vec<OriginPattern>, ExitError> {
    hosts.iter().map(|text| parse_origin(text)).collect()
}

fn parse_origin(text: &str) -> Result<OriginPattern, ExitError> {
    let lower = text.trim_end_matches('/').to_ascii_lowercase();
    let pattern = Pattern::parse(&lower).map_err(|bad| {
        let text = text::untrusted(text);
        ExitError::new(
            BAD_CONFIGURATION,
            format!("--host: '{text}' isn't a valid origin: {bad}; expected host, host:port or scheme://host[:port]"),
        )
    })?;
    Ok(pattern.map_host(Box::from))
}

/// Returns assignments that any shell takes, and one line that exports them.
fn shell_exports(wiring: &Wiring, helper: &str) -> Result<String, ExitError> {
    let mut changed = variables::append_settings(&wiring.settings(helper), environment::raw);
    let (name, value) = variables::no_prompt();
    changed.push((name, value.into()));
    let mut out = String::new();
    for (name, value) in &changed {
        out.push_str(&format!("{name}={}\n", text::shell_word(checked_value(name, value)?)));
    }
    let names: Vec<&str> = changed.iter().map(|(name, _)| name.as_str()).collect();
    out.push_str(&format!("export {}\n", names.join(" ")));
    Ok(out)
}

/// Returns the value as text, if it is short enough for a variable.
fn checked_value<'v>(name: &str, value: &'v OsString) -> Result<&'v str, ExitError> {
    if value.len() > LONGEST {
        let what = format!("{name} would have {} bytes, and the limit is {LONGEST}", value.len());
        return Err(ExitError::new(FAILED, format!("{what}; use --system or --global")));
    }
    value.to_str().ok_or_else(|| ExitError::new(FAILED, format!("{name} isn't UTF-8; unset it, or use --global")))
}

fn print(text: &str) -> Result<(), ExitError> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(|error| ExitError::new(FAILED, error))
}
