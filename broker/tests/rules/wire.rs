//! The socket spoken by hand, and from a process of another user.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const GET: &str = "molecule/1 get\nclient=helper\nprotocol=https\nhost=github.com\n\n";
pub const DENIED: &str = "molecule/1 denied\n\n";

pub fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// One request, and all that comes back. A daemon that closed without reading
/// everything resets the connection, which takes nothing from its answer.
pub fn ask(socket: &Path, request: &[u8]) -> String {
    let mut stream = connect(socket);
    let _ = stream.write_all(request);
    rest(&mut stream)
}

pub fn rest(stream: &mut UnixStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(got) => all.extend_from_slice(&piece[..got]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("no answer: {error}"),
        }
    }
    String::from_utf8(all).unwrap()
}

pub fn value<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

pub fn password(answer: &str) -> Option<&str> {
    value(answer, "password")
}

/// What a process of this user hears that connects and sends `request`, which
/// may be nothing.
pub fn ask_as(uid: u32, socket: &Path, request: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["wire::a_client_of_another_user", "--exact", "--ignored", "--nocapture"])
        .env("RULES_SOCKET", socket)
        .env("RULES_REQUEST", request)
        .uid(uid)
        .gid(uid)
        .output()
        .unwrap();
    heard(&output.stdout)
}

fn heard(stdout: &[u8]) -> String {
    let said = String::from_utf8_lossy(stdout);
    let (_, heard) = said.split_once("<<<").unwrap_or_else(|| panic!("{said}"));
    heard.split_once(">>>").unwrap().0.to_owned()
}

#[test]
#[ignore = "not a test: the other process of ask_as"]
fn a_client_of_another_user() {
    let Some(socket) = std::env::var_os("RULES_SOCKET") else { return };
    let request = std::env::var("RULES_REQUEST").unwrap();
    let mut stream = connect(Path::new(&socket));
    if let Ok(uid) = std::env::var("RULES_DROP_TO") {
        nix::unistd::setuid(nix::unistd::Uid::from_raw(uid.parse().unwrap())).unwrap();
    }
    let _ = stream.write_all(request.as_bytes());
    println!("<<<{}>>>", rest(&mut stream));
}

/// The same by a process that connects as itself and is another user when it
/// sends.
pub fn ask_and_drop_to(uid: u32, socket: &Path, request: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["wire::a_client_of_another_user", "--exact", "--ignored", "--nocapture"])
        .env("RULES_SOCKET", socket)
        .env("RULES_REQUEST", request)
        .env("RULES_DROP_TO", uid.to_string())
        .output()
        .unwrap();
    heard(&output.stdout)
}
