//! A real git host: git's own http-backend behind an access check that lets in
//! only live tokens (or a persona that it knows) and records every credential
//! that it is shown. [`lfs`] keeps large files behind the same check. [`api`]
//! is the part of GitHub's API that gh needs, so that git and gh share one
//! origin.
//!
//! The same check also makes an evil host: one that lets in no client and
//! records every credential, or one that redirects git to another host.

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
use crate::certs::CertAuthority;
use crate::ledger::Ledger;
use crate::program;
use crate::programs::first_git;
use crate::serve::Server;
use crate::temp_folder;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostBehaviour {
    /// Serves clients that show a live token or the persona's password.
    Serves,
    /// Asks every client for a password and lets none in.
    Refuses,
    /// Redirects every client to the same path at this base address.
    Redirects(String),
    /// Redirects only clients that it would let in. By then git has shown its
    /// password.
    RedirectsWelcome(String),
}

/// State of a credential at the moment when it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialState {
    Live,
    Expired,
    Revoked,
    Unknown,
    Persona,
}

impl CredentialState {
    pub fn is_welcome(self) -> bool {
        matches!(self, Self::Live | Self::Persona)
    }
}

/// One credential as it was shown to the host.
#[derive(Clone, Debug)]
pub struct ShownCredential {
    pub at: SystemTime,
    /// The `Host` header.
    pub host: String,
    pub path: String,
    /// The `User-Agent` header.
    pub agent: String,
    pub username: String,
    pub password_sha256: [u8; 32],
    pub state: CredentialState,
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
    behaviour: HostBehaviour,
    persona: Option<(String, String)>,
    shown: Vec<ShownCredential>,
    anonymous: usize,
}

impl GitHost {
    /// Starts a host, over HTTPS if a certificate authority is given. It runs
    /// the first git's backend; see [`GitHost::start_with`].
    #[track_caller]
    pub fn start(ledger: &Arc<Ledger>, tls: Option<&CertAuthority>) -> Self {
        let git = first_git().unwrap_or_else(|problem| panic!("{problem}"));
        Self::start_with(ledger, tls, &exec_path(&git))
    }

    /// Starts a host that runs the `git-http-backend` in this `git
    /// --exec-path`.
    pub fn start_with(ledger: &Arc<Ledger>, tls: Option<&CertAuthority>, exec_path: &Path) -> Self {
        let root = temp_folder::new_folder("molecule-git-host-").unwrap_or_else(|problem| panic!("{problem}"));
        let shared = Arc::new(Shared {
            scheme: if tls.is_some() { "https" } else { "http" },
            root: root.path().to_path_buf(),
            exec_path: exec_path.to_path_buf(),
            ledger: ledger.clone(),
            state: Mutex::new(State {
                behaviour: HostBehaviour::Serves,
                persona: None,
                shown: Vec::new(),
                anonymous: 0,
            }),
        });
        let handler_shared = shared.clone();
        let handler = move |request| door::answer(handler_shared.clone(), request);
        Self { server: Server::start(tls.map(CertAuthority::acceptor), handler), shared, root }
    }

    /// Returns `localhost:PORT`, the form of a host list.
    pub fn origin(&self) -> String {
        self.origin_as("localhost")
    }

    pub fn origin_as(&self, name: &str) -> String {
        format!("{name}:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.server.addr().port()
    }

    /// Returns the URL of a repository such as `acme/app.git`.
    pub fn url(&self, repository: &str) -> String {
        self.url_as("localhost", repository)
    }

    /// The same with another name of the certificate.
    pub fn url_as(&self, name: &str, repository: &str) -> String {
        format!("{}://{}/{repository}", self.server.scheme(), self.origin_as(name))
    }

    pub fn set_behaviour(&self, behaviour: HostBehaviour) {
        self.state().behaviour = behaviour;
    }

    pub fn let_in_persona(&self, username: &str, password: &str) {
        self.state().persona = Some((String::from(username), String::from(password)));
    }

    /// Creates a bare repository with one commit on `main`.
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

    /// Returns an LFS object of a repository, as the host stores it.
    pub fn lfs_object(&self, repository: &str, oid: &str) -> Option<Vec<u8>> {
        std::fs::read(lfs::folder(&self.root.path().join(repository)).join(oid)).ok()
    }

    pub fn refuse_connections(&self) {
        self.server.close();
    }

    pub fn accept_connections(&self) {
        self.server.open();
    }

    /// Returns every credential that the host was shown, in order.
    pub fn shown(&self) -> Vec<ShownCredential> {
        self.state().shown.clone()
    }

    pub fn shown_count(&self, wanted: CredentialState) -> usize {
        let state = self.state();
        state.shown.iter().filter(|shown| shown.state == wanted).count()
    }

    /// Returns the number of credentials that weren't valid here. It has to
    /// stay zero.
    pub fn dead_shown(&self) -> usize {
        let state = self.state();
        state.shown.iter().filter(|shown| !shown.state.is_welcome()).count()
    }

    /// Returns the number of requests without a credential.
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

/// Returns the folder of this git's programs, which include `git-http-backend`.
pub fn exec_path(git: &Path) -> PathBuf {
    let output = program(git)
        .arg("--exec-path")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", git.display()));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}
