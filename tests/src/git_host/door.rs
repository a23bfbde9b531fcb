//! The door of the git host: who shows what, and who is let in.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, LOCATION, WWW_AUTHENTICATE};
use hyper::{Request, Response};
use molecule_protocol::digest::sha256;

use super::{Behaviour, Shared, Shown, State, Worth, backend, lfs};
use crate::ledger::{Ledger, Verdict};
use crate::serve::{Body, full};

pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (behaviour, welcome) = look(&mut shared.state(), &shared.ledger, &request);
    match (behaviour, welcome) {
        (Behaviour::Redirects(base), _) | (Behaviour::RedirectsWelcome(base), Some(_)) => elsewhere(&base, &request),
        (Behaviour::Serves, Some(_)) if lfs::question(request.uri().path()).is_some() => {
            lfs::answer(&shared, request).await
        }
        (Behaviour::Serves, Some(username)) => backend::run(&shared.exec_path, &shared.root, &username, request).await,
        _ => who_are_you(),
    }
}

/// Writes down what is shown, and names the user who may come in.
fn look(state: &mut State, ledger: &Ledger, request: &Request<Incoming>) -> (Behaviour, Option<String>) {
    let Some((username, password)) = basic_auth(request) else {
        state.anonymous += 1;
        return (state.behaviour.clone(), None);
    };
    let persona = state.persona.as_ref();
    let worth = if persona.is_some_and(|known| *known == (username.clone(), password.clone())) {
        Worth::Persona
    } else {
        match ledger.verdict(&password) {
            Verdict::Live => Worth::Live,
            Verdict::Expired => Worth::Expired,
            Verdict::Revoked => Worth::Revoked,
            Verdict::Unknown => Worth::Unknown,
        }
    };
    let host = request.headers().get(HOST);
    state.shown.push(Shown {
        at: Instant::now(),
        host: host.map_or_else(String::new, |host| String::from_utf8_lossy(host.as_bytes()).into_owned()),
        path: String::from(request.uri().path()),
        username: username.clone(),
        password_sha256: sha256(password.as_bytes()),
        worth,
    });
    (state.behaviour.clone(), worth.is_welcome().then_some(username))
}

/// A header that is there but no well-formed Basic one still counts as shown:
/// nothing that was given away may go unseen.
fn basic_auth<B>(request: &Request<B>) -> Option<(String, String)> {
    let value = request.headers().get(AUTHORIZATION)?;
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let decoded = text
        .strip_prefix("Basic ")
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((username, password)) => Some((String::from(username), String::from(password))),
        None => Some((String::new(), text)),
    }
}

fn who_are_you() -> Response<Body> {
    Response::builder()
        .status(401)
        .header(WWW_AUTHENTICATE, "Basic realm=\"test city\"")
        .body(full("Who are you?\n"))
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
