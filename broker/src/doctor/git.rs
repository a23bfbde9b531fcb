//! Whether git asks our helper first for every host that is ours, and whether
//! its configuration holds tokens that go around it.

use std::path::Path;

use molecule_protocol::origin::Pattern;

use super::git_files::{Entry, entries, printable};
use super::{Finding, Scene};
use crate::config::Origin;
use crate::git_config::names_helper;
use crate::text::shell_word;

const SETUP: &str = "molecule-broker setup-git --system (as root), or --global";

pub(super) fn check(scene: &Scene) -> Vec<Finding> {
    let entries = match entries() {
        Ok(entries) => entries,
        Err(what) => return vec![Finding::fail("git", what, "install git, or correct the file that it names")],
    };
    let mut findings: Vec<Finding> = scene.origins().iter().map(|origin| helpers(origin, &entries)).collect();
    findings.push(askpass(scene, &entries));
    findings.extend(tokens(scene, &entries));
    findings
}

/// The helpers that git would ask for an origin, in its order.
fn helpers(origin: &Origin, entries: &[Entry]) -> Finding {
    let mut asked: Vec<&Entry> = Vec::new();
    for entry in entries.iter().filter(|entry| applies(&entry.key, origin)) {
        if entry.value.is_empty() { asked.clear() } else { asked.push(entry) }
    }
    let Some(ours) = asked.iter().position(|entry| is_ours(&entry.value)) else {
        let what = match asked.first() {
            Some(other) => format!("for {origin} git asks {} ({}) and not the broker", name(other), other.place()),
            None => format!("git doesn't ask the broker for {origin}"),
        };
        return Finding::fail("git-helper", what, SETUP);
    };
    if let Some(before) = asked[..ours].last() {
        let what = format!("for {origin} git asks {} first ({})", name(before), before.place());
        let remedy = format!("{}; then {SETUP}", before.removal());
        return Finding::fail("git-helper", what, remedy);
    }
    if let Some(after) = asked[ours + 1..].iter().find(|entry| !is_ours(&entry.value)) {
        let what = format!(
            "for {origin} git also tells {} ({}) of every login, so it may keep the token",
            name(after),
            after.place()
        );
        let remedy = format!(
            "{}, or add an empty helper and ours behind it: molecule-broker setup-git --global",
            after.removal()
        );
        return Finding::warn("git-helper", what, remedy);
    }
    Finding::ok("git-helper", format!("for {origin} git asks the broker ({})", asked[ours].place()))
}

/// Whether a key is about helpers for this origin. A path in it is taken for
/// any path.
fn applies(key: &str, origin: &Origin) -> bool {
    let Some(middle) = key.strip_prefix("credential.").and_then(|rest| rest.strip_suffix("helper")) else {
        return false;
    };
    let Some(url) = middle.strip_suffix('.') else { return middle.is_empty() };
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let written = format!("{scheme}://{host}").to_ascii_lowercase();
    let Ok(pattern) = Pattern::parse(&written) else { return false };
    let one = molecule_protocol::origin::Origin { scheme: origin.scheme, host: &origin.host, port: origin.port };
    if origin.wildcard { pattern.to_string() == origin.to_string() } else { pattern.names(&one).is_some() }
}

fn is_ours(value: &str) -> bool {
    names_helper(value)
}

fn name(entry: &Entry) -> String {
    let value = printable(&entry.value);
    match entry.value.contains("auth git-credential") {
        true => format!("gh's own helper '{value}', as `gh auth setup-git` writes it,"),
        false => format!("the helper '{value}'"),
    }
}

/// The variable stands above git's own key.
fn askpass(scene: &Scene, entries: &[Entry]) -> Finding {
    let key = entries
        .iter()
        .rev()
        .find(|entry| entry.key == "core.askpass")
        .map(|entry| (entry.value.clone(), entry.place()));
    let set = scene.env.var("GIT_ASKPASS").map(|path| (path, "GIT_ASKPASS".to_owned())).or(key);
    let Some((program, place)) = set else { return Finding::ok("askpass", "not set, git asks the helper") };
    let shown = crate::text::outside(&program);
    let there = if program.contains('/') { Path::new(&program).exists() } else { !scene.on_path(&program).is_empty() };
    if there {
        return Finding::ok("askpass", format!("{shown} ({place})"));
    }
    let what = format!("{shown}, which {place} names, isn't there: git can't ask it");
    Finding::fail(
        "askpass",
        what,
        format!("install the shim there: ln -s git-credential-molecule {}", shell_word(&shown)),
    )
}

/// Tokens in remotes and headers: git uses them before it asks anybody, they
/// die within the hour, and every reader of the file has them.
fn tokens(scene: &Scene, entries: &[Entry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in entries {
        let key = entry.key.as_str();
        if key.ends_with(".extraheader") && entry.value.to_ascii_lowercase().starts_with("authorization:") {
            let what = format!("{} sends a login of its own with every request ({})", printable(key), entry.place());
            findings.push(Finding::fail("git-token", what, entry.removal()));
        }
        let is_url = key.starts_with("remote.") && (key.ends_with(".url") || key.ends_with(".pushurl"));
        if is_url && let Some((host, bare)) = with_token(&entry.value) {
            let what = format!("{} carries a login in its URL ({})", printable(key), entry.place());
            let remote = key.trim_start_matches("remote.").trim_end_matches(".url").trim_end_matches(".pushurl");
            let remedy = set_url(remote, &bare, entry);
            let managed = scene.manages(&host);
            findings.push(if managed {
                Finding::fail("git-token", what, remedy)
            } else {
                Finding::warn("git-token", what, remedy)
            });
        }
        let rewritten = key.strip_prefix("url.").and_then(|k| k.rsplit_once('.')).and_then(|(url, _)| with_token(url));
        if rewritten.is_some() {
            let what = format!("a url.….insteadOf puts a login into URLs ({})", entry.place());
            findings.push(Finding::fail("git-token", what, "remove that section from the file"));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("git-token", "no remote and no header carries a token"));
    }
    findings
}

/// A URL that would not come out whole is left to its file.
fn set_url(remote: &str, bare: &str, entry: &Entry) -> String {
    if printable(remote) == remote && printable(bare) == bare {
        format!("git remote set-url -- {} {}", shell_word(remote), shell_word(bare))
    } else {
        format!("take the login out of the URL in {}", entry.place())
    }
}

/// The host of a URL that carries a password or a token, and the URL without.
fn with_token(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://").filter(|(s, _)| s.starts_with("http"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, host) = authority.rsplit_once('@')?;
    let prefixes = ["ghs_", "ghp_", "gho_", "ghu_", "github_pat_", "glpat-"];
    let is_token = login.contains(':') || prefixes.iter().any(|prefix| login.starts_with(prefix));
    let name = host.split_once(':').map_or(host, |(name, _)| name).to_owned();
    is_token.then(|| (name, format!("{scheme}://{host}/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        let Pattern { scheme, wildcard, host, port } = Pattern::parse(text).unwrap();
        Origin { scheme, wildcard, host: host.into(), port }
    }

    #[test]
    fn keys_apply_to_the_hosts_that_git_applies_them_to() {
        for key in [
            "credential.helper",
            "credential.https://github.com.helper",
            "credential.https://u@github.com/a/b.helper",
            "credential.https://*.com.helper",
        ] {
            assert!(applies(key, &origin("github.com")), "{key}");
        }
        for key in [
            "credential.https://gist.github.com.helper",
            "credential.http://github.com.helper",
            "credential.username",
            "xcredential.helper",
        ] {
            assert!(!applies(key, &origin("github.com")), "{key}");
        }
        assert!(applies("credential.https://*.ghe.com.helper", &origin("*.ghe.com")));
    }

    #[test]
    fn urls_with_tokens_are_told_from_those_with_user_names() {
        assert_eq!(
            with_token("https://x-access-token:ghs_a@github.com/o/r").unwrap(),
            ("github.com".into(), "https://github.com/o/r".into())
        );
        assert!(with_token("https://ghp_abc@github.com:8443/o/r").is_some());
        for plain in ["https://me@github.com/o/r", "git@github.com:o/r", "ssh://git:x@github.com/o", "/a@b:c/d"] {
            assert_eq!(with_token(plain), None, "{plain}");
        }
    }

    #[test]
    fn our_helper_is_known_by_every_name() {
        for value in [
            "molecule",
            "/usr/local/bin/git-credential-molecule",
            "!/app/scripts/molecule-git-token-helper.sh get",
            "!bash /x/molecule-git-token-helper.sh",
        ] {
            assert!(is_ours(value), "{value}");
        }
        assert!(!is_ours("store") && !is_ours("!/usr/bin/gh auth git-credential"));
    }
}
