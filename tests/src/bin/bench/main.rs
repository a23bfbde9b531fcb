//! The benchmark: our shim and our daemon beside git's own credential-cache,
//! the least possible client and a bare C server, and git and gh with and
//! without us, in one run and interleaved, so that what counts, the ratios,
//! holds on any machine. It judges nothing by its exit status.

mod calls;
mod gh;
mod load;
mod peers;
mod stats;
mod whole;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let quick = env::args().any(|argument| argument == "--quick");
    match peers::Peers::start().and_then(|peers| peers.compare(quick)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}
