//! Raw client of the broker's socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub const GET: &str = "molecule/1 get\nclient=helper\nprotocol=https\nhost=github.com\n\n";
pub const DENIED: &str = "molecule/1 denied\n\n";

pub fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends one request and returns the whole answer. A daemon that closes before
/// it has read everything resets the connection, but its answer stays complete.
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
