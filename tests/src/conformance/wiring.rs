//! Checks of the image's content.

use super::{Verdict, must, said};
use crate::docker::{City, Container, ExecOptions};
use crate::ledger::TokenState;

const ASKPASS: &str = "/usr/local/bin/molecule-askpass";
const OLD_HELPER: &str = "/app/scripts/molecule-git-token-helper.sh";
const OLD_REFRESHER: &str = "/app/scripts/molecule-gh-token-refresh.sh";
const GITHUB: &str = "protocol=https\nhost=github.com\n\n";

pub(super) fn askpass(city: &City, container: &Container) -> Verdict {
    program(city, container, ASKPASS)
}

pub(super) fn helper(city: &City, container: &Container) -> Verdict {
    program(city, container, "$(command -v git-credential-molecule)")
}

/// Checks that the agent can execute the program, and that only root can change
/// it.
fn program(city: &City, container: &Container, path: &str) -> Verdict {
    let ran = container.sh(
        city,
        &format!(
            "p={path}; [ -n \"$p\" ] && [ -e \"$p\" ] || {{ echo missing; exit 1; }}\n\
             [ -x \"$p\" ] || {{ echo not executable; exit 1; }}\n\
             [ ! -w \"$p\" ] || {{ echo the agent can change it; exit 1; }}\n\
             [ \"$(stat -L -c %u \"$p\")\" = 0 ] || {{ echo not owned by root; exit 1; }}"
        ),
    );
    must(ran.success(), || said(city, &ran))
}

pub(super) fn daemon(city: &City, container: &Container) -> Verdict {
    let path = "$(command -v molecule-broker)";
    program(city, container, path)?;
    let ran = container.sh(city, &format!("[ ! -r {path} ]"));
    must(ran.success(), || String::from("the agent can read it; its mode must be 0711"))
}

/// Checks that each name of the shim answers as its own program.
pub(super) fn names(city: &City, container: &Container) -> Verdict {
    for prompt in ["Password for 'https://x@evil.example': ", "Enter passphrase for key '/home/agent/.ssh/id': "] {
        let ran = container.exec(&ExecOptions::default(), &[ASKPASS, prompt]);
        must(ran.code() == Some(1) && ran.stdout.is_empty(), || {
            format!("asked {prompt:?}, askpass must refuse with status 1; {}", said(city, &ran))
        })?;
    }
    let ran = container.exec(&ExecOptions::default(), &[ASKPASS, "Password for 'https://x-access-token@github.com': "]);
    live(city, ran.stdout.trim()).map_err(|why| format!("askpass gives {why}; {}", said(city, &ran)))?;
    let ran = container.exec(&ExecOptions::default(), &["git-credential-molecule", "capability"]);
    must(ran.stdout.starts_with("version 0\n"), || format!("the helper's capability: {}", said(city, &ran)))
}

pub(super) fn git(city: &City, container: &Container) -> Verdict {
    for host in ["github.com", "gist.github.com"] {
        let ran = container.sh(city, &format!("git config --system --get-all credential.https://{host}.helper"));
        let helpers: Vec<&str> = ran.stdout.lines().collect();
        // By its path, because a name depends on PATH, which cron and sudo
        // replace.
        let is_ours = |helper: &str| helper.starts_with('/') && helper.ends_with("/git-credential-molecule");
        must(matches!(helpers[..], [.., "", helper] if is_ours(helper)), || {
            format!("for {host} the helpers must end with an empty one and the path of ours; {}", said(city, &ran))
        })?;
    }
    Ok(())
}

pub(super) fn old_scripts(city: &City, container: &Container) -> Verdict {
    for words in [&[OLD_HELPER, "_fetch_token"][..], &["bash", OLD_HELPER, "_fetch_token"]] {
        let ran = container.exec(&ExecOptions::default(), words);
        live(city, ran.stdout.trim())
            .map_err(|why| format!("{} gives {why}; {}", words.join(" "), said(city, &ran)))?;
    }
    for words in [&[OLD_HELPER][..], &[OLD_HELPER, "get"]] {
        let ran = container.exec(&ExecOptions { input: GITHUB.into(), ..ExecOptions::default() }, words);
        let password = ran.stdout.lines().find_map(|line| line.strip_prefix("password=")).unwrap_or_default();
        live(city, password).map_err(|why| format!("{} gives {why}; {}", words.join(" "), said(city, &ran)))?;
    }
    let ran = container.sh(city, &format!("timeout 1 {OLD_REFRESHER}"));
    must(ran.code() == Some(124), || format!("{OLD_REFRESHER} must block; {}", said(city, &ran)))
}

/// Checks gh by one of its own aliases, which prints the token that gh was
/// given.
pub(super) fn gh(city: &City, container: &Container) -> Verdict {
    let ran = container.sh(
        city,
        "command -v gh >/dev/null || exit 77\n\
         GH_CONFIG_DIR=$(mktemp -d) && export GH_CONFIG_DIR && cp /city/gh/config.yml \"$GH_CONFIG_DIR\" && gh shown",
    );
    if ran.code() == Some(77) {
        return Ok(());
    }
    live(city, ran.stdout.trim()).map_err(|why| format!("it gets {why}; {}", said(city, &ran)))
}

pub(super) fn shells(city: &City, container: &Container) -> Verdict {
    let shell = if container.sh(city, "command -v bash").success() { "bash" } else { "sh" };
    for options in ["-lc", "-ic"] {
        if shell == "sh" && options == "-ic" {
            continue;
        }
        let ran = container.exec(&ExecOptions::default(), &[shell, options, "echo \"[$GITHUB_TOKEN$GH_TOKEN]\""]);
        must(ran.stdout.contains("[]"), || format!("{shell} {options}: {}", said(city, &ran)))?;
    }
    Ok(())
}

/// Checks that the token is live. The error describes what it is instead.
fn live(city: &City, token: &str) -> Verdict {
    let what = match city.ledger.state_of(token) {
        TokenState::Live => return Ok(()),
        _ if token == city.frozen => "the frozen token",
        TokenState::Expired | TokenState::Revoked => "a dead token",
        TokenState::Unknown if token.is_empty() => "no token",
        TokenState::Unknown => "something else than a token",
    };
    Err(String::from(what))
}
