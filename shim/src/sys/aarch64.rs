//! Linux on aarch64: the calling convention, the numbers of the system calls, and
//! `struct stat`.

use core::arch::asm;

/// # Safety
/// The arguments must be those that system call `number` expects. Memory that it
/// reads or writes must be valid for that.
#[inline]
pub(super) unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel's calling convention on aarch64 (syscall(2),
    // "Architecture calling conventions"). The caller promises that the call's own
    // reads and writes are valid.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] => result,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
            options(nostack),
        );
    }
    result
}

pub(super) mod number {
    pub(crate) const DUP3: usize = 24;
    pub(crate) const FCNTL: usize = 25;
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const PIPE2: usize = 59;
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(crate) const PPOLL: usize = 73;
    pub(crate) const READLINKAT: usize = 78;
    pub(crate) const NEWFSTATAT: usize = 79;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const CLOCK_GETTIME: usize = 113;
    pub(crate) const KILL: usize = 129;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const SOCKET: usize = 198;
    pub(crate) const CONNECT: usize = 203;
    pub(crate) const SENDTO: usize = 206;
    pub(crate) const GETSOCKOPT: usize = 209;
    pub(crate) const CLONE: usize = 220;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const MMAP: usize = 222;
    pub(crate) const WAIT4: usize = 260;
}

/// `struct stat`: asm-generic/stat.h.
#[repr(C)]
#[derive(Default)]
pub(super) struct RawStat {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) mode: u32,
    nlink: u32,
    pub(super) uid: u32,
    gid: u32,
    rest: [u64; 12],
}
