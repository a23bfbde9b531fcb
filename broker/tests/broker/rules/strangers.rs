//! Clients of the socket in processes of other users.

use std::io::{IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg, setsockopt, sockopt};

use crate::kit::wire::{connect, rest};
use crate::kit::{program, reachable, text};

/// Sends `request`, which may be empty, from a process of this user. Returns the
/// answer.
pub fn ask_as(uid: u32, socket: &Path, request: &str) -> String {
    let mut other = another("a_client_of_another_user", socket);
    heard(other.env("RULES_REQUEST", request).uid(uid).gid(uid))
}

/// Returns a command that runs one of the ignored tests below in another process.
fn another(test: &str, socket: &Path) -> Command {
    // Next to the socket's folder, which may be closed to other users.
    let folder = socket.ancestors().nth(2).unwrap();
    let mut command = program(reachable(&std::env::current_exe().unwrap(), folder));
    let name = format!("rules::strangers::{test}");
    command.args([&name, "--exact", "--ignored", "--nocapture"]).env("RULES_SOCKET", socket);
    command
}

fn heard(command: &mut Command) -> String {
    let said = text(&command.output().unwrap().stdout);
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

/// Sends `request` from a process that connects as its own user and becomes this
/// user before it sends. Returns the answer.
pub fn ask_and_drop_to(uid: u32, socket: &Path, request: &str) -> String {
    let mut other = another("a_client_of_another_user", socket);
    heard(other.env("RULES_REQUEST", request).env("RULES_DROP_TO", uid.to_string()))
}

/// Runs a process of this user that sends, with its request, a connection to
/// `silent` whose last close takes an hour. Returns the outcome of the send.
pub fn ask_with_a_lingering_connection(uid: u32, socket: &Path, silent: &TcpListener) -> String {
    let mut other = another("a_client_that_hands_over_a_lingering_connection", socket);
    heard(other.env("RULES_SILENT", silent.local_addr().unwrap().to_string()).uid(uid).gid(uid))
}

#[test]
#[ignore = "not a test: the other process of ask_with_a_lingering_connection"]
fn a_client_that_hands_over_a_lingering_connection() {
    let Some(socket) = std::env::var_os("RULES_SOCKET") else { return };
    let stream = connect(Path::new(&socket));
    let lingering = lingering(&std::env::var("RULES_SILENT").unwrap());
    let raw = [lingering.as_raw_fd()];
    let part = [IoSlice::new(b"molecule/1 get\n")];
    let sent =
        sendmsg::<()>(stream.as_raw_fd(), &part, &[ControlMessage::ScmRights(&raw)], MsgFlags::MSG_NOSIGNAL, None);
    println!("<<<{}>>>", sent.map_or_else(|error| error.to_string(), |_| "sent".into()));
    // Ends without closing: the connection that was sent has one holder left.
    std::process::exit(0);
}

/// Returns a connection with more unsent data than the other end takes, whose
/// close waits until that data is sent (SO_LINGER).
fn lingering(silent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(silent).unwrap();
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 65536]).is_ok() {}
    setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 3600 }).unwrap();
    stream
}
