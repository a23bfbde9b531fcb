//! See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    molecule_broker::harden::first();
    molecule_broker::cli::run(std::env::args_os()).unwrap_or_else(|fault| {
        eprintln!("molecule-broker: {}", fault.message);
        ExitCode::from(fault.status)
    })
}
