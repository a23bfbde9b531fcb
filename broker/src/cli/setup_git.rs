//! `setup-git`: leads git to the helper, by git's own program in its files, or
//! by variables.

use std::io::{self, Write as _};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use molecule_protocol::origin::Pattern;

use super::{Fault, Global, launch};
use crate::config::Origin;
use crate::environment;
use crate::git_config::{ASKPASS, HELPER, Wiring};
use crate::text;

const BAD_CONFIGURATION: u8 = 2;
const FAILED: u8 = 1;

/// git's own status for "there is no such key".
const NO_SUCH_KEY: i32 = 1;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Write the configuration of all users of this machine, or image
    #[arg(long, conflicts_with_all = ["global", "env"])]
    pub system: bool,
    /// Write this user's own configuration (the default)
    #[arg(long, conflicts_with = "env")]
    pub global: bool,
    /// Host or origin, as often as needed [default: all origins of the broker's configuration]
    #[arg(long, value_name = "HOST")]
    pub host: Vec<String>,
    /// Print it as variables for a shell, which no repository's configuration can undo
    #[arg(long)]
    pub env: bool,
}

/// # Errors
/// Status 2 for a bad configuration or host, 1 where git can't write.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, Fault> {
    let wiring = wiring(global, options)?;
    if options.env {
        let existing = wiring.existing(environment::text);
        print(&exports(&wiring.variables(existing)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let scope = Scope(if options.system { "--system" } else { "--global" });
    let mut done = String::new();
    for key in &wiring.keys {
        if scope.claim(key)? {
            done.push_str(&format!("set {key}\n"));
        }
    }
    if wiring.open && scope.set_askpass()? {
        done.push_str(
            "set core.askPass, for the persona without a scope; name its hosts in MOLECULE_BROKER_PERSONA_HOSTS\n",
        );
    }
    if done.is_empty() {
        done.push_str("nothing to change\n");
    }
    print(&done)?;
    Ok(ExitCode::SUCCESS)
}

fn wiring(global: &Global, options: &Options) -> Result<Wiring, Fault> {
    if options.host.is_empty() {
        // Written into an image, where there is no place for a socket yet.
        let global = Global { socket: Some(launch::client_socket(global)), ..global.clone() };
        let config = launch::config(&global).map_err(|problems| Fault::new(BAD_CONFIGURATION, problems))?;
        return Ok(Wiring::of(&config));
    }
    let origins: Result<Vec<Origin>, Fault> = options.host.iter().map(|text| origin(text)).collect();
    Ok(Wiring::only(&origins?))
}

fn origin(text: &str) -> Result<Origin, Fault> {
    let lower = text.trim_end_matches('/').to_ascii_lowercase();
    let Pattern { scheme, wildcard, host, port } = Pattern::parse(&lower).map_err(|bad| {
        let text = text::outside(text);
        Fault::new(
            BAD_CONFIGURATION,
            format!("--host: '{text}' is not an origin: {bad}; expected host, host:port or scheme://host[:port]"),
        )
    })?;
    Ok(Origin { scheme, wildcard, host: host.into(), port })
}

/// One of git's files, written by git itself: it knows where they are, locks
/// them, and keeps what else is in them.
struct Scope(&'static str);

impl Scope {
    /// Makes an empty helper and ours the last word on a key in this file.
    /// Whether there was anything to do.
    fn claim(&self, key: &str) -> Result<bool, Fault> {
        if holds(&self.helpers()?, key) {
            return Ok(false);
        }
        // Taken out and put at the end: a helper for all hosts that stands
        // between the two places would be asked beside ours.
        self.git(&["--unset-all", key], &[0, 5])?;
        self.git(&["--add", key, ""], &[0])?;
        self.git(&["--add", key, HELPER], &[0])?;
        Ok(true)
    }

    /// Every helper in this file, in git's order of reading.
    fn helpers(&self) -> Result<Vec<(String, String)>, Fault> {
        let out = self.git(&["-z", "--get-regexp", r"^credential\.(.*\.)?helper$"], &[0, NO_SUCH_KEY])?;
        let entries = out.split('\0').filter(|entry| !entry.is_empty());
        Ok(entries
            .map(|entry| entry.split_once('\n').unwrap_or((entry, "")))
            .map(|(k, v)| (k.into(), v.into()))
            .collect())
    }

    /// Whether there was anything to do: what somebody set stays.
    fn set_askpass(&self) -> Result<bool, Fault> {
        let set = Command::new("git").args(["config", "--get", "core.askPass"]).stderr(Stdio::null()).output();
        if !set.map_err(no_git)?.stdout.is_empty() {
            return Ok(false);
        }
        self.git(&["core.askPass", ASKPASS], &[0])?;
        Ok(true)
    }

    fn git(&self, arguments: &[&str], fine: &[i32]) -> Result<String, Fault> {
        let output = Command::new("git").arg("config").arg(self.0).args(arguments).output().map_err(no_git)?;
        if output.status.code().is_some_and(|code| fine.contains(&code)) {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        // A file that isn't there is to git an error like any other.
        if fine.contains(&NO_SUCH_KEY) && said.contains("unable to read config file") && said.contains("No such file") {
            return Ok(String::new());
        }
        let remedy =
            if self.0 == "--system" { "run it as root, or with --global" } else { "look at HOME and at that file" };
        Err(Fault::new(FAILED, format!("git config {} failed: {}; {remedy}", self.0, text::outside(said))))
    }
}

/// Whether the list for a key ends with nothing but ours: an empty helper and
/// ours, in this order, and no helper for all hosts read after them.
fn holds(helpers: &[(String, String)], key: &str) -> bool {
    let own: Vec<&str> = helpers.iter().filter(|(k, _)| same_key(k, key)).map(|(_, v)| v.as_str()).collect();
    let after = helpers.iter().rev().take_while(|(k, _)| !same_key(k, key));
    own == ["", HELPER] && after.into_iter().all(|(k, _)| k != "credential.helper")
}

/// git prints section and variable in lower case and keeps the URL as written.
fn same_key(printed: &str, key: &str) -> bool {
    printed.eq_ignore_ascii_case(key)
}

fn no_git(error: io::Error) -> Fault {
    Fault::new(FAILED, format!("git can't be run: {error}; install it, or put it on PATH"))
}

/// Assignments that any shell and any reader of `NAME=value` lines takes, and
/// one line that exports them.
fn exports(variables: &[(String, String)]) -> String {
    let mut out = String::new();
    for (name, value) in variables {
        out.push_str(&format!("{name}={}\n", text::shell_word(value)));
    }
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    out.push_str(&format!("export {}\n", names.join(" ")));
    out
}

fn print(text: &str) -> Result<(), Fault> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(|error| Fault::new(FAILED, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_for_all_hosts_that_is_read_later_undoes_the_setup() {
        let ours = |key: &str| [(key.to_owned(), String::new()), (key.to_owned(), HELPER.to_owned())];
        let general = ("credential.helper".to_owned(), "store".to_owned());
        let key = "credential.https://github.com.helper";
        let mut helpers: Vec<_> = [general.clone()].into_iter().chain(ours(key)).collect();
        assert!(holds(&helpers, key) && !holds(&helpers, "credential.https://gist.github.com.helper"));
        helpers.extend(ours("credential.https://gist.github.com.helper"));
        assert!(holds(&helpers, key));
        helpers.push(general);
        assert!(!holds(&helpers, key));
    }
}
