//! `token`: one credential, printed for a script.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use molecule_protocol::answer::AnswerWord;
use molecule_protocol::origin::Pattern;
use molecule_protocol::request::{ClientKind, Request, Verb};
use zeroize::Zeroizing;

use super::{ExitError, Format, Global, launch};
use crate::client::DaemonReply;
use crate::config::GITHUB;
use crate::system::exit::FAILED;
use crate::system::text::shell_word;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Host or origin of the token [default: the first origin of the credential 'github']
    #[arg(long)]
    pub host: Option<String>,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// # Errors
/// Returns status 1. Nothing was printed then.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    let reply = fetch(global, ClientKind::Token, options.host.as_deref(), 1)?;
    let text = formatted(&reply, options.format).ok_or_else(|| {
        ExitError::new(FAILED, "incomplete reply from the broker; are client and daemon of the same version?")
    })?;
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|error| ExitError::new(FAILED, error))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the broker for the credential of a host, or for the default credential.
///
/// # Errors
/// Returns the given status and the broker's reason.
pub fn fetch(global: &Global, client: ClientKind, host: Option<&str>, status: u8) -> Result<DaemonReply, ExitError> {
    let mut request = Request::new(Verb::Get);
    request.client = client;
    request.command = Some(env!("CARGO_PKG_NAME").as_bytes());
    let (scheme, rest) = match host.map(|h| h.split_once("://").unwrap_or(("https", h))) {
        None => {
            request.name = Some(GITHUB);
            (None, None)
        }
        Some((scheme, rest)) => (Some(scheme), Some(rest.trim_end_matches('/'))),
    };
    request.protocol = scheme.map(str::as_bytes);
    request.host = rest.map(str::as_bytes);
    let reply = launch::ask(global, &request, status)?;
    match reply.answer().word {
        AnswerWord::Ok => Ok(reply),
        AnswerWord::Silent => Err(ExitError::new(status, no_credential(host))),
        _ => Err(ExitError::new(status, reply.reasons())),
    }
}

fn no_credential(host: Option<&str>) -> String {
    match host {
        None => format!("no credential '{GITHUB}' with an origin of its own is configured; name a host with --host"),
        Some(host) if Pattern::parse(host).is_err() => {
            format!("--host: '{}' isn't a valid host or origin", crate::system::text::untrusted(host))
        }
        Some(host) => format!(
            "no credential is configured for '{}'; add it to MOLECULE_BROKER_HOSTS or MOLECULE_BROKER_PERSONA_HOSTS, \
             or to the configuration file",
            crate::system::text::untrusted(host)
        ),
    }
}

fn formatted(reply: &DaemonReply, format: Format) -> Option<Zeroizing<String>> {
    let token = reply.text("password")?;
    Some(Zeroizing::new(match format {
        Format::Raw => format!("{token}\n"),
        Format::Env => {
            // The output must work in `eval` too. GitHub's tokens need no quotes.
            let word = Zeroizing::new(shell_word(token));
            format!("GH_TOKEN={}\nGITHUB_TOKEN={}\n", *word, *word)
        }
        Format::Json => {
            let expires_at =
                reply.text("password_expiry_utc").and_then(|s| Timestamp::from_second(s.parse().ok()?).ok());
            let json = serde_json::json!({
                "host": reply.text("host")?,
                "username": reply.text("username")?,
                "token": token,
                "expires_at": expires_at.map(|t| t.to_string()),
            });
            format!("{json}\n")
        }
    }))
}
