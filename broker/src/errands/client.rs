//! The daemon's line to its helper process.

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

/// How many errands may stand in line. Each is one refresh of one credential.
const QUEUE: usize = 64;

const GONE: &str = "the helper process that starts programs has ended";

/// Starts the helper process, which reads the same configuration: where the
/// socket is may stand on the daemon's command line alone. To be called before
/// the sandbox closes.
///
/// # Errors
/// It can't be started.
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
    // What the supervisor gave to us is not for it; neither are our signals.
    for name in SUPERVISOR_VARIABLES {
        command.env_remove(name);
    }
    command.process_group(0).spawn()?;
    Ok(ours)
}

type ReplySender = oneshot::Sender<Result<Option<CommandOutput>, RunnerError>>;

#[derive(Clone)]
pub struct RunnerClient {
    orders: mpsc::Sender<RequestLine>,
    waiting: Arc<Mutex<BTreeMap<u64, ReplySender>>>,
    last: Arc<AtomicU64>,
    gone: CancellationToken,
}

impl RunnerClient {
    /// Takes up the line that [`start_runner`] opened, within the runtime.
    ///
    /// # Errors
    /// It can't be polled.
    pub fn connect(line: Socket) -> io::Result<Self> {
        line.set_nonblocking(true)?;
        let (read, write) = UnixStream::from_std(line)?.into_split();
        let (orders, queue) = mpsc::channel(QUEUE);
        let gone = CancellationToken::new();
        let errands = Self { orders, waiting: Arc::default(), last: Arc::default(), gone: gone.clone() };
        tokio::spawn(forward(queue, write));
        tokio::spawn(listen(read, Arc::clone(&errands.waiting), gone.drop_guard()));
        Ok(errands)
    }

    /// Waits for the helper's end, after which nothing here works any more.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// # Errors
    /// What kept it from being done.
    pub async fn run(&self, errand: RunnerRequest) -> Result<Option<CommandOutput>, RunnerError> {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (answer, result) = oneshot::channel();
        self.lock().insert(id, answer);
        // Whoever stops waiting leaves nothing behind.
        let _entry = PendingReply { errands: self, id };
        if self.orders.send(RequestLine { id, errand }).await.is_err() {
            return Err(RunnerError::new(GONE));
        }
        result.await.unwrap_or_else(|_| Err(RunnerError::new(GONE)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, ReplySender>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PendingReply<'a> {
    errands: &'a RunnerClient,
    id: u64,
}

impl Drop for PendingReply<'_> {
    fn drop(&mut self) {
        self.errands.lock().remove(&self.id);
    }
}

async fn forward(mut queue: mpsc::Receiver<RequestLine>, mut to: OwnedWriteHalf) {
    while let Some(request) = queue.recv().await {
        if wire::send(&mut to, &request).await.is_err() {
            return;
        }
    }
}

async fn listen(from: OwnedReadHalf, waiting: Arc<Mutex<BTreeMap<u64, ReplySender>>>, _gone: DropGuard) {
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines = LineReader::new(from);
    while let Some(ReplyLine { id, result }) = lines.next().await {
        if let Some(answer) = lock().remove(&id) {
            let _ = answer.send(result);
        }
    }
    // Their senders go, and with them everybody's wait.
    lock().clear();
}
