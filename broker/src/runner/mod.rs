//! The runner process: starts programs for a daemon that can't.
//!
//! [`mod@serve`] reads requests from `crate::errands`, one at a time per sink, and
//! looks up in its own configuration what each of them means: a new token goes
//! to gh's login (`gh`) and to a file ([`mod@file`]), a refresh or a failure to
//! an operator's hook, and the `command` source is run. `child` starts the
//! programs as the agent's user. It holds no credential except those in
//! transit.

mod child;
pub mod file;
mod gh;
pub mod serve;

use std::collections::BTreeMap;

use molecule_protocol::origin::Scheme;
use zeroize::Zeroizing;

use crate::config::{Config, CredentialScope};
use crate::system::environment;
use crate::system::users::User;

/// Where the old scripts kept it.
pub const TOKEN_FILE: &str = ".gh_token";

/// Logs gh in and writes the token file, as the process that this is: what the
/// old scripts' `_refresh_gh` did.
///
/// # Errors
/// All that failed, a line each.
pub fn deliver_in_process(token: &Zeroizing<String>, host: &str, user: &User) -> Result<(), String> {
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
    let CredentialScope::Patterns(origins) = &credential.scope else { return None };
    let origin = origins.iter().find(|o| !o.wildcard && o.scheme == Scheme::Https)?;
    Some(origin.to_string())
}

/// What programs need of the environment to reach the network and find their
/// own configuration; the rest of it may hold credentials.
fn minimal_environment(more: &[&str]) -> BTreeMap<String, String> {
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
