//! The large buffers. A process uses each of them at most once.

use crate::protocol::git::Scanner;
use crate::protocol::limits::{MAX_ANSWER, MAX_REQUEST};
use crate::sys::TakeOnce;

/// Scanner of git's input, with the request that it builds.
pub(crate) static SCANNER: TakeOnce<Scanner> = TakeOnce::new(Scanner::blank());

/// Buffer for a request of askpass or gh, which doesn't come from the scanner.
pub(crate) static REQUEST: TakeOnce<[u8; MAX_REQUEST]> = TakeOnce::new([0; MAX_REQUEST]);

/// Buffer for the broker's answer.
pub(crate) static ANSWER: TakeOnce<[u8; MAX_ANSWER]> = TakeOnce::new([0; MAX_ANSWER]);
