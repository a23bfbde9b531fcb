//! Static memory that is lent out once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A static that is lent out once. If it starts as zeros, it takes no memory page until
/// it is written, while a large array on the stack would take all of its pages at once.
#[repr(C)]
pub struct TakeOnce<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: only the one caller that changes `taken` gets the value.
unsafe impl<T: Send> Sync for TakeOnce<T> {}

impl<T> TakeOnce<T> {
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Returns the value to the first caller, `None` to all others.
    #[must_use]
    #[allow(clippy::mut_from_ref, reason = "lent out once")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: no other reference exists, now or later.
        Some(unsafe { &mut *self.value.get() })
    }
}
