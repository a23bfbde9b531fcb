//! The daemon's end of the connection to the runner process.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::errands::wire::{self, CommandOutput, LineReader, ReplyLine, RequestLine, RunnerError, RunnerRequest};
use crate::system::environment::SUPERVISOR_VARIABLES;

/// Length of the request queue. Each request belongs to one refresh of one credential.
const QUEUE: usize = 64;

const GONE: &str = "the runner process that starts programs has ended";

/// Starts the runner process, which reads the same configuration as the daemon. The socket's path
/// is passed on because it may be set on the daemon's command line only. Must be called before the
/// daemon enters its sandbox.
///
/// # Errors
/// Returns an error if the process can't be started.
pub fn start_runner(config: Option<&Path>, socket: &Path, user: Option<&str>) -> io::Result<Socket> {
    let (ours, theirs) = Socket::pair()?;
    let mut command = Command::new("/proc/self/exe");
    if let Some(file) = config {
        command.arg("--config").arg(file);
    }
    command
        .arg("--socket")
        .arg(socket)
        .arg("errands")
        .args(user.iter().flat_map(|user| ["--user", user]))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null());
    // The supervisor's variables are for the daemon only. So are the terminal's signals, hence the
    // runner's own process group.
    for name in SUPERVISOR_VARIABLES {
        command.env_remove(name);
    }
    command.process_group(0).spawn()?;
    Ok(ours)
}

type ReplySender = oneshot::Sender<Result<Option<CommandOutput>, RunnerError>>;

#[derive(Clone)]
pub struct RunnerClient {
    requests: mpsc::Sender<RequestLine>,
    waiting: Arc<Mutex<BTreeMap<u64, ReplySender>>>,
    next_id: Arc<AtomicU64>,
    gone: CancellationToken,
}

impl RunnerClient {
    /// Takes over the socket that [`start_runner`] returned. Must be called within the runtime.
    ///
    /// # Errors
    /// Returns an error if the socket can't be polled.
    pub fn connect(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(socket)?.into_split();
        let (requests, queue) = mpsc::channel(QUEUE);
        let gone = CancellationToken::new();
        let client = Self { requests, waiting: Arc::default(), next_id: Arc::default(), gone: gone.clone() };
        tokio::spawn(send_requests(queue, write));
        tokio::spawn(receive_replies(read, Arc::clone(&client.waiting), gone.drop_guard()));
        Ok(client)
    }

    /// Waits for the runner's end, after which every request fails.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Sends a request and waits for its result.
    ///
    /// # Errors
    /// Returns the runner's error, or an error if the runner has ended.
    pub async fn run(&self, errand: RunnerRequest) -> Result<Option<CommandOutput>, RunnerError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, result) = oneshot::channel();
        self.lock().insert(id, answer);
        // Removes the entry when this future is dropped before the reply has arrived.
        let _entry = PendingReply { client: self, id };
        if self.requests.send(RequestLine { id, errand }).await.is_err() {
            return Err(RunnerError::new(GONE));
        }
        result.await.unwrap_or_else(|_| Err(RunnerError::new(GONE)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, ReplySender>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PendingReply<'a> {
    client: &'a RunnerClient,
    id: u64,
}

impl Drop for PendingReply<'_> {
    fn drop(&mut self) {
        self.client.lock().remove(&self.id);
    }
}

async fn send_requests(mut queue: mpsc::Receiver<RequestLine>, mut to: OwnedWriteHalf) {
    while let Some(request) = queue.recv().await {
        if wire::send(&mut to, &request).await.is_err() {
            return;
        }
    }
}

async fn receive_replies(from: OwnedReadHalf, waiting: Arc<Mutex<BTreeMap<u64, ReplySender>>>, _gone: DropGuard) {
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines = LineReader::new(from);
    while let Some(ReplyLine { id, result }) = lines.next().await {
        if let Some(answer) = lock().remove(&id) {
            let _ = answer.send(result);
        }
    }
    // Drops the senders, which ends the wait of every pending request.
    lock().clear();
}
