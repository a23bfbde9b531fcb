//! All bounds of the protocol, with their units. They are checked before any byte is
//! stored.

use core::time::Duration;

/// The word that opens every request and answer.
pub const VERSION_WORD: &str = "molecule/1";

/// The number in [`VERSION_WORD`], as `status` reports it.
pub const PROTOCOL_VERSION: u32 = 1;

/// The longest request, in bytes, including its empty line.
pub const MAX_REQUEST: usize = 8 * 1024;

/// The longest token, password or bearer, in bytes. GitHub's installation tokens had 40
/// bytes. Those of 2026 have about 520, with no promised maximum (GitHub changelog,
/// 2026-04-24).
pub const MAX_SECRET: usize = 8 * 1024;

/// The longest answer to `get` or `erase`, in bytes: the longest secret, and room for
/// its user name, its host and the keys. An answer to `status` may be longer.
pub const MAX_ANSWER: usize = MAX_SECRET + 2 * 1024;

/// The longest key, in bytes. No known key is longer.
pub const MAX_KEY: usize = 64;

/// The longest name of a client's program, in bytes. A longer name is neither sent nor
/// logged.
pub const MAX_COMMAND: usize = 64;

/// The longest user name in a prompt, decoded, in bytes.
pub const MAX_USERNAME: usize = 256;

/// The longest prompt that askpass reads, in bytes.
pub const MAX_PROMPT: usize = 4 * 1024;

/// Time limit for a client to send its request.
pub const READ_DEADLINE: Duration = Duration::from_millis(1_500);

/// Time limit for the daemon's answer, including the wait for a fetch.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(8);

/// Time after which a shim gives up.
pub const CLIENT_DEADLINE: Duration = Duration::from_secs(10);

/// Time for which a shim retries to connect while the socket file exists and no
/// process listens. After it, the shim answers without the daemon.
pub const REFUSED_DEADLINE: Duration = Duration::from_millis(900);

/// The default path of the socket.
pub const DEFAULT_SOCKET: &str = "/run/molecule-broker/broker.sock";

/// The path of the socket below `$XDG_RUNTIME_DIR`, for systems without the folder of
/// [`DEFAULT_SOCKET`].
pub const RUNTIME_SOCKET: &str = "/molecule-broker/broker.sock";

/// The longest path of a Unix socket, in bytes. With its final NUL it fits the address
/// (unix(7): `sun_path` has 108 bytes).
pub const MAX_SOCKET_PATH: usize = 107;
