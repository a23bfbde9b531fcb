//! Every bound of the protocol, with its unit. All are checked before anything
//! is stored.

use core::time::Duration;

/// The word that opens every request and answer.
pub const VERSION: &str = "molecule/1";

/// The number in [`VERSION`], as `status` reports it.
pub const PROTOCOL: u32 = 1;

/// A whole request, in bytes, its empty line included.
pub const MAX_REQUEST: usize = 8 * 1024;

/// A token, password or bearer, in bytes. GitHub's installation tokens had 40
/// bytes; those of 2026 have about 520, with no promised maximum (GitHub
/// changelog, 2026-04-24).
pub const MAX_SECRET: usize = 8 * 1024;

/// A whole answer to `get` or `erase`, in bytes: the longest credential, and
/// room for its user name, its host and the words around them. `status` may be
/// longer.
pub const MAX_ANSWER: usize = MAX_SECRET + 2 * 1024;

/// The longest key, in bytes. No known key is longer.
pub const MAX_KEY: usize = 64;

/// A program's name that a client tells, in bytes. A longer one isn't told, nor
/// written down.
pub const MAX_COMMAND: usize = 64;

/// A user name in a prompt, decoded, in bytes.
pub const MAX_USERNAME: usize = 256;

/// A prompt that askpass reads, in bytes.
pub const MAX_PROMPT: usize = 4 * 1024;

/// Time limit for a client to send its request.
pub const READ_DEADLINE: Duration = Duration::from_millis(1_500);

/// Time limit for the daemon's answer, including the wait for a fetch.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(8);

/// Time after which a shim gives up.
pub const CLIENT_DEADLINE: Duration = Duration::from_secs(10);

/// Time for which a shim retries to connect while the socket file exists and no
/// process listens, before it answers without the daemon.
pub const REFUSED_DEADLINE: Duration = Duration::from_millis(900);

/// The socket where nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/molecule-broker/broker.sock";

/// The socket's place under `$XDG_RUNTIME_DIR`, where the folder of
/// [`DEFAULT_SOCKET`] is missing.
pub const RUNTIME_SOCKET: &str = "/molecule-broker/broker.sock";

/// The longest path that fits a Unix socket's address with its final NUL
/// (unix(7): `sun_path` has 108 bytes).
pub const MAX_SOCKET_PATH: usize = 107;
