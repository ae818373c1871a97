use std::path::PathBuf;

use backstay::encryption::Recipient;
use clap::{Args, Subcommand, ValueHint};

use super::OutputArguments;

/// To whom a backup is encrypted.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Encryption")]
pub(crate) struct EncryptArguments {
    /// Encrypt to this public key: age1…, ssh-ed25519 … or ssh-rsa …; may be repeated (also: BACKSTAY_ENCRYPT_TO).
    ///
    /// Whoever has one of the secret keys can restore; this machine needs none of them.
    #[arg(long, value_name = "KEY")]
    pub(crate) encrypt_to: Vec<Recipient>,
    /// Encrypt to the public keys in a file, one in a line; may be repeated.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) encrypt_to_file: Vec<PathBuf>,
    /// Encrypt with a passphrase: from BACKSTAY_PASSPHRASE, …_FILE or …_COMMAND, else asked for.
    #[arg(long, conflicts_with_all = ["encrypt_to", "encrypt_to_file", "index_to"])]
    pub(crate) encrypt_passphrase: bool,
    /// Encrypt with a passphrase as gpg --symmetric does, where a policy names OpenPGP; read from its start only.
    #[arg(long, conflicts_with_all = ["encrypt_to", "encrypt_to_file", "encrypt_passphrase", "index_to"])]
    pub(crate) encrypt_gpg: bool,
    /// Let this key read what later backups are compared with, and no pack; for the machine that makes the backups.
    #[arg(long, value_name = "KEY")]
    pub(crate) index_to: Vec<Recipient>,
}

/// With what an encrypted backup is opened.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct IdentityArguments {
    /// A file with secret keys that open encrypted backups: of age, or an SSH key; may be repeated.
    ///
    /// Also: BACKSTAY_IDENTITY_FILE, BACKSTAY_IDENTITY (the text of such a file), BACKSTAY_PASSPHRASE.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) identity: Vec<PathBuf>,
}

/// Secret keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a secret key, and print the public one.
    New {
        /// The file to write it to; it must not exist.
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Prove that the keys at hand open the newest backup, without any database.
    Check(KeyCheckArguments),
}

#[derive(Args, Debug)]
pub(crate) struct RekeyArguments {
    /// A backup: an id, or latest.
    #[arg(value_name = "ID|latest", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) backup: Option<String>,
    /// Every encrypted backup of the store.
    #[arg(long)]
    pub(crate) all: bool,
    /// End first what another `rekey` left that was killed; say so only if it does not run any more.
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// With latest: of which database, by its name or by the prefix of its backups.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    #[command(flatten)]
    pub(crate) encrypt: EncryptArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct KeyCheckArguments {
    /// Where backups are (default: BACKSTAY_STORE, else what the configuration says, else ./backups).
    #[arg(long, value_name = "STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<String>,
    /// Of which database, by its name or by the prefix of its backups.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}
