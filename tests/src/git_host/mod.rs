//! A real git host: git's own http-backend behind a door that lets in only
//! living tokens (or a persona it knows), and writes down every credential it
//! is shown. [`lfs`] keeps large files behind the same door, and [`api`] is as
//! much of GitHub's API as gh needs, so that one origin is git's and gh's.
//!
//! The same door makes an evil host of it: one that lets nobody in and keeps
//! what it is shown, or one that sends git elsewhere.

mod api;
mod backend;
mod door;
mod go;
mod lfs;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use tempfile::TempDir;

pub use self::api::APP;
use crate::certs::Ca;
use crate::ledger::Ledger;
use crate::place;
use crate::program;
use crate::programs::first_git;
use crate::serve::Server;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Serves whoever shows a living token or the persona's password.
    Serves,
    /// Asks everybody for a password and lets nobody in.
    Refuses,
    /// Sends everybody to the same path at this base address.
    Redirects(String),
    /// Likewise, but only those whom it would let in: git has shown its
    /// password by then.
    RedirectsWelcome(String),
}

/// What a shown password was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Worth {
    Live,
    Expired,
    Revoked,
    Unknown,
    Persona,
}

impl Worth {
    pub fn is_welcome(self) -> bool {
        matches!(self, Self::Live | Self::Persona)
    }
}

/// One credential as the host was shown it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub at: SystemTime,
    /// The `Host` header.
    pub host: String,
    pub path: String,
    /// The `User-Agent` header.
    pub agent: String,
    pub username: String,
    pub password_sha256: [u8; 32],
    pub worth: Worth,
}

pub struct GitHost {
    server: Server,
    shared: Arc<Shared>,
    root: TempDir,
}

struct Shared {
    scheme: &'static str,
    root: PathBuf,
    exec_path: PathBuf,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

struct State {
    behaviour: Behaviour,
    persona: Option<(String, String)>,
    shown: Vec<Shown>,
    anonymous: usize,
}

impl GitHost {
    /// Over HTTPS where a certificate authority is given. The backend is the
    /// first git's; see [`GitHost::start_with`].
    #[track_caller]
    pub fn start(ledger: &Arc<Ledger>, tls: Option<&Ca>) -> Self {
        let git = first_git().unwrap_or_else(|problem| panic!("{problem}"));
        Self::start_with(ledger, tls, &exec_path(&git))
    }

    /// With the `git-http-backend` of this `git --exec-path`.
    pub fn start_with(ledger: &Arc<Ledger>, tls: Option<&Ca>, exec_path: &Path) -> Self {
        let root = place::new_folder("molecule-git-host-").unwrap_or_else(|problem| panic!("{problem}"));
        let shared = Arc::new(Shared {
            scheme: if tls.is_some() { "https" } else { "http" },
            root: root.path().to_path_buf(),
            exec_path: exec_path.to_path_buf(),
            ledger: ledger.clone(),
            state: Mutex::new(State { behaviour: Behaviour::Serves, persona: None, shown: Vec::new(), anonymous: 0 }),
        });
        let handler_shared = shared.clone();
        let handler = move |request| door::answer(handler_shared.clone(), request);
        Self { server: Server::start(tls.map(Ca::acceptor), handler), shared, root }
    }

    /// `localhost:PORT`, as it stands in a host list.
    pub fn origin(&self) -> String {
        self.origin_as("localhost")
    }

    pub fn origin_as(&self, name: &str) -> String {
        format!("{name}:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.server.addr().port()
    }

    /// The address of a repository such as `acme/app.git`.
    pub fn url(&self, repository: &str) -> String {
        self.url_as("localhost", repository)
    }

    /// The same under another of the certificate's names.
    pub fn url_as(&self, name: &str, repository: &str) -> String {
        format!("{}://{}/{repository}", self.server.scheme(), self.origin_as(name))
    }

    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
    }

    pub fn let_in_persona(&self, username: &str, password: &str) {
        self.state().persona = Some((String::from(username), String::from(password)));
    }

    /// A bare repository with one commit on `main`.
    pub fn create_repository(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        let git = |arguments: &[&str]| self.run_git(&path, arguments);
        std::fs::create_dir_all(&path).expect("the host's folder is writable");
        git(&["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        let tree = git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let commit = git(&["commit-tree", "-m", "The first commit", &tree]);
        git(&["update-ref", "refs/heads/main", &commit]);
        path
    }

    /// An LFS object of a repository, as it is kept here.
    pub fn lfs_object(&self, repository: &str, oid: &str) -> Option<Vec<u8>> {
        std::fs::read(lfs::folder(&self.root.path().join(repository)).join(oid)).ok()
    }

    pub fn refuse_connections(&self) {
        self.server.close();
    }

    pub fn accept_connections(&self) {
        self.server.open();
    }

    /// Every credential it was shown, in order.
    pub fn shown(&self) -> Vec<Shown> {
        self.state().shown.clone()
    }

    pub fn shown_count(&self, worth: Worth) -> usize {
        let state = self.state();
        state.shown.iter().filter(|shown| shown.worth == worth).count()
    }

    /// Credentials that are no good here: the number that has to stay zero.
    pub fn dead_shown(&self) -> usize {
        let state = self.state();
        state.shown.iter().filter(|shown| !shown.worth.is_welcome()).count()
    }

    /// Requests that came without any credential.
    pub fn anonymous_count(&self) -> usize {
        self.state().anonymous
    }

    pub fn forget_shown(&self) {
        let mut state = self.state();
        state.shown.clear();
        state.anonymous = 0;
    }

    fn run_git(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = program("git")
            .args(arguments)
            .current_dir(folder)
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Host")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "host@city.test")))
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from(String::from_utf8_lossy(&output.stdout).trim())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Where this git keeps its programs, `git-http-backend` among them.
pub fn exec_path(git: &Path) -> PathBuf {
    let output = program(git)
        .arg("--exec-path")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", git.display()));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}
