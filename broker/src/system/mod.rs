//! Access to the operating system, for every process of this program. No module here knows what a
//! credential is for.
//!
//! | modules | what they do |
//! | --- | --- |
//! | [`time`], [`clock`] | instants on two clocks; the only code that reads the clocks |
//! | [`environment`], [`users`], [`peer`] | environment variables; the user database; the user at the other end of a socket |
//! | [`trust`], [`bounded_file`] | tells which users can change a file; reads small files that other users write |
//! | [`listening_socket`], [`scm_rights`] | creates the Unix socket that clients connect to; refuses descriptors sent over it |
//! | [`program`] | starts a program without other users' folders in its environment; kills all that it started |
//! | [`harden`] | hides this process's memory from other processes of its user |
//! | [`async_fd`], [`inherited_fds`] | descriptors that the runtime watches; closes descriptors that must not be passed on |
//! | [`log_writer`], [`log_limit`] | log lines that never block; a limit for repeated lines |
//! | [`text`], [`secret_buffer`] | untrusted text made printable; bytes that are overwritten after use |
//! | [`advice`], [`exit`] | an error with its remedy; exit statuses, and the error that carries one |

pub(crate) mod advice;
pub(crate) mod async_fd;
pub(crate) mod bounded_file;
pub(crate) mod clock;
pub(crate) mod environment;
pub(crate) mod exit;
pub mod harden;
pub(crate) mod inherited_fds;
pub(crate) mod listening_socket;
pub(crate) mod log_limit;
pub(crate) mod log_writer;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod scm_rights;
pub(crate) mod secret_buffer;
pub(crate) mod text;
pub mod time;
pub(crate) mod trust;
pub mod users;
