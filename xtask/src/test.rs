use std::env;
use std::process::{Command, Stdio};

use crate::run::{self, Failure, cargo};
use crate::{postgres, system};

/// Programs that tests run beside PostgreSQL's, and Debian's packages for them.
const TOOLS: [(&str, &str); 5] = [
    ("gunzip", "gzip"),
    ("zstd", "zstd"),
    ("jq", "jq"),
    ("sha256sum", "coreutils"),
    ("ps", "procps"),
];

/// Folders of servers for the tests that run on several versions, separated as in `PATH`. More may be given in it.
const SERVERS: &str = "BACKSTAY_TEST_PG_BINS";

/// What was asked of `cargo xtask test`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pg17: Pg17,
    arguments: Vec<String>,
}

/// Whether PostgreSQL 17 is provided beside the machine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pg17 {
    /// Only in CI, and there only if the machine can.
    WhereFitting,
    /// Yes, or fail.
    Demanded,
}

impl Request {
    pub(crate) fn everything() -> Self {
        Self::parse(&[])
    }

    pub(crate) fn parse(arguments: &[String]) -> Self {
        let mut request = Self {
            pg17: Pg17::WhereFitting,
            arguments: Vec::new(),
        };
        for argument in arguments {
            if argument == "--with-pg17" && request.pg17 == Pg17::WhereFitting {
                request.pg17 = Pg17::Demanded;
            } else {
                request.arguments.push(argument.clone());
            }
        }
        request
    }

    pub(crate) fn run(&self) -> Result<(), Failure> {
        let missing: Vec<&str> = TOOLS
            .iter()
            .filter(|(program, _)| !system::has_program(program))
            .map(|(_, package)| *package)
            .collect();
        if !missing.is_empty() {
            system::install(&missing, &format!("the tests need {}", missing.join(", ")))?;
        }
        let own = postgres::find_or_install("testing")?;
        println!("PostgreSQL: {}", own.display());
        let mut servers = vec![own];
        servers.extend(env::split_paths(&env::var_os(SERVERS).unwrap_or_default()));
        let fetched = match self.pg17 {
            Pg17::Demanded => Some(postgres::fetch_17()?),
            Pg17::WhereFitting if env::var_os("CI").is_none() => None,
            Pg17::WhereFitting if !system::is_debian() => {
                println!("note: not on Debian, so PostgreSQL 17 is not fetched and only the versions found are tested");
                None
            }
            Pg17::WhereFitting => Some(postgres::fetch_17()?),
        };
        servers.extend(fetched);
        let servers = env::join_paths(servers)
            .map_err(|error| Failure::new(format!("cannot name the servers in {SERVERS}: {error}")))?;
        for mut command in self.commands(has_nextest()) {
            run::run(command.env(SERVERS, &servers))?;
        }
        Ok(())
    }

    /// The last command ends with the summary of all tests, where nextest is there to make one.
    fn commands(&self, has_nextest: bool) -> Vec<Command> {
        let with = |arguments: &[&str]| {
            let mut command = cargo();
            command.args(arguments);
            command
        };
        if !self.arguments.is_empty() {
            // They are those of `cargo test`, which nextest does not understand in full.
            let mut command = with(&["test"]);
            if !self.arguments.iter().any(|a| a == "-p" || a.starts_with("--package")) {
                command.arg("--workspace");
            }
            command.args(&self.arguments);
            return vec![command];
        }
        if has_nextest {
            vec![
                with(&["test", "--workspace", "--doc"]),
                with(&["nextest", "run", "--workspace", "--no-fail-fast"]),
            ]
        } else {
            vec![with(&["test", "--workspace", "--no-fail-fast"])]
        }
    }
}

fn has_nextest() -> bool {
    let version = cargo()
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], has_nextest: bool, expected: &[&str]) {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let commands = Request::parse(&arguments).commands(has_nextest);
        let lines: Vec<String> = commands
            .iter()
            .map(|command| {
                let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
                words.join(" ")
            })
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn everything_is_run_with_either_runner() {
        check(&[], false, &["test --workspace --no-fail-fast"]);
        let with_nextest = ["test --workspace --doc", "nextest run --workspace --no-fail-fast"];
        check(&[], true, &with_nextest);
        check(&["--with-pg17"], true, &with_nextest);
    }

    #[test]
    fn arguments_go_to_cargo_test() {
        check(
            &["server::", "--", "--nocapture"],
            true,
            &["test --workspace server:: -- --nocapture"],
        );
        check(&["-p", "backstay-core"], true, &["test -p backstay-core"]);
        check(
            &["--package=backstay-core", "x"],
            false,
            &["test --package=backstay-core x"],
        );
    }
}
