//! `cargo demo`: one minute of a broker, with the hour of a token shortened to
//! eight seconds. [`options`] lists what can be varied.

mod gh;
mod options;
mod report;
mod show;
mod traffic;
mod trouble;

use std::process::ExitCode;

fn main() -> ExitCode {
    options::given().map_or_else(|status| status, |options| show::run(&options))
}
