//! Today's programs, each with its own way to call git or a credential helper.
//! Each fetches a private repository of `https://github.com` (played by the
//! test city), and fetches it again after a rotation that leaves the old token
//! dead.
//!
//! Every test prints one line for the version matrix (see [`cell`]).
//! `tests/matrix` makes a table of these lines:
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
