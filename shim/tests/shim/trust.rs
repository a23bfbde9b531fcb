//! The servers that the shim trusts, and its messages about forbidden sockets.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use crate::support::*;

pub(crate) const OTHER_USER: u32 = 12345;

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
    fn prctl(option: i32, ...) -> i32;
}

/// Makes a listener as this user: the kernel records the user who called `listen`. Only
/// one thread changes its user, while the C library's `setresuid` would change all.
pub(crate) fn listener_as_user(uid: u32, folder: &Path) -> UnixListener {
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

fn ask_other_users_server(folder_owner: u32, folder_mode: u32) -> (ProgramOutput, Vec<String>) {
    let world = ShimWorld::new();
    let listener = listener_as_user(OTHER_USER, &world.folder);
    chown(&world.folder, Some(folder_owner), None).unwrap();
    fs::set_permissions(&world.folder, fs::Permissions::from_mode(folder_mode)).unwrap();
    let server = FakeServer::on(listener, |_, stream| write_answer(stream, "molecule/1 ok\nusername=u\n\n"));
    let output = world.get(GET);
    (output, server.requests().into_iter().filter(|r| !r.is_empty()).collect())
}

#[test]
fn rule25_a_squatted_socket_gives_git_nothing() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    for (owner, mode) in [(0, 0o755), (0, 0o777), (0, 0o1777), (OTHER_USER, 0o775), (OTHER_USER, 0o777), (54321, 0o755)]
    {
        let (output, requests) = ask_other_users_server(owner, mode);
        assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)), "{owner} {mode:o}");
        assert!(output.err.contains("uid 12345") && output.err.lines().count() == 1, "{output:?}");
        assert_eq!(requests, [""; 0]);
    }
}

#[test]
fn rule25_the_folders_only_writer_is_trusted() {
    if can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        assert_eq!(ask_other_users_server(OTHER_USER, 0o755).0, prints("username=u\n"));
    }
}

/// Returns a copy of the shim that this user can reach and run.
fn shim_as_user(uid: u32, world: &ShimWorld) -> Command {
    let copy = world.folder.join("copy");
    let output = run(program("install").args(["-m", "755", env!("CARGO_BIN_EXE_molecule-shim")]).arg(&copy), b"");
    assert_eq!(output.status, Some(0), "{output:?}");
    let mut shim = program(copy);
    shim.arg("get").env_clear().env("MOLECULE_BROKER_SOCKET", world.socket()).env("PATH", "/nowhere").uid(uid);
    shim
}

#[test]
fn rule25_root_and_the_callers_own_user_are_trusted() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    for server in [0, OTHER_USER] {
        let world = ShimWorld::new();
        let listener = listener_as_user(server, &world.folder);
        fs::set_permissions(world.socket(), fs::Permissions::from_mode(0o666)).unwrap();
        let _server = FakeServer::on(listener, |_, stream| write_answer(stream, "molecule/1 ok\nusername=u\n\n"));
        assert_eq!(run(&mut shim_as_user(OTHER_USER, &world), GET.as_bytes()), prints("username=u\n"));
    }
}

#[test]
fn a_socket_without_permission_is_named_with_the_remedy() {
    if !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
        return;
    }
    let world = ShimWorld::new();
    let server = world.serve(OK);
    fs::set_permissions(world.socket(), fs::Permissions::from_mode(0o600)).unwrap();
    let output = run(&mut shim_as_user(OTHER_USER, &world), GET.as_bytes());
    assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)));
    assert!(
        output.err.contains("EACCES") && output.err.contains("`mode`") && output.err.contains("[socket]"),
        "{output:?}"
    );
    assert_eq!((output.err.lines().count(), server.requests().len()), (1, 0));
}

#[test]
fn a_sandbox_without_unix_sockets_is_named_with_the_remedy() {
    for (errno, name) in [(1, "EPERM"), (13, "EACCES"), (97, "EAFNOSUPPORT")] {
        let world = ShimWorld::new();
        let _server = world.serve(OK);
        let output = run(forbid_sockets(world.shim(HELPER).arg("get"), errno), GET.as_bytes());
        assert_eq!((output.out.as_str(), output.status), ("quit=1\n", Some(0)));
        assert!(output.err.contains("sandbox") && output.err.contains(name), "{output:?}");
        assert_eq!(output.err.lines().count(), 1);
        let mut askpass = world.shim(ASKPASS);
        let output = run(forbid_sockets(askpass.arg("Username for 'https://github.com': "), errno), b"");
        assert_eq!((output.out.as_str(), output.status, output.err.lines().count()), ("", Some(1), 1));
    }
}

/// Makes the system call `socket` fail, as an agent's sandbox does.
fn forbid_sockets(command: &mut Command, errno: u32) -> &mut Command {
    const SOCKET: u32 = if cfg!(target_arch = "x86_64") { 41 } else { 198 };
    #[repr(C)]
    struct Instruction(u16, u8, u8, u32);
    #[repr(C)]
    struct Program(u16, *const Instruction);
    let forbid = move || {
        // Load the call's number. If it is `socket`, return the error; otherwise allow.
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
fn a_user_who_may_not_ask_gets_a_reason() {
    let world = ShimWorld::new();
    // The daemon answers before it reads the request, and closes the connection.
    let listener = UnixListener::bind(world.socket()).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            write_answer(stream.unwrap(), "molecule/1 denied\n\n");
        }
    });
    let output = world.get(GET);
    assert_eq!(
        output,
        ProgramOutput {
            out: "quit=1\n".into(),
            err: "molecule-broker: the broker doesn't serve this user; its operator can add it to allow_users\n".into(),
            status: Some(0)
        }
    );
    let output = world.askpass("Username for 'https://github.com': ");
    assert_eq!((output.out.as_str(), output.status), ("", Some(1)));
}
