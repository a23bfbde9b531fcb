//! Refusals and permissions of the sandbox, tried from inside: this test program
//! starts itself once more, closes the sandbox around that process as the daemon
//! does, and lets it try. The same process without a sandbox shows that nothing
//! else refuses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Output;

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use molecule_broker::config::{self, Config, Env, Flags, MetricsListen};
use molecule_broker::daemon::sandbox;
use molecule_test_kit::program;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, getppid, mkfifo, truncate};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use Errno::{EACCES, EPERM};
use Needs::{Files, Ports, Scopes, Seccomp, Unprivileged};

/// Kernel feature that a refusal needs.
#[derive(Clone, Copy)]
enum Needs {
    Seccomp,
    /// Landlock's rules for files, of this version or a later one.
    Files(ABI),
    /// Landlock's first version, in a process that isn't root's or lacks two of
    /// root's capabilities: newer kernels let those bypass it.
    Unprivileged,
    /// Landlock's rules for ports, since version 4.
    Ports,
    /// Landlock's scopes for processes and sockets outside, since version 6.
    Scopes,
}

/// Command that drops those two capabilities, where setpriv(1) is installed.
const WITHOUT_THEM: [&str; 2] = ["setpriv", "--bounding-set=-perfmon,-sys_admin"];

fn can_do_without_them() -> bool {
    let done = program(WITHOUT_THEM[0]).args(&WITHOUT_THEM[1..]).arg("true").output();
    done.is_ok_and(|done| done.status.success())
}

/// Name of an attempt, the kernel feature that its refusal needs, the error of the
/// refusal, and the attempt.
type Refused = (&'static str, Needs, Errno, Try);
type Allowed = (&'static str, Try);
type Try = fn(&Place) -> io::Result<()>;

/// Refusals with `[log] audit_file` and with `[metrics] listen` on a port.
const WITH_AUDIT_AND_PORT: &[Refused] = &[
    ("start a program", Seccomp, EPERM, |_| run()),
    ("start a program from a thread", Seccomp, EPERM, |_| std::thread::spawn(run).join().unwrap()),
    ("append to a file elsewhere", Files(ABI::V1), EACCES, |p| append(&p.at("elsewhere/appended"))),
    ("create a file elsewhere", Files(ABI::V1), EACCES, |p| create(&p.at("elsewhere/new"))),
    ("create a file in /tmp", Files(ABI::V1), EACCES, |_| tempfile::tempfile().map(drop)),
    ("empty a file elsewhere", Files(ABI::V3), EACCES, |p| Ok(truncate(&p.at("elsewhere/emptied"), 0)?)),
    ("remove a file elsewhere", Files(ABI::V1), EACCES, |p| fs::remove_file(p.at("elsewhere/removed"))),
    ("rename a file elsewhere", Files(ABI::V1), EACCES, |p| {
        fs::rename(p.at("elsewhere/renamed"), p.at("elsewhere/other"))
    }),
    ("link a file elsewhere", Files(ABI::V1), EACCES, |p| {
        fs::hard_link(p.at("elsewhere/linked"), p.at("elsewhere/link"))
    }),
    ("link to a file elsewhere", Files(ABI::V1), EACCES, |p| symlink("linked", p.at("elsewhere/symlink"))),
    ("make a folder elsewhere", Files(ABI::V1), EACCES, |p| fs::create_dir(p.at("elsewhere/folder"))),
    ("remove a folder elsewhere", Files(ABI::V1), EACCES, |p| fs::remove_dir(p.at("elsewhere/empty"))),
    ("make a pipe elsewhere", Files(ABI::V1), EACCES, |p| Ok(mkfifo(&p.at("elsewhere/pipe"), Mode::S_IRWXU)?)),
    ("listen on a socket elsewhere", Files(ABI::V1), EACCES, |p| listen(&p.at("elsewhere/socket"))),
    ("remove the audit file", Files(ABI::V1), EACCES, |p| fs::remove_file(p.at("audit/removed"))),
    ("rename the audit file", Files(ABI::V1), EACCES, |p| fs::rename(p.at("audit/renamed"), p.at("audit/other"))),
    ("empty the audit file", Files(ABI::V3), EACCES, |p| Ok(truncate(&p.at("audit/emptied"), 0)?)),
    ("make a folder beside the audit file", Files(ABI::V1), EACCES, |p| fs::create_dir(p.at("audit/folder"))),
    ("link to a file beside the audit file", Files(ABI::V1), EACCES, |p| symlink("linked", p.at("audit/symlink"))),
    ("append to a file beside the socket", Files(ABI::V1), EACCES, |p| append(&p.at("run/appended"))),
    ("create a file beside the socket", Files(ABI::V1), EACCES, |p| create(&p.at("run/new"))),
    ("listen on a socket beside the socket", Files(ABI::V1), EACCES, |p| listen(&p.at("run/other.sock"))),
    ("put another socket in the socket's place", Files(ABI::V1), EACCES, |p| {
        fs::remove_file(p.at("run/broker.sock")).unwrap();
        listen(&p.at("run/broker.sock"))
    }),
    ("read another process's environment", Unprivileged, EACCES, |_| of_another("environ", |p| fs::read(p).map(drop))),
    ("open another process's memory", Files(ABI::V1), EACCES, |_| of_another("mem", |path| File::open(path).map(drop))),
    ("find another process's files", Files(ABI::V1), EACCES, |_| of_another("fd/0", |path| path.read_link().map(drop))),
    ("tell a device what to do", Files(ABI::V5), EACCES, |_| command_device()),
    ("listen on a port of its own", Ports, EACCES, |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("listen on a port of its own by IPv6", Ports, EACCES, |_| TcpListener::bind("[::1]:0").map(drop)),
    ("connect to an abstract socket from outside", Scopes, EPERM, |p| {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(&p.abstract_name)?).map(drop)
    }),
    // SIGURG does nothing where it arrives.
    ("signal a process outside", Scopes, EPERM, |_| Ok(kill(getppid(), Signal::SIGURG)?)),
];

const EVEN_SO: &[Allowed] = &[
    ("read a file", |p| fs::read(p.at("elsewhere/appended")).map(drop)),
    ("list a folder", |p| fs::read_dir(p.at("elsewhere")).map(drop)),
    ("append to the audit file", |p| append(&p.at("audit/audit.log"))),
    ("create another audit file", |p| create(&p.at("audit/audit.log.1"))),
    ("start a thread", |_| std::thread::Builder::new().spawn(|| ())?.join().map_err(|_| io::ErrorKind::Other.into())),
    ("look up a name", |_| ("localhost", 1).to_socket_addrs().map(drop)),
    ("connect by TCP", |p| TcpStream::connect(("127.0.0.1", p.port)).map(drop)),
    ("connect to a socket with a path", |p| UnixStream::connect(p.at("elsewhere/listening")).map(drop)),
    ("listen on the metrics' port", |p| match p.config.metrics {
        Some(MetricsListen::Tcp(address)) => TcpListener::bind(address).map(drop),
        _ => Err(io::Error::other("no port")),
    }),
    ("remove the socket", |p| fs::remove_file(p.at("run/removed.sock"))),
];

/// Refusals without an audit file and with `[metrics] listen` on a path.
const WITH_PATH_ALONE: &[Refused] = &[
    ("append to a file that isn't an audit file", Files(ABI::V1), EACCES, |p| append(&p.at("audit/audit.log"))),
    ("create a file without an audit file", Files(ABI::V1), EACCES, |p| create(&p.at("audit/new"))),
    ("empty a file beside the metrics", Files(ABI::V3), EACCES, |p| Ok(truncate(&p.at("metrics/emptied"), 0)?)),
    ("make a folder beside the metrics", Files(ABI::V1), EACCES, |p| fs::create_dir(p.at("metrics/folder"))),
    ("link to a file beside the metrics", Files(ABI::V1), EACCES, |p| symlink("x", p.at("metrics/symlink"))),
    ("listen on any port", Ports, EACCES, |_| TcpListener::bind("127.0.0.1:0").map(drop)),
];

const ITS_PATH: &[Allowed] = &[
    ("lock the metrics' socket", |p| create(&p.at("metrics/metrics.sock.lock"))),
    ("listen on the metrics' socket", |p| listen(&p.at("metrics/metrics.sock"))),
    ("remove the metrics' socket", |p| fs::remove_file(p.at("metrics/metrics.sock"))),
    ("remove the socket", |p| fs::remove_file(p.at("run/removed.sock"))),
];

struct Setup {
    config: &'static str,
    refused: &'static [Refused],
    allowed: &'static [Allowed],
}

const SETUPS: [Setup; 2] = [
    Setup {
        config: "[log]\naudit_file = \"FOLDER/audit/audit.log\"\n[metrics]\nlisten = \"127.0.0.1:PORT\"\n",
        refused: WITH_AUDIT_AND_PORT,
        allowed: EVEN_SO,
    },
    Setup {
        config: "[metrics]\nlisten = \"FOLDER/metrics/metrics.sock\"\n",
        refused: WITH_PATH_ALONE,
        allowed: ITS_PATH,
    },
];

macro_rules! calls {
    ($($(#[$when:meta])* $number:ident),* $(,)?) => { &[$($(#[$when])* (stringify!($number), libc::$number, 0)),*] };
}

type Call = (&'static str, libc::c_long, libc::c_int);

/// Calls that are refused whatever their arguments are.
const CALLS: &[Call] = calls![
    SYS_execve,
    SYS_execveat,
    SYS_clone,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_kcmp,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_open_by_handle_at,
    SYS_fsopen,
    SYS_fsmount,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_personality,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    #[cfg(target_arch = "x86_64")]
    SYS_fork,
    #[cfg(target_arch = "x86_64")]
    SYS_vfork,
    #[cfg(target_arch = "x86_64")]
    SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    SYS_modify_ldt,
];

/// Calls by the numbers of x32 (`arch/x86/entry/syscalls/syscall_64.tbl`).
#[cfg(target_arch = "x86_64")]
const X32_CALLS: &[Call] = &[
    ("getpid of x32", X32 | libc::SYS_getpid, 0),
    ("fork of x32", X32 | libc::SYS_fork, 0),
    ("clone3 of x32", X32 | libc::SYS_clone3, 0),
    ("execve of x32", X32 | 520, 0),
    ("ptrace of x32", X32 | 521, 0),
    ("execveat of x32", X32 | 545, 0),
];
#[cfg(target_arch = "x86_64")]
const X32: libc::c_long = 0x4000_0000;
#[cfg(not(target_arch = "x86_64"))]
const X32_CALLS: &[Call] = &[];

/// Calls of which either can start a thread.
const OTHER_CALLS: &[Call] = &[("clone3", libc::SYS_clone3, 0), THREAD];
const THREAD: Call = ("clone of a thread", libc::SYS_clone, libc::CLONE_VM | libc::CLONE_THREAD);

/// Error by which only the guard below answers.
const GUARDED: Errno = Errno::EDOM;

/// Folder, configuration and sockets that a probe works with.
struct Place {
    folder: PathBuf,
    config: Config,
    abstract_name: String,
    port: u16,
}

impl Place {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn run() -> io::Result<()> {
    program("/bin/true").status().map(drop)
}

fn append(path: &Path) -> io::Result<()> {
    File::options().append(true).open(path)?.write_all(b"more\n")
}

fn create(path: &Path) -> io::Result<()> {
    File::options().write(true).create_new(true).open(path).map(drop)
}

fn listen(path: &Path) -> io::Result<()> {
    UnixListener::bind(path).map(drop)
}

fn of_another(name: &str, look: fn(&Path) -> io::Result<()>) -> io::Result<()> {
    look(format!("/proc/{}/{name}", getppid()).as_ref())
}

fn command_device() -> io::Result<()> {
    // /dev/null isn't a terminal, and without a sandbox the call says so.
    Ok(nix::sys::termios::tcgetattr(File::open("/dev/null")?).map(drop)?)
}

/// Runs one of the probes below in another process, with the configuration of
/// `setup` and inside the sandbox if `closed`.
fn probe(name: &str, setup: usize, closed: bool) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, files) in [
        ("elsewhere", &["appended", "emptied", "removed", "renamed", "linked"][..]),
        ("audit", &["audit.log", "emptied", "removed", "renamed"]),
        ("run", &["appended", "removed.sock", "broker.sock"]),
        ("metrics", &["emptied"]),
    ] {
        fs::create_dir(at(name)).unwrap();
        files.iter().for_each(|file| fs::write(at(name).join(file), "some\n").unwrap());
    }
    fs::create_dir(at("elsewhere/empty")).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let config = SETUPS[setup].config.replace("FOLDER", folder.path().to_str().unwrap()).replace("PORT", &free);
    fs::write(at("config.toml"), config).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let _path = UnixListener::bind(at("elsewhere/listening")).unwrap();
    let abstract_name = folder.path().file_name().unwrap().to_str().unwrap();
    let _name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(abstract_name).unwrap()).unwrap();
    let way: &[&str] = if can_do_without_them() { &WITHOUT_THEM } else { &[] };
    let itself = std::env::current_exe().unwrap();
    let words: Vec<&str> = way.iter().copied().chain(itself.to_str()).collect();
    let mut itself = program(words[0]);
    itself.args(&words[1..]).args([&format!("sandbox_refusals::{name}"), "--exact", "--ignored", "--nocapture"]);
    itself.env("SANDBOX_FOLDER", folder.path()).env("SANDBOX_SETUP", setup.to_string());
    itself.env("SANDBOX_PORT", tcp.local_addr().unwrap().port().to_string()).env("SANDBOX_NAME", abstract_name);
    if closed {
        itself.env("SANDBOX_CLOSED", "yes");
    }
    itself.output().unwrap()
}

/// Returns the outcome of each attempt of a probe, and the sandbox's level.
fn tried(name: &str, setup: usize, closed: bool) -> BTreeMap<String, String> {
    let done = probe(name, setup, closed);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    let pairs = said.lines().filter_map(|line| line.strip_prefix("tried ")?.split_once(": "));
    pairs.map(|(what, came)| (what.to_owned(), came.to_owned())).collect()
}

/// Prepares a probe in its own process, and closes the sandbox if it was started
/// for that. Returns `None` if the process wasn't started as a probe.
fn inside(before: impl FnOnce()) -> Option<(Place, &'static Setup)> {
    let folder = PathBuf::from(std::env::var_os("SANDBOX_FOLDER")?);
    let env = |name: &str| std::env::var(name).unwrap();
    let flags = Flags { config: Some(folder.join("config.toml")), ..Flags::default() };
    let vars = [("MOLECULE_BROKER_SOCKET", folder.join("run/broker.sock").into_os_string())];
    let config = config::load(&flags, &Env::from_os(vars.map(|(name, value)| (name.into(), value))));
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    before();
    let level = std::env::var_os("SANDBOX_CLOSED").map(|_| sandbox::close(&config));
    // Ends the line that the harness has begun with the test's name.
    println!();
    println!("tried level: {}", level.unwrap_or_default());
    let place =
        Place { folder, config, abstract_name: env("SANDBOX_NAME"), port: env("SANDBOX_PORT").parse().unwrap() };
    Some((place, &SETUPS[env("SANDBOX_SETUP").parse::<usize>().unwrap()]))
}

fn say(what: &str, came: io::Result<()>) {
    let name =
        |error: io::Error| error.raw_os_error().map_or(error.to_string(), |raw| format!("{:?}", Errno::from_raw(raw)));
    println!("tried {what}: {}", came.map_or_else(name, |()| "done".to_owned()));
}

#[test]
#[ignore = "not a test: the process that tries what is refused and what is allowed"]
fn tries_what_is_in_the_tables() {
    let Some((place, setup)) = inside(|| ()) else { return };
    setup.refused.iter().for_each(|(what, _, _, attempt)| say(what, attempt(&place)));
    setup.allowed.iter().for_each(|(what, attempt)| say(what, attempt(&place)));
}

#[test]
#[ignore = "not a test: the process that makes the calls"]
fn makes_the_calls() {
    // A guard filter, set before the sandbox's filters, answers each of these
    // calls before the kernel looks at its arguments. If the sandbox refuses a
    // call, its answer is preferred (seccomp(2): of two that refuse, the latest
    // is taken). If it doesn't, the guard keeps the call from being performed.
    let all = || CALLS.iter().chain(X32_CALLS).chain(OTHER_CALLS);
    let guard = || refuse(all().map(|(_, number, _)| *number), GUARDED).unwrap();
    if inside(guard).is_none() {
        return;
    }
    for (what, number, first) in all() {
        // SAFETY: the guard refuses each of these calls, so nothing is done and
        // no memory is read.
        let done = unsafe { libc::syscall(*number, *first, 0, 0, 0, 0, 0) };
        say(what, Errno::result(done).map(drop).map_err(io::Error::from));
    }
}

/// Sets a filter for this thread.
fn refuse(calls: impl IntoIterator<Item = libc::c_long>, answer: Errno) -> Result<(), seccompiler::Error> {
    let rules = calls.into_iter().map(|number| (number, Vec::new())).collect();
    let answer = SeccompAction::Errno(answer as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, std::env::consts::ARCH.try_into()?)?;
    apply_filter(&BpfProgram::try_from(filter)?)
}

/// Returns whether the kernel has what a refusal needs. No ruleset is enforced.
fn has(needs: Needs) -> bool {
    let must = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    match needs {
        // Tried in a thread of its own, because a filter can't be removed.
        Seccomp => std::thread::spawn(|| refuse([], EPERM).is_ok()).join().unwrap(),
        Unprivileged => has(Files(ABI::V1)) && (!geteuid().is_root() || can_do_without_them()),
        Files(version) => must.handle_access(AccessFs::from_all(version)).and_then(Ruleset::create).is_ok(),
        Ports => must.handle_access(AccessNet::BindTcp).and_then(Ruleset::create).is_ok(),
        Scopes => must.scope(Scope::from_all(ABI::V6)).and_then(Ruleset::create).is_ok(),
    }
}

fn is_as_the_tables_say(setup: usize) {
    let (free, closed) =
        (tried("tries_what_is_in_the_tables", setup, false), tried("tries_what_is_in_the_tables", setup, true));
    let mut wrong = Vec::new();
    for (what, needs, refusal, _) in SETUPS[setup].refused {
        let refusal = format!("{refusal:?}");
        if free[*what] == refusal {
            println!("SKIP: {what}: refused here without a sandbox too");
        } else if !has(*needs) {
            println!("SKIP: {what}: this kernel can't refuse it");
        } else if closed[*what] != refusal {
            wrong.push(format!("{what}: {}, not {refusal}", closed[*what]));
        }
    }
    for (what, _) in SETUPS[setup].allowed {
        if free[*what] != "done" {
            println!("SKIP: {what}: {} here without a sandbox too", free[*what]);
        } else if closed[*what] != "done" {
            wrong.push(format!("{what}: {}", closed[*what]));
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", closed["level"]);
}

#[test]
fn only_the_audit_file_and_the_metrics_port_are_allowed() {
    is_as_the_tables_say(0);
}

#[test]
fn what_isnt_configured_isnt_allowed_either() {
    is_as_the_tables_say(1);
}

#[test]
fn no_call_by_which_a_process_spreads_reaches_the_kernel() {
    if !has(Seccomp) {
        println!("SKIP: no system call can be filtered here");
        return;
    }
    let (free, closed) = (tried("makes_the_calls", 0, false), tried("makes_the_calls", 0, true));
    let guarded = format!("{GUARDED:?}");
    let is = |call: &Call| match call {
        call if call.1 == libc::SYS_clone3 => "ENOSYS".to_owned(),
        call if *call == THREAD => guarded.clone(),
        _ => format!("{EPERM:?}"),
    };
    let all = || CALLS.iter().chain(X32_CALLS).chain(OTHER_CALLS);
    all().for_each(|call| assert_eq!(free[call.0], guarded, "{}: the guard answers where no sandbox does", call.0));
    let wrong: Vec<_> = all()
        .filter(|call| closed[call.0] != is(call))
        .map(|call| format!("{}: {}, not {}", call.0, closed[call.0], is(call)))
        .collect();
    assert!(wrong.is_empty(), "{}: {wrong:#?}", closed["level"]);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_call_ends_the_process() {
    if !has(Seccomp) {
        println!("SKIP: no system call can be filtered here");
        return;
    }
    let free = probe("makes_a_32_bit_call", 0, false);
    if !free.status.success() {
        println!("SKIP: this kernel takes no 32-bit calls: {}", free.status);
        return;
    }
    let closed = probe("makes_a_32_bit_call", 0, true);
    let signal = std::os::unix::process::ExitStatusExt::signal(&closed.status);
    assert_eq!(signal, Some(libc::SIGSYS), "{closed:?}");
}

#[cfg(target_arch = "x86_64")]
#[test]
#[ignore = "not a test: the process that makes a 32-bit call"]
fn makes_a_32_bit_call() {
    if inside(|| nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0).unwrap()).is_none() {
        return;
    }
    let pid: u64;
    // SAFETY: getpid by its 32-bit number takes no argument and writes only to
    // the registers that are named.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_u64 => pid, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
    }
    assert_eq!(pid, u64::from(std::process::id()));
}
