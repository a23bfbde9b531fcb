//! Answers where the repository of a Go module is (`go help importpath`): the
//! module `gist.github.com/acme/module` is in
//! `https://github.com/acme/module.git`.

use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};

use crate::serve::{Body, full};

pub(super) fn is_meant<B>(request: &Request<B>) -> bool {
    request.uri().query() == Some("go-get=1")
}

pub(super) fn answer<B>(request: &Request<B>) -> Response<Body> {
    let host =
        request.headers().get(HOST).map_or_else(String::new, |host| String::from_utf8_lossy(host.as_bytes()).into());
    let path = request.uri().path();
    let page = format!("<meta name=\"go-import\" content=\"{host}{path} git https://github.com{path}.git\">\n");
    Response::builder()
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .body(full(page))
        .expect("a constant header is valid")
}
