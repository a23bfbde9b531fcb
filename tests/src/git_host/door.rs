//! The access check of the git host: records each credential and decides
//! whether it is let in.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, LOCATION, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Request, Response};
use molecule_protocol::digest::sha256;

use super::{CredentialState, HostBehaviour, Shared, ShownCredential, State, api, backend, go, lfs};
use crate::ledger::{Ledger, TokenState};
use crate::serve::{Body, full};

pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (behaviour, visitor) = look(&mut shared.state(), &shared.ledger, &request);
    match (behaviour, visitor) {
        (HostBehaviour::Redirects(base), _) | (HostBehaviour::RedirectsWelcome(base), Visitor::Welcome(_)) => {
            elsewhere(&base, &request)
        }
        (HostBehaviour::Serves, Visitor::Welcome(user)) if api::is_meant(&request) => {
            api::answer(user.as_deref(), request).await
        }
        (HostBehaviour::Serves, Visitor::Welcome(_)) if lfs::question(request.uri().path()).is_some() => {
            lfs::answer(&shared, request).await
        }
        (HostBehaviour::Serves, Visitor::Welcome(_)) if go::is_meant(&request) => go::answer(&request),
        (HostBehaviour::Serves, Visitor::Welcome(user)) => {
            backend::run(&shared, user.as_deref().unwrap_or("x-access-token"), request).await
        }
        (_, visitor) if api::is_meant(&request) => api::refusal(!matches!(visitor, Visitor::Anonymous)),
        _ => who_are_you(),
    }
}

/// A client of the host, by the credential that it showed.
enum Visitor {
    /// The user name of the persona; `None` for an installation.
    Welcome(Option<String>),
    Stranger,
    Anonymous,
}

/// Records the credential of a request.
fn look(state: &mut State, ledger: &Ledger, request: &Request<Incoming>) -> (HostBehaviour, Visitor) {
    let Some((username, password)) = credential(request) else {
        state.anonymous += 1;
        return (state.behaviour.clone(), Visitor::Anonymous);
    };
    let is_known = |known: &&(String, String)| {
        known.1 == password && username.as_ref().is_none_or(|username| *username == known.0)
    };
    let persona = state.persona.as_ref().filter(is_known).map(|known| known.0.clone());
    let credential_state = match (&persona, ledger.state_of(&password)) {
        (Some(_), _) => CredentialState::Persona,
        (_, TokenState::Live) => CredentialState::Live,
        (_, TokenState::Expired) => CredentialState::Expired,
        (_, TokenState::Revoked) => CredentialState::Revoked,
        (_, TokenState::Unknown) => CredentialState::Unknown,
    };
    let header = |name| {
        let value = request.headers().get(name);
        value.map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    state.shown.push(ShownCredential {
        at: SystemTime::now(),
        host: header(HOST),
        path: String::from(request.uri().path()),
        agent: header(USER_AGENT),
        username: username.unwrap_or_default(),
        password_sha256: sha256(password.as_bytes()),
        state: credential_state,
    });
    let visitor = if credential_state.is_welcome() { Visitor::Welcome(persona) } else { Visitor::Stranger };
    (state.behaviour.clone(), visitor)
}

/// Reads git's Basic header with a user name, or `token` or `Bearer` as API
/// clients send it. Any other header counts as a password, so that no
/// credential that was given away is missed.
fn credential<B>(request: &Request<B>) -> Option<(Option<String>, String)> {
    let value = request.headers().get(AUTHORIZATION)?;
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    if let Some(token) = ["token ", "Bearer "].iter().find_map(|scheme| text.strip_prefix(scheme)) {
        return Some((None, String::from(token)));
    }
    let decoded = text
        .strip_prefix("Basic ")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((username, password)) => Some((Some(String::from(username)), String::from(password))),
        None => Some((None, text)),
    }
}

/// Sends no body, because libgit2 before 1.9.7 takes it for the head of the
/// next answer.
fn who_are_you() -> Response<Body> {
    Response::builder()
        .status(401)
        .header(WWW_AUTHENTICATE, "Basic realm=\"test city\"")
        .body(full(""))
        .expect("a constant response is valid")
}

fn elsewhere<B>(base: &str, request: &Request<B>) -> Response<Body> {
    let tail = request.uri().path_and_query().map_or("/", |tail| tail.as_str());
    Response::builder()
        .status(302)
        .header(LOCATION, format!("{base}{tail}"))
        .body(full("Not here.\n"))
        .expect("a base address made by the test is a valid header")
}
