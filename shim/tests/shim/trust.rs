//! Whose server is believed, and what a forbidden socket looks like.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use crate::support::*;

pub(crate) const SOMEBODY: u32 = 12345;

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
    fn prctl(option: i32, ...) -> i32;
}

/// A listener of this user's: the kernel notes who called `listen`. Only this
/// one thread changes its user, which the C library's `setresuid` would not do.
pub(crate) fn listener_of(uid: u32, folder: &Path) -> UnixListener {
    const SETRESUID: i64 = if cfg!(target_arch = "x86_64") { 117 } else { 147 };
    let (socket, (give, take)) = (folder.join("broker.sock"), mpsc::channel());
    let mode = fs::metadata(folder).unwrap().permissions();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    thread::spawn(move || {
        // SAFETY: takes three numbers.
        assert_eq!(unsafe { syscall(SETRESUID, uid, uid, uid) }, 0);
        give.send(UnixListener::bind(socket).unwrap()).unwrap();
    });
    let listener = take.recv().unwrap();
    fs::set_permissions(folder, mode).unwrap();
    listener
}

fn squatted(folder_owner: u32, folder_mode: u32) -> (Said, Vec<String>) {
    let place = SocketPath::new();
    let listener = listener_of(SOMEBODY, &place.folder);
    chown(&place.folder, Some(folder_owner), None).unwrap();
    fs::set_permissions(&place.folder, fs::Permissions::from_mode(folder_mode)).unwrap();
    let server = Server::on(listener, |_, stream| give(stream, "molecule/1 ok\nusername=u\n\n"));
    let said = place.get(GET);
    (said, server.requests().into_iter().filter(|r| !r.is_empty()).collect())
}

#[test]
fn rule25_a_squatted_socket_feeds_git_nothing() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    for (owner, mode) in [(0, 0o755), (0, 0o777), (0, 0o1777), (SOMEBODY, 0o775), (SOMEBODY, 0o777), (54321, 0o755)] {
        let (said, requests) = squatted(owner, mode);
        assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)), "{owner} {mode:o}");
        assert!(said.err.contains("uid 12345") && said.err.lines().count() == 1, "{said:?}");
        assert_eq!(requests, [""; 0]);
    }
}

#[test]
fn rule25_the_sole_writer_of_the_folder_is_believed() {
    if can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        assert_eq!(squatted(SOMEBODY, 0o755).0, says("username=u\n"));
    }
}

/// A shim that this user can reach and run, wherever the build lies.
fn shim_of(uid: u32, place: &SocketPath) -> Command {
    let copy = place.folder.join("copy");
    let said = run(program("install").args(["-m", "755", env!("CARGO_BIN_EXE_molecule-shim")]).arg(&copy), b"");
    assert_eq!(said.status, Some(0), "{said:?}");
    let mut shim = program(copy);
    shim.arg("get").env_clear().env("MOLECULE_BROKER_SOCKET", place.socket()).env("PATH", "/nowhere").uid(uid);
    shim
}

#[test]
fn rule25_root_and_oneself_are_believed() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    for server in [0, SOMEBODY] {
        let place = SocketPath::new();
        let listener = listener_of(server, &place.folder);
        fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o666)).unwrap();
        let _server = Server::on(listener, |_, stream| give(stream, "molecule/1 ok\nusername=u\n\n"));
        assert_eq!(run(&mut shim_of(SOMEBODY, &place), GET.as_bytes()), says("username=u\n"));
    }
}

#[test]
fn a_socket_that_keeps_this_user_out_is_named_with_the_remedy() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    let place = SocketPath::new();
    let server = place.serve(OK);
    fs::set_permissions(place.socket(), fs::Permissions::from_mode(0o600)).unwrap();
    let said = run(&mut shim_of(SOMEBODY, &place), GET.as_bytes());
    assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)));
    assert!(said.err.contains("EACCES") && said.err.contains("`mode`") && said.err.contains("[socket]"), "{said:?}");
    assert_eq!((said.err.lines().count(), server.requests().len()), (1, 0));
}

#[test]
fn a_sandbox_that_forbids_unix_sockets_is_named_with_the_remedy() {
    for (errno, name) in [(1, "EPERM"), (13, "EACCES"), (97, "EAFNOSUPPORT")] {
        let place = SocketPath::new();
        let _server = place.serve(OK);
        let said = run(forbid_sockets(place.shim(HELPER).arg("get"), errno), GET.as_bytes());
        assert_eq!((said.out.as_str(), said.status), ("quit=1\n", Some(0)));
        assert!(said.err.contains("sandbox") && said.err.contains(name), "{said:?}");
        assert_eq!(said.err.lines().count(), 1);
        let mut askpass = place.shim(ASKPASS);
        let said = run(forbid_sockets(askpass.arg("Username for 'https://github.com': "), errno), b"");
        assert_eq!((said.out.as_str(), said.status, said.err.lines().count()), ("", Some(1), 1));
    }
}

/// As an agent's sandbox does it: `socket` fails.
fn forbid_sockets(command: &mut Command, errno: u32) -> &mut Command {
    const SOCKET: u32 = if cfg!(target_arch = "x86_64") { 41 } else { 198 };
    #[repr(C)]
    struct Instruction(u16, u8, u8, u32);
    #[repr(C)]
    struct Program(u16, *const Instruction);
    let forbid = move || {
        // Load the call's number; if it is `socket`, its error; else allow.
        let code = [
            Instruction(0x20, 0, 0, 0),
            Instruction(0x15, 0, 1, SOCKET),
            Instruction(0x06, 0, 0, 0x0005_0000 | errno),
            Instruction(0x06, 0, 0, 0x7fff_0000),
        ];
        let program = Program(4, code.as_ptr());
        // SAFETY: PR_SET_NO_NEW_PRIVS (38) takes numbers, PR_SET_SECCOMP (22)
        // with SECCOMP_MODE_FILTER (2) a `struct sock_fprog`.
        let done = unsafe { prctl(38, 1_u64, 0_u64, 0_u64, 0_u64) == 0 && prctl(22, 2_u64, &raw const program) == 0 };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: two system calls, no allocation, no lock.
    unsafe { command.pre_exec(forbid) }
}

#[test]
fn a_user_who_may_not_ask_is_told_so() {
    let place = SocketPath::new();
    // The daemon says so before it reads, and closes.
    let listener = UnixListener::bind(place.socket()).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            give(stream.unwrap(), "molecule/1 denied\n\n");
        }
    });
    let said = place.get(GET);
    assert_eq!(
        said,
        Said {
            out: "quit=1\n".into(),
            err: "molecule-broker: the broker doesn't serve this user; its operator can add it to allow_users\n"
                .into(),
            status: Some(0)
        }
    );
    let said = place.askpass("Username for 'https://github.com': ");
    assert_eq!((said.out.as_str(), said.status), ("", Some(1)));
}
