//! URLs and headers that go around the broker: with a login of their own, by
//! ssh, or to a host that no credential covers.

use super::super::Scene;
use super::super::finding::{Finding, Remedy};
use super::files::{self, GitEntry, GitScope, escaped, printable};
use super::fresh_variables;
use super::urls::{Url, rewrite, rewritten};
use crate::system::text::shell_word;

const TOKEN: &str = "git-token";
const SSH: &str = "git-ssh";
const REMOTE: &str = "git-remote";

pub(super) fn check(scene: &Scene, entries: &[GitEntry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let tracked = files::tracked();
    for entry in entries.iter().chain(&tracked) {
        let found = match rewrite(&entry.key) {
            Some((base, _)) => rewriting(scene, entry, base),
            None if is_header(entry) => Some(header(entry)),
            None if holds_url(&entry.key) => url(scene, entry, entries),
            None => None,
        };
        findings.extend(found.filter(|found| !findings.contains(found)));
    }
    for (check, good) in [
        (TOKEN, "no URL and no header carries a token"),
        (SSH, "no URL of a managed host goes by ssh"),
        (REMOTE, "each remote's host has a credential, or there is none"),
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

/// git uses it before it asks anybody, it dies within the hour, and every
/// reader of the file has it. So do logins in URLs.
fn header(entry: &GitEntry) -> Finding {
    let what = format!("{} sends a login of its own with every request ({})", printable(&entry.key), entry.place());
    Finding::fail(TOKEN, what, entry.removal())
}

/// The keys of git's and git-lfs's that hold a URL, or a remote's name in its
/// place (git-config(1), git-lfs-config(5)).
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

fn url(scene: &Scene, entry: &GitEntry, entries: &[GitEntry]) -> Option<Finding> {
    let written = Url::parse(&entry.value)?;
    if written.carries_login() {
        return Some(login(scene, entry, entries, &written));
    }
    let effective = rewritten(&entry.value, entries);
    let leads = Url::parse(&effective)?;
    if leads.is_ssh() && !written.is_http() {
        return by_ssh(scene, entry, entries, &leads);
    }
    let covered = leads.is_named_by(&scene.origins()) || leads.scheme == "https" && scene.unscoped().is_some();
    if !leads.is_http() || covered {
        return None;
    }
    let (key, place) = (printable(&entry.key), entry.place());
    let what = format!("no credential covers {}, where {key} leads ({place})", leads.bare_host());
    let remedy = "name that host in MOLECULE_BROKER_HOSTS, or in `origins` of a credential in the configuration file; nothing, if it needs no login";
    Some(Finding::warn(REMOTE, what, remedy))
}

fn login(scene: &Scene, entry: &GitEntry, entries: &[GitEntry], written: &Url<'_>) -> Finding {
    let what = format!("{} carries a login in its URL ({})", printable(&entry.key), entry.place());
    let remedy = replacement(entry, entries, &written.bare());
    let level = if scene.manages(&written.host) { Finding::fail } else { Finding::warn };
    level(TOKEN, what, remedy)
}

fn by_ssh(scene: &Scene, entry: &GitEntry, entries: &[GitEntry], leads: &Url<'_>) -> Option<Finding> {
    let host = leads.https_host();
    let origin = scene.managed(host)?;
    let (key, place) = (printable(&entry.key), entry.place());
    let what = format!("{key} goes to {host} by ssh, where the broker's credential isn't used ({place})");
    let port = origin.port.map_or_else(String::new, |port| format!(":{port}"));
    let https = format!("{}://{host}{port}/", origin.scheme.name());
    let remedy = if entry.scope == GitScope::Tracked {
        read_as(entry, leads, &https)
    } else {
        replacement(entry, entries, &format!("{https}{}", leads.path.trim_start_matches('/')))
    };
    Some(Finding::warn(SSH, what, remedy))
}

/// The repository's authors chose that URL: it stays, and is read as another.
fn read_as(entry: &GitEntry, url: &Url<'_>, https: &str) -> Remedy {
    let prefix = format!("{}{}", url.before_path, if url.path.starts_with('/') { "/" } else { "" });
    if prefix.starts_with('-') || printable(&entry.value.replace("://git@", "://")).contains("[redacted]") {
        return format!("correct the URL in {}", entry.place()).into();
    }
    let key = shell_word(&format!("url.{https}.insteadOf"));
    Remedy::command(format!("git config --global --add {key} {}", shell_word(&prefix)))
}

/// `url.BASE.insteadOf = PREFIX`.
fn rewriting(scene: &Scene, entry: &GitEntry, base: &str) -> Option<Finding> {
    let leads = Url::parse(base)?;
    if leads.carries_login() {
        let what = format!("a url.….insteadOf puts a login into URLs ({})", entry.place());
        return Some(Finding::fail(TOKEN, what, section_removal(entry, &leads)));
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
        let pattern = format!("^{}$", escaped(&entry.value));
        let shown = printable(&entry.value) == entry.value;
        let removal = if shown { entry.edit("--unset-all ", &[&pattern]) } else { None };
        let remedy = removal.map_or_else(|| entry.removal(), Remedy::command);
        Finding::warn(SSH, what, remedy)
    })
}

/// Another value for an entry, or words where a command would not come out
/// whole. Of several values the old one is found by what isn't secret in it.
fn replacement(entry: &GitEntry, entries: &[GitEntry], new: &str) -> Remedy {
    if entry.scope == GitScope::Command {
        return fresh_variables();
    }
    let same = entries.iter().filter(|e| (&e.origin, &e.key) == (&entry.origin, &entry.key)).count();
    let old = Url::parse(&entry.value).map(|url| format!("^{}{}$", before_path(&url), escaped(url.path)));
    let command =
        if same > 1 { old.and_then(|old| entry.edit("--replace-all ", &[new, &old])) } else { entry.edit("", &[new]) };
    let whole = printable(new) == new && !new.contains(['?', '#']);
    let words = || format!("correct the URL in {}", entry.place()).into();
    command.filter(|_| whole).map_or_else(words, Remedy::command)
}

/// The key holds the login, so it is looked up by the rest of it.
fn section_removal(entry: &GitEntry, base: &Url<'_>) -> Remedy {
    let Some(git_config) = entry.git_config() else { return fresh_variables() };
    let pattern = format!("^url\\.{}{}\\.(push)?insteadof$", before_path(base), escaped(base.path));
    let whole = printable(base.path) == base.path;
    let command = format!(
        "{git_config} --name-only --get-regexp {} | sort -u | while IFS= read -r key; do {git_config} --unset-all \"$key\"; done",
        shell_word(&pattern)
    );
    if whole { Remedy::command(command) } else { format!("remove that section from {}", entry.place()).into() }
}

/// An expression for all before the path, whatever the login is.
fn before_path(url: &Url<'_>) -> String {
    match (url.before_path.split_once("://"), url.before_path.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{}://[^/]*@{}", escaped(scheme), escaped(host)),
        _ => escaped(url.before_path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_for_a_url_has_no_login_in_it() {
        let url = Url::parse("HTTPS://x:ghs_canary@GitHub.com:8443/o/r.git").unwrap();
        assert_eq!(before_path(&url), r"HTTPS://[^/]*@GitHub\.com:8443/");
        assert_eq!(before_path(&Url::parse("git@github.com:o/r").unwrap()), r"git@github\.com:");
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
