//! git-lfs on the same host: the batch API and basic transfers, behind the same
//! access check as everything else. No action contains a `header`, so the
//! client also has to show a credential for each transfer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use molecule_protocol::digest::sha256;
use molecule_protocol::encoding::hex;
use serde_json::{Value, json};

use super::Shared;
use crate::serve::{Body, full};

const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// Splits a path into the repository and the LFS request.
pub(super) fn question(path: &str) -> Option<(&str, &str)> {
    path.trim_start_matches('/').split_once("/info/lfs/")
}

pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return problem(400, "the body broke off") };
    let body = body.to_bytes();
    let Some((repository, what)) = question(head.uri.path()) else { return problem(404, "no such path") };
    let host = head.headers.get(HOST).map_or_else(String::new, |host| String::from_utf8_lossy(host.as_bytes()).into());
    let objects = Objects {
        folder: folder(&shared.root.join(repository)),
        url: format!("{}://{host}/{repository}/info/lfs", shared.scheme),
    };
    match (head.method, what) {
        (Method::POST, "objects/batch") => objects.batch(&body),
        (Method::POST, "verify") => objects.verify(&body),
        (Method::PUT, path) => path.strip_prefix("objects/").map_or_else(not_found, |oid| objects.take(oid, &body)),
        (Method::GET, path) => path.strip_prefix("objects/").map_or_else(not_found, |oid| objects.give(oid)),
        // The locking API, for example: a server may do without it.
        _ => not_found(),
    }
}

/// Returns the folder where a bare repository keeps its objects. Each file is
/// named after its SHA-256.
pub(super) fn folder(repository: &Path) -> PathBuf {
    repository.join("lfs/objects")
}

struct Objects {
    folder: PathBuf,
    url: String,
}

impl Objects {
    fn batch(&self, body: &[u8]) -> Response<Body> {
        let Ok(asked) = serde_json::from_slice::<Value>(body) else { return problem(422, "no JSON") };
        let upload = match asked["operation"].as_str() {
            Some("upload") => true,
            Some("download") => false,
            _ => return problem(422, "no such operation"),
        };
        let objects: Vec<Value> =
            asked["objects"].as_array().into_iter().flatten().map(|o| self.plan(upload, o)).collect();
        json_answer(200, &json!({"transfer": "basic", "objects": objects}))
    }

    fn plan(&self, upload: bool, object: &Value) -> Value {
        let (oid, size) = (object["oid"].as_str().unwrap_or_default(), &object["size"]);
        let there = is_oid(oid) && self.folder.join(oid).is_file();
        let href = format!("{}/objects/{oid}", self.url);
        let verify = format!("{}/verify", self.url);
        match (upload, there) {
            (true, true) => json!({"oid": oid, "size": size}),
            (true, false) => json!({"oid": oid, "size": size,
                "actions": {"upload": {"href": href}, "verify": {"href": verify}}}),
            (false, true) => json!({"oid": oid, "size": size, "actions": {"download": {"href": href}}}),
            (false, false) => json!({"oid": oid, "size": size,
                "error": {"code": 404, "message": "the object isn't here"}}),
        }
    }

    fn take(&self, oid: &str, body: &Bytes) -> Response<Body> {
        if !is_oid(oid) || hex(&sha256(body)).as_slice() != oid.as_bytes() {
            return problem(422, "these bytes have a different hash");
        }
        match self.keep(oid, body) {
            Ok(()) => json_answer(200, &json!({})),
            Err(error) => problem(500, &error.to_string()),
        }
    }

    /// Writes the whole object or nothing: uploads run in parallel.
    fn keep(&self, oid: &str, body: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        io::Write::write_all(&mut file, body)?;
        file.persist(self.folder.join(oid)).map_err(|error| error.error)?;
        Ok(())
    }

    fn verify(&self, body: &[u8]) -> Response<Body> {
        let asked = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let oid = asked["oid"].as_str().filter(|oid| is_oid(oid)).unwrap_or_default();
        let size = fs::metadata(self.folder.join(oid)).ok().filter(fs::Metadata::is_file).map(|found| found.len());
        if size.is_some() && size == asked["size"].as_u64() { json_answer(200, &json!({})) } else { not_found() }
    }

    fn give(&self, oid: &str) -> Response<Body> {
        match is_oid(oid).then(|| fs::read(self.folder.join(oid))) {
            Some(Ok(bytes)) => Response::new(full(bytes)),
            _ => not_found(),
        }
    }
}

fn is_oid(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn not_found() -> Response<Body> {
    problem(404, "not found")
}

fn problem(status: u16, message: &str) -> Response<Body> {
    json_answer(status, &json!({"message": message}))
}

fn json_answer(status: u16, value: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, MEDIA_TYPE)
        .body(full(value.to_string()))
        .expect("a constant response is valid")
}
