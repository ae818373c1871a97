use std::env;
use std::ffi::OsString;
use std::iter;
use std::process::{Command, Stdio};

use crate::garage;
use crate::postgres::{self, Server};
use crate::python;
use crate::run::{self, Failure, cargo};
use crate::system;

/// Programs that tests run beside PostgreSQL's, and Debian's packages for them.
const TOOLS: [(&str, &str); 10] = [
    ("gunzip", "gzip"),
    ("zstd", "zstd"),
    ("jq", "jq"),
    ("sha256sum", "coreutils"),
    ("ps", "procps"),
    ("age", "age"),
    ("gpg", "gnupg"),
    ("openssl", "openssl"),
    ("systemd-analyze", "systemd"),
    ("pgbouncer", "pgbouncer"),
];

/// Browsers for the test of the report, of which one is enough, and Debian's package for the smallest.
const BROWSERS: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
];
const BROWSER: &str = "chromium-headless-shell";

/// Folders of servers, separated as in `PATH`. Tests run on the first; the others are there for those tests that bring
/// a database from one version to another.
const SERVERS: &str = "BACKSTAY_TEST_PG_BINS";

/// Restricts nextest to the crates whose behaviour may differ by the server's version.
const OF_VERSIONS: [&str; 2] = ["-E", "package(backstay-postgres) + package(backstay)"];

/// A variable of the environment, and its value.
pub(crate) type Variable = (&'static str, OsString);

/// What was asked of `cargo xtask test`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    further: Further,
    /// Whether the tests on garage are run too.
    garage: bool,
    arguments: Vec<String>,
}

/// Which servers are tested on beside the machine's own and those in [`SERVERS`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Further {
    /// 17 in CI, and there only if the machine can.
    WhereFitting,
    /// These major versions, or fail.
    Demanded(Vec<u32>),
}

/// Which tests are run on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Everything,
    OfVersions,
}

impl Request {
    pub(crate) fn everything() -> Self {
        Self {
            further: Further::WhereFitting,
            garage: false,
            arguments: Vec::new(),
        }
    }

    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut request = Self::everything();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--garage" => request.garage = true,
                "--all-versions" => request.further = Further::Demanded(postgres::majors().collect()),
                "--with" => {
                    let list = arguments.next().map(String::as_str).unwrap_or_default();
                    let majors: Result<_, _> = list.split(',').map(str::parse).collect();
                    let majors = majors.map_err(|_| {
                        Failure::new(format!("--with takes major versions, such as 17,18, and not {list:?}"))
                    })?;
                    request.further = Further::Demanded(majors);
                }
                _ => request.arguments.push(argument.clone()),
            }
        }
        Ok(request)
    }

    /// The variables of a run on the machine's own server, once what the tests need is there.
    pub(crate) fn environment(&self) -> Result<Vec<Variable>, Failure> {
        let programs = provide_programs()?;
        let servers = self.servers()?;
        let own = servers.first().map(|own| bins(own, &servers)).transpose()?;
        Ok(programs.into_iter().chain(own).collect())
    }

    pub(crate) fn run(&self) -> Result<(), Failure> {
        let programs = provide_programs()?;
        let servers = self.servers()?;
        for server in &servers {
            println!("PostgreSQL {}: {}", server.version, server.bin.display());
        }
        let has_nextest = has_nextest();
        let mut failed = Vec::new();
        if self.garage {
            let program = garage::find_or_install()?;
            let outcome = run::run(cargo().args(garage::TESTS).env(garage::VARIABLE, program));
            failed.extend(outcome.err().map(|failure| format!("on garage: {failure}")));
        }
        // The machine's own comes last, because its summary is that of all tests.
        for (index, server) in servers.iter().enumerate().rev() {
            println!("\nTesting on PostgreSQL {}", server.version);
            let scope = if index == 0 {
                Scope::Everything
            } else {
                Scope::OfVersions
            };
            let outcome = self.run_on(server, &servers, scope, has_nextest, &programs);
            failed.extend(
                outcome
                    .err()
                    .map(|failure| format!("on PostgreSQL {}: {failure}", server.version)),
            );
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(failed.join("\n")))
        }
    }

    /// The servers to test on, one of each major version: the machine's own, the named, the fetched.
    fn servers(&self) -> Result<Vec<Server>, Failure> {
        let own = Server::at(&postgres::find_or_install("testing")?)?;
        postgres::provide_scheduler(&own)?;
        let mut servers = vec![own];
        let named = env::var_os(SERVERS).unwrap_or_default();
        for bin in env::split_paths(&named).filter(|bin| !bin.as_os_str().is_empty()) {
            add(&mut servers, Server::at(&bin)?);
        }
        let wanted = match &self.further {
            Further::Demanded(majors) => majors.as_slice(),
            Further::WhereFitting if env::var_os("CI").is_none() => &[],
            Further::WhereFitting if !system::is_debian() => {
                println!("note: not on Debian, so PostgreSQL 17 is not fetched and only the versions found are tested");
                &[]
            }
            Further::WhereFitting => &[17],
        };
        for &major in wanted {
            if !servers.iter().any(|server| server.major == major) {
                servers.push(postgres::fetch(major)?);
            }
        }
        Ok(servers)
    }

    fn run_on(
        &self,
        server: &Server,
        servers: &[Server],
        scope: Scope,
        has_nextest: bool,
        programs: &[Variable],
    ) -> Result<(), Failure> {
        let bins = bins(server, servers)?;
        for mut command in self.commands(scope, has_nextest) {
            run::run(command.envs(programs.iter().cloned()).envs([bins.clone()]))?;
        }
        Ok(())
    }

    /// The last command ends with the summary of all tests, where nextest is there to make one.
    fn commands(&self, scope: Scope, has_nextest: bool) -> Vec<Command> {
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
        if !has_nextest {
            return vec![with(&["test", "--workspace", "--no-fail-fast"])];
        }
        let mut tests = with(&["nextest", "run", "--workspace", "--no-fail-fast"]);
        match scope {
            Scope::Everything => vec![with(&["test", "--workspace", "--doc"]), tests],
            Scope::OfVersions => {
                tests.args(OF_VERSIONS);
                vec![tests]
            }
        }
    }
}

/// Provides the programs that tests run, and tells them where those are that are not in `PATH`.
fn provide_programs() -> Result<Vec<Variable>, Failure> {
    let mut missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(program, _)| !system::has_program(program))
        .map(|(_, package)| *package)
        .collect();
    if !BROWSERS.iter().any(|browser| system::has_program(browser)) {
        missing.push(BROWSER);
    }
    if !missing.is_empty() {
        system::install(&missing, &format!("the tests need {}", missing.join(", ")))?;
    }
    let programs = python::PROGRAMS.into_iter();
    programs
        .map(|program| Ok((program.variable, program.find_or_install()?.into_os_string())))
        .collect()
}

/// Has the tests run on a server, with the others behind it.
fn bins(server: &Server, servers: &[Server]) -> Result<Variable, Failure> {
    let others = servers.iter().filter(|other| *other != server);
    let bins = env::join_paths(iter::once(server).chain(others).map(|server| &server.bin))
        .map_err(|error| Failure::new(format!("cannot name the servers in {SERVERS}: {error}")))?;
    Ok((SERVERS, bins))
}

/// Adds a server, unless there is one of its major version already.
fn add(servers: &mut Vec<Server>, server: Server) {
    if !servers.iter().any(|other| other.major == server.major) {
        servers.push(server);
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

    fn parse(arguments: &[&str]) -> Result<Request, Failure> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Request::parse(&arguments)
    }

    fn check(arguments: &[&str], scope: Scope, has_nextest: bool, expected: &[&str]) {
        let commands = parse(arguments)
            .expect("an understandable request")
            .commands(scope, has_nextest);
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
        check(&[], Scope::Everything, false, &["test --workspace --no-fail-fast"]);
        let with_nextest = ["test --workspace --doc", "nextest run --workspace --no-fail-fast"];
        check(&[], Scope::Everything, true, &with_nextest);
        check(&["--with", "17"], Scope::Everything, true, &with_nextest);
    }

    #[test]
    fn what_is_alike_on_all_versions_is_run_once() {
        let expected = ["nextest run --workspace --no-fail-fast -E package(backstay-postgres) + package(backstay)"];
        check(&["--all-versions"], Scope::OfVersions, true, &expected);
    }

    #[test]
    fn arguments_go_to_cargo_test() {
        for scope in [Scope::Everything, Scope::OfVersions] {
            let expected = ["test --workspace server:: -- --nocapture"];
            check(&["server::", "--", "--nocapture"], scope, true, &expected);
            check(&["-p", "backstay-core"], scope, true, &["test -p backstay-core"]);
            let expected = ["test --package=backstay-core x"];
            check(
                &["--all-versions", "--package=backstay-core", "x"],
                scope,
                false,
                &expected,
            );
        }
    }

    #[test]
    fn further_versions_are_asked_for_by_number() {
        let further = |arguments: &[&str]| parse(arguments).map(|request| request.further);
        assert_eq!(further(&["storm"]).expect("arguments"), Further::WhereFitting);
        assert_eq!(
            further(&["--with", "17,18", "storm"]).expect("versions"),
            Further::Demanded(vec![17, 18])
        );
        assert_eq!(
            further(&["--all-versions"]).expect("versions"),
            Further::Demanded(vec![13, 14, 15, 16, 17, 18])
        );
        for wrong in [&["--with"][..], &["--with", "storm"], &["--with", "17,"]] {
            let failure = further(wrong).expect_err("not versions").to_string();
            assert!(failure.contains("--with takes major versions"), "{failure}");
        }
    }

    #[test]
    fn one_server_of_each_version_is_enough() {
        let server = |bin: &str, major| Server {
            bin: bin.into(),
            major,
            version: format!("{major}.1"),
        };
        let mut servers = vec![server("/own", 15)];
        for other in [server("/other", 15), server("/new", 17)] {
            add(&mut servers, other);
        }
        assert_eq!(servers, [server("/own", 15), server("/new", 17)]);
    }
}
