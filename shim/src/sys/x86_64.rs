//! Linux on x86_64: the calling convention, the numbers of the system calls, and
//! `struct stat`.

use core::arch::asm;

/// # Safety
/// The arguments must be those that system call `number` expects. Memory that it
/// reads or writes must be valid for that.
#[inline]
pub(super) unsafe fn call(number: usize, args: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel's calling convention on x86_64 (syscall(2),
    // "Architecture calling conventions"). The caller promises that the call's own
    // reads and writes are valid.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

pub(super) mod number {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const SOCKET: usize = 41;
    pub(crate) const CONNECT: usize = 42;
    pub(crate) const SENDTO: usize = 44;
    pub(crate) const GETSOCKOPT: usize = 55;
    pub(crate) const CLONE: usize = 56;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const WAIT4: usize = 61;
    pub(crate) const KILL: usize = 62;
    pub(crate) const FCNTL: usize = 72;
    pub(crate) const PRCTL: usize = 157;
    pub(crate) const CLOCK_GETTIME: usize = 228;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const NEWFSTATAT: usize = 262;
    pub(crate) const READLINKAT: usize = 267;
    pub(crate) const PPOLL: usize = 271;
    pub(crate) const DUP3: usize = 292;
    pub(crate) const PIPE2: usize = 293;
}

/// `struct stat`: asm/stat.h.
#[repr(C)]
#[derive(Default)]
pub(super) struct RawStat {
    pub(super) dev: u64,
    pub(super) ino: u64,
    nlink: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    rest: [u64; 14],
}
