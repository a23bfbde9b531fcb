//! The commands. Each is a function from its arguments to an exit status or an error, which
//! `main` prints once.

mod answer;
mod config;
mod doctor;
mod errands;
mod exec;
mod launch;
mod refresh;
mod serve;
mod setup_git;
mod status;
mod supervise;
mod table;
mod terminal;
mod token;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use crate::system::exit::ExitError;

/// Keep git credentials fresh and serve them to git, gh and scripts over a Unix socket
#[derive(Debug, Parser)]
#[command(name = "molecule-broker", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Configuration file [env: MOLECULE_BROKER_CONFIG] [default: /etc/molecule-broker/config.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Socket of the daemon [env: MOLECULE_BROKER_SOCKET] [default: /run/molecule-broker/broker.sock, or if that folder doesn't exist, $XDG_RUNTIME_DIR/molecule-broker/broker.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Log filter [env: MOLECULE_BROKER_LOG] [default: info]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    #[command(
        after_help = "Stops on SIGTERM and SIGINT, and reloads its configuration on SIGHUP.\n\nExamples:\n  molecule-broker serve\n  molecule-broker --log debug serve\n\nExit status: 0 if it was stopped, 1 if it can't run, 2 on a bad configuration."
    )]
    Serve(serve::Options),
    /// Supervise a container: hold socket and leases, keep a daemon running, run a command
    #[command(
        after_help = "Examples:\n  molecule-broker supervise --user agent -- python main.py\n  molecule-broker supervise &    (for an entrypoint that continues)\n\nExit status: the command's own, 128+N if signal N ended it; 125 if supervise itself failed, 126 if the command can't be run, 127 if it isn't found."
    )]
    Supervise(supervise::Options),
    /// Print what supervise needs from the configuration (used by supervise)
    #[command(hide = true)]
    Plan(supervise::PlanOptions),
    /// Make the running daemon reload its configuration
    #[command(
        after_help = "Does the same as SIGHUP, and prints the errors of the new configuration; in that case the running one stays. Only root and the daemon's own user may do this.\n\nExample:\n  molecule-broker reload && molecule-broker status\n\nExit status: 0, or 1 with the configuration's errors."
    )]
    Reload,
    /// Show the health of all credentials
    #[command(
        after_help = "Examples:\n  molecule-broker status\n  molecule-broker status --wait 30s --strict\n  molecule-broker status --watch\n  molecule-broker status --json | jq '.credentials[].state'\n\nExit status: 0 no credential needs attention, 1 a credential is expired, rejected or unavailable (with --strict: one that is configured can't be served now; with --live: never), 3 no broker answers."
    )]
    Status(status::Options),
    /// Refresh credentials now and wait for the result
    #[command(
        after_help = "Examples:\n  molecule-broker refresh\n  molecule-broker refresh github\n\nExit status: 0 refreshed, 1 failed."
    )]
    Refresh(refresh::Options),
    /// Print a token for use in scripts
    #[command(
        after_help = "Examples:\n  curl -H \"Authorization: Bearer $(molecule-broker token)\" https://api.github.com/…\n  molecule-broker token --host git.example.com --format json\n\nExit status: 0, or 1 with nothing printed."
    )]
    Token(token::Options),
    /// Run a command with a fresh token in its environment
    #[command(
        after_help = "Example:\n  molecule-broker exec -- gh api /user\n\nExit status: the command's own; 125 if there is no token, and the command isn't run; 126 if it can't be run, 127 if it isn't found."
    )]
    Exec(exec::Options),
    /// Configure git to use the credential helper
    #[command(
        after_help = "For each host, an empty helper is set first, which drops the helpers that were configured before, and then the broker's by its path. A second run changes nothing.\n\nExamples:\n  molecule-broker setup-git --system\n  molecule-broker setup-git --system --remove\n  molecule-broker setup-git --host github.com --host git.example.com:8443\n  eval \"$(molecule-broker setup-git --env)\"\n\nExit status: 0; 1 if git can't write or the helper isn't installed, 2 on a bad configuration or host."
    )]
    SetupGit(setup_git::Options),
    /// Check the whole set-up and print a remedy for each problem
    #[command(
        after_help = "Checks the socket, the configuration, the programs on PATH, git's configuration (including that of the current folder) and leftovers of old tools, and asks the platform once. Run it as the user whose git fails.\n\nExamples:\n  molecule-broker doctor\n  molecule-broker doctor --json | jq '.[] | select(.level != \"ok\")'\n\nExit status: 0 if all is good, 1 otherwise."
    )]
    Doctor(doctor::Options),
    /// Print the effective configuration and where each value came from
    #[command(
        after_help = "Redacts secrets, and prints warnings to stderr.\n\nExample:\n  molecule-broker --config /tmp/new.toml config && mv /tmp/new.toml /etc/molecule-broker/config.toml\n\nExit status: 0, or 2 on a bad configuration."
    )]
    Config,
    /// Answer one request from environment and configuration alone (used by the shim without a daemon)
    #[command(hide = true)]
    Answer,
    /// Start programs for the daemon at the other end of stdin (used by serve)
    #[command(hide = true)]
    Errands(errands::Options),
    /// Write stdin to a file of this user (used by the sinks)
    #[command(hide = true)]
    Keep(errands::KeepOptions),
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    #[default]
    Raw,
    Json,
    Env,
}

/// Runs the command that the arguments name.
///
/// # Errors
/// Returns a text for people and the exit status that belongs to it.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, ExitError> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(stage) = crate::supervise::run_stage(&args) {
        return stage;
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here too, and aren't errors.
            let _ = error.print();
            return Ok(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    match cli.command {
        Command::Serve(options) => serve::run(&cli.global, &options),
        Command::Supervise(options) => supervise::run(&cli.global, &options),
        Command::Plan(options) => supervise::plan(&cli.global, &options),
        Command::Reload => refresh::reload(&cli.global),
        Command::Status(options) => status::run(&cli.global, &options),
        Command::Refresh(options) => refresh::run(&cli.global, &options),
        Command::Token(options) => token::run(&cli.global, &options),
        Command::Exec(options) => exec::run(&cli.global, &options),
        Command::SetupGit(options) => setup_git::run(&cli.global, &options),
        Command::Doctor(options) => doctor::run(&cli.global, &options),
        Command::Config => config::run(&cli.global),
        Command::Answer => answer::run(&cli.global),
        Command::Errands(options) => errands::run(&cli.global, &options),
        Command::Keep(options) => errands::keep(&options),
    }
}

/// Parses a duration as people write it: `45m`, `2m 30s`.
fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}
