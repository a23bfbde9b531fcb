//! The large buffers, each used once in a process's life.

use crate::protocol::git::Scanner;
use crate::protocol::limits::{MAX_ANSWER, MAX_REQUEST};
use crate::sys::TakeOnce;

/// git's input, and the request made from it.
pub(crate) static SCANNER: TakeOnce<Scanner> = TakeOnce::new(Scanner::blank());

/// A request that the shim writes itself.
pub(crate) static REQUEST: TakeOnce<[u8; MAX_REQUEST]> = TakeOnce::new([0; MAX_REQUEST]);

pub(crate) static ANSWER: TakeOnce<[u8; MAX_ANSWER]> = TakeOnce::new([0; MAX_ANSWER]);
