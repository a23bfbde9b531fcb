//! Configuration: the command line, the environment and the file, in this
//! order of precedence, made into one [`Config`] that can be trusted.

mod place;
mod valid;

pub use place::{Place, Problem, Problems};
pub use valid::{
    Config, Credential, Hooks, Listen, Log, LogFormat, Network, Origin, Platform, Scope, Sinks, Socket, SourceConfig,
};
