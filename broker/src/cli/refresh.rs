//! `refresh` and `reload`: ask, wait, say what came of it.

use std::process::ExitCode;

use clap::Args;
use molecule_protocol::answer::Word;
use molecule_protocol::request::{Request, Verb};

use super::{Fault, Global, launch};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The credential's name; without it, all that have a source to ask
    pub name: Option<String>,
}

/// # Errors
/// Status 1 with the reason.
pub fn run(global: &Global, options: &Options) -> Result<ExitCode, Fault> {
    let mut request = Request::new(Verb::Refresh);
    request.name = options.name.as_deref();
    done(global, &request)
}

/// # Errors
/// Status 1 with the configuration's errors.
pub fn reload(global: &Global) -> Result<ExitCode, Fault> {
    done(global, &Request::new(Verb::Reload))
}

fn done(global: &Global, request: &Request<'_>) -> Result<ExitCode, Fault> {
    let reply = launch::ask(global, request, 1)?;
    match reply.answer().word {
        Word::Ok => Ok(ExitCode::SUCCESS),
        _ => Err(Fault::new(1, reply.reasons())),
    }
}
