//! Whose server is believed in a user namespace, where every other user shows
//! as the same uid. By the real bubblewrap, as agents start it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;
use crate::trust::{SOMEBODY, listener_of};

/// The agent: the one user whom its sandbox maps.
const AGENT: u32 = 54321;

/// Agents start it with and without `/dev`, which takes a second namespace in
/// which the map reads otherwise.
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

/// A folder in a place that only root can write to, unlike `/tmp`.
struct Closed(PathBuf);

impl Closed {
    fn new(name: &str) -> Self {
        let folder = Path::new("/run").join(format!("shim-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let closed = Self(folder);
        for part in ["", "run"] {
            make(&closed.0.join(part), 0, 0o755);
        }
        let shim = closed.shim();
        let said = run(program("install").args(["-m", "755", env!("CARGO_BIN_EXE_molecule-shim")]).arg(shim), b"");
        assert_eq!(said.status, Some(0), "{said:?}");
        closed
    }

    fn shim(&self) -> PathBuf {
        self.0.join("shim")
    }

    /// Asks the server of `served` by way of `way`, looking for its socket at
    /// `seen`.
    fn ask(&self, server: u32, served: &Path, seen: &Path, way: &[&str]) -> (Said, usize) {
        let socket = served.join("broker.sock");
        let _ = fs::remove_file(&socket);
        let listener = listener_of(server, served);
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
        let server = Server::on(listener, |_, stream| give(stream, "molecule/1 ok\nusername=u\n\n"));
        let mut command = as_agent(way);
        command.arg(self.shim()).arg("get").env("PATH", "/nowhere:/usr/bin:/bin");
        let said = run(command.env("MOLECULE_BROKER_SOCKET", seen.join("broker.sock")), GET.as_bytes());
        (said, server.requests().iter().filter(|request| !request.is_empty()).count())
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn make(folder: &Path, owner: u32, mode: u32) {
    fs::create_dir_all(folder).unwrap();
    chown(folder, Some(owner), Some(owner)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn rule25_a_server_in_a_closed_folder_is_believed_in_bubblewrap() {
    if !bubblewrap_works() {
        return;
    }
    let closed = Closed::new("believed");
    let folder = closed.0.join("run");
    symlink("run", closed.0.join("link")).unwrap();
    symlink(closed.0.join("link"), closed.0.join("link-to-link")).unwrap();
    for (server, owner) in [(0, 0), (SOMEBODY, SOMEBODY), (0, SOMEBODY)] {
        make(&folder, owner, 0o755);
        for (way, seen) in [
            (&SANDBOX[..], folder.clone()),
            (&WITH_DEV[..], folder.clone()),
            (&SANDBOX[..], closed.0.join("link-to-link")),
            (&SANDBOX[..], closed.0.join("run/../link")),
        ] {
            let (said, requests) = closed.ask(server, &folder, &seen, way);
            assert_eq!((said, requests), (says("username=u\n"), 1), "{server} {owner} {way:?} {seen:?}");
        }
    }
}

#[track_caller]
fn is_refused((said, requests): (Said, usize), case: &str) {
    assert_eq!((said.out.as_str(), said.status, requests), ("quit=1\n", Some(0), 0), "{case}: {said:?}");
    assert_eq!(said.err.lines().count(), 1, "{case}: {said:?}");
    assert!(said.err.contains("user namespace") && said.err.contains("--ro-bind / /"), "{case}: {said:?}");
}

#[test]
fn rule25_a_squatted_socket_feeds_nothing_in_bubblewrap() {
    if !bubblewrap_works() {
        return;
    }
    let closed = Closed::new("squatted");
    let folder = closed.0.join("run");
    for (owner, mode) in [(0, 0o777), (0, 0o1777), (0, 0o775), (SOMEBODY, 0o775), (AGENT, 0o755), (AGENT, 0o555)] {
        make(&folder, owner, mode);
        for way in [&SANDBOX[..], &WITH_DEV[..]] {
            is_refused(closed.ask(SOMEBODY, &folder, &folder, way), &format!("{owner} {mode:o}"));
        }
    }
}

#[test]
fn rule25_an_open_folder_on_the_way_is_refused_in_bubblewrap() {
    if !bubblewrap_works() {
        return;
    }
    let closed = Closed::new("on-the-way");
    let folder = closed.0.join("run/a/b");
    make(&folder, SOMEBODY, 0o755);
    for (owner, mode) in [(AGENT, 0o755), (AGENT, 0o555), (0, 0o1777), (0, 0o775), (SOMEBODY, 0o757)] {
        make(&closed.0.join("run"), owner, mode);
        is_refused(closed.ask(SOMEBODY, &folder, &folder, &SANDBOX), &format!("{owner} {mode:o}"));
    }
    make(&closed.0.join("run"), 0, 0o755);
    // The control.
    assert_eq!(closed.ask(SOMEBODY, &folder, &folder, &SANDBOX).0, says("username=u\n"));
    // Folders of another user's own, where links of the agent's or through a
    // folder for all lead.
    let lent = closed.0.join("lent");
    make(&lent, 0, 0o1777);
    let links = [(lent.join("through-lent"), 0), (closed.0.join("agents"), AGENT)];
    for (link, owner) in links {
        symlink(&folder, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(owner), Some(owner)).unwrap();
        is_refused(closed.ask(SOMEBODY, &folder, &link, &SANDBOX), &format!("{}", link.display()));
    }
    let circle = closed.0.join("circle");
    symlink("circle", &circle).unwrap();
    let (said, _) = closed.ask(SOMEBODY, &folder, &circle, &SANDBOX);
    assert_eq!(said.out, "quit=1\n");
    let temporary = std::env::temp_dir().join(format!("shim-{}-squat", std::process::id()));
    make(&temporary, SOMEBODY, 0o755);
    is_refused(closed.ask(SOMEBODY, &temporary, &temporary, &SANDBOX), "/tmp");
    fs::remove_dir_all(temporary).unwrap();
}

/// The squatter shows as the very uid that the agent has, or seems to have.
#[test]
fn rule25_the_overflow_uid_is_not_oneself_in_a_namespace() {
    if !bubblewrap_works() {
        return;
    }
    let closed = Closed::new("oneself");
    let folder = closed.0.join("run");
    let as_nobody = ["bwrap", "--unshare-user", "--uid", "65534", "--ro-bind", "/", "/", "--"];
    for way in [&as_nobody[..], &["unshare", "--user"]] {
        make(&folder, 0, 0o777);
        is_refused(closed.ask(SOMEBODY, &folder, &folder, way), &format!("{way:?}"));
    }
}

#[test]
fn rule25_without_proc_an_unmapped_server_is_refused() {
    if !bubblewrap_works() {
        return;
    }
    let closed = Closed::new("no-proc");
    let way = ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "--tmpfs", "/proc", "--"];
    let (said, requests) = closed.ask(0, &closed.0.join("run"), &closed.0.join("run"), &way);
    assert_eq!((said.out.as_str(), said.err.lines().count(), requests), ("quit=1\n", 1, 0), "{said:?}");
    assert!(said.err.contains("uid 65534"), "{said:?}");
}
