//! The large buffers, each used once in a process's life.

use crate::protocol::git::Scanner;
use crate::protocol::limits::{MAX_ANSWER, MAX_REQUEST};
use crate::sys::Once;

/// What git says, and the request that comes of it.
pub(crate) static SCANNER: Once<Scanner> = Once::new(Scanner::blank());

/// A request that the shim writes itself.
pub(crate) static REQUEST: Once<[u8; MAX_REQUEST]> = Once::new([0; MAX_REQUEST]);

pub(crate) static ANSWER: Once<[u8; MAX_ANSWER]> = Once::new([0; MAX_ANSWER]);
