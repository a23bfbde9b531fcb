//! Checks of the socket: this process may open one, only trusted users can replace it, and the
//! daemon answers.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use molecule_protocol::namespace::OverflowMeaning;
use molecule_protocol::request::{Request, Verb};
use nix::unistd::Uid;

use super::Scene;
use super::finding::{Finding, Remedy};
use crate::client::{self, ClientError};
use crate::config::ConfigLocation;
use crate::daemon::status::Status;
use crate::system::text::shell_path;

const CHECK: &str = "socket";

/// Reason why there is no status.
pub(super) enum NoStatus {
    Client(ClientError),
    Absent,
    NotASocket,
    /// This version can't read the answer.
    Unreadable,
}

/// Asks the daemon for its status.
pub(super) fn ask(path: &Path) -> Result<Status, NoStatus> {
    client::create_socket().map_err(NoStatus::Client)?;
    let there = fs::symlink_metadata(path).map_err(|_| NoStatus::Absent)?;
    if !there.file_type().is_socket() {
        return Err(NoStatus::NotASocket);
    }
    let reply = client::ask(path, &Request::new(Verb::Status)).map_err(NoStatus::Client)?;
    let line = reply.answer().lines().next().unwrap_or_default().to_vec();
    serde_json::from_slice(&line).map_err(|_| NoStatus::Unreadable)
}

pub(super) fn check(scene: &Scene, answer: Result<Status, NoStatus>) -> Vec<Finding> {
    if let Err(NoStatus::Client(error @ ClientError::SocketsForbidden(_))) = answer {
        return vec![Finding::fail(CHECK, error.what(), error.remedy())];
    }
    let socket = fs::symlink_metadata(&scene.socket).ok().filter(|there| there.file_type().is_socket());
    let about = [describe_namespace(), check_path(scene)];
    let file = socket.map(|socket| [check_folder(&scene.socket, &socket), check_mode(scene, &socket)]);
    about.into_iter().chain(file.into_iter().flatten()).flatten().chain([check_answer(scene, answer)]).collect()
}

fn check_answer(scene: &Scene, answer: Result<Status, NoStatus>) -> Finding {
    let shown = scene.socket.display();
    match answer {
        Ok(s) => Finding::ok(CHECK, format!("{shown} answers (version {}, pid {})", s.version, s.pid)),
        Err(NoStatus::Absent) => {
            let remedy = "start one with molecule-broker serve, or in a container with molecule-broker supervise as its entrypoint; if one is running, set MOLECULE_BROKER_SOCKET to its socket";
            Finding::fail(CHECK, format!("{shown} isn't there: no broker was started"), remedy)
        }
        Err(NoStatus::NotASocket) => {
            let path = shell_path(&scene.socket);
            let remedy = Remedy::noted(format!("mv {path} {path}.away"), "and restart the broker");
            Finding::fail(CHECK, format!("{shown} isn't a socket"), remedy)
        }
        Err(NoStatus::Unreadable) => {
            let what = "the daemon's status can't be read: the daemon is of another version";
            Finding::fail(CHECK, what, "restart the container")
        }
        Err(NoStatus::Client(error)) => Finding::fail(CHECK, error.what(), error.remedy()),
    }
}

/// Describes an agent's sandbox from inside. The finding about the socket says whether the
/// server is trusted nevertheless.
fn describe_namespace() -> Option<Finding> {
    let others = match client::trust::overflow() {
        OverflowMeaning::User => return None,
        OverflowMeaning::Unmapped => "root and other users show as uid 65534",
        OverflowMeaning::Ambiguous => "users that it doesn't map can't be distinguished from a user that it maps",
    };
    Some(Finding::ok(
        "namespace",
        format!("in a user namespace, most likely an agent's sandbox, as uid {}: {others}", Uid::effective()),
    ))
}

/// Checks that clients look for the socket at the daemon's path. Clients don't read the
/// configuration file, so a path that only the file has is known to the daemon alone.
fn check_path(scene: &Scene) -> Option<Finding> {
    let config = scene.config.as_ref().ok()?;
    let path = &config.socket.path;
    let in_file = matches!(config.places.get("socket.path"), Some(ConfigLocation::File { .. }));
    (in_file && *path != scene.socket).then(|| {
        let what = format!(
            "the configuration file puts the socket at {}, but git, gh and this command use {}",
            path.display(),
            scene.socket.display()
        );
        let remedy = Remedy::command(format!("export MOLECULE_BROKER_SOCKET={}", shell_path(path)));
        Finding::fail("socket-path", what, remedy)
    })
}

/// Checks the socket's folder: a user who can write to it can replace the socket.
fn check_folder(path: &Path, socket: &Metadata) -> Option<Finding> {
    let folder = path.parent()?;
    let shown = shell_path(folder);
    let there = fs::symlink_metadata(folder).ok()?;
    if there.uid() != 0 && there.uid() != socket.uid() {
        let what =
            format!("the folder {shown} belongs to uid {}, the socket in it to uid {}", there.uid(), socket.uid());
        return Some(Finding::fail("socket-folder", what, Remedy::command(format!("chown {} {shown}", socket.uid()))));
    }
    if there.file_type().is_symlink() {
        let what = format!("the folder {shown} is a symbolic link");
        return Some(Finding::fail(
            "socket-folder",
            what,
            "set MOLECULE_BROKER_SOCKET to a path without a symbolic link",
        ));
    }
    if there.mode() & 0o022 != 0 {
        let what = format!(
            "the folder {shown} can be written by other users (mode {:04o}), who could replace the socket",
            there.mode() & 0o7777
        );
        return Some(Finding::fail("socket-folder", what, Remedy::command(format!("chmod go-w {shown}"))));
    }
    Some(Finding::ok("socket-folder", format!("{shown} is closed to others")))
}

fn check_mode(scene: &Scene, socket: &Metadata) -> Option<Finding> {
    let wanted = scene.config.as_ref().ok()?.socket.mode;
    let mode = socket.mode() & 0o777;
    (mode != wanted).then(|| {
        let shown = shell_path(&scene.socket);
        let what =
            format!("{shown} has mode {mode:04o}, not {wanted:04o} as configured: allowed users may have no access");
        Finding::fail("socket-mode", what, Remedy::command(format!("chmod {wanted:04o} {shown}")))
    })
}
