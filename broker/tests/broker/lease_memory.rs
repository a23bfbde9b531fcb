//! The daemon's side of systemd's protocol. The test plays the service manager.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Child, Command};
use std::time::Duration;

use crate::kit;
use crate::kit::{DaemonWorld, wait_for};
use command_fds::{CommandFdExt, FdMapping};
use molecule_broker::daemon::lease_memory::seal;
use molecule_broker::daemon::service_manager::reopen_memory;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// A service manager with one service.
struct Manager<'w> {
    world: &'w DaemonWorld,
    inbox: UnixDatagram,
    socket: OwnedFd,
    daemon: Option<Child>,
}

struct Message {
    text: String,
    memory: Option<File>,
}

impl<'w> Manager<'w> {
    fn new(world: &'w DaemonWorld) -> Self {
        let inbox = UnixDatagram::bind(world.path("notify")).unwrap();
        inbox.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let socket = UnixListener::bind(world.path("run/broker.sock")).unwrap();
        Self { world, inbox, socket: socket.into(), daemon: None }
    }

    /// Starts a daemon with these kept memories, through the command `way` if it
    /// isn't empty.
    fn start(&mut self, way: &[&str], memories: &[(&str, &File)]) {
        self.kill();
        let mut names = vec!["molecule-broker.socket"];
        let mut descriptors = vec![self.socket.try_clone().unwrap()];
        for (name, memory) in memories {
            names.push(name);
            descriptors.push(memory.try_clone().unwrap().into());
        }
        let whole: Vec<&str> = way.iter().copied().chain([kit::BROKER, "serve"]).collect();
        let log = File::options().create(true).append(true).open(self.world.path("log")).unwrap();
        let mut command: Command = self.world.command(whole[0]);
        command
            .args(&whole[1..])
            .stderr(log)
            .env("LISTEN_FDS", descriptors.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("NOTIFY_SOCKET", self.world.path("notify"));
        let numbered = descriptors.into_iter().zip(3..);
        command.fd_mappings(numbered.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect()).unwrap();
        self.daemon = Some(command.spawn().unwrap());
        self.message("READY=1");
    }

    fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    /// Waits for the next message that has this line.
    fn message(&self, line: &str) -> Message {
        loop {
            let message = self.next();
            if message.text.lines().any(|l| l == line) {
                return message;
            }
        }
    }

    fn next(&self) -> Message {
        let mut bytes = [0; 4096];
        let mut control = nix::cmsg_space!(RawFd);
        let mut buffer = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg::<()>(self.inbox.as_raw_fd(), &mut buffer, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
        let raw = received.cmsgs().unwrap().find_map(|part| match part {
            ControlMessageOwned::ScmRights(raw) => raw.first().copied(),
            _ => None,
        });
        let length = received.bytes;
        Message { text: kit::text(&bytes[..length]), memory: raw.map(|raw| reopen_memory(raw).unwrap()) }
    }

    /// Waits for the first stored memory that holds this token, and returns it
    /// with its name.
    fn memory_with(&self, token: &str) -> (String, File) {
        loop {
            let message = self.message("FDSTORE=1");
            let mut memory = message.memory.unwrap();
            let mut bytes = Vec::new();
            memory.read_to_end(&mut bytes).unwrap();
            if bytes.windows(token.len()).any(|window| window == token.as_bytes()) {
                let name = message.text.lines().find_map(|l| l.strip_prefix("FDNAME=")).unwrap().to_owned();
                return (name, memory);
            }
        }
    }
}

impl Drop for Manager<'_> {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.world.log());
        }
    }
}

/// Returns a manager and the memory in which the first token was kept, with the
/// memory's name.
fn kept(world: &DaemonWorld) -> (Manager<'_>, String, File) {
    let mut manager = Manager::new(world);
    manager.start(&[], &[]);
    assert_eq!(world.printed_token().as_deref(), Some("ghs_minted_1"));
    let (name, memory) = manager.memory_with("ghs_minted_1");
    world.platform.fails();
    (manager, name, memory)
}

#[test]
fn a_daemon_serves_a_kept_lease_and_then_replaces_the_memory() {
    let world = DaemonWorld::new();
    let (mut manager, name, memory) = kept(&world);
    manager.start(&[], &[(&name, &memory)]);
    assert_eq!(world.printed_token().as_deref(), Some("ghs_minted_1"));
    assert_eq!(world.platform.minted(), 1);
    let next = manager.message("FDSTORE=1").text;
    assert!(!next.contains(&format!("FDNAME={name}\n")) && !next.ends_with(&name), "{next}");
    assert_eq!(manager.next().text, format!("FDSTOREREMOVE=1\nFDNAME={name}"), "the old memory goes only after that");
}

#[test]
fn the_newest_memory_that_verifies_wins() {
    let world = DaemonWorld::new();
    let (mut manager, name, first) = kept(&world);
    world.platform.recovers();
    assert!(world.broker(&["refresh"]).status.success());
    let (second_name, second) = manager.memory_with("ghs_minted_2");
    world.platform.fails();
    manager.start(&[], &[(&second_name, &second), (&name, &first)]);
    assert_eq!(world.printed_token().as_deref(), Some("ghs_minted_2"));
    manager.start(&[], &[("lease-77", &damaged(&second)), (&name, &first)]);
    assert_eq!(world.printed_token().as_deref(), Some("ghs_minted_1"));
}

#[test]
fn rule50_a_damaged_memory_is_dropped_with_a_warning() {
    let world = DaemonWorld::new();
    let (mut manager, name, memory) = kept(&world);
    manager.start(&[], &[(&name, &damaged(&memory))]);
    assert_eq!(world.printed_token(), None);
    assert!(world.log().contains("doesn't verify and is dropped: its bytes have changed"), "{}", world.log());
}

#[test]
fn rule50_memory_that_isnt_sealed_is_dropped() {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let world = DaemonWorld::new();
    let (mut manager, name, memory) = kept(&world);
    let mut open = File::from(memfd_create("open", MFdFlags::MFD_CLOEXEC).unwrap());
    std::io::Write::write_all(&mut open, &content(&memory)).unwrap();
    manager.start(&[], &[(&name, &open)]);
    assert_eq!(world.printed_token(), None);
    assert!(world.log().contains("it is not sealed"), "{}", world.log());
}

#[test]
fn a_lease_of_another_workspace_is_not_served() {
    let mut world = DaemonWorld::new();
    let (name, memory) = {
        let (manager, name, memory) = kept(&world);
        drop(manager);
        (name, memory)
    };
    world.set("WORKSPACE_ID", "w-2");
    std::fs::remove_file(world.path("notify")).unwrap();
    std::fs::remove_file(world.path("run/broker.sock")).unwrap();
    let mut manager = Manager::new(&world);
    manager.start(&[], &[(&name, &memory)]);
    assert_eq!(world.printed_token(), None);
    assert!(world.log().contains("its source has changed"), "{}", world.log());
}

#[test]
fn rule44_in_another_time_namespace_a_lease_keeps_its_life() {
    if !kit::can(&[kit::Ability::TimeNamespace]) {
        return;
    }
    let world = DaemonWorld::new();
    let (mut manager, name, memory) = kept(&world);
    // An unshifted deadline would end the lease under a clock that is ahead, and
    // prolong it under a clock that is behind.
    for offset in ["--boottime=3600", "--boottime=-600"] {
        manager.start(&["unshare", "--time", offset, "--fork", "--kill-child"], &[(&name, &memory)]);
        let status: serde_json::Value = serde_json::from_slice(&world.broker(&["status", "--json"]).stdout).unwrap();
        let left = status["credentials"][0]["expires_in_s"].as_u64().unwrap();
        assert!((3500..=3600).contains(&left), "{offset}: {left}");
        assert_eq!(world.printed_token().as_deref(), Some("ghs_minted_1"));
    }
}

#[test]
fn signs_of_life_come_while_the_loop_turns() {
    let mut world = DaemonWorld::new();
    world.set("WATCHDOG_USEC", "200000");
    let mut manager = Manager::new(&world);
    manager.start(&[], &[]);
    for _ in 0..3 {
        manager.message("WATCHDOG=1");
    }
}

#[test]
fn a_reload_and_the_state_are_sent_to_the_service_manager() {
    let world = DaemonWorld::new();
    let mut manager = Manager::new(&world);
    manager.start(&[], &[]);
    manager.message("STATUS=github starting");
    assert_eq!(world.printed_token().as_deref(), Some("ghs_minted_1"));
    manager.message("STATUS=github ok");
    assert!(world.broker(&["reload"]).status.success());
    manager.message("RELOADING=1");
    manager.message("READY=1");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(manager.daemon.as_ref().unwrap().id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    manager.message("STOPPING=1");
    wait_for("its end", || manager.daemon.as_mut().unwrap().try_wait().unwrap());
}

fn content(memory: &File) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; memory.metadata().unwrap().len() as usize];
    memory.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Returns a copy of the memory with one bit of the token flipped.
fn damaged(memory: &File) -> File {
    let mut bytes = content(memory);
    let at = bytes.windows(4).position(|window| window == b"ghs_").unwrap();
    bytes[at + 5] ^= 1;
    seal(&bytes).unwrap().into()
}
