//! No descriptors come with a request. One that a stranger sends along would
//! be closed by the daemon, and the last close of a TCP connection can wait for
//! its other end as long as the stranger likes (socket(7), `SO_LINGER`), with
//! everybody else behind it. Since Linux 6.16 the kernel refuses to carry them
//! to a socket that doesn't want any.

use std::os::fd::AsFd;

use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};

/// asm-generic/socket.h, and the same on every machine that Rust's musl builds
/// are for; older kernels don't know the number.
const SO_PASSRIGHTS: libc::c_int = 83;

sockopt_impl!(PassRights, SetOnly, libc::SOL_SOCKET, SO_PASSRIGHTS, bool);

/// Holds for this listener and for all that connect from then on. Whether the
/// kernel can.
pub fn refuse(listener: &impl AsFd) -> bool {
    setsockopt(listener, PassRights, &false).is_ok()
}
