//! Messages between the daemon and the runner: each is one line of JSON.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use zeroize::Zeroizing;

use crate::credential::lease::Class;
use crate::system::secret_buffer::SecretBuffer;

/// The longest line in bytes. It has room for a command's output with JSON escapes.
const MAX_LINE: usize = 512 * 1024;

#[derive(Serialize, Deserialize)]
pub struct RequestLine {
    pub id: u64,
    pub errand: RunnerRequest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerRequest {
    /// Deliver the token to the configured sinks.
    Sink {
        #[serde(with = "text")]
        token: Zeroizing<String>,
    },
    /// Run the program that is configured for the event.
    Hook(HookEvent),
    /// Run the command of the credential with this name.
    Fetch { credential: String },
    /// Read the configuration again.
    Reload,
}

/// The event that a hook's environment describes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HookEvent {
    pub credential: String,
    pub outcome: String,
    /// The name of the failure's [`Class`]; `None` after a refresh.
    pub class: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct ReplyLine {
    pub id: u64,
    pub result: Result<Option<CommandOutput>, RunnerError>,
}

/// The output of a command, which is a credential.
#[derive(Serialize, Deserialize)]
pub struct CommandOutput(#[serde(with = "text")] pub Zeroizing<String>);

/// Why a request failed. The text is safe to show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunnerError {
    pub message: String,
    /// The name of the failure's [`Class`].
    pub class: String,
}

impl RunnerError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), class: Class::Config.name().into() }
    }
}

/// Writes one message.
///
/// # Errors
/// Returns an error if the other process is gone.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> std::io::Result<()> {
    let mut line = SecretBuffer::with_capacity(1024);
    serde_json::to_writer(&mut line, what)?;
    line.push(b'\n');
    to.write_all(&line).await
}

/// Serializes a secret. Both processes overwrite their copy after use.
mod text {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub fn serialize<S: Serializer>(text: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}

/// Reads the messages of the other process.
pub struct LineReader<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub fn new(from: R) -> Self {
        Self(BufReader::new(from))
    }

    /// Returns the next message, or `None` at the end. The future may be dropped between messages
    /// only.
    pub async fn next<T: for<'a> Deserialize<'a>>(&mut self) -> Option<T> {
        let mut line = SecretBuffer::with_capacity(1024);
        while line.last() != Some(&b'\n') && line.len() < MAX_LINE {
            let available = self.0.fill_buf().await.ok().filter(|bytes| !bytes.is_empty())?;
            let end = available.iter().position(|&b| b == b'\n').map_or(available.len(), |at| at + 1);
            line.extend(&available[..end]);
            self.0.consume(end);
        }
        serde_json::from_slice(&line).ok()
    }
}
