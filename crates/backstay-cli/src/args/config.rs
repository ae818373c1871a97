use clap::Subcommand;

use super::OutputArguments;

/// The configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration, and tell what was understood and where each secret comes from.
    ///
    /// No secret is shown, no command is run, and nobody is asked anything.
    Check {
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Write a configuration with a comment on everything.
    Example,
    /// Write the JSON schema of the configuration, for editors.
    Schema,
}
