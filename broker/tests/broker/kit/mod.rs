//! Kit for tests of the real binary: a scripted platform, a world with a daemon
//! that asks it, a supervisor, and a raw client of the socket.
//!
//! [`DaemonWorld`] and [`FakePlatform`](platform::FakePlatform) are the small
//! counterparts of `World` and `Platform` in the crate `molecule-tests`, and
//! can't be replaced by them. Cargo sets `CARGO_BIN_EXE_molecule-broker` only for
//! the broker's own test programs, so a test that needs the binary of its own
//! build has to be in this package. `Platform` is a hyper server with TLS on a
//! tokio runtime. `FakePlatform` writes raw bytes from one plain thread per
//! connection, so that an answer can be malformed, slow or reset.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

pub mod doctor;
pub mod platform;
pub mod supervised;
pub mod wire;
pub mod world;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use molecule_test_kit::{Ability, can, program, reachable, skip};
pub use world::DaemonWorld;

pub const BROKER: &str = env!("CARGO_BIN_EXE_molecule-broker");

/// Waits up to 30 s until `look` returns a value.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(Duration::from_secs(30), what, look)
}

/// Waits up to `limit` until `look` returns a value.
#[track_caller]
pub fn wait_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Lock for tests that measure or load the machine, so that they run one at a
/// time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
