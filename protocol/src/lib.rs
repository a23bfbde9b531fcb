//! The contract between the broker and its clients: the shims, the control
//! commands, or a person with `socat`.
//!
//! # The wire
//!
//! A Unix stream socket; one request and one answer per connection. Both are
//! lines of text ended by LF, in the manner of git's own credential format
//! ([gitcredentials(7)], "custom helpers"; [git-credential(1)], "input/output
//! format"): a head line with the version word, then `key=value` lines, then an
//! empty line. In a request, the end of the stream may stand for the empty
//! line, and everything after that is ignored. An answer is whole only with its
//! empty line. Without it the connection was lost, and the client may send the same
//! request again.
//!
//! A key isn't empty; a value may be. Neither contains a control byte (0x00–0x1F,
//! 0x7F). Readers ignore unknown keys and refuse a known key that comes twice. Writers
//! write neither. All sizes are checked against [`limits`] before any byte is stored.
//!
//! # Requests
//!
//! | verb | keys | request |
//! | --- | --- | --- |
//! | `get` | `client`, `command`, `protocol`, `host`, `path`, `username`, `url`, `capability[]`, `field`, `name` | the credential for an origin, or (clients `token`, `exec` and `script` only, in place of protocol and host) the credential of that name |
//! | `erase` | `client`, `command`, `protocol`, `host`, `path`, `username`, `url`, `sha256` | a report that a server rejected the password with this SHA-256 |
//! | `status` | – | health, as one line of JSON |
//! | `refresh` | `name` | an immediate refresh, answered when its outcome is known; without a name, of all credentials that can be refreshed |
//! | `reload` | – | a new reading of the configuration; the daemon's user and root only |
//!
//! There are no other verbs. None sets a token, widens a scope, stops the daemon or
//! reads a path.
//!
//! `capability[]` is sent on as git sends it and changes nothing: the answer to every
//! git is a user name and a password. Git's `authtype` isn't used, since git 2.46 to
//! 2.52 leave a credential of that form out of the probe request that precedes a push
//! larger than `http.postBuffer`.
//!
//! `client` is the kind of client program, and `command` its own name, for the audit
//! line. Neither grants anything. If `command` is missing, the daemon reads
//! `/proc/PID/comm`, which the process can set itself (prctl(2), `PR_SET_NAME`). That
//! lookup delays the exit of a client that already has its answer.
//!
//! # Answers
//!
//! | word | lines | meaning |
//! | --- | --- | --- |
//! | `ok` | depend on the request | done; for `get`, the credential in git's own keys |
//! | `silent` | – | the origin isn't this broker's: the client prints nothing, so that git asks its next helper |
//! | `refused` | `reason` | the origin is in scope, but there is no credential to give, or the requested action failed |
//! | `denied` | none: the same bytes for every client | this user may not ask; sent before the request is read |
//! | `malformed` | `reason` | the request isn't valid in this version |
//!
//! # Examples
//!
//! Each request can be piped into `socat - UNIX-CONNECT:/run/molecule-broker/broker.sock`:
//!
//! ```text
//! molecule/1 get                      molecule/1 ok
//! client=helper                       username=x-access-token
//! protocol=https                      password=ghs_…
//! host=github.com                     password_expiry_utc=1776466200
//!
//!
//! molecule/1 get                      molecule/1 ok
//! client=askpass                      answer=x-access-token
//! protocol=https
//! host=github.com
//! field=username
//!
//!
//! molecule/1 get                      molecule/1 silent
//! client=helper
//! protocol=https
//! host=github.com.evil.example
//!
//!
//! molecule/1 get                      molecule/1 ok
//! client=token                        username=x-access-token
//! name=github                         password=ghs_…
//!                                     password_expiry_utc=1776466200
//!                                     host=github.com
//!
//!
//! molecule/1 erase                    molecule/1 ok
//! client=helper
//! protocol=https
//! host=github.com
//! sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//!
//!
//! molecule/1 status                   molecule/1 ok
//!                                     {"version":"0.1.0",…}
//!
//!
//! molecule/1 refresh                  molecule/1 refused
//! name=github                         reason=github: http_5xx: …
//!
//!
//! molecule/1 reload                   molecule/1 ok
//! ```
//!
//! # Map
//!
//! - [`limits`]: the sizes and time limits.
//! - [`mod@line`]: the format of a line, and the strict writer.
//! - [`request`], [`answer`]: the two messages.
//! - [`git`]: git's credential format, read as a stream, and which of its values a shim
//!   may send on.
//! - `rejected`: the hash of a rejected password, computed while it is read.
//! - `buffer`: a bounded buffer.
//! - [`prompt`]: the only prompts that askpass answers. [`askpass`]: the request for
//!   a prompt.
//! - [`origin`]: origins, their patterns, and how these match.
//! - [`gh`]: the variables from which gh reads a host's token.
//! - [`namespace`]: the server's user as a client sees it in a user namespace.
//! - [`digest`], [`encoding`]: SHA-256, hexadecimal and base64.
//!
//! [gitcredentials(7)]: https://git-scm.com/docs/gitcredentials
//! [git-credential(1)]: https://git-scm.com/docs/git-credential#IOFMT

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod answer;
pub mod askpass;
mod buffer;
pub mod digest;
pub mod encoding;
pub mod gh;
pub mod git;
pub mod limits;
pub mod line;
pub mod namespace;
pub mod origin;
pub mod prompt;
mod rejected;
pub mod request;
