//! `refresh` and `reload`: send the request, wait, and report the result.

use std::process::ExitCode;

use clap::Args;
use molecule_protocol::answer::AnswerWord;
use molecule_protocol::request::{ClientKind, Request, Verb};
use nix::unistd::Uid;
use zeroize::Zeroizing;

use super::{ExitError, Global, launch, token};
use crate::runner;
use crate::system::exit::FAILED;
use crate::system::{environment, users};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Name of the credential [default: all that have a source to ask]
    pub name: Option<String>,
    /// Afterwards log gh in and write ~/.gh_token, as the old scripts' _refresh_gh did
    #[arg(long, hide = true)]
    pub login: bool,
}

/// # Errors
/// Returns status 1 and the reason.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, ExitError> {
    let mut request = Request::new(Verb::Refresh);
    request.name = options.name.as_deref();
    let done = send(global, &request)?;
    if options.login { log_in(global) } else { Ok(done) }
}

/// Logs the caller's gh in and writes the token file into the caller's home.
fn log_in(global: &Global) -> Result<ExitCode, ExitError> {
    let reply = token::fetch(global, ClientKind::Script, None, 1)?;
    let missing =
        || ExitError::new(FAILED, "incomplete reply from the broker; are client and daemon of the same version?");
    let (secret, host) = (reply.text("password").ok_or_else(missing)?, reply.text("host").ok_or_else(missing)?);
    let mut user = users::user_of(Uid::effective());
    if let Some(home) = environment::os("HOME") {
        user.home = Some(home.into());
    }
    runner::deliver_in_process(&Zeroizing::new(secret.to_owned()), host, &user)
        .map_err(|errors| ExitError::new(FAILED, errors))?;
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// Returns status 1 and the problems of the configuration.
pub fn reload(global: &Global) -> Result<ExitCode, ExitError> {
    send(global, &Request::new(Verb::Reload))
}

fn send(global: &Global, request: &Request<'_>) -> Result<ExitCode, ExitError> {
    let reply = launch::ask(global, request, 1)?;
    match reply.answer().word {
        AnswerWord::Ok => Ok(ExitCode::SUCCESS),
        _ => Err(ExitError::new(FAILED, reply.reasons())),
    }
}
