//! What is told of a refresh: gh's login, a file, and an operator's programs.
//!
//! The daemon locks itself in after its start and spawns nothing then. So all
//! that starts a process, the `command` source too, is done by a small helper
//! process of the same program that was started before, over a socketpair:
//! - [`Outlet`], [`Errands`]: the daemon's side
//! - [`wire`]: what the two say to each other
//! - [`runner`]: the helper, which reads the configuration for itself and so
//!   can be told to do nothing that isn't written there
//! - `gh`, [`mod@file`], `child`: how it is done, as the agent's user
//!
//! Nothing here is waited for by anybody who is served. What fails is logged
//! and done again at the next refresh.

mod child;
mod errands;
pub mod file;
mod gh;
mod outlet;
pub mod runner;
mod wire;

use std::collections::BTreeMap;

use molecule_protocol::origin::Scheme;
use zeroize::Zeroizing;

pub use errands::{Errands, start};
pub use outlet::Outlet;
pub use wire::Errand;

use crate::config::{Config, Scope, SourceConfig};
use crate::environment;
use crate::users::User;

/// Where the old scripts kept it.
pub const TOKEN_FILE: &str = ".gh_token";

/// Whether this configuration needs the helper process at all.
#[must_use]
pub fn needed(config: &Config) -> bool {
    let sinks = config.sinks.gh || config.sinks.file.is_some();
    let hooks = config.hooks.on_refresh.is_some() || config.hooks.on_failure.is_some();
    sinks || hooks || config.credentials.iter().any(|c| matches!(c.source, SourceConfig::Command { .. }))
}

/// Logs gh in and writes the token file, as the process that this is: what the
/// old scripts' `_refresh_gh` did.
///
/// # Errors
/// All that failed, a line each.
pub fn log_in_here(token: &Zeroizing<String>, host: &str, user: &User) -> Result<(), String> {
    let home = user.home.clone().ok_or_else(|| format!("user {} has no home folder", user.name))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let written = file::write(&home.join(TOKEN_FILE), token.as_bytes());
    // The old scripts ran in images without gh too.
    let logged_in = if gh::is_there() { runtime.block_on(gh::log_in(token, host, user)) } else { Ok(()) };
    let faults: Vec<String> = [written, logged_in].into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// The host that gh is logged in to: the first origin of the credential.
fn host(config: &Config) -> Option<String> {
    let credential = config.credential(&config.sinks.credential)?;
    let Scope::Patterns(origins) = &credential.scope else { return None };
    let origin = origins.iter().find(|o| !o.wildcard && o.scheme == Scheme::Https)?;
    Some(origin.to_string())
}

/// What programs need of the environment to reach the network and find their
/// own configuration; the rest of it may hold credentials.
fn environment(more: &[&str]) -> BTreeMap<String, String> {
    const NETWORK: [&str; 11] = [
        "PATH",
        "LANG",
        "TZ",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];
    let names = NETWORK.iter().chain(more);
    let mut found: BTreeMap<_, _> =
        names.filter_map(|name| Some(((*name).to_owned(), environment::text(name)?))).collect();
    found
        .entry("PATH".to_owned())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    found
}
