//! Closes the descriptors that this process inherited and must not pass on.

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::close;

/// Closes every descriptor with a number above `last`.
///
/// Without `/proc` nothing is closed.
pub fn close_above(last: i32) {
    let Ok(mut folder) = Dir::open("/proc/self/fd", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) else {
        return;
    };
    let numbers: Vec<i32> =
        folder.iter().flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()).collect();
    drop(folder);
    for number in numbers.into_iter().filter(|number| *number > last) {
        // The listing contains its own descriptor, which is already closed.
        let _ = close(number);
    }
}
