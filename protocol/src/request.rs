//! A client's request.

use crate::encoding;
use crate::limits::{MAX_REQUEST, VERSION_WORD};
use crate::line::{self, FormatError};
use crate::prompt::CredentialField;

/// All verbs of the protocol. None sets a token, widens a scope, stops the daemon or
/// reads a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Erase,
    Status,
    Refresh,
    Reload,
}

/// Kind of client program, for the audit line and for the form of the answer. It grants
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// `git-credential-molecule`.
    #[default]
    Helper,
    /// `molecule-askpass`.
    Askpass,
    /// The shim under the name `gh`.
    Gh,
    /// `molecule-broker token`.
    Token,
    /// `molecule-broker exec`.
    Exec,
    /// The shim with an action of the old script, such as `_fetch_token`.
    Script,
}

/// A request, borrowed from the received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub verb: Verb,
    pub client: ClientKind,
    /// Name that the client's program gives itself, for the audit line.
    pub command: Option<&'a [u8]>,
    pub protocol: Option<&'a [u8]>,
    pub host: Option<&'a [u8]>,
    pub path: Option<&'a [u8]>,
    pub username: Option<&'a [u8]>,
    /// Accepted because gitoxide sends it, and never used.
    pub url: Option<&'a [u8]>,
    /// The half of the credential that askpass was asked for.
    pub field: Option<CredentialField>,
    /// A credential's name, in place of an origin.
    pub name: Option<&'a str>,
    /// The SHA-256 of the password that was rejected.
    pub sha256: Option<[u8; 32]>,
}

impl Verb {
    pub const ALL: [Self; 5] = [Self::Get, Self::Erase, Self::Status, Self::Refresh, Self::Reload];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Erase => "erase",
            Self::Status => "status",
            Self::Refresh => "refresh",
            Self::Reload => "reload",
        }
    }
}

impl ClientKind {
    pub const ALL: [Self; 6] = [Self::Helper, Self::Askpass, Self::Gh, Self::Token, Self::Exec, Self::Script];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Helper => "helper",
            Self::Askpass => "askpass",
            Self::Gh => "gh",
            Self::Token => "token",
            Self::Exec => "exec",
            Self::Script => "script",
        }
    }

    /// Returns true if the client may ask for a credential by its name. A request from
    /// git or gh must name its host. A missing host is never taken for any host.
    #[must_use]
    pub const fn may_name(self) -> bool {
        matches!(self, Self::Token | Self::Exec | Self::Script)
    }
}

/// Finds the end of a request in the bytes read so far. It is after the empty line, or at
/// the end of the stream.
///
/// # Errors
/// [`FormatError::TooLong`] if the limit is reached without an end, and
/// [`FormatError::Head`] as soon as the first bytes can't begin a request.
pub fn find_end(bytes: &[u8], at_end: bool) -> Result<Option<usize>, FormatError> {
    let shared = bytes.len().min(VERSION_WORD.len());
    if bytes[..shared] != VERSION_WORD.as_bytes()[..shared] {
        return Err(FormatError::Head);
    }
    let found = bytes.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2);
    match found.or(at_end.then_some(bytes.len())) {
        Some(end) if end > MAX_REQUEST => Err(FormatError::TooLong),
        None if bytes.len() >= MAX_REQUEST => Err(FormatError::TooLong),
        found => Ok(found),
    }
}

impl<'a> Request<'a> {
    #[must_use]
    pub const fn new(verb: Verb) -> Self {
        Self {
            verb,
            client: ClientKind::Helper,
            command: None,
            protocol: None,
            host: None,
            path: None,
            username: None,
            url: None,
            field: None,
            name: None,
            sha256: None,
        }
    }

    /// Reads a request whose end was found by [`find_end`].
    ///
    /// # Errors
    /// The first [`FormatError`]. No part of an invalid request is used.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut lines = bytes.split(|&b| b == b'\n');
        let mut request = Self::new(parse_head(lines.next().unwrap_or_default())?);
        let mut client = None;
        for text in lines.take_while(|l| !l.is_empty()) {
            let (key, value) = line::split_pair(text)?;
            match key {
                b"client" => set_once(&mut client, parse_client(value)?)?,
                b"command" => set_once(&mut request.command, value)?,
                b"protocol" => set_once(&mut request.protocol, value)?,
                b"host" => set_once(&mut request.host, value)?,
                b"path" => set_once(&mut request.path, value)?,
                b"username" => set_once(&mut request.username, value)?,
                b"url" => set_once(&mut request.url, value)?,
                b"field" => set_once(&mut request.field, CredentialField::from_name(value).ok_or(FormatError::Value)?)?,
                b"name" => set_once(&mut request.name, core::str::from_utf8(value).map_err(|_| FormatError::Value)?)?,
                b"sha256" => set_once(&mut request.sha256, encoding::unhex(value).ok_or(FormatError::Value)?)?,
                _ => {}
            }
        }
        request.client = client.unwrap_or_default();
        Ok(request)
    }

    /// Writes the request as [`Request::parse`] reads it.
    ///
    /// # Errors
    /// The error of [`line::MessageWriter`] for a value that it refuses.
    pub fn write(&self, to: &mut line::MessageWriter<'_>) -> Result<(), FormatError> {
        to.head(self.verb.name())?;
        to.pair("client", self.client.name().as_bytes())?;
        let optional = [
            ("command", self.command),
            ("protocol", self.protocol),
            ("host", self.host),
            ("path", self.path),
            ("username", self.username),
            ("url", self.url),
            ("field", self.field.map(|f| f.name().as_bytes())),
            ("name", self.name.map(str::as_bytes)),
        ];
        for (key, value) in optional {
            value.map_or(Ok(()), |value| to.pair(key, value))?;
        }
        if let Some(digest) = &self.sha256 {
            to.pair("sha256", &encoding::hex(digest))?;
        }
        to.end()
    }
}

fn parse_head(head: &[u8]) -> Result<Verb, FormatError> {
    let word =
        head.strip_prefix(VERSION_WORD.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")).ok_or(FormatError::Head)?;
    Verb::ALL.into_iter().find(|v| v.name().as_bytes() == word).ok_or(FormatError::Head)
}

fn parse_client(value: &[u8]) -> Result<ClientKind, FormatError> {
    ClientKind::ALL.into_iter().find(|c| c.name().as_bytes() == value).ok_or(FormatError::Value)
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), FormatError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(FormatError::Twice),
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Request<'_>, FormatError> {
        Request::parse(text.as_bytes())
    }

    #[test]
    fn rule26_there_are_only_five_verbs() {
        let names: Vec<_> = Verb::ALL.iter().map(|v| v.name()).collect();
        assert_eq!(names, ["get", "erase", "status", "refresh", "reload"]);
        for verb in ["set", "store", "stop", "quit", "shutdown", "read", "config", "GET", "", "get "] {
            assert_eq!(parse(&format!("molecule/1 {verb}\n\n")), Err(FormatError::Head), "{verb:?}");
        }
    }

    #[test]
    fn rule07_a_key_that_comes_twice_is_refused_in_either_order() {
        for key in ["host", "protocol", "username", "path", "client", "command"] {
            for (a, b) in [("helper", "askpass"), ("askpass", "helper"), ("helper", "helper")] {
                let text = format!("molecule/1 get\n{key}={a}\n{key}={b}\n\n");
                assert_eq!(parse(&text), Err(FormatError::Twice), "{text:?}");
            }
        }
    }

    #[test]
    fn rule10_a_line_without_a_pair_refuses_the_whole_request() {
        assert_eq!(parse("molecule/1 get\nhost=a\nnonsense\n\n"), Err(FormatError::NoKey));
        assert_eq!(parse("molecule/1 get\n=a\n\n"), Err(FormatError::NoKey));
    }

    #[test]
    fn rule10_the_end_of_the_stream_counts_as_an_empty_line() {
        let whole = parse("molecule/1 get\nhost=a\n\n").unwrap();
        assert_eq!(parse("molecule/1 get\nhost=a\n"), Ok(whole.clone()));
        assert_eq!(parse("molecule/1 get\nhost=a"), Ok(whole.clone()));
        assert_eq!(parse("molecule/1 get\nhost=a\n\nhost=b\nnonsense"), Ok(whole));
    }

    #[test]
    fn rule06_a_carriage_return_refuses_the_whole_request() {
        assert_eq!(parse("molecule/1 get\nhost=a\r\n\n"), Err(FormatError::Control));
        assert_eq!(parse("molecule/1 get\nunknown=a\rb\n\n"), Err(FormatError::Control));
    }

    #[test]
    fn rule46_unknown_keys_and_capabilities_are_ignored() {
        let text = "molecule/1 get\nnew=1\ncapability[]=state\ncapability[]=authtype\ncapability[]=x\n\n";
        assert_eq!(parse(text), Ok(Request::new(Verb::Get)));
    }

    #[test]
    fn rule32_an_invalid_request_is_found_in_its_first_bytes() {
        for noise in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"molecule/2", b"\n\n", b"m\0"] {
            assert_eq!(find_end(noise, false), Err(FormatError::Head), "{noise:?}");
        }
        assert_eq!(find_end(b"molecule/1 g", false), Ok(None));
        assert_eq!(find_end(b"", false), Ok(None));
    }

    #[test]
    fn rule32_a_request_without_end_is_refused_at_its_limit() {
        let mut long = b"molecule/1 get\nhost=".to_vec();
        long.resize(MAX_REQUEST, b'a');
        assert_eq!(find_end(&long, false), Err(FormatError::TooLong));
        long.extend_from_slice(b"\n\n");
        assert_eq!(find_end(&long, true), Err(FormatError::TooLong));
    }

    #[test]
    fn rule32_a_request_of_at_most_eight_kib_is_accepted() {
        let mut longest = b"molecule/1 get\nhost=".to_vec();
        longest.resize(8190, b'a');
        longest.extend_from_slice(b"\n\n");
        assert_eq!(find_end(&longest, false), Ok(Some(8192)));
        longest.insert(30, b'a');
        assert_eq!(find_end(&longest, false), Err(FormatError::TooLong));
    }

    #[test]
    fn rule05_clients_of_git_and_gh_never_ask_by_name() {
        let may: Vec<_> = ClientKind::ALL.into_iter().filter(|client| client.may_name()).collect();
        assert_eq!(may, [ClientKind::Token, ClientKind::Exec, ClientKind::Script]);
    }

    proptest! {
        #[test]
        fn a_request_is_read_as_it_was_written(
            verb in 0..5usize, client in 0..6usize, host in proptest::option::of("[ -~]{0,20}"), user in proptest::option::of("[ -~]{0,20}"),
            sha256 in proptest::option::of(any::<[u8; 32]>()), field in proptest::option::of(any::<bool>()),
            others in proptest::collection::vec(proptest::option::of("[ -~]{0,20}"), 5),
        ) {
            let [protocol, path, url, name, command] = [0, 1, 2, 3, 4].map(|at: usize| others[at].as_deref());
            let mut request = Request::new(Verb::ALL[verb]);
            request.client = ClientKind::ALL[client];
            request.host = host.as_deref().map(str::as_bytes);
            request.username = user.as_deref().map(str::as_bytes);
            request.protocol = protocol.map(str::as_bytes);
            request.path = path.map(str::as_bytes);
            request.url = url.map(str::as_bytes);
            request.name = name;
            request.command = command.map(str::as_bytes);
            request.sha256 = sha256;
            request.field = field.map(|f| if f { CredentialField::Username } else { CredentialField::Password });
            let mut buffer = [0; MAX_REQUEST];
            let mut writer = line::MessageWriter::new(&mut buffer);
            request.write(&mut writer).unwrap();
            let bytes = writer.written();
            prop_assert_eq!(find_end(bytes, false), Ok(Some(bytes.len())));
            prop_assert_eq!(Request::parse(bytes), Ok(request));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = find_end(&bytes, true);
            let _ = Request::parse(&[b"molecule/1 get\n", &bytes[..]].concat());
        }
    }
}
