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
use molecule_protocol::request::ClientKind;

use crate::config::LogFormat;
use crate::credential::lease::{Lease, SourceKind};
use crate::system::peer::Peer;
use crate::system::time::{Boot, Moment};
use crate::system::{log_writer, text};

/// Time for which a looked-up process name is cached. A busy client sends many requests from
/// one process, and a pid isn't reused so soon.
const NAME_CACHE_TIME: Duration = Duration::from_secs(1);

pub struct Audit {
    format: LogFormat,
    state: Mutex<AuditState>,
}

struct AuditState {
    to: AuditSink,
    line: Vec<u8>,
    /// The last second that was formatted, and its text.
    second: (u64, String),
    names: Vec<CachedName>,
    /// Process of the last line, and the line's time, while the line lacks its end.
    open: Option<(i32, Boot)>,
    /// True if the last write was partial, so that the next line starts with a newline.
    amid_line: bool,
    /// Number of lines that were lost since the last successful one.
    lost: u64,
}

enum AuditSink {
    Log,
    File(File),
}

struct CachedName {
    pid: i32,
    until: Boot,
    name: String,
}

/// The content of one line.
pub struct HandedOut<'a> {
    pub now: Moment,
    pub peer: Peer,
    pub client: ClientKind,
    /// Name of the client's program by its own account.
    pub command: Option<&'a [u8]>,
    pub origin: &'a str,
    pub credential: &'a str,
    pub lease: &'a Lease,
}

impl Audit {
    /// # Errors
    /// Returns an error if the file can't be opened for appending.
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

    /// Opens the file again after it was moved away, or opens another file.
    ///
    /// # Errors
    /// Returns an error if the file can't be opened. Then the old file stays in use.
    pub fn reopen(&self, file: Option<&Path>) -> io::Result<()> {
        let to = AuditSink::new(file)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.close_line(self.format);
        (state.to, state.amid_line) = (to, false);
        Ok(())
    }

    /// Writes the line. Call it before the credential leaves. If the client sent no
    /// name and the line goes to a file, the line stays open until [`Audit::close_line`].
    pub fn record(&self, event: &HandedOut<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.close_line(self.format);
        if state.second.0 != event.now.wall.as_secs() {
            state.second = (event.now.wall.as_secs(), format_second(event.now));
        }
        let AuditState { line, second, names, to, .. } = &mut *state;
        line.clear();
        begin_line(line, self.format, &second.1, event);
        let (pid, now) = (event.peer.pid, event.now.boot);
        let sent_name = event
            .command
            .filter(|name| (1..=MAX_COMMAND).contains(&name.len()))
            .map(|name| sanitize(&String::from_utf8_lossy(name)));
        let whole = sent_name.is_some() || matches!(to, AuditSink::Log);
        if whole {
            end_line(line, self.format, sent_name.as_deref().or_else(|| command_name(names, pid, now)));
        }
        let written = state.write_new_line();
        state.open = (written && !whole).then_some((pid, now));
    }

    /// Appends the process name to the open line, if there is one. The lookup takes the kernel
    /// longer than all the rest of a request, and a client that exits meanwhile waits for it.
    /// Call it as soon as the credential has left, and before anything else can be logged.
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
        // If only the name is lost, the next line still starts on a line of its own.
        let _ = self.write();
    }

    /// Writes `self.line` at the start of a new line, and counts it as lost if that fails.
    /// Returns true if it was written.
    fn write_new_line(&mut self) -> bool {
        if self.amid_line {
            self.line.insert(0, b'\n');
        }
        let written = self.write();
        // Serving continues: a full disk must not stop the credentials. The first lost line is
        // logged, and so is the number of lost lines once writing works again.
        match &written {
            Ok(()) if self.lost > 0 => {
                tracing::warn!(lost = self.lost, "the audit takes lines again");
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.lost == 0 {
                    tracing::error!(%error, "an audit line was lost: make room on the audit file's disk, or make sure that the log is read");
                }
                self.lost += 1;
            }
        }
        written.is_ok()
    }

    /// Writes `self.line`, in several parts if necessary: a disk that fills up takes only a
    /// part of it.
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
        let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut file = opened.map_err(with_path)?;
        end_torn_line(&mut file).map_err(with_path)?;
        Ok(Self::File(file))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Log => log_writer::line(bytes).map(|()| bytes.len()),
            Self::File(file) => file.write(bytes),
        }
    }
}

/// Ends the file's last line if a daemon was killed while it wrote it.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_at(&mut last, length - 1)?;
    }
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Appends the line except for the process name. Every client waits for this, so text is
/// copied, and only numbers are formatted.
fn begin_line(to: &mut Vec<u8>, format: LogFormat, second: &str, event: &HandedOut<'_>) {
    let HandedOut { now, peer, client, origin, credential, lease, command: _ } = event;
    let digest = may_log_hash(lease).then(|| encoding::base64_digest(&lease.sha256));
    let digest = digest.as_ref().and_then(|d| std::str::from_utf8(d).ok());
    let (millis, generation) = (now.wall.subsec_millis(), lease.generation);
    match format {
        LogFormat::Text => {
            put(to, &[second]);
            put_formatted(to, format_args!(".{millis:03}Z AUDIT uid={} pid={}", peer.uid.as_raw(), peer.pid));
            put(to, &[" client=", client.name(), " origin=", origin, " credential=", credential, " generation="]);
            put_formatted(to, format_args!("{generation}"));
            put(to, &[" token_sha256=", digest.unwrap_or("-")]);
        }
        LogFormat::Json => {
            put(to, &["{\"timestamp\":\"", second]);
            put_formatted(to, format_args!(".{millis:03}Z\",\"level\":\"AUDIT\",\"uid\":{}", peer.uid.as_raw()));
            put_formatted(to, format_args!(",\"pid\":{},\"client\":\"", peer.pid));
            put(to, &[client.name(), "\",\"origin\":\"", origin, "\",\"credential\":\"", credential]);
            put_formatted(to, format_args!("\",\"generation\":{generation},\"token_sha256\":"));
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

fn put_formatted(to: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector can't fail.
    let _ = to.write_fmt(text);
}

/// Formats a time as `2026-04-17T22:50:00`. The caller appends the milliseconds and the zone.
fn format_second(now: Moment) -> String {
    let second = i64::try_from(now.wall.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok());
    second.unwrap_or_default().to_string().trim_end_matches('Z').to_owned()
}

/// Returns true if the lease's hash may be logged. A short-lived random token can't be guessed
/// from its hash; a password that a person chose can.
pub(crate) fn may_log_hash(lease: &Lease) -> bool {
    match lease.source {
        SourceKind::Platform | SourceKind::Env => true,
        SourceKind::Persona => false,
        SourceKind::File | SourceKind::Command => is_installation_token(lease.secret.expose().as_bytes()),
    }
}

/// Returns the process's own name, from the cache or from the kernel.
fn command_name(names: &mut Vec<CachedName>, pid: i32, now: Boot) -> Option<&str> {
    const REMEMBERED: usize = 16;
    names.retain(|n| now < n.until);
    let at = match names.iter().position(|n| n.pid == pid) {
        Some(at) => at,
        None => {
            // One read is enough: the kernel returns at most 16 bytes (proc_pid_comm(5)).
            let mut raw = [0; 32];
            let read = File::open(format!("/proc/{pid}/comm")).and_then(|mut file| file.read(&mut raw)).ok()?;
            let name = sanitize(&String::from_utf8_lossy(&raw[..read]));
            if names.len() == REMEMBERED {
                names.remove(0);
            }
            names.push(CachedName { pid, until: now + NAME_CACHE_TIME, name });
            names.len() - 1
        }
    };
    Some(&names[at].name)
}

/// Replaces the characters of a process name that could end the line or the field. A process
/// chooses its own name, both the one that it sends and the one that the kernel returns
/// (prctl(2), `PR_SET_NAME`).
fn sanitize(name: &str) -> String {
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
            client: ClientKind::Helper,
            command: None,
            origin: "https://github.com",
            credential: "github",
            lease: &lease,
        };
        let mut to = Vec::new();
        begin_line(&mut to, format, &format_second(now), &event);
        end_line(&mut to, format, command);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_line_names_the_client_and_the_hash_but_not_the_token() {
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
        let name = sanitize("x\nAUDIT uid=0 \u{1b}[31m");
        assert!(name.bytes().all(|b| b.is_ascii_graphic()) && !name.contains('='), "{name}");
    }

    #[test]
    fn the_next_daemon_ends_a_line_that_a_crash_tore() {
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
