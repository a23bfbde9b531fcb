//! Entry point of the program; the library has all the rest.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    molecule_broker::system::harden::harden_process();
    molecule_broker::cli::run(std::env::args_os()).unwrap_or_else(|error| {
        // If stderr has no reader, the exit status still tells the caller.
        let _ = writeln!(std::io::stderr(), "molecule-broker: {}", error.message);
        ExitCode::from(error.status)
    })
}
