//! As much of GitHub's API as gh asks for: at the root of `api.github.com`, and
//! under any other name where an enterprise host has it, at `/api/v3/…` and
//! `/api/graphql` on the same origin as the repositories.
//!
//! One thing is kinder than GitHub: that shows an installation no `/user` (403,
//! "Resource not accessible by integration"). Here it is the App's, so that
//! `gh api user` says who a credential was taken for.

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::serve::{Body, full};

/// Who an installation token is, to the API.
pub const APP: &str = "app[bot]";

/// What a user's own token may do. An installation's answer has no such header
/// at all, by which gh knows it.
const SCOPES: (&str, &str) = ("X-OAuth-Scopes", "gist, read:org, repo");

/// As much as a question may have.
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

/// For whoever was let in; `None` is an installation.
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

/// For whoever wasn't.
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
    // gh writes `query UserCurrent{viewer{login}}`, and for `repo clone` a
    // `query RepositoryInfo` whose variables say which repository it means.
    let answer = if words.ends_with("{viewer{login}}") {
        json!({"data": {"viewer": {"login": login}}})
    } else if words.contains("queryRepositoryInfo(") {
        json!({"data": {"repository": repository(&asked["variables"])}})
    } else {
        json!({"errors": [{"message": "the test city knows no such question"}]})
    };
    (200, answer)
}

/// Any repository, as one that is nobody's fork.
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
