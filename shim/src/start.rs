//! Replacement for the C library: the entry point, the functions to which
//! compilers add calls of their own, and the panic handler.

#[cfg(target_arch = "x86_64")]
use core::arch::asm;
use core::arch::global_asm;
use core::panic::PanicInfo;

use molecule_shim::sys::{ProcessStart, exit};

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {begin}", "ud2", begin = sym begin);

#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, xzr", "mov x0, sp", "bl {begin}", "brk 1", begin = sym begin);

unsafe extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: `_start` passes the stack pointer as the kernel set it.
    let start = unsafe { ProcessStart::from_stack(stack) };
    exit(molecule_shim::run(&start))
}

/// Ends the process with a status that git takes for an empty answer, and
/// askpass's callers for a refusal.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(101)
}

/// Named in the unwind tables of the precompiled core library. Nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// The loops below are opaque to the compiler, which would otherwise see a
// `memcpy` in the body of `memcpy` and call it.

/// # Safety
/// As memcpy(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: as the caller promises.
    unsafe { copy_forward(to, from, count) };
    to
}

/// # Safety
/// As memmove(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: as the caller promises. The copy runs backwards where a forward copy
    // would overwrite bytes that are still to be read.
    unsafe {
        if (to as usize).wrapping_sub(from as usize) >= count {
            copy_forward(to, from, count);
        } else {
            for at in (0..count).rev() {
                to.add(at).write_volatile(from.add(at).read_volatile());
            }
        }
    }
    to
}

/// # Safety
/// As memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as the caller promises; the direction flag is clear in Rust code.
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for at in 0..count {
        // SAFETY: as the caller promises.
        unsafe { to.add(at).write_volatile(byte as u8) };
    }
    to
}

/// # Safety
/// As memcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: as the caller promises.
        let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// # Safety
/// As bcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { memcmp(a, b, count) }
}

/// # Safety
/// As strlen(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: as the caller promises.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

/// Called by sha2 on aarch64 to find out whether the processor has SHA-256
/// instructions. The answer is always that it has none, because a shim hashes only
/// one password.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
extern "C" fn getauxval(_: usize) -> usize {
    0
}

/// # Safety
/// Both pointers must be valid for `count` bytes. The ranges may overlap if `to` is
/// the lower one.
unsafe fn copy_forward(to: *mut u8, from: *const u8, count: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as the caller promises; the direction flag is clear in Rust code.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for at in 0..count {
        // SAFETY: as the caller promises.
        unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
    }
}
