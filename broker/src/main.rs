//! See the library.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    molecule_broker::system::harden::harden_process();
    molecule_broker::cli::run(std::env::args_os()).unwrap_or_else(|fault| {
        // Without anybody who reads it the status still tells.
        let _ = writeln!(std::io::stderr(), "molecule-broker: {}", fault.message);
        ExitCode::from(fault.status)
    })
}
