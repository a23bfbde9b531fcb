//! Memory of the program's own, for one user.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A static that is lent out once. Zeroed and large, it costs no page before it
/// is written, where an array on the stack costs all of its pages at once.
#[repr(C)]
pub struct Once<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: only the one caller for whom `taken` changes ever gets the value.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// `None` for all but the first caller.
    #[must_use]
    #[allow(clippy::mut_from_ref, reason = "lent out once")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: nobody else has a reference, now or later.
        Some(unsafe { &mut *self.value.get() })
    }
}
