//! `answer`: one request from stdin, one answer to stdout, from environment and configuration
//! alone.
//!
//! The shim runs it if no daemon serves. A container whose entrypoint never started a daemon then
//! works as it did with the old scripts. This command never asks the platform.

use std::io::{Read, Write};
use std::mem;
use std::process::ExitCode;
use std::sync::Arc;

use molecule_protocol::answer::AnswerWord;
use molecule_protocol::limits::MAX_REQUEST;
use molecule_protocol::request::{self, Request, Verb};
use nix::unistd::Uid;

use super::{ExitError, Global, launch};
use crate::config::{Config, SourceConfig};
use crate::daemon::answer::{self, Bytes, Choice, Readiness};
use crate::daemon::assemble::assemble;
use crate::daemon::driver::Observed;
use crate::daemon::lease_memory::Carried;
use crate::system::clock;
use crate::system::exit::FAILED;

/// # Errors
/// Fails if stdin or stdout can't be used.
pub fn run(global: &Global) -> Result<ExitCode, ExitError> {
    let mut bytes = Vec::with_capacity(1024);
    let io = |error: std::io::Error| ExitError::new(FAILED, error);
    std::io::stdin().take(MAX_REQUEST as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    let answer = match request::find_end(&bytes, true).and_then(|end| Request::parse(&bytes[..end.unwrap_or_default()]))
    {
        Ok(request) => answer_once(global, &request),
        Err(fault) => answer::plain(AnswerWord::Malformed, Some(fault.reason())),
    };
    std::io::stdout().lock().write_all(&answer).map_err(io)?;
    Ok(ExitCode::SUCCESS)
}

fn answer_once(global: &Global, request: &Request<'_>) -> Bytes {
    let refused = |reason: &str| answer::plain(AnswerWord::Refused, Some(reason));
    if request.verb == Verb::Erase {
        // There is no daemon that could remember the rejection.
        return answer::plain(AnswerWord::Ok, None);
    }
    // This process doesn't listen, so a missing folder for the socket isn't an error.
    let global = Global { socket: Some(launch::client_socket(global)), ..global.clone() };
    let config = match launch::config(&global) {
        Ok(config) => use_fallbacks(config),
        Err(problems) => {
            return refused(&format!("no broker is running, and its configuration is invalid: {problems}"));
        }
    };
    let registry = match assemble(&config, None, &Carried::new(), &(Arc::new(|_: Observed<'_>| {}) as _), None) {
        Ok(assembled) => assembled.registry,
        Err(failure) => return refused(&failure.message),
    };
    if request.verb != Verb::Get {
        return refused(&no_broker());
    }
    let now = clock::now();
    match answer::choose(&registry, request, Uid::effective()) {
        Choice::Silent => answer::plain(AnswerWord::Silent, None),
        Choice::Forbidden(credential) => {
            refused(&format!("this user may not have the credential '{}'", credential.name))
        }
        Choice::Found(target) => match answer::ready(&target, &target.credential.reader.held(), now) {
            Readiness::Give(lease) => answer::give(request, &target, lease, now),
            Readiness::Refused(reason) => refused(&format!("{reason} ({})", no_broker())),
            Readiness::Wait => refused(&no_broker()),
        },
    }
}

fn no_broker() -> String {
    "no broker is running: start one with molecule-broker supervise or serve".to_owned()
}

/// Replaces each source that only a daemon can ask by its fallback.
fn use_fallbacks(mut config: Config) -> Config {
    for credential in &mut config.credentials {
        if credential.source.needs_daemon() {
            let fallback = mem::take(&mut credential.fallback);
            credential.source = fallback
                .unwrap_or_else(|| SourceConfig::Missing("only a running broker can get a token from it".into()));
        }
    }
    config
}
