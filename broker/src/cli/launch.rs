//! The environment that every command reads: configuration, and the socket's path.

use std::path::PathBuf;

use molecule_protocol::limits::{DEFAULT_SOCKET, RUNTIME_SOCKET};
use molecule_protocol::request::Request;

use super::{ExitError, Global};
use crate::client::{self, DaemonReply};
use crate::config::{self, Config, Flags, Problems};
use crate::system::environment;

/// Loads the configuration from the command line, the environment and the file.
///
/// # Errors
/// Returns all problems of the configuration.
pub fn config(global: &Global) -> Result<Config, Problems> {
    config_for(global, None)
}

/// Loads the configuration for a given user to serve.
///
/// # Errors
/// Returns all problems of the configuration.
pub fn config_for(global: &Global, user: Option<&str>) -> Result<Config, Problems> {
    let (config, socket, log) = (global.config.clone(), global.socket.clone(), global.log.clone());
    let flags = Flags { config, socket, log, user: user.map(str::to_owned) };
    config::load(&flags, &environment::all())
}

/// Returns the socket's path for clients, by the same rule as the shim's.
#[must_use]
pub fn client_socket(global: &Global) -> PathBuf {
    let chosen = global.socket.clone().or_else(|| environment::os("MOLECULE_BROKER_SOCKET").map(PathBuf::from));
    if let Some(path) = chosen.filter(|path| !path.as_os_str().is_empty()) {
        return path;
    }
    let usual = PathBuf::from(DEFAULT_SOCKET);
    match environment::os("XDG_RUNTIME_DIR") {
        Some(runtime) if !usual.parent().is_some_and(|folder| folder.is_dir()) => {
            let mut path = runtime;
            path.push(RUNTIME_SOCKET);
            PathBuf::from(path)
        }
        _ => usual,
    }
}

/// Sends a request to the daemon and returns its reply.
///
/// # Errors
/// Returns the given status if no daemon answers.
pub fn ask(global: &Global, request: &Request<'_>, status: u8) -> Result<DaemonReply, ExitError> {
    client::ask(&client_socket(global), request).map_err(|error| ExitError::new(status, error))
}
