//! Faults that only a kernel can cause, with the real programs: system calls
//! that fail, disks that are full or read-only, a process that was stopped.
//!
//! Whatever fails, a caller gets a living token or is told no, within ten
//! seconds; and a daemon that dies of it is replaced.

mod asker;
mod daemon_calls;
mod disk;
mod shim_calls;
mod stopped;
mod tracer;
