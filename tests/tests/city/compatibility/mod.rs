//! Today's programs, each by the way in which it calls git or a credential
//! helper: it fetches a private repository of `https://github.com` (the test
//! city's), and again after a rotation that leaves the old token dead.
//!
//! Every test prints one line for the version matrix (see [`cell`]), which
//! `tests/matrix` makes a table of:
//!
//! ```text
//! VERSION: ROW | PROGRAM'S VERSION | ok, or FAILED, or skip: REASON
//! ```

mod cargo;
mod cell;
mod gh;
mod git;
mod go;
mod jujutsu;
mod large;
mod lfs;
mod page;
mod pre_commit;
mod program;
mod python;
mod scene;
