//! The part of GitHub's API that gh uses. It is at the root of
//! `api.github.com`. Under any other name it is where an enterprise host has
//! it: at `/api/v3/…` and `/api/graphql` on the origin of the repositories.
//!
//! In one point this API is more lenient than GitHub's, which denies `/user` to
//! an installation (403, "Resource not accessible by integration"). Here
//! `/user` returns the App, so that `gh api user` shows which account a
//! credential belongs to.

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::serve::{Body, full};

/// Login name of an installation token.
pub const APP: &str = "app[bot]";

/// Scopes of a user's own token. An answer to an installation doesn't have this
/// header, and so gh recognises one.
const SCOPES: (&str, &str) = ("X-OAuth-Scopes", "gist, read:org, repo");

/// Longest body of a request.
const MOST: usize = 64 * 1024;

pub(super) fn is_meant<B>(request: &Request<B>) -> bool {
    resource(request).is_some()
}

fn resource<B>(request: &Request<B>) -> Option<&str> {
    let path = request.uri().path();
    if request.headers().get(HOST).is_some_and(|host| host.as_bytes().starts_with(b"api.")) {
        return Some(path);
    }
    path.strip_prefix("/api/v3").or_else(|| path.strip_prefix("/api")).filter(|rest| rest.starts_with('/'))
}

/// Answers a request that was let in. `None` as the user is an installation.
pub(super) async fn answer(user: Option<&str>, request: Request<Incoming>) -> Response<Body> {
    let login = user.unwrap_or(APP);
    let (status, body) = match resource(&request).unwrap_or_default() {
        "/" => (200, json!({"current_user_url": "/user"})),
        "/user" => (200, json!({"login": login})),
        "/rate_limit" => (200, json!({"resources": {"core": {"limit": 5000, "remaining": 5000, "used": 0}}})),
        "/graphql" => graphql(login, request).await,
        _ => (404, json!({"message": "Not Found"})),
    };
    say(status, &body, user.map(|_| SCOPES))
}

/// Answers a request that wasn't let in.
pub(super) fn refusal(showed_something: bool) -> Response<Body> {
    let message = if showed_something { "Bad credentials" } else { "Requires authentication" };
    say(401, &json!({"message": message}), None)
}

async fn graphql(login: &str, request: Request<Incoming>) -> (u16, Value) {
    let Ok(body) = Limited::new(request.into_body(), MOST).collect().await else {
        return (400, json!({"message": "Problems parsing JSON"}));
    };
    let asked: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let words: String = asked["query"].as_str().unwrap_or_default().split_whitespace().collect();
    // gh sends `query UserCurrent{viewer{login}}`. For `repo clone` it sends a
    // `query RepositoryInfo` whose variables name the repository.
    let answer = if words.ends_with("{viewer{login}}") {
        json!({"data": {"viewer": {"login": login}}})
    } else if words.contains("queryRepositoryInfo(") {
        json!({"data": {"repository": repository(&asked["variables"])}})
    } else {
        json!({"errors": [{"message": "the test city doesn't know this query"}]})
    };
    (200, answer)
}

/// Any repository, as one that isn't a fork.
fn repository(variables: &Value) -> Value {
    json!({
        "id": "R_1",
        "name": variables["name"],
        "owner": {"login": variables["owner"]},
        "viewerPermission": "WRITE",
        "defaultBranchRef": {"name": "main"},
        "parent": null,
    })
}

fn say(status: u16, body: &Value, header: Option<(&str, &str)>) -> Response<Body> {
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json; charset=utf-8");
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    response.body(full(body.to_string())).expect("constant headers are valid")
}
