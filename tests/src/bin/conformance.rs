//! `docker/conformance IMAGE`: runs the library's module `conformance`.

use std::env;
use std::process::ExitCode;

use molecule_tests::{conformance, docker};

fn main() -> ExitCode {
    let [_, image] = &env::args().collect::<Vec<_>>()[..] else {
        eprintln!("usage: docker/conformance IMAGE");
        return ExitCode::from(2);
    };
    if !docker::can_run_containers("conformance") {
        return ExitCode::from(2);
    }
    let report = conformance::examine(image);
    print!("{report}");
    if report.failed().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
