//! `cargo demo`: one minute in the life of a broker, with the hour of a token
//! shortened to eight seconds. See [`options`] for what can be varied.

mod gh;
mod options;
mod report;
mod show;
mod traffic;
mod trouble;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    match options::parse(env::args().skip(1)) {
        Ok(options) => show::run(&options),
        Err(problem) => {
            eprintln!("demo: {problem}\n\n{}", options::USAGE);
            ExitCode::from(2)
        }
    }
}
