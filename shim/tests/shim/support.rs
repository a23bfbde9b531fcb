//! The real shim under the names it has, and a server that answers literally.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use molecule_test_kit::{Ability, can, machine_tool, program};

pub(crate) const HELPER: &str = "git-credential-molecule";
pub(crate) const ASKPASS: &str = "molecule-askpass";
pub(crate) const SCRIPT: &str = "molecule-git-token-helper.sh";
pub(crate) const GET: &str = "protocol=https\nhost=github.com\n\n";
pub(crate) const OK: &str = "molecule/1 ok\nusername=x-access-token\npassword=ghs_a\nanswer=ghs_a\n\n";

/// A folder of one test's own: `bin` with the shims, and a socket's path.
pub(crate) struct SocketPath {
    pub(crate) folder: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: Option<i32>,
}

impl SocketPath {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("shim-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("bin")).unwrap();
        for name in [HELPER, ASKPASS, SCRIPT] {
            symlink(lone_shim(), folder.join("bin").join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("broker.sock")
    }

    pub(crate) fn shim(&self, name: &str) -> Command {
        let mut command = program(self.folder.join("bin").join(name));
        command.env_clear().env("MOLECULE_BROKER_SOCKET", self.socket()).env("PATH", "/nowhere");
        command
    }

    pub(crate) fn get(&self, input: &str) -> Said {
        run(self.shim(HELPER).arg("get"), input.as_bytes())
    }

    pub(crate) fn askpass(&self, prompt: &str) -> Said {
        run(self.shim(ASKPASS).arg(prompt), b"")
    }

    /// A server that gives this answer to everybody.
    pub(crate) fn serve(&self, answer: &'static str) -> Server {
        Server::on(UnixListener::bind(self.socket()).unwrap(), move |_, stream| give(stream, answer))
    }

    /// A program of the image's, as a script.
    pub(crate) fn script(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // By a process of its own: a fork of this one, for another test, would
        // hold the file open for writing, and then it can't be run (ETXTBSY).
        let mut install = program("install");
        let said = run(install.args(["-m", "755", "/dev/stdin"]).arg(&path), text.as_bytes());
        assert_eq!(said.status, Some(0), "{said:?}");
        path
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The shim in a folder where no molecule-broker lies beside it.
pub(crate) fn lone_shim() -> PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    let link = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lone");
        fs::create_dir_all(&folder).unwrap();
        let (shim, new) = (folder.join("molecule-shim"), folder.join(format!("new-{}", std::process::id())));
        fs::hard_link(env!("CARGO_BIN_EXE_molecule-shim"), &new).unwrap();
        fs::rename(&new, &shim).unwrap();
        // Where both are the same file already, the rename did nothing.
        let _ = fs::remove_file(&new);
        shim
    };
    SHIM.get_or_init(link).clone()
}

/// Writes the answer; whether the client still wants it is its affair.
pub(crate) fn give(mut stream: UnixStream, answer: &str) {
    let _ = stream.write_all(answer.as_bytes());
}

/// Hands each connection, after its request, to a closure.
pub(crate) struct Server {
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn on(listener: UnixListener, mut then: impl FnMut(usize, UnixStream) + Send + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let record = requests.clone();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                record.lock().unwrap().push(read_request(&mut stream));
                then(number, stream);
            }
        });
        Self { requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while !bytes.ends_with(b"\n\n") {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend(&chunk[..count]),
        }
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn start(command: &mut Command, input: &[u8]) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A shim that needs no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child
}

pub(crate) fn finish(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    Said {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code(),
    }
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> Said {
    finish(start(command, input))
}

/// All is well: this on stdout and nothing else.
pub(crate) fn says(out: &str) -> Said {
    Said { out: out.into(), err: String::new(), status: Some(0) }
}

pub(crate) fn silence() -> Said {
    says("")
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "never came: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
