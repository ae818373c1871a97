use clap::Subcommand;

use super::OutputArguments;

/// Notifications.
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Send a test to those that are named, by what the configuration says in [notification.NAME].
    ///
    /// A URL that is called at the begin and the end of work gets /log behind it, which tells a service nothing about the
    /// work itself.
    Test {
        /// Their names in the configuration.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        output: OutputArguments,
    },
}
