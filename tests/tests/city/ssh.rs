//! `molecule-askpass` as `SSH_ASKPASS`: the real ssh programs ask it their
//! questions, and it answers none.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use molecule_tests::wait::{eventually, poll};
use molecule_tests::world::{RunResult, World, WorldSetup, run, write_program};
use molecule_tests::{Ability, can, program, skip};
use nix::unistd::geteuid;

const PATIENCE: Duration = Duration::from_secs(20);

/// Uid of our sshd where it would otherwise run as root. So it needs no user
/// and no folder of the system.
const NOBODY: u32 = 12345;

/// A question of a program, and the result.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    arguments: Vec<String>,
    /// `SSH_ASKPASS_PROMPT`.
    kind: String,
    status: String,
    printed: String,
    said: String,
}

/// ssh's programs, wired to our askpass by a wrapper that records everything.
struct Scene {
    world: World,
    /// The socket in the daemon's place. No process answers here.
    socket: UnixListener,
}

impl Scene {
    /// Returns `None`, with a SKIP line, if ssh isn't installed.
    fn new() -> Option<Self> {
        if find("ssh-keygen").is_none() {
            skip("ssh's own questions: there is no ssh here");
            return None;
        }
        let world = World::new(WorldSetup::default());
        let socket = UnixListener::bind(world.socket()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let script = format!(
            "#!/bin/sh\nset -f\ncd {}\nn=$(ls | wc -l)\nmkdir $n\nprintf '%s\\0' \"$@\" >$n/arguments\n\
             printf %s \"$SSH_ASKPASS_PROMPT\" >$n/kind\n\
             molecule-askpass \"$@\" >$n/printed 2>$n/said\nstatus=$?\necho $status >$n/status\n\
             cat $n/printed\nexit $status\n",
            world.work().display()
        );
        let scene = Self { world, socket };
        write_program(&scene.askpass(), &script);
        Some(scene)
    }

    fn askpass(&self) -> PathBuf {
        self.world.bin().join("askpass-with-notes")
    }

    fn home(&self) -> PathBuf {
        self.world.home()
    }

    /// Returns a command for one of ssh's programs, which can only ask our
    /// askpass.
    fn ssh(&self, program: &str) -> Command {
        let mut command = self.world.command(&find(program).unwrap());
        command.env("SSH_ASKPASS", self.askpass()).env("SSH_ASKPASS_REQUIRE", "force");
        command.env("DISPLAY", "none:0").current_dir(self.home());
        command
    }

    fn new_key(&self, name: &str, passphrase: &str) -> PathBuf {
        self.new_key_of(&["-t", "ed25519"], name, passphrase)
    }

    /// Creates a key whose file doesn't contain its public half. OpenSSH 10.6
    /// can't write ed25519 keys in that form; earlier versions silently wrote
    /// them in their own.
    fn new_pem_key(&self, name: &str, passphrase: &str) -> PathBuf {
        self.new_key_of(&["-t", "ecdsa", "-m", "PEM"], name, passphrase)
    }

    fn new_key_of(&self, kind: &[&str], name: &str, passphrase: &str) -> PathBuf {
        let key = self.home().join(name);
        let mut keygen = self.ssh("ssh-keygen");
        keygen.arg("-q").args(kind).args(["-C", "comment", "-N", passphrase, "-f"]).arg(&key);
        run(&mut keygen, PATIENCE).ok();
        key
    }

    /// Returns all questions so far, in order.
    fn asked(&self) -> Vec<Asked> {
        let count = fs::read_dir(self.world.work()).unwrap().count();
        let read = |number: usize, name: &str| {
            let bytes = fs::read(self.world.work().join(number.to_string()).join(name)).unwrap_or_default();
            String::from_utf8(bytes).unwrap()
        };
        let asked = |number| Asked {
            arguments: read(number, "arguments").split_terminator('\0').map(String::from).collect(),
            kind: read(number, "kind"),
            status: read(number, "status"),
            printed: read(number, "printed"),
            said: read(number, "said"),
        };
        (0..count).map(asked).collect()
    }

    /// Checks that these questions were asked and no others, each a single text
    /// with this beginning and end. Each got status 1 and no output, and the
    /// daemon wasn't asked.
    #[track_caller]
    fn had_no_answer_to(&self, questions: &[(&str, &str, &str)]) {
        let asked = self.asked();
        assert_eq!(asked.len(), questions.len(), "{asked:#?}");
        for (one, (kind, begins, ends)) in asked.iter().zip(questions) {
            let [text] = &one.arguments[..] else { panic!("{one:?}") };
            assert!(text.starts_with(begins) && text.ends_with(ends), "{begins:?} … {ends:?}: {one:?}");
            let got = (one.kind.as_str(), one.status.as_str(), one.printed.as_str(), one.said.as_str());
            assert_eq!(got, (*kind, "1\n", "", ""), "{one:?}");
        }
        assert_eq!(self.socket.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "the daemon was asked");
        self.a_question_of_git_reaches_the_daemon();
    }

    /// Checks that a prompt that askpass answers does reach the socket.
    fn a_question_of_git_reaches_the_daemon(&self) {
        let mut askpass = self.world.command(&self.world.bin().join("molecule-askpass"));
        let mut askpass = askpass.arg("Username for 'https://localhost': ").stderr(Stdio::null()).spawn().unwrap();
        eventually("the daemon is asked", PATIENCE, || self.socket.accept().is_ok());
        askpass.kill().unwrap();
        askpass.wait().unwrap();
    }
}

/// On Debian, sshd is in a folder that only root's `PATH` contains.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into()]).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[test]
fn rule16_a_question_for_a_keys_passphrase_isnt_answered() {
    let Some(scene) = Scene::new() else { return };
    let key = scene.new_key("locked", "the passphrase");
    let ran = run(scene.ssh("ssh-keygen").arg("-y").arg("-f").arg(&key), PATIENCE);
    assert!(!ran.success() && ran.stderr.contains("incorrect passphrase"), "{ran:?}");
    // Newer versions name the key.
    scene.had_no_answer_to(&[("", "Enter passphrase", ": ")]);
}

/// An ssh-agent, which is stopped when the value is dropped.
struct Agent(Child);

impl Agent {
    fn start(scene: &Scene) -> Self {
        let socket = scene.home().join("agent");
        let mut agent = scene.ssh("ssh-agent");
        let agent = Self(agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap());
        eventually("the agent listens", PATIENCE, || socket.exists());
        agent
    }

    fn with(scene: &Scene, program: &str) -> Command {
        let mut command = scene.ssh(program);
        command.env("SSH_AUTH_SOCK", scene.home().join("agent"));
        command
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn rule16_questions_of_an_ssh_agent_arent_answered() {
    let Some(scene) = Scene::new() else { return };
    let (locked, free) = (scene.new_key("locked", "the passphrase"), scene.new_key("free", ""));
    let _agent = Agent::start(&scene);
    let ran = run(Agent::with(&scene, "ssh-add").arg(&locked), PATIENCE);
    assert!(!ran.success(), "{ran:?}");
    // From now on ssh-agent asks before every use of this key, and an empty
    // answer is a yes.
    run(Agent::with(&scene, "ssh-add").arg("-c").arg(&free), PATIENCE).ok();
    fs::remove_file(&free).unwrap();
    fs::write(scene.home().join("text"), "text").unwrap();
    let mut sign = Agent::with(&scene, "ssh-keygen");
    let ran = run(sign.args(["-Y", "sign", "-n", "test", "-f", "free.pub", "text"]), PATIENCE);
    assert!(!ran.success() && !scene.home().join("text.sig").exists(), "the key was used: {ran:?}");
    let passphrase = format!("Enter passphrase for {}", locked.display());
    scene.had_no_answer_to(&[("", &passphrase, ": "), ("confirm", "Allow use of key ", "")]);
}

/// An sshd that serves one connection after the other and lets no client in.
struct Sshd {
    sshd: PathBuf,
    folder: tempfile::TempDir,
    listener: TcpListener,
}

impl Sshd {
    /// Returns `None`, with a SKIP line, if there is no sshd.
    fn new(scene: &Scene) -> Option<Self> {
        let Some(sshd) = find("sshd") else {
            skip("ssh's questions about hosts and passwords: there is no sshd (openssh-server) here");
            return None;
        };
        if geteuid().is_root() && !can(&[Ability::BecomeOthers, Ability::GiveAway]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("host_key");
        fs::copy(scene.new_key("host_key", ""), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            for path in [folder.path(), &key] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Some(Self { sshd, folder, listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap() })
    }

    /// Connects to it with ssh, and returns ssh's output.
    fn meet(&self, scene: &Scene, options: &[&str]) -> RunResult {
        let port = self.listener.local_addr().unwrap().port().to_string();
        let mut ssh = scene.ssh("ssh");
        ssh.args(["-F", "none", "-o", "UserKnownHostsFile=known_hosts", "-o", "GlobalKnownHostsFile=/dev/null"]);
        ssh.args(["-o", "IdentityAgent=none", "-o", "NumberOfPasswordPrompts=1", "-p", &port]).args(options);
        ssh.args(["-l", "git", "127.0.0.1", "true"]);
        thread::scope(|scope| {
            let ssh = scope.spawn(|| run(&mut ssh, PATIENCE));
            let mut sshd = self.serve_one();
            let ran = ssh.join().unwrap();
            poll(PATIENCE, || sshd.try_wait().unwrap()).map_or_else(|| sshd.kill().unwrap(), drop);
            sshd.wait().unwrap();
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            RunResult { stderr: format!("{}\nsshd says:\n{log}", ran.stderr), ..ran }
        })
    }

    fn serve_one(&self) -> Child {
        let (stream, _) = self.listener.accept().unwrap();
        let mut command = if geteuid().is_root() {
            let mut command = program("setpriv");
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]).args(["--clear-groups", "--"]);
            command.arg(&self.sshd);
            command
        } else {
            program(&self.sshd)
        };
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        command.args(["-i", "-e", "-f", "/dev/null", "-o", "UsePAM=no", "-o", "PidFile=none", "-h"]);
        command.arg(self.folder.path().join("host_key")).stderr(log);
        let stream = OwnedFd::from(stream);
        command.stdin(stream.try_clone().unwrap()).stdout(stream).spawn().unwrap()
    }
}

#[test]
fn rule16_questions_about_hosts_and_passwords_arent_answered() {
    let Some(scene) = Scene::new() else { return };
    let Some(sshd) = Sshd::new(&scene) else { return };
    let ran = sshd.meet(&scene, &["-o", "StrictHostKeyChecking=ask"]);
    assert!(ran.stderr.contains("Host key verification failed"), "{ran:?}");
    let known = ["-o", "StrictHostKeyChecking=accept-new"];
    let ran = sshd.meet(&scene, &[&known[..], &["-o", "PreferredAuthentications=password"]].concat());
    assert!(ran.stderr.contains("Permission denied"), "{ran:?}");
    // ssh opens such a key before it asks the server, because it needs the
    // public half.
    let key = scene.new_pem_key("locked", "the passphrase");
    fs::remove_file(public(&key)).unwrap();
    let key = key.display().to_string();
    let ran = sshd.meet(&scene, &[&known[..], &["-o", "PreferredAuthentications=publickey", "-i", &key]].concat());
    assert!(ran.stderr.contains("Permission denied"), "{ran:?}");
    scene.had_no_answer_to(&[
        ("", "The authenticity of host '", "? "),
        ("", "git@127.0.0.1's password: ", ""),
        ("", &format!("Enter passphrase for key '{key}': "), ""),
    ]);
}

fn public(key: &Path) -> PathBuf {
    key.with_extension("pub")
}
