//! Decides about the answer to a request. Pure, and the same for every client.
//!
//! [`choose`] finds the credential, [`ready`] decides whether it can be given now, and the other
//! functions write the answer in the client's form. Nothing here waits, logs or counts.

use std::fmt::Write as _;
use std::time::Duration;

use molecule_protocol::answer::AnswerWord;
use molecule_protocol::limits::VERSION_WORD;
use molecule_protocol::line::is_control;
use molecule_protocol::origin::Origin;
use molecule_protocol::prompt::CredentialField;
use molecule_protocol::request::{ClientKind, Request};
use nix::unistd::Uid;

use crate::credential::lease::Lease;
use crate::daemon::registry::{CredentialRegistry, ServedCredential};
use crate::refresh::{CredentialState, Held, Serving};
use crate::system::secret_buffer::SecretBuffer;
use crate::system::time::Moment;

/// The bytes of one answer. They may contain a secret, so they are overwritten after they were
/// sent.
pub type Bytes = SecretBuffer;

/// Result of the search for a request's credential.
#[must_use]
pub enum Choice<'t> {
    /// No credential is for this request: it is answered with `silent`.
    Silent,
    /// The credential isn't for this user.
    Forbidden(&'t ServedCredential),
    Found(AnswerTarget<'t>),
}

/// A credential, and the origin that it is requested for.
pub struct AnswerTarget<'t> {
    pub credential: &'t ServedCredential,
    /// The origin in lower case, with its scheme.
    pub origin: String,
    /// Offset of the host in `origin`.
    host_at: usize,
}

/// Result of asking for a credential at one instant.
#[must_use]
pub enum Readiness<'h> {
    Give(&'h Lease),
    /// There is no lease yet, but a fetch may bring one.
    Wait,
    /// There is no lease, for this reason.
    Refused(String),
}

/// Finds the credential for a request, by its origin or its name.
pub fn choose<'t>(registry: &'t CredentialRegistry, request: &Request<'_>, uid: Uid) -> Choice<'t> {
    let target = match (request.protocol, request.host, request.name) {
        (Some(protocol), Some(host), _) => by_origin(registry, protocol, host),
        (None, None, Some(name)) if request.client.may_name() => by_name(registry, name),
        _ => None,
    };
    let Some(target) = target else {
        return Choice::Silent;
    };
    let username = request.username.filter(|name| !name.is_empty());
    let is_other_account = username.is_some_and(|name| name != target.credential.username.as_bytes());
    if is_other_account && !target.credential.is_token {
        Choice::Silent
    } else if !registry.may_have(target.credential, uid) {
        Choice::Forbidden(target.credential)
    } else {
        Choice::Found(target)
    }
}

fn by_origin<'t>(registry: &'t CredentialRegistry, protocol: &[u8], host: &[u8]) -> Option<AnswerTarget<'t>> {
    let origin = Origin::parse(protocol, host)?;
    let credential = registry.get(registry.scopes.resolve(&origin)?)?;
    Some(AnswerTarget::new(credential, origin.scheme.name(), origin.host, origin.port))
}

/// Finds a credential by its name. The origin is its first configured one that is a single host.
fn by_name<'t>(registry: &'t CredentialRegistry, name: &str) -> Option<AnswerTarget<'t>> {
    let credential = registry.named(name)?;
    let first = credential.origins.iter().find(|origin| !origin.contains('*'))?;
    let (scheme, host) = first.split_once("://").unwrap_or(("https", first));
    Some(AnswerTarget::new(credential, scheme, host, None))
}

impl<'t> AnswerTarget<'t> {
    fn new(credential: &'t ServedCredential, scheme: &str, host: &str, port: Option<u16>) -> Self {
        let mut origin = String::with_capacity(scheme.len() + host.len() + 10);
        origin.push_str(scheme);
        origin.push_str("://");
        let host_at = origin.len();
        origin.push_str(host);
        origin.make_ascii_lowercase();
        if let Some(port) = port {
            let _ = write!(origin, ":{port}");
        }
        Self { credential, origin, host_at }
    }

    #[must_use]
    pub fn host(&self) -> &str {
        &self.origin[self.host_at..]
    }
}

/// Decides from the held leases whether the credential can be given now.
pub fn ready<'h>(target: &AnswerTarget<'_>, held: &'h Held, now: Moment) -> Readiness<'h> {
    match held.serving(now) {
        Serving::Live(lease) => Readiness::Give(lease),
        Serving::Wait => Readiness::Wait,
        Serving::Nothing(state) => Readiness::Refused(refusal_text(target, held, state, now)),
    }
}

/// Writes the answer that gives the credential, with the keys that the client reads.
#[must_use]
pub fn give(request: &Request<'_>, target: &AnswerTarget<'_>, lease: &Lease, now: Moment) -> Bytes {
    let username = lease.username.as_deref().unwrap_or(&target.credential.username);
    let secret = lease.secret.expose();
    // Includes room for the keys, so that the buffer never moves.
    let room = username.len() + secret.len() + target.origin.len() + 128;
    let mut answer = AnswerLines::with_room(AnswerWord::Ok, room);
    match (request.client, request.field) {
        (ClientKind::Askpass, Some(CredentialField::Username)) => answer.pair("answer", username),
        (ClientKind::Askpass, _) => answer.pair("answer", secret),
        // Never uses git's `authtype`: git 2.46 to 2.52 send the probe request before a large
        // push without such a credential.
        (ClientKind::Helper, _) => {
            answer.pair("username", username);
            answer.pair("password", secret);
            answer.expiry(lease, now);
        }
        (ClientKind::Gh | ClientKind::Token | ClientKind::Exec | ClientKind::Script, _) => {
            answer.pair("username", username);
            answer.pair("password", secret);
            answer.expiry(lease, now);
            answer.pair("host", target.host());
        }
    }
    answer.end()
}

/// Returns one line that tells a person whose git call failed why there is no credential.
#[must_use]
pub fn refusal_text(target: &AnswerTarget<'_>, held: &Held, state: CredentialState, now: Moment) -> String {
    let (name, origin) = (&target.credential.name, &target.origin);
    let mut text = format!("no credential for {origin}: ");
    let _ = match state {
        CredentialState::Unconfigured => match &target.credential.missing {
            Some(missing) => write!(text, "'{name}' has no source ({missing})"),
            None => write!(text, "the source of '{name}' isn't configured"),
        },
        CredentialState::Expired => write!(text, "the last token of '{name}' has expired"),
        CredentialState::Rejected => write!(text, "{origin} rejected the provision-time token of '{name}'"),
        _ => write!(text, "'{name}' has none yet"),
    };
    if let Some(error) = held.last_error.as_deref().filter(|_| !held.refreshable) {
        let _ = write!(text, "; it can't be used: {}", error.failure.message);
    } else if let Some(error) = held.last_error.as_deref() {
        let ago = whole_seconds(now.boot.saturating_sub(error.at.boot));
        let failures = held.consecutive_failures;
        let _ = write!(text, "; refresh failed {failures} times, last {ago} ago: {}", error.failure);
    }
    if let Some(due) = held.next_due {
        let _ = write!(text, "; next attempt in {}", whole_seconds(due.saturating_sub(now.boot)));
    }
    text.push_str("; see: molecule-broker status");
    text
}

/// Writes an answer without a credential.
#[must_use]
pub fn plain(word: AnswerWord, reason: Option<&str>) -> Bytes {
    let mut answer = AnswerLines::new(word);
    for line in reason.into_iter().flat_map(str::lines) {
        answer.pair("reason", line);
    }
    answer.end()
}

/// Writes an answer whose only line isn't a key and a value: the JSON of `status`.
#[must_use]
pub fn document(line: &str) -> Bytes {
    let mut answer = AnswerLines::new(AnswerWord::Ok);
    answer.0.extend(line.as_bytes());
    answer.0.push(b'\n');
    answer.end()
}

/// Rounds a length for messages to whole seconds.
#[must_use]
pub fn whole_seconds(length: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(length.as_secs_f64().round() as u64))
}

struct AnswerLines(Bytes);

impl AnswerLines {
    fn new(word: AnswerWord) -> Self {
        Self::with_room(word, 512)
    }

    fn with_room(word: AnswerWord, bytes: usize) -> Self {
        let mut bytes = SecretBuffer::with_capacity(bytes);
        for piece in [VERSION_WORD, " ", word.name(), "\n"] {
            bytes.extend(piece.as_bytes());
        }
        Self(bytes)
    }

    /// Appends a line with a key and a value. The value shouldn't contain a control byte. If it
    /// does, the byte is replaced, so that it can't forge a line.
    fn pair(&mut self, key: &str, value: &str) {
        self.0.extend(key.as_bytes());
        self.0.push(b'=');
        for piece in value.as_bytes().split_inclusive(|b| is_control(*b)) {
            match piece.split_last() {
                Some((last, before)) if is_control(*last) => {
                    self.0.extend(before);
                    self.0.push(b'?');
                }
                _ => self.0.extend(piece),
            }
        }
        self.0.push(b'\n');
    }

    /// Appends the expiry, if there is one. It is rounded up, so that it is in the future as
    /// long as the lease lives.
    fn expiry(&mut self, lease: &Lease, now: Moment) {
        if let Some(left) = lease.left(now) {
            let end = now.wall + left;
            let seconds = end.as_secs() + u64::from(end.subsec_nanos() > 0);
            self.pair("password_expiry_utc", &seconds.to_string());
        }
    }

    fn end(mut self) -> Bytes {
        self.0.push(b'\n');
        self.0
    }
}

#[cfg(test)]
mod tests;
