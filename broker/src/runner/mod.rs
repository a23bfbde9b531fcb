//! The runner process: starts programs for the daemon, whose sandbox forbids it to.
//!
//! [`mod@serve`] reads requests from `crate::errands` and looks up in its own configuration what
//! each of them means. A new token goes to gh's login (`gh`) and into a file ([`mod@file`]), one
//! token at a time. A refresh or a failure runs the operator's hook. A fetch runs the `command`
//! source. `child` starts the programs. The runner holds no credential except those in transit.

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

/// Name of the token file in the user's home, as the old scripts had it.
pub const TOKEN_FILE: &str = ".gh_token";

/// Logs gh in and writes the token file from this process, as the old scripts' `_refresh_gh` did.
///
/// # Errors
/// Returns all failures, one per line.
pub fn deliver_in_process(token: &Zeroizing<String>, host: &str, user: &User) -> Result<(), String> {
    let home = user.home.clone().ok_or_else(|| format!("user {} has no home folder", user.name))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let written = file::write(&home.join(TOKEN_FILE), token.as_bytes());
    // The old scripts also ran in images without gh.
    let logged_in = if gh::is_installed() { runtime.block_on(gh::log_in(token, host, user)) } else { Ok(()) };
    let faults: Vec<String> = [written, logged_in].into_iter().filter_map(Result::err).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Returns the host that gh is logged in to: the first https origin of the sinks' credential that
/// isn't a wildcard.
fn login_host(config: &Config) -> Option<String> {
    let credential = config.credential(&config.sinks.credential)?;
    let CredentialScope::Patterns(origins) = &credential.scope else { return None };
    let origin = origins.iter().find(|o| !o.wildcard && o.scheme == Scheme::Https)?;
    Some(origin.to_string())
}

/// Returns the variables that programs need to reach the network, plus those named in `more`. The
/// rest of the environment isn't passed on, since it may hold credentials.
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
