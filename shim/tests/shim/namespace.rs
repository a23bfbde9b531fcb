//! The servers that the shim trusts in a user namespace, where every user that isn't
//! mapped shows as the same uid. The tests use the real bubblewrap, as agents do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;
use crate::trust::{OTHER_USER, listener_as_user};

/// The agent, the only user that its sandbox maps.
const AGENT: u32 = 54321;

/// Agents start bubblewrap with and without `/dev`. With `/dev` it makes a second
/// namespace, which has another map.
const SANDBOX: [&str; 6] = ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "--"];
const WITH_DEV: [&str; 10] =
    ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"];

fn as_agent(way: &[&str]) -> Command {
    let (uid, gid) = (format!("--reuid={AGENT}"), format!("--regid={AGENT}"));
    let mut command = program("setpriv");
    command.args([uid.as_str(), gid.as_str(), "--clear-groups"]).args(way);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn bubblewrap_works() -> bool {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return false;
    }
    let works = as_agent(&SANDBOX).arg("true").status().is_ok_and(|status| status.success());
    if !works {
        println!("SKIP: bubblewrap makes no user namespace here");
    }
    works
}

/// A folder below `/run`, where only root can write, unlike `/tmp`.
struct ClosedFolder(PathBuf);

impl ClosedFolder {
    fn new(name: &str) -> Self {
        let folder = Path::new("/run").join(format!("shim-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let closed = Self(folder);
        for part in ["", "run"] {
            make_folder(&closed.0.join(part), 0, 0o755);
        }
        let shim = closed.shim();
        let output = run(program("install").args(["-m", "755", env!("CARGO_BIN_EXE_molecule-shim")]).arg(shim), b"");
        assert_eq!(output.status, Some(0), "{output:?}");
        closed
    }

    fn shim(&self) -> PathBuf {
        self.0.join("shim")
    }

    /// Starts a server in the folder `served` as the user `server`, and asks it through
    /// the folder `seen` within the sandbox that the command `way` starts. Returns the
    /// output and the number of requests.
    fn ask(&self, server: u32, served: &Path, seen: &Path, way: &[&str]) -> (ProgramOutput, usize) {
        let socket = served.join("broker.sock");
        let _ = fs::remove_file(&socket);
        let listener = listener_as_user(server, served);
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
        let server = FakeServer::on(listener, |_, stream| write_answer(stream, "molecule/1 ok\nusername=u\n\n"));
        let mut command = as_agent(way);
        command.arg(self.shim()).arg("get").env("PATH", "/nowhere:/usr/bin:/bin");
        let output = run(command.env("MOLECULE_BROKER_SOCKET", seen.join("broker.sock")), GET.as_bytes());
        (output, server.requests().iter().filter(|request| !request.is_empty()).count())
    }
}

impl Drop for ClosedFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn make_folder(folder: &Path, owner: u32, mode: u32) {
    fs::create_dir_all(folder).unwrap();
    chown(folder, Some(owner), Some(owner)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn rule25_a_server_in_a_closed_folder_is_trusted() {
    if !bubblewrap_works() {
        return;
    }
    let closed = ClosedFolder::new("believed");
    let folder = closed.0.join("run");
    symlink("run", closed.0.join("link")).unwrap();
    symlink(closed.0.join("link"), closed.0.join("link-to-link")).unwrap();
    for (server, owner) in [(0, 0), (OTHER_USER, OTHER_USER), (0, OTHER_USER)] {
        make_folder(&folder, owner, 0o755);
        for (way, seen) in [
            (&SANDBOX[..], folder.clone()),
            (&WITH_DEV[..], folder.clone()),
            (&SANDBOX[..], closed.0.join("link-to-link")),
            (&SANDBOX[..], closed.0.join("run/../link")),
        ] {
            let (output, requests) = closed.ask(server, &folder, &seen, way);
            assert_eq!((output, requests), (prints("username=u\n"), 1), "{server} {owner} {way:?} {seen:?}");
        }
    }
}

#[track_caller]
fn assert_refused((output, requests): (ProgramOutput, usize), case: &str) {
    assert_eq!((output.out.as_str(), output.status, requests), ("quit=1\n", Some(0), 0), "{case}: {output:?}");
    assert_eq!(output.err.lines().count(), 1, "{case}: {output:?}");
    assert!(output.err.contains("user namespace") && output.err.contains("--ro-bind / /"), "{case}: {output:?}");
}

#[test]
fn rule25_a_squatted_socket_is_refused_in_bubblewrap() {
    if !bubblewrap_works() {
        return;
    }
    let closed = ClosedFolder::new("squatted");
    let folder = closed.0.join("run");
    for (owner, mode) in [(0, 0o777), (0, 0o1777), (0, 0o775), (OTHER_USER, 0o775), (AGENT, 0o755), (AGENT, 0o555)] {
        make_folder(&folder, owner, mode);
        for way in [&SANDBOX[..], &WITH_DEV[..]] {
            assert_refused(closed.ask(OTHER_USER, &folder, &folder, way), &format!("{owner} {mode:o}"));
        }
    }
}

#[test]
fn rule25_an_open_folder_on_the_way_is_refused() {
    if !bubblewrap_works() {
        return;
    }
    let closed = ClosedFolder::new("on-the-way");
    let folder = closed.0.join("run/a/b");
    make_folder(&folder, OTHER_USER, 0o755);
    for (owner, mode) in [(AGENT, 0o755), (AGENT, 0o555), (0, 0o1777), (0, 0o775), (OTHER_USER, 0o757)] {
        make_folder(&closed.0.join("run"), owner, mode);
        assert_refused(closed.ask(OTHER_USER, &folder, &folder, &SANDBOX), &format!("{owner} {mode:o}"));
    }
    make_folder(&closed.0.join("run"), 0, 0o755);
    // The positive control.
    assert_eq!(closed.ask(OTHER_USER, &folder, &folder, &SANDBOX).0, prints("username=u\n"));
    // The server's folder is closed, but symbolic links lead to it through a folder
    // that every user can write to, or belong to the agent.
    let lent = closed.0.join("lent");
    make_folder(&lent, 0, 0o1777);
    let links = [(lent.join("through-lent"), 0), (closed.0.join("agents"), AGENT)];
    for (link, owner) in links {
        symlink(&folder, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(owner), Some(owner)).unwrap();
        assert_refused(closed.ask(OTHER_USER, &folder, &link, &SANDBOX), &format!("{}", link.display()));
    }
    let circle = closed.0.join("circle");
    symlink("circle", &circle).unwrap();
    let (output, _) = closed.ask(OTHER_USER, &folder, &circle, &SANDBOX);
    assert_eq!(output.out, "quit=1\n");
    let temporary = std::env::temp_dir().join(format!("shim-{}-squat", std::process::id()));
    make_folder(&temporary, OTHER_USER, 0o755);
    assert_refused(closed.ask(OTHER_USER, &temporary, &temporary, &SANDBOX), "/tmp");
    fs::remove_dir_all(temporary).unwrap();
}

/// The squatter shows as the same uid as the agent.
#[test]
fn rule25_the_overflow_uid_is_never_taken_for_ones_own() {
    if !bubblewrap_works() {
        return;
    }
    let closed = ClosedFolder::new("oneself");
    let folder = closed.0.join("run");
    let as_nobody = ["bwrap", "--unshare-user", "--uid", "65534", "--ro-bind", "/", "/", "--"];
    for way in [&as_nobody[..], &["unshare", "--user"]] {
        make_folder(&folder, 0, 0o777);
        assert_refused(closed.ask(OTHER_USER, &folder, &folder, way), &format!("{way:?}"));
    }
}

#[test]
fn rule25_without_proc_an_unmapped_server_is_refused() {
    if !bubblewrap_works() {
        return;
    }
    let closed = ClosedFolder::new("no-proc");
    let way = ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "--tmpfs", "/proc", "--"];
    let (output, requests) = closed.ask(0, &closed.0.join("run"), &closed.0.join("run"), &way);
    assert_eq!((output.out.as_str(), output.err.lines().count(), requests), ("quit=1\n", 1, 0), "{output:?}");
    assert!(output.err.contains("uid 65534"), "{output:?}");
}
