//! Checks of the running image.

use std::time::Duration;

use super::{Verdict, must, processes, said};
use crate::docker::{City, Container, ExecOptions, PATIENCE};
use crate::git_host::CredentialState;
use crate::wait::poll;
use crate::world::RunResult;

const CLONE: &str = "GIT_TERMINAL_PROMPT=0 git ls-remote https://github.com/acme/app.git";
const FROZEN: [&str; 2] = ["GITHUB_TOKEN", "GH_TOKEN"];

pub(super) fn serves(city: &City, container: &Container) -> Verdict {
    let ran = container.sh(city, "molecule-broker status --strict");
    must(ran.success(), || said(city, &ran))
}

pub(super) fn git_in_a_shell(city: &City, container: &Container) -> Verdict {
    fetched(city, || container.sh(city, CLONE))
}

/// Runs git with the variables of the agent's own processes.
pub(super) fn git_of_the_agent(city: &City, container: &Container) -> Verdict {
    let script = agents_variables(container)?;
    fetched(city, || container.sh(city, &(script + CLONE)))
}

/// Runs git as Gemini CLI starts each command: without askpass and
/// configuration files, and with an empty helper after the counted
/// configuration entries.
pub(super) fn git_of_gemini_cli(city: &City, container: &Container) -> Verdict {
    let script = agents_variables(container)?
        + "export GIT_ASKPASS= SSH_ASKPASS= GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null\n\
           export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_KEY_${GIT_CONFIG_COUNT:-0}=credential.helper\n\
           export GIT_CONFIG_VALUE_${GIT_CONFIG_COUNT:-0}= GIT_CONFIG_COUNT=$((${GIT_CONFIG_COUNT:-0} + 1))\n";
    fetched(city, || container.sh(city, &(script + CLONE)))
}

/// Runs git in the environment of cron and of sudo's `secure_path`.
pub(super) fn git_without_an_environment(city: &City, container: &Container) -> Verdict {
    let bare =
        "env -i PATH=/usr/bin:/bin HOME=\"$HOME\" https_proxy=\"$https_proxy\" GIT_SSL_CAINFO=\"$GIT_SSL_CAINFO\" ";
    fetched(city, || container.sh(city, &(bare.to_owned() + CLONE)))
}

fn agents_variables(container: &Container) -> Result<String, String> {
    let processes = processes::of_the_agent(container);
    let seen = processes.iter().find(|process| !process.environment.is_empty());
    let Some(process) = seen else {
        return Err(String::from("the agent has no process whose environment can be read"));
    };
    let mut script = String::from("unset GITHUB_TOKEN GH_TOKEN GIT_ASKPASS\n");
    for (name, value) in &process.environment {
        if name.starts_with("GIT_") || name.starts_with("MOLECULE_") || FROZEN.contains(&name.as_str()) {
            script.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
        }
    }
    Ok(script)
}

/// Checks that git got what it requested and that no dead token was shown to
/// the host.
fn fetched(city: &City, git: impl FnOnce() -> RunResult) -> Verdict {
    let (live, dead) = (city.host.shown_count(CredentialState::Live), city.host.dead_shown());
    let ran = git();
    must(ran.success() && city.host.shown_count(CredentialState::Live) > live, || said(city, &ran))?;
    must(city.host.dead_shown() == dead, || String::from("a dead token was shown to the host first"))
}

pub(super) fn frozen(_: &City, container: &Container) -> Verdict {
    let processes = processes::of_the_agent(container);
    must(processes.iter().any(|process| !process.environment.is_empty()), || {
        String::from("the agent has no process whose environment can be read")
    })?;
    let holders = processes.into_iter().filter(|process| {
        let mut variables = process.environment.iter();
        variables.any(|(name, value)| FROZEN.contains(&name.as_str()) && value.starts_with("ghs_"))
    });
    let holders: Vec<String> = holders.map(|process| format!("{} (pid {})", process.name, process.pid)).collect();
    must(holders.is_empty(), || format!("it is in the environment of {}", holders.join(", ")))
}

pub(super) fn scope(city: &City, container: &Container) -> Verdict {
    let before = city.evil.shown().len();
    for host in ["evil.example", "github.com.evil.example"] {
        container
            .sh(city, &format!("GIT_SSL_NO_VERIFY=1 GIT_TERMINAL_PROMPT=0 git ls-remote https://{host}/acme/app.git"));
    }
    must(city.evil.anonymous_count() > 0, || String::from("git didn't even reach another host"))?;
    must(city.evil.shown().len() == before, || String::from("another host was shown a credential"))
}

pub(super) fn health(_: &City, container: &Container) -> Verdict {
    let status = || container.inspect("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}");
    must(status() != "none", || String::from("the image has no HEALTHCHECK"))?;
    let settled = poll(Duration::from_secs(45), || Some(status()).filter(|status| status != "starting"));
    must(settled.as_deref() == Some("healthy"), || format!("it is {}", status()))
}

/// Refreshes the token. The old one is revoked as soon as there is a new one.
pub(super) fn rotation(city: &City, container: &Container) -> Verdict {
    let old = container.token().ok_or("the agent gets no token")?;
    let ran = container.sh_as_root("molecule-broker refresh");
    must(ran.success(), || format!("refresh: {}", said(city, &ran)))?;
    city.ledger.revoke(&old);
    let new = container.token().ok_or("the agent gets no token after the refresh")?;
    must(new != old, || String::from("the old token is still given"))?;
    git_in_a_shell(city, container)?;
    git_of_the_agent(city, container)
}

/// Kills the daemon while the platform is down, so that it can't get a new
/// token.
pub(super) fn killed(city: &City, container: &Container) -> Verdict {
    let token = container.token().ok_or("the agent gets no token")?;
    let pid = container.daemon().ok_or("the broker's status has no pid")?;
    city.platform.refuse_connections();
    container.sh_as_root(&format!("kill -9 {pid}"));
    let git = git_in_a_shell(city, container);
    let another = poll(PATIENCE, || container.daemon().filter(|now| *now != pid));
    let after = container.token();
    city.platform.accept_connections();
    git?;
    must(another.is_some(), || String::from("no other daemon was started"))?;
    must(after.is_some_and(|after| after == token), || String::from("the token has changed or is missing"))
}

/// Searches the container's own files, and files in memory.
pub(super) fn disk(city: &City, container: &Container) -> Verdict {
    let tokens: Vec<String> = city.ledger.all().into_iter().map(|minted| minted.token).collect();
    // The patterns come on standard input, so that they are in no argv.
    let script = "cat >/dev/shm/patterns; \
                  grep -a -l -r -F -f /dev/shm/patterns --exclude=patterns / \
                  --exclude-dir=proc --exclude-dir=sys --exclude-dir=city 2>/dev/null; \
                  rm /dev/shm/patterns";
    let input = tokens.join("\n");
    let ran = container.exec(&ExecOptions { user: Some("0"), input, ..ExecOptions::default() }, &["sh", "-c", script]);
    must(ran.stdout.is_empty(), || format!("in {}", ran.stdout.lines().collect::<Vec<_>>().join(", ")))
}
