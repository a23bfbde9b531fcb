//! The system calls that the shim needs, with types and with [`Errno`] as their error.
//! Apart from the program's `start.rs` this is the only unsafe code.
//!
//! The shim makes its own calls, because the workspace builds it together with
//! programs that switch on the standard library in every crate which offers it.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod start;
mod take_once;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use core::time::Duration;

use crate::protocol::limits::MAX_SOCKET_PATH;
#[cfg(target_arch = "aarch64")]
use aarch64::{RawStat, call, number};
pub use start::{Arg, ProcessStart};
pub use take_once::TakeOnce;
#[cfg(target_arch = "x86_64")]
use x86_64::{RawStat, call, number};

/// An error of a system call: errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const EPERM: Self = Self(1);
    pub const EINTR: Self = Self(4);
    pub const EAGAIN: Self = Self(11);
    pub const EACCES: Self = Self(13);
    pub const EINVAL: Self = Self(22);
    pub const ENAMETOOLONG: Self = Self(36);
    pub const EAFNOSUPPORT: Self = Self(97);
    pub const ECONNREFUSED: Self = Self(111);
}

/// An owned file descriptor, closed when it is dropped.
#[derive(Debug)]
pub struct Fd(i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: `close` takes a number, and no other value has this one.
        let _ = unsafe { call1(number::CLOSE, self.0 as usize) };
    }
}

/// Identity of a connected server: `struct ucred`, unix(7).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCredentials {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

/// Facts about a file that the shim uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Device and inode. Two paths with the same pair are the same file.
    pub identity: (u64, u64),
    pub mode: u32,
    pub uid: u32,
}

impl FileStat {
    #[must_use]
    pub const fn is_link(self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

#[repr(C)]
struct SocketAddress {
    family: u16,
    path: [u8; MAX_SOCKET_PATH + 1],
}

#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

#[repr(C)]
#[derive(Default)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

const AT_FDCWD: usize = -100_isize as usize;
const AT_SYMLINK_NOFOLLOW: usize = 0x100;
const O_CLOEXEC: usize = 0o2_000_000;
const O_NONBLOCK: usize = 0o4_000;
const O_RDWR: usize = 2;

/// Forbids core files, and `/proc/PID/mem` and ptrace to other processes of the same
/// uid. An exec undoes this: prctl(2), `PR_SET_DUMPABLE`.
pub fn forbid_dumps() {
    // SAFETY: `PR_SET_DUMPABLE` (4) takes a number.
    let _ = unsafe { call2(number::PRCTL, 4, 0) };
}

pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: `exit_group` takes a number.
        let _ = unsafe { call1(number::EXIT_GROUP, usize::from(status)) };
    }
}

/// Returns the time since an unspecified instant in the past. A change of the system's
/// clock doesn't affect it.
#[must_use]
pub fn now() -> Duration {
    let mut time = Timespec::default();
    // SAFETY: `CLOCK_MONOTONIC` (1) fills the timespec.
    let _ = unsafe { call2(number::CLOCK_GETTIME, 1, &raw mut time as usize) };
    Duration::new(time.seconds as u64, time.nanos as u32)
}

pub fn read_input(buffer: &mut [u8]) -> Result<usize, Errno> {
    read_fd(0, buffer)
}

pub fn read(fd: &Fd, buffer: &mut [u8]) -> Result<usize, Errno> {
    read_fd(fd.0, buffer)
}

pub fn write_output(bytes: &[u8]) -> Result<(), Errno> {
    write_fd(1, bytes)
}

pub fn write_error(bytes: &[u8]) -> Result<(), Errno> {
    write_fd(2, bytes)
}

pub fn write(fd: &Fd, bytes: &[u8]) -> Result<(), Errno> {
    write_fd(fd.0, bytes)
}

/// Makes an unconnected Unix stream socket that never blocks.
pub fn socket() -> Result<Fd, Errno> {
    const AF_UNIX: usize = 1;
    const SOCK_STREAM: usize = 1;
    // SAFETY: `socket` takes three numbers.
    unsafe { call3(number::SOCKET, AF_UNIX, SOCK_STREAM | O_CLOEXEC | O_NONBLOCK, 0) }.map(fd_from_number)
}

/// Connects to a Unix socket. The error is `ENAMETOOLONG` for a path that no Unix socket
/// can have.
pub fn connect(socket: &Fd, path: &[u8]) -> Result<(), Errno> {
    let mut address = SocketAddress { family: 1, path: [0; MAX_SOCKET_PATH + 1] };
    let room = address.path[..MAX_SOCKET_PATH].get_mut(..path.len()).ok_or(Errno::ENAMETOOLONG)?;
    room.copy_from_slice(path);
    let length = 2 + path.len() + 1;
    // SAFETY: the kernel reads `length` bytes, which lie within `address`.
    unsafe { call3(number::CONNECT, socket.0 as usize, &raw const address as usize, length) }.map(drop)
}

/// Returns the user of the process that called `listen` on the other side.
pub fn peer_credentials(socket: &Fd) -> Result<PeerCredentials, Errno> {
    const SOL_SOCKET: usize = 1;
    const SO_PEERCRED: usize = 17;
    let mut peer = PeerCredentials::default();
    let mut length = size_of::<PeerCredentials>() as u32;
    let args = [socket.0 as usize, SOL_SOCKET, SO_PEERCRED, &raw mut peer as usize, &raw mut length as usize, 0];
    // SAFETY: the kernel writes at most `length` bytes to `peer`, and `length`.
    to_result(unsafe { call(number::GETSOCKOPT, args) })?;
    Ok(peer)
}

/// Sends all bytes in one call that raises no SIGPIPE. It is an error if the kernel
/// doesn't take all of them.
pub fn send(socket: &Fd, bytes: &[u8]) -> Result<(), Errno> {
    const MSG_NOSIGNAL: usize = 0x4000;
    let args = [socket.0 as usize, bytes.as_ptr() as usize, bytes.len(), MSG_NOSIGNAL, 0, 0];
    // SAFETY: the kernel reads `bytes`.
    let sent = to_result(unsafe { call(number::SENDTO, args) })?;
    if sent == bytes.len() { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// Waits for bytes to read or the end of the stream. Returns false if `patience`
/// passes first.
pub fn wait_readable(fd: &Fd, patience: Duration) -> Result<bool, Errno> {
    const POLLIN: i16 = 1;
    let mut entry = PollFd { fd: fd.0, events: POLLIN, revents: 0 };
    poll(&raw mut entry, 1, patience)
}

pub fn pause(length: Duration) {
    let _ = poll(core::ptr::null_mut(), 0, length);
}

/// Returns facts about a file. Follows symbolic links.
pub fn stat(path: Arg<'_>) -> Result<FileStat, Errno> {
    stat_with(path, 0)
}

/// Returns facts about a file. If `path` ends in a symbolic link, that is the link itself.
pub fn stat_link(path: Arg<'_>) -> Result<FileStat, Errno> {
    stat_with(path, AT_SYMLINK_NOFOLLOW)
}

fn stat_with(path: Arg<'_>, flags: usize) -> Result<FileStat, Errno> {
    let mut raw = RawStat::default();
    let args = [AT_FDCWD, path.address(), &raw mut raw as usize, flags, 0, 0];
    // SAFETY: `path` ends with NUL; the kernel fills one `struct stat`.
    to_result(unsafe { call(number::NEWFSTATAT, args) })?;
    Ok(FileStat { identity: (raw.dev, raw.ino), mode: raw.mode, uid: raw.uid })
}

pub fn read_link<'b>(path: Arg<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let args = [AT_FDCWD, path.address(), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0];
    // SAFETY: `path` ends with NUL; the kernel writes into `buffer`.
    let length = to_result(unsafe { call(number::READLINKAT, args) })?;
    Ok(&buffer[..length])
}

/// Makes a pipe, and returns its reading and its writing end. Both are closed by an exec.
pub fn pipe() -> Result<(Fd, Fd), Errno> {
    let mut ends = [0_i32; 2];
    // SAFETY: the kernel fills both numbers.
    unsafe { call2(number::PIPE2, &raw mut ends as usize, O_CLOEXEC) }?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// Makes a write to a full pipe fail instead of wait.
pub fn set_nonblocking(fd: &Fd) -> Result<(), Errno> {
    const F_SETFL: usize = 4;
    // SAFETY: `F_SETFL` takes a number.
    unsafe { call3(number::FCNTL, fd.0 as usize, F_SETFL, O_NONBLOCK) }.map(drop)
}

pub fn open_to_read_and_write(path: Arg<'_>) -> Result<Fd, Errno> {
    // SAFETY: `path` ends with NUL.
    unsafe { call3(number::OPENAT, AT_FDCWD, path.address(), O_RDWR | O_CLOEXEC) }.map(fd_from_number)
}

/// Opens a file for reading. A FIFO without a writer doesn't block.
pub fn open_to_read(path: Arg<'_>) -> Result<Fd, Errno> {
    // SAFETY: `path` ends with NUL.
    unsafe { call3(number::OPENAT, AT_FDCWD, path.address(), O_CLOEXEC | O_NONBLOCK) }.map(fd_from_number)
}

/// Maps memory for this many pointers, all of them `None`.
pub fn map_pointers<'a>(count: usize) -> Result<&'a mut [Option<Arg<'a>>], Errno> {
    const READ_WRITE: usize = 3;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    let size = count.checked_mul(size_of::<Option<Arg<'_>>>()).ok_or(Errno::EINVAL)?;
    // SAFETY: a new mapping, at an address of the kernel's choice, from no file.
    let at = to_result(unsafe { call(number::MMAP, [0, size, READ_WRITE, PRIVATE_ANONYMOUS, usize::MAX, 0]) })?;
    // SAFETY: the kernel gave `size` bytes or more, page-aligned and zeroed, and
    // zero is `None`. No other reference to them exists, and they are never unmapped.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut Option<Arg<'a>>, count) })
}

/// Makes standard stream number `stream` a duplicate of `fd`. An exec keeps it open.
pub fn replace_standard_stream(fd: &Fd, stream: i32) -> Result<(), Errno> {
    // SAFETY: `dup3` takes three numbers. If an `Fd` has the number of a standard
    // stream here, it stays open until the exec.
    unsafe { call3(number::DUP3, fd.0 as usize, stream as usize, 0) }.map(drop)
}

/// Forks. Returns the child's pid in the parent and `None` in the child.
pub fn fork() -> Result<Option<i32>, Errno> {
    const SIGCHLD: usize = 17;
    // SAFETY: without `CLONE_VM` the child has its own memory, and there is no other
    // thread whose locks it could inherit.
    let pid = unsafe { call1(number::CLONE, SIGCHLD) }?;
    Ok((pid > 0).then_some(pid as i32))
}

/// Executes a program. Returns only if that fails.
pub fn exec(path: Arg<'_>, argv: &[Option<Arg<'_>>], envp: &[Option<Arg<'_>>]) -> Errno {
    if !matches!(argv.last(), Some(None)) || !matches!(envp.last(), Some(None)) {
        return Errno::EINVAL;
    }
    // SAFETY: every `Arg` ends with NUL, `Option<Arg>` is one pointer, and both
    // arrays end with a null pointer.
    let result = unsafe { call3(number::EXECVE, path.address(), argv.as_ptr() as usize, envp.as_ptr() as usize) };
    result.err().unwrap_or(Errno::EINVAL)
}

/// Reaps a child, and kills it first if it is still running.
pub fn kill_and_reap(pid: i32) {
    const WNOHANG: usize = 1;
    const SIGKILL: usize = 9;
    let wait = |options| {
        // SAFETY: `wait4` takes the pid, no status, options, no usage.
        unsafe { call(number::WAIT4, [pid as usize, 0, options, 0, 0, 0]) }
    };
    if wait(WNOHANG) == 0 {
        // SAFETY: `kill` takes two numbers; the child isn't reaped, so the pid
        // is still its own.
        let _ = unsafe { call2(number::KILL, pid as usize, SIGKILL) };
        let _ = wait(0);
    }
}

fn poll(entries: *mut PollFd, count: usize, patience: Duration) -> Result<bool, Errno> {
    let mut time = Timespec { seconds: patience.as_secs() as i64, nanos: i64::from(patience.subsec_nanos()) };
    let args = [entries as usize, count, &raw mut time as usize, 0, 0, 0];
    // SAFETY: both callers pass `count` entries that live through the call.
    to_result(unsafe { call(number::PPOLL, args) }).map(|ready| ready > 0)
}

fn read_fd(fd: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: the kernel writes into `buffer`.
        match unsafe { call3(number::READ, fd as usize, buffer.as_mut_ptr() as usize, buffer.len()) } {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

fn write_fd(fd: i32, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads `bytes`.
        match unsafe { call3(number::WRITE, fd as usize, bytes.as_ptr() as usize, bytes.len()) } {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(count) => bytes = &bytes[count..],
        }
    }
    Ok(())
}

fn fd_from_number(number: usize) -> Fd {
    Fd(number as i32)
}

fn to_result(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno(-result as i32))
}

/// # Safety
/// As [`call`].
unsafe fn call1(number: usize, a: usize) -> Result<usize, Errno> {
    // SAFETY: as the caller promises.
    unsafe { call3(number, a, 0, 0) }
}

/// # Safety
/// As [`call`].
unsafe fn call2(number: usize, a: usize, b: usize) -> Result<usize, Errno> {
    // SAFETY: as the caller promises.
    unsafe { call3(number, a, b, 0) }
}

/// # Safety
/// As [`call`].
unsafe fn call3(number: usize, a: usize, b: usize, c: usize) -> Result<usize, Errno> {
    // SAFETY: as the caller promises.
    to_result(unsafe { call(number, [a, b, c, 0, 0, 0]) })
}
