//! Refusal of descriptors that a client sends with its request.
//!
//! No request needs any, so the daemon would close them. But the last close of a TCP connection can
//! wait for the connection's other end as long as the client likes (socket(7), `SO_LINGER`), and
//! all other clients would wait behind it. Since Linux 6.16 the kernel can refuse to carry
//! descriptors to a socket.

use std::os::fd::AsFd;

use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};

/// Number from asm-generic/socket.h. It is the same on every architecture that Rust's musl builds
/// are for. Older kernels don't know it.
const SO_PASSRIGHTS: libc::c_int = 83;

sockopt_impl!(PassRights, SetOnly, libc::SOL_SOCKET, SO_PASSRIGHTS, bool);

/// Makes the kernel refuse descriptors on this listener and on all connections that are made to it
/// from then on. Returns whether the kernel can do that.
pub fn refuse(listener: &impl AsFd) -> bool {
    setsockopt(listener, PassRights, &false).is_ok()
}
