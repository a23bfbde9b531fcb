//! Faults that only a kernel can cause, with the real programs: failing system
//! calls, full or read-only disks, a stopped process.
//!
//! Whatever fails, within ten seconds a client gets a live token or a refusal.
//! A daemon that ends because of the fault is replaced.

mod asker;
mod daemon_calls;
mod disk;
mod shim_calls;
mod stopped;
mod tracer;
