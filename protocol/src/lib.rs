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
//! line, and whatever follows it is ignored. An answer is whole only with its
//! empty line: without it the connection was lost, and the same request may be
//! sent again.
//!
//! A key is not empty, a value may be; no byte of either is a control byte
//! (0x00–0x1F, 0x7F). Readers ignore keys that they don't know and refuse a
//! known key that comes twice; writers write neither. [`limits`] bounds
//! everything before anything is stored.
//!
//! # Requests
//!
//! | verb | keys | what it asks |
//! | --- | --- | --- |
//! | `get` | `client`, `command`, `protocol`, `host`, `path`, `username`, `url`, `capability[]`, `field`, `name` | the credential for an origin, or (clients `token`, `exec` and `script` only, in place of protocol and host) the one named |
//! | `erase` | `client`, `command`, `protocol`, `host`, `path`, `username`, `url`, `sha256` | tells that a server rejected the password with this SHA-256 |
//! | `status` | – | health, as one line of JSON |
//! | `refresh` | `name` | a refresh now (of all that can, without a name), answered when its outcome is known |
//! | `reload` | – | the configuration to be read again; the daemon's user and root only |
//!
//! These five are all. None sets a token, widens a scope, stops the daemon or
//! reads a path.
//!
//! `capability[]` is sent on as git sends it and changes nothing: every git is
//! answered with a user name and a password. Git's `authtype` is not used, since
//! git 2.46 to 2.52 leave a credential of that form out of the probe request
//! that precedes a push larger than `http.postBuffer`.
//!
//! `client` is what kind of program asks, and `command` its own name, for the
//! audit line. Neither grants anything. Where `command` is missing, the daemon
//! asks the kernel, which says no more than what the process calls itself
//! (prctl(2), `PR_SET_NAME`) and makes one that has its answer wait with its end.
//!
//! # Answers
//!
//! | word | lines | meaning |
//! | --- | --- | --- |
//! | `ok` | depend on the request | done; for `get`, the credential in git's own keys |
//! | `silent` | – | not this broker's origin: print nothing, so that git asks its next helper |
//! | `refused` | `reason` | in scope, but there is nothing to give, or what was asked failed |
//! | `denied` | none: the same bytes for everybody | this user may not ask; sent before the request is read |
//! | `malformed` | `reason` | no request of this version |
//!
//! # One of each, to type
//!
//! Each can be piped into `socat - UNIX-CONNECT:/run/molecule-broker/broker.sock`:
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
//! - [`limits`]: the numbers.
//! - [`mod@line`]: what a line is; the strict writer.
//! - [`request`], [`answer`]: the two messages.
//! - [`git`]: git's credential format, read as a stream: what a shim may send on.
//! - `rejected`: the hash of a rejected password, computed while it is read.
//! - [`prompt`]: the only prompts that askpass answers; [`askpass`]: the request
//!   for one.
//! - [`origin`]: origins, patterns of them, and how they match.
//! - [`gh`]: which of gh's variables holds a host's token.
//! - [`namespace`]: what a client sees of its server in a user namespace.
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
