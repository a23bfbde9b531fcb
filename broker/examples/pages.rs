//! Writes the man pages and the shells' completions, both made from the
//! commands themselves: `cargo run --example pages -- FOLDER`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use molecule_broker::cli::Cli;

const NAME: &str = "molecule-broker";

#[allow(dead_code, reason = "the test calls `write` instead")]
fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder =
        folder.ok_or_else(|| io::Error::other("name the folder to write to: cargo run --example pages -- FOLDER"))?;
    write(&folder)
}

/// Writes the man pages and the completions below `folder`.
///
/// # Errors
/// If the folder can't be written to.
pub fn write(folder: &Path) -> io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(Cli::command(), man)?;
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut Cli::command(), NAME, &completions)?;
    }
    Ok(())
}
