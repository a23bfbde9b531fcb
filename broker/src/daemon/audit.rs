//! The audit log: one line for each credential that is handed out, with the time, the client,
//! the origin and the token's hash, so that it can be joined with the git host's own log.
//!
//! The line is written before the credential leaves, so that no crash can hide it. The
//! exception is the process name, where the client doesn't send one and the line goes to a
//! file that only the daemon writes: the name is appended after the kernel was asked for it. A
//! line never holds more of an installation token than its SHA-256 (GitHub's audit log shows
//! it as `hashed_token`), and no hash of a password.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use molecule_protocol::encoding;
use molecule_protocol::gh::is_installation_token;
use molecule_protocol::limits::MAX_COMMAND;
use molecule_protocol::request::Client;

use crate::config::LogFormat;
use crate::credential::lease::{Lease, SourceKind};
use crate::system::peer::Peer;
use crate::system::time::{Boot, Moment};
use crate::system::{log_writer, text};

/// For how long a process's name is taken to be what it was. A busy client
/// asks many times as one process; a pid isn't used again so soon.
const NAME_HOLDS: Duration = Duration::from_secs(1);

pub struct Audit {
    format: LogFormat,
    state: Mutex<AuditState>,
}

struct AuditState {
    to: AuditSink,
    line: Vec<u8>,
    /// The last second that was formatted, and how.
    second: (u64, String),
    names: Vec<Named>,
    /// The process that the last line is about, while that has no end.
    open: Option<(i32, Boot)>,
    /// True if the last write was partial, so that the next line starts with a newline.
    amid_line: bool,
    /// Lines, since the last that was written.
    lost: u64,
}

enum AuditSink {
    Log,
    File(File),
}

struct Named {
    pid: i32,
    until: Boot,
    name: String,
}

/// The content of one line.
pub struct HandedOut<'a> {
    pub now: Moment,
    pub peer: Peer,
    pub client: Client,
    /// Name of the client's program by its own account.
    pub command: Option<&'a [u8]>,
    pub origin: &'a str,
    pub credential: &'a str,
    pub lease: &'a Lease,
}

impl Audit {
    /// # Errors
    /// The file can't be opened for appending.
    pub fn new(format: LogFormat, file: Option<&Path>) -> io::Result<Self> {
        let (line, second) = (Vec::with_capacity(512), Default::default());
        let state = AuditState {
            to: AuditSink::new(file)?,
            line,
            second,
            names: Vec::new(),
            open: None,
            amid_line: false,
            lost: 0,
        };
        Ok(Self { format, state: Mutex::new(state) })
    }

    /// Opens the file again, after it was moved away, or another one.
    ///
    /// # Errors
    /// It can't be opened: then the old one is written on.
    pub fn reopen(&self, file: Option<&Path>) -> io::Result<()> {
        let to = AuditSink::new(file)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.close_line(self.format);
        (state.to, state.amid_line) = (to, false);
        Ok(())
    }

    /// Writes the line, but maybe for the end that [`Audit::close_line`] gives
    /// it: to be called before the credential leaves.
    pub fn handed_out(&self, event: &HandedOut<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.close_line(self.format);
        if state.second.0 != event.now.wall.as_secs() {
            state.second = (event.now.wall.as_secs(), second_of(event.now));
        }
        let AuditState { line, second, names, to, .. } = &mut *state;
        line.clear();
        begin_line(line, self.format, &second.1, event);
        let (pid, now) = (event.peer.pid, event.now.boot);
        let told = event
            .command
            .filter(|name| (1..=MAX_COMMAND).contains(&name.len()))
            .map(|name| plain(&String::from_utf8_lossy(name)));
        let whole = told.is_some() || matches!(to, AuditSink::Log);
        if whole {
            end_line(line, self.format, told.as_deref().or_else(|| command_name(names, pid, now)));
        }
        let begun = state.begin();
        state.open = (begun && !whole).then_some((pid, now));
    }

    /// Ends an open line with the name of the process, which takes the kernel
    /// longer to find than all the rest, and which a client that ends meanwhile
    /// waits for: to be called as soon as the credential has left, and before
    /// anything else can be logged.
    pub fn close_line(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).close_line(self.format);
    }
}

impl AuditState {
    fn close_line(&mut self, format: LogFormat) {
        let Some((pid, now)) = self.open.take() else { return };
        let command = command_name(&mut self.names, pid, now);
        self.line.clear();
        end_line(&mut self.line, format, command);
        // Where only the name is lost, the next line begins a new one.
        let _ = self.write();
    }

    /// Returns true if the line is written except for its end.
    fn begin(&mut self) -> bool {
        if self.amid_line {
            self.line.insert(0, b'\n');
        }
        let sent = self.write();
        // Service goes on: a full disk must not take the credentials away. The
        // first lost line says so, and the first one after says how many.
        match &sent {
            Ok(()) if self.lost > 0 => {
                tracing::warn!(lost = self.lost, "the audit takes lines again");
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    tracing::error!(%error, "an audit line was lost: make room where the audit file is, or read the log");
                }
                self.lost += 1;
            }
        }
        sent.is_ok()
    }

    /// A disk that fills up takes a part.
    fn write(&mut self) -> io::Result<()> {
        let mut rest = &self.line[..];
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.amid_line = rest[count - 1] != b'\n';
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AuditSink {
    fn new(file: Option<&Path>) -> io::Result<Self> {
        let Some(path) = file else { return Ok(Self::Log) };
        let opened = OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut file = opened.map_err(named)?;
        end_torn_line(&mut file).map_err(named)?;
        Ok(Self::File(file))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Log => log_writer::line(bytes).map(|()| bytes.len()),
            Self::File(file) => file.write(bytes),
        }
    }
}

/// A daemon that was killed in the middle of a line left it without an end.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_at(&mut last, length - 1)?;
    }
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Every client waits for this: text is copied, and only numbers are formatted.
fn begin_line(to: &mut Vec<u8>, format: LogFormat, second: &str, event: &HandedOut<'_>) {
    let HandedOut { now, peer, client, origin, credential, lease, command: _ } = event;
    let digest = joinable(lease).then(|| encoding::base64_digest(&lease.sha256));
    let digest = digest.as_ref().and_then(|d| std::str::from_utf8(d).ok());
    let (millis, generation) = (now.wall.subsec_millis(), lease.generation);
    match format {
        LogFormat::Text => {
            put(to, &[second]);
            number(to, format_args!(".{millis:03}Z AUDIT uid={} pid={}", peer.uid.as_raw(), peer.pid));
            put(to, &[" client=", client.name(), " origin=", origin, " credential=", credential, " generation="]);
            number(to, format_args!("{generation}"));
            put(to, &[" token_sha256=", digest.unwrap_or("-")]);
        }
        LogFormat::Json => {
            put(to, &["{\"timestamp\":\"", second]);
            number(to, format_args!(".{millis:03}Z\",\"level\":\"AUDIT\",\"uid\":{}", peer.uid.as_raw()));
            number(to, format_args!(",\"pid\":{},\"client\":\"", peer.pid));
            put(to, &[client.name(), "\",\"origin\":\"", origin, "\",\"credential\":\"", credential]);
            number(to, format_args!("\",\"generation\":{generation},\"token_sha256\":"));
            let quote = if digest.is_some() { "\"" } else { "" };
            put(to, &[quote, digest.unwrap_or("null"), quote]);
        }
    }
}

fn end_line(to: &mut Vec<u8>, format: LogFormat, command: Option<&str>) {
    match (format, command) {
        (LogFormat::Text, command) => put(to, &[" command=", command.unwrap_or("-"), "\n"]),
        (LogFormat::Json, None) => put(to, &[",\"command\":null}\n"]),
        (LogFormat::Json, Some(command)) => put(to, &[",\"command\":\"", command, "\"}\n"]),
    }
}

fn put(to: &mut Vec<u8>, pieces: &[&str]) {
    pieces.iter().for_each(|piece| to.extend_from_slice(piece.as_bytes()));
}

fn number(to: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector can't fail.
    let _ = to.write_fmt(text);
}

/// `2026-04-17T22:50:00`, for the milliseconds and the zone to follow.
fn second_of(now: Moment) -> String {
    let second = i64::try_from(now.wall.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok());
    second.unwrap_or_default().to_string().trim_end_matches('Z').to_owned()
}

/// Returns true if the lease's hash may be logged. A short-lived random token can't be guessed
/// from its hash; a password that a person chose can.
pub(crate) fn joinable(lease: &Lease) -> bool {
    match lease.source {
        SourceKind::Platform | SourceKind::Env => true,
        SourceKind::Persona => false,
        SourceKind::File | SourceKind::Command => is_installation_token(lease.secret.expose().as_bytes()),
    }
}

fn command_name(names: &mut Vec<Named>, pid: i32, now: Boot) -> Option<&str> {
    const REMEMBERED: usize = 16;
    names.retain(|n| now < n.until);
    let at = match names.iter().position(|n| n.pid == pid) {
        Some(at) => at,
        None => {
            // One read: the kernel gives at most 16 bytes (proc_pid_comm(5)).
            let mut raw = [0; 32];
            let read = File::open(format!("/proc/{pid}/comm")).and_then(|mut file| file.read(&mut raw)).ok()?;
            let name = plain(&String::from_utf8_lossy(&raw[..read]));
            if names.len() == REMEMBERED {
                names.remove(0);
            }
            names.push(Named { pid, until: now + NAME_HOLDS, name });
            names.len() - 1
        }
    };
    Some(&names[at].name)
}

/// A process chooses its own name, whether it tells it or the kernel does
/// (prctl(2), `PR_SET_NAME`): nothing of it may end the line or the field.
fn plain(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_graphic() && !"\"\\=".contains(c) { c } else { '?' };
    text::untrusted(name.trim_end_matches('\n')).chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nix::unistd::Uid;

    use super::*;
    use crate::credential::secret::Secret;
    use crate::system::time::Deadline;

    fn line(format: LogFormat, source: SourceKind, command: Option<&str>) -> String {
        let now = Moment { boot: Duration::from_secs(10), wall: Duration::from_millis(1_776_466_200_042) };
        let secret = Secret::token("ghs_canary").unwrap();
        let lease = Lease {
            username: None,
            sha256: secret.sha256(),
            secret: Arc::new(secret),
            deadline: Some(Deadline::after(now, Duration::from_secs(60))),
            generation: 3,
            received: now,
            source,
        };
        let peer = Peer { uid: Uid::from_raw(1000), pid: 42 };
        let event = HandedOut {
            now,
            peer,
            client: Client::Helper,
            command: None,
            origin: "https://github.com",
            credential: "github",
            lease: &lease,
        };
        let mut to = Vec::new();
        begin_line(&mut to, format, &second_of(now), &event);
        end_line(&mut to, format, command);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_line_tells_who_got_which_token_and_not_the_token() {
        // printf ghs_canary | openssl dgst -sha256 -binary | base64
        let digest = "32g+0L7pqNbRHfRd4S8Z7vnGpA+jGeexkqaCVy+b/b0=";
        assert_eq!(
            line(LogFormat::Text, SourceKind::Platform, Some("git")),
            format!(
                "2026-04-17T22:50:00.042Z AUDIT uid=1000 pid=42 client=helper origin=https://github.com \
                 credential=github generation=3 token_sha256={digest} command=git\n"
            )
        );
        let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, SourceKind::Platform, None)).unwrap();
        assert_eq!(json["token_sha256"], digest);
        assert_eq!((json["uid"].as_u64(), json["command"].is_null()), (Some(1000), true));
    }

    #[test]
    fn a_personas_password_is_not_even_hashed() {
        assert!(line(LogFormat::Text, SourceKind::Persona, None).ends_with("token_sha256=- command=-\n"));
    }

    #[test]
    fn rule23_a_process_cannot_forge_a_line_by_its_name() {
        let name = plain("x\nAUDIT uid=0 \u{1b}[31m");
        assert!(name.bytes().all(|b| b.is_ascii_graphic()) && !name.contains('='), "{name}");
    }

    #[test]
    fn a_line_that_a_crash_tore_gets_its_end_from_the_next_daemon() {
        let folder = molecule_test_kit::temp_folder();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, "one\ntorn").unwrap();
        for _ in 0..2 {
            Audit::new(LogFormat::Text, Some(&path)).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntorn\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = molecule_test_kit::temp_folder();
        let path = folder.path().join("audit.log");
        let audit = Audit::new(LogFormat::Text, Some(&path)).unwrap();
        std::fs::rename(&path, folder.path().join("audit.log.1")).unwrap();
        audit.reopen(Some(&path)).unwrap();
        assert!(path.exists());
    }
}
