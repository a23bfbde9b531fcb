//! The real shim under each of its names, and a server with literal answers.

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

/// One test's own folder, with the shims in `bin` and the path of a socket.
pub(crate) struct ShimWorld {
    pub(crate) folder: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProgramOutput {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: Option<i32>,
}

impl ShimWorld {
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

    pub(crate) fn get(&self, input: &str) -> ProgramOutput {
        run(self.shim(HELPER).arg("get"), input.as_bytes())
    }

    pub(crate) fn askpass(&self, prompt: &str) -> ProgramOutput {
        run(self.shim(ASKPASS).arg(prompt), b"")
    }

    /// Starts a server that gives this answer to every client.
    pub(crate) fn serve(&self, answer: &'static str) -> FakeServer {
        FakeServer::on(UnixListener::bind(self.socket()).unwrap(), move |_, stream| write_answer(stream, answer))
    }

    /// Writes a script that stands in for one of the image's programs.
    pub(crate) fn script(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A separate process writes the file. A fork of this process, for another test,
        // would hold the file open for writing, and then it can't be run (ETXTBSY).
        let mut install = program("install");
        let output = run(install.args(["-m", "755", "/dev/stdin"]).arg(&path), text.as_bytes());
        assert_eq!(output.status, Some(0), "{output:?}");
        path
    }
}

impl Drop for ShimWorld {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns a shim in a folder without a molecule-broker beside it.
pub(crate) fn lone_shim() -> PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    let link = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lone");
        fs::create_dir_all(&folder).unwrap();
        let (shim, new) = (folder.join("molecule-shim"), folder.join(format!("new-{}", std::process::id())));
        fs::hard_link(env!("CARGO_BIN_EXE_molecule-shim"), &new).unwrap();
        fs::rename(&new, &shim).unwrap();
        // If both are the same file already, the rename did nothing.
        let _ = fs::remove_file(&new);
        shim
    };
    SHIM.get_or_init(link).clone()
}

/// Writes the answer. The client may have closed the connection already.
pub(crate) fn write_answer(mut stream: UnixStream, answer: &str) {
    let _ = stream.write_all(answer.as_bytes());
}

/// Server that reads the request of each connection, and then calls a closure.
pub(crate) struct FakeServer {
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeServer {
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
    // A shim that needs no input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child
}

pub(crate) fn finish(child: Child) -> ProgramOutput {
    let output = child.wait_with_output().unwrap();
    ProgramOutput {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code(),
    }
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> ProgramOutput {
    finish(start(command, input))
}

/// Output of a success: this text on stdout, and nothing on stderr.
pub(crate) fn prints(out: &str) -> ProgramOutput {
    ProgramOutput { out: out.into(), err: String::new(), status: Some(0) }
}

/// Output of a success without any text.
pub(crate) fn prints_nothing() -> ProgramOutput {
    prints("")
}

/// Waits until a condition is true, at most 10 seconds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "didn't happen within 10 seconds: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
