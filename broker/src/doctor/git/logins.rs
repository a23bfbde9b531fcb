//! Checks for URLs and headers that bypass the broker: with a login of their own, by ssh, or to a
//! host that no credential covers.

use super::super::Scene;
use super::super::finding::{Finding, Remedy};
use super::files::{self, GitEntry, GitScope, escape_regex, printable};
use super::fresh_variables;
use super::urls::{Url, apply_rewrites, parse_rewrite_key};
use crate::system::text::shell_word;

const TOKEN: &str = "git-token";
const SSH: &str = "git-ssh";
const REMOTE: &str = "git-remote";

pub(super) fn check(scene: &Scene, entries: &[GitEntry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tracked = files::tracked();
    for entry in entries.iter().chain(&tracked) {
        let found = match parse_rewrite_key(&entry.key) {
            Some((base, _)) => check_rewrite(scene, entry, base),
            None if is_header(entry) => Some(header_finding(entry)),
            None if holds_url(&entry.key) => check_url(scene, entry, entries),
            None => None,
        };
        findings.extend(found.filter(|found| !findings.contains(found)));
    }
    for (check, good) in [
        (TOKEN, "no URL and no header carries a token"),
        (SSH, "no URL of a managed host goes by ssh"),
        (REMOTE, "each remote's host has a credential, or there is no remote"),
    ] {
        if !findings.iter().any(|finding| finding.check == check) {
            findings.push(Finding::ok(check, good));
        }
    }
    findings
}

fn is_header(entry: &GitEntry) -> bool {
    entry.key.ends_with(".extraheader") && entry.value.to_ascii_lowercase().starts_with("authorization:")
}

/// Returns the finding for a header with a login. git uses it before it asks a helper, it expires
/// within the hour, and every reader of the file knows it. The same is true of logins in URLs.
fn header_finding(entry: &GitEntry) -> Finding {
    let what = format!("{} sends a login of its own with every request ({})", printable(&entry.key), entry.place());
    Finding::fail(TOKEN, what, entry.removal())
}

/// True for the keys of git and git-lfs whose value is a URL, or a remote's name instead
/// (git-config(1), git-lfs-config(5)).
fn holds_url(key: &str) -> bool {
    if ["lfs.url", "lfs.pushurl", "remote.pushdefault"].contains(&key) {
        return true;
    }
    let names: &[&str] = match key.split('.').next() {
        Some("remote") => &[".url", ".pushurl", ".lfsurl", ".lfspushurl"],
        Some("submodule") => &[".url"],
        Some("branch") => &[".remote", ".pushremote"],
        _ => &[],
    };
    names.iter().any(|name| key.ends_with(name))
}

fn check_url(scene: &Scene, entry: &GitEntry, entries: &[GitEntry]) -> Option<Finding> {
    let written = Url::parse(&entry.value)?;
    if written.carries_login() {
        return Some(login_finding(scene, entry, entries, &written));
    }
    let effective = apply_rewrites(&entry.value, entries);
    let leads = Url::parse(&effective)?;
    if leads.is_ssh() && !written.is_http() {
        return check_ssh(scene, entry, entries, &leads);
    }
    let covered = leads.is_named_by(&scene.origins()) || leads.scheme == "https" && scene.unscoped().is_some();
    if !leads.is_http() || covered {
        return None;
    }
    let (key, place) = (printable(&entry.key), entry.place());
    let what = format!("no credential covers {}, where {key} leads ({place})", leads.host_url());
    let remedy = "name that host in MOLECULE_BROKER_HOSTS, or in `origins` of a credential in the configuration file; do nothing if it needs no login";
    Some(Finding::warn(REMOTE, what, remedy))
}

fn login_finding(scene: &Scene, entry: &GitEntry, entries: &[GitEntry], written: &Url<'_>) -> Finding {
    let what = format!("{} carries a login in its URL ({})", printable(&entry.key), entry.place());
    let remedy = replace_value(entry, entries, &written.without_login());
    let level = if scene.manages(&written.host) { Finding::fail } else { Finding::warn };
    level(TOKEN, what, remedy)
}

fn check_ssh(scene: &Scene, entry: &GitEntry, entries: &[GitEntry], leads: &Url<'_>) -> Option<Finding> {
    let host = leads.https_host();
    let origin = scene.managed_origin(host)?;
    let (key, place) = (printable(&entry.key), entry.place());
    let what = format!("{key} goes to {host} by ssh, where the broker's credential isn't used ({place})");
    let port = origin.port.map_or_else(String::new, |port| format!(":{port}"));
    let https = format!("{}://{host}{port}/", origin.scheme.name());
    let remedy = if entry.scope == GitScope::Tracked {
        rewrite_to_https(entry, leads, &https)
    } else {
        replace_value(entry, entries, &format!("{https}{}", leads.path.trim_start_matches('/')))
    };
    Some(Finding::warn(SSH, what, remedy))
}

/// Returns the remedy for a URL that the repository's authors chose: the URL stays, and git reads
/// it as an https URL.
fn rewrite_to_https(entry: &GitEntry, url: &Url<'_>, https: &str) -> Remedy {
    let prefix = format!("{}{}", url.before_path, if url.path.starts_with('/') { "/" } else { "" });
    if prefix.starts_with('-') || printable(&entry.value.replace("://git@", "://")).contains("[redacted]") {
        return format!("correct the URL in {}", entry.place()).into();
    }
    let key = shell_word(&format!("url.{https}.insteadOf"));
    Remedy::command(format!("git config --global --add {key} {}", shell_word(&prefix)))
}

/// Checks an entry `url.BASE.insteadOf = PREFIX`.
fn check_rewrite(scene: &Scene, entry: &GitEntry, base: &str) -> Option<Finding> {
    let leads = Url::parse(base)?;
    if leads.carries_login() {
        let what = format!("a url.….insteadOf puts a login into URLs ({})", entry.place());
        return Some(Finding::fail(TOKEN, what, remove_section(entry, &leads)));
    }
    let from = Url::parse(&entry.value).filter(|from| from.is_http() && scene.manages(&from.host))?;
    let to_ssh = leads.is_ssh() && scene.manages(leads.https_host());
    to_ssh.then(|| {
        let what = format!(
            "{} leads https URLs of {} to ssh, where the broker's credential isn't used ({})",
            printable(&entry.key),
            from.host,
            entry.place()
        );
        let pattern = format!("^{}$", escape_regex(&entry.value));
        let is_printable = printable(&entry.value) == entry.value;
        let removal = if is_printable { entry.edit_command("--unset-all ", &[&pattern]) } else { None };
        let remedy = removal.map_or_else(|| entry.removal(), Remedy::command);
        Finding::warn(SSH, what, remedy)
    })
}

/// Returns the remedy that gives an entry another value: a command, or words if a command can't be
/// shown completely. Of several values, the old one is found by the parts that aren't secret.
fn replace_value(entry: &GitEntry, entries: &[GitEntry], new: &str) -> Remedy {
    if entry.scope == GitScope::Command {
        return fresh_variables();
    }
    let same = entries.iter().filter(|e| (&e.origin, &e.key) == (&entry.origin, &entry.key)).count();
    let old = Url::parse(&entry.value).map(|url| format!("^{}{}$", prefix_pattern(&url), escape_regex(url.path)));
    let command = if same > 1 {
        old.and_then(|old| entry.edit_command("--replace-all ", &[new, &old]))
    } else {
        entry.edit_command("", &[new])
    };
    let is_complete = printable(new) == new && !new.contains(['?', '#']);
    let words = || format!("correct the URL in {}", entry.place()).into();
    command.filter(|_| is_complete).map_or_else(words, Remedy::command)
}

/// Returns the command that removes the section of a URL with a login. The key contains the login,
/// so the command finds it by the rest of the key.
fn remove_section(entry: &GitEntry, base: &Url<'_>) -> Remedy {
    let Some(git_config) = entry.git_config() else { return fresh_variables() };
    let pattern = format!("^url\\.{}{}\\.(push)?insteadof$", prefix_pattern(base), escape_regex(base.path));
    let is_complete = printable(base.path) == base.path;
    let command = format!(
        "{git_config} --name-only --get-regexp {} | sort -u | while IFS= read -r key; do {git_config} --unset-all \"$key\"; done",
        shell_word(&pattern)
    );
    if is_complete { Remedy::command(command) } else { format!("remove that section from {}", entry.place()).into() }
}

/// Returns a regular expression for everything before the path, with any login.
fn prefix_pattern(url: &Url<'_>) -> String {
    match (url.before_path.split_once("://"), url.before_path.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{}://[^/]*@{}", escape_regex(scheme), escape_regex(host)),
        _ => escape_regex(url.before_path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_for_a_url_has_no_login_in_it() {
        let url = Url::parse("HTTPS://x:ghs_canary@GitHub.com:8443/o/r.git").unwrap();
        assert_eq!(prefix_pattern(&url), r"HTTPS://[^/]*@GitHub\.com:8443/");
        assert_eq!(prefix_pattern(&Url::parse("git@github.com:o/r").unwrap()), r"git@github\.com:");
    }

    #[test]
    fn keys_that_hold_urls_are_known() {
        for key in ["remote.a.b.pushurl", "submodule.x.url", "lfs.url", "branch.main.remote", "remote.o.lfsurl"] {
            assert!(holds_url(key), "{key}");
        }
        for key in ["remote.a.fetch", "branch.main.merge", "url.x.insteadof", "lfs.locksverify"] {
            assert!(!holds_url(key), "{key}");
        }
    }
}
