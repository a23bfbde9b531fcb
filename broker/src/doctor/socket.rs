//! The socket: whether this process may open one, whether it stands where
//! nobody can swap it, and who answers.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use molecule_protocol::request::{Request, Verb};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{Finding, Scene};
use crate::client;
use crate::config::Place;
use crate::status::Status;
use crate::text::shell_path;

const CHECK: &str = "socket";

pub(super) fn check(scene: &Scene) -> (Vec<Finding>, Option<Status>) {
    if let Err(errno) = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None) {
        return (vec![forbidden(errno)], None);
    }
    let path = &scene.socket;
    let shown = path.display();
    let Ok(there) = fs::symlink_metadata(path) else {
        let remedy = "start it with: molecule-broker serve, in a container by its entrypoint, molecule-broker supervise; if it runs elsewhere, set MOLECULE_BROKER_SOCKET to its socket";
        let none = Finding::fail(CHECK, format!("{shown} isn't there: no broker was started"), remedy);
        return (elsewhere(scene).into_iter().chain([none]).collect(), None);
    };
    if !there.file_type().is_socket() {
        let shown = shell_path(path);
        let what = format!("{shown} is no socket");
        return (vec![Finding::fail(CHECK, what, format!("mv {shown} {shown}.away, and restart the broker"))], None);
    }
    let about = [elsewhere(scene), folder(path, &there), mode(scene, &there)];
    let mut findings: Vec<Finding> = about.into_iter().flatten().collect();
    match client::ask(path, &Request::new(Verb::Status)) {
        Ok(reply) => {
            let line = reply.answer().lines().next().unwrap_or_default().to_vec();
            let status: Option<Status> = serde_json::from_slice(&line).ok();
            findings.push(match &status {
                Some(s) => Finding::ok(CHECK, format!("{shown} answers (version {}, pid {})", s.version, s.pid)),
                None => Finding::fail(
                    CHECK,
                    "the daemon's status can't be read: it is of another version",
                    "restart the container",
                ),
            });
            (findings, status)
        }
        Err(error) => {
            // Each of these errors ends with its own remedy.
            let text = error.to_string();
            let (what, remedy) = text.split_once("; ").unwrap_or((&text, "look at the broker's log"));
            findings.push(Finding::fail(CHECK, what, remedy));
            (findings, None)
        }
    }
}

fn forbidden(errno: Errno) -> Finding {
    Finding::fail(
        CHECK,
        format!("this process may not open Unix sockets ({errno}): most likely an agent's sandbox forbids them"),
        "allow Unix sockets in the sandbox's settings, or run git and gh outside it",
    )
}

/// No client reads the file, so a path that stands there alone is the daemon's.
fn elsewhere(scene: &Scene) -> Option<Finding> {
    let config = scene.config.as_ref().ok()?;
    let path = &config.socket.path;
    let in_file = matches!(config.places.get("socket.path"), Some(Place::File { .. }));
    (in_file && *path != scene.socket).then(|| {
        let what = format!(
            "the configuration file puts the socket at {}, and git, gh and this command look at {}",
            path.display(),
            scene.socket.display()
        );
        let remedy = format!("set it for all of them: MOLECULE_BROKER_SOCKET={}", shell_path(path));
        Finding::fail("socket-path", what, remedy)
    })
}

/// Whoever may write to the folder can put a socket of their own there.
fn folder(path: &Path, socket: &Metadata) -> Option<Finding> {
    let folder = path.parent()?;
    let shown = shell_path(folder);
    let there = fs::symlink_metadata(folder).ok()?;
    if there.uid() != 0 && there.uid() != socket.uid() {
        let what =
            format!("the folder {shown} belongs to uid {}, the socket in it to uid {}", there.uid(), socket.uid());
        return Some(Finding::fail("socket-folder", what, format!("chown {} {shown}", socket.uid())));
    }
    if there.mode() & 0o022 != 0 {
        let what = format!(
            "the folder {shown} can be written by others (mode {:04o}), who could swap the socket",
            there.mode() & 0o7777
        );
        return Some(Finding::fail("socket-folder", what, format!("chmod go-w {shown}")));
    }
    if there.file_type().is_symlink() {
        let what = format!("the folder {shown} is a symbolic link");
        return Some(Finding::fail("socket-folder", what, "set MOLECULE_BROKER_SOCKET to a path without one"));
    }
    Some(Finding::ok("socket-folder", format!("{shown} is closed to others")))
}

fn mode(scene: &Scene, socket: &Metadata) -> Option<Finding> {
    let wanted = scene.config.as_ref().ok()?.socket.mode;
    let mode = socket.mode() & 0o777;
    (mode != wanted).then(|| {
        let shown = shell_path(&scene.socket);
        let what = format!(
            "{shown} has mode {mode:04o}, not {wanted:04o} as configured: users that are allowed may be kept out"
        );
        Finding::fail("socket-mode", what, format!("chmod {wanted:04o} {shown}"))
    })
}
