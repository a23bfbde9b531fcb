//! The socket spoken from a process of another user.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::kit::wire::{connect, rest};

/// What a process of this user hears that connects and sends `request`, which
/// may be nothing.
pub fn ask_as(uid: u32, socket: &Path, request: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["strangers::a_client_of_another_user", "--exact", "--ignored", "--nocapture"])
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
        .args(["strangers::a_client_of_another_user", "--exact", "--ignored", "--nocapture"])
        .env("RULES_SOCKET", socket)
        .env("RULES_REQUEST", request)
        .env("RULES_DROP_TO", uid.to_string())
        .output()
        .unwrap();
    heard(&output.stdout)
}
