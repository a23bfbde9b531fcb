//! Checks for logins in `~/.netrc`: git's HTTP library tries them before git asks a helper (curl's
//! `CURLOPT_NETRC`; the format is in the manual of ftp(1)).

use std::io::ErrorKind;
use std::path::Path;

use super::Scene;
use super::finding::{Finding, Remedy};
use crate::system::bounded_file;
use crate::system::text::{shell_path, visible};

const CHECK: &str = "netrc";

/// Names of the files. Python's requests reads the second one, and git doesn't.
const FILES: [&str; 2] = [".netrc", "_netrc"];

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let Some(home) = scene.home() else { return Vec::new() };
    let found: Vec<Finding> = FILES.iter().filter_map(|name| check_file(scene, &home.join(name), name)).collect();
    if found.is_empty() { vec![Finding::ok(CHECK, "no login in ~/.netrc for a managed host")] } else { found }
}

fn check_file(scene: &Scene, file: &Path, name: &str) -> Option<Finding> {
    let text = match bounded_file::text(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            let what = format!("{} can't be read: {error}", file.display());
            return Some(Finding::warn(CHECK, what, Remedy::command(format!("ls -l {}", shell_path(file)))));
        }
    };
    let is_ours = |machine: &NetrcMachine<'_>| machine.is_for(|host| scene.manages(host));
    let ours: Vec<NetrcMachine<'_>> = parse_machines(&text).into_iter().filter(is_ours).collect();
    let names: Vec<String> = ours.iter().map(NetrcMachine::name).collect();
    let names = (!names.is_empty()).then(|| visible(&names.join(" and ")))?;
    let shown = file.display();
    let remedy = removal(&text, file, &ours).filter(|(_, rest)| !parse_machines(rest).iter().any(is_ours)).map_or_else(
        || format!("remove the entries for {names} from {shown}").into(),
        |(line, _)| Remedy::command(line),
    );
    if name == FILES[0] {
        let what = format!("{shown} has a login for {names}, which git uses before it asks the broker");
        return Some(Finding::fail(CHECK, what, remedy));
    }
    let what = format!("{shown} has a login for {names}, which Python's requests uses");
    Some(Finding::warn(CHECK, what, remedy))
}

/// An entry of the file: for one host, or for all hosts without an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NetrcMachine<'t> {
    Host(&'t str),
    Default,
}

impl NetrcMachine<'_> {
    fn is_for(&self, managed: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Host(host) => managed(&host.to_ascii_lowercase()),
            Self::Default => true,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Host(host) => (*host).to_owned(),
            Self::Default => "every host without an entry (`default`)".to_owned(),
        }
    }
}

/// Returns all entries in their order. Values are skipped, so that a password `machine` doesn't
/// count as an entry.
fn parse_machines(text: &str) -> Vec<NetrcMachine<'_>> {
    let mut machines = Vec::new();
    let mut words = without_macros(text).flat_map(str::split_whitespace);
    while let Some(word) = words.next() {
        match word {
            "machine" => machines.extend(words.next().map(NetrcMachine::Host)),
            "default" => machines.push(NetrcMachine::Default),
            "login" | "password" | "account" => drop(words.next()),
            _ => {}
        }
    }
    machines
}

/// Returns the lines outside of macros. A macro ends with an empty line.
fn without_macros(text: &str) -> impl Iterator<Item = &str> {
    let mut in_macro = false;
    text.lines().filter(move |line| {
        in_macro = (in_macro || line.trim_start().starts_with("macdef")) && !line.trim().is_empty();
        !in_macro
    })
}

/// Returns the command that removes these entries, and the text that it leaves. It finds only
/// entries whose first word is the first one on its line.
fn removal(text: &str, file: &Path, entries: &[NetrcMachine<'_>]) -> Option<(String, String)> {
    let plain = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let mut conditions = Vec::new();
    for entry in entries {
        let condition = match entry {
            NetrcMachine::Host(host) => plain(host).then(|| format!("$2==\"{host}\""))?,
            NetrcMachine::Default => "$1==\"default\"".to_owned(),
        };
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    let mut dropping = false;
    let rest = text.lines().filter(|line| {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if ["machine", "default", "macdef"].contains(&first) {
            dropping = entries.iter().any(|entry| match entry {
                NetrcMachine::Host(host) => first == "machine" && second == *host,
                NetrcMachine::Default => first == "default",
            });
        }
        !dropping
    });
    let rest = rest.map(|line| format!("{line}\n")).collect();
    let program = format!("/^[ \\t]*(machine|default|macdef)/{{drop={}}}!drop", conditions.join("||"));
    let (file, new) = (shell_path(file), shell_path(&file.with_extension("new")));
    Some((format!("(umask 077 && awk '{program}' {file} >{new} && cat {new} >{file} && rm {new})"), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "machine github.com\n  login x\n  password machine\nmachine a.example login y password z\n\
                        macdef init\nmachine in.a.macro\n\ndefault login d\n  password default\n";

    #[test]
    fn values_and_macros_are_not_taken_for_entries() {
        assert_eq!(
            parse_machines(TEXT),
            [NetrcMachine::Host("github.com"), NetrcMachine::Host("a.example"), NetrcMachine::Default]
        );
    }

    #[test]
    fn a_removal_leaves_the_other_entries() {
        let (command, rest) =
            removal(TEXT, Path::new("/h/.netrc"), &[NetrcMachine::Host("github.com"), NetrcMachine::Default]).unwrap();
        assert_eq!(rest, "machine a.example login y password z\nmacdef init\nmachine in.a.macro\n\n");
        assert!(
            command.contains("'/^[ \\t]*(machine|default|macdef)/{drop=$2==\"github.com\"||$1==\"default\"}!drop'")
        );
        assert!(removal(TEXT, Path::new("/h/.netrc"), &[NetrcMachine::Host("a'b")]).is_none());
    }
}
