//! Whether each rule of the format and of the design is held by a test: breaks one after another in a copy of the
//! workspace, and demands that a test fails.

mod copy;
mod mutant;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::files::files_below;
use crate::run::{self, Failure, cargo};
use crate::test::{Request, Variable};

use copy::Copy;
use mutant::Test;
pub(crate) use mutant::{FOLDER, Mutant};

/// A test that takes longer hangs, which is not how a broken rule should show.
const TEST_TIME_MAX: Duration = Duration::from_secs(300);
/// Cargo builds everything at first.
const BUILD_TIME_MAX: Duration = Duration::from_secs(1800);

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// A test that its rule names failed.
    Caught,
    /// All of them passed.
    Survived,
    /// The code is not as the mutant knows it.
    DoesNotApply(String),
    /// The compiler saw it, so nobody knows what the test would say.
    DoesNotCompile,
    /// The test came to no end.
    Hangs,
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Survived => "SURVIVED",
            Self::DoesNotApply(_) => "does not apply",
            Self::DoesNotCompile => "does not compile",
            Self::Hangs => "hangs",
        }
    }
}

/// Runs the mutants whose names begin with one of those given, or all.
pub(crate) fn run(names: &[String]) -> Result<(), Failure> {
    let mutants = chosen(names)?;
    let laboratory = Laboratory::new(Request::everything().environment()?)?;
    laboratory.try_without_mutants(&mutants)?;
    let mut escaped = 0;
    for mutant in &mutants {
        let begun = Instant::now();
        let outcome = laboratory.try_mutant(mutant)?;
        println!(
            "{:<16} {} ({} s)\n{:17}{}\n{:17}{}",
            outcome.word(),
            mutant.name,
            begun.elapsed().as_secs(),
            "",
            mutant.rule,
            "",
            mutant.test
        );
        if let Outcome::DoesNotApply(why) = &outcome {
            println!("{:17}{why}", "");
        }
        escaped += usize::from(outcome != Outcome::Caught);
    }
    println!("{} mutants, {escaped} not caught", mutants.len());
    match escaped {
        0 => Ok(()),
        _ => Err(Failure::new("a rule has no test that fails when it is broken")),
    }
}

fn chosen(names: &[String]) -> Result<Vec<Mutant>, Failure> {
    let folder = run::root().join(FOLDER);
    let mut mutants = Vec::new();
    for path in files_below(&folder)? {
        let text = fs::read_to_string(folder.join(&path))
            .map_err(|error| Failure::new(format!("cannot read {FOLDER}/{path}: {error}")))?;
        let mutant = Mutant::parse(&path, &text).map_err(|why| Failure::new(format!("{FOLDER}/{path}: {why}")))?;
        if names.is_empty() || names.iter().any(|name| mutant.name.starts_with(name.as_str())) {
            mutants.push(mutant);
        }
    }
    match mutants.as_slice() {
        [] => Err(Failure::new(format!("no mutant in {FOLDER} has such a name"))),
        _ => Ok(mutants),
    }
}

/// Where mutants are built and tested: a copy of the workspace, and a folder of Cargo's that is kept between runs.
struct Laboratory {
    copy: Copy,
    /// What `cargo xtask test` tells the tests, too.
    environment: Vec<Variable>,
}

impl Laboratory {
    fn new(environment: Vec<Variable>) -> Result<Self, Failure> {
        let copy = Copy::of_the_workspace(&run::target().join("mutants"))?;
        Ok(Self { copy, environment })
    }

    /// Runs every named test on the code as it is, where each must be there and pass.
    fn try_without_mutants(&self, mutants: &[Mutant]) -> Result<(), Failure> {
        let mut programs: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
        for Test { program, names } in mutants.iter().map(|mutant| &mutant.test) {
            let known = programs.entry(program).or_default();
            known.extend(names.iter().map(String::as_str));
            known.sort_unstable();
            known.dedup();
        }
        for (program, names) in programs {
            println!("without mutants: {} with {} tests", program.join(" "), names.len());
            if !self.build(program)? {
                return Err(Failure::new(format!("{} does not compile", program.join(" "))));
            }
            let report = self.test(program, &names, BUILD_TIME_MAX)?;
            let unfit = names.iter().find(|name| !report.passed(name));
            if let Some(name) = unfit {
                let program = program.join(" ");
                return Err(Failure::new(format!(
                    "{program} {name} does not pass without mutants:\n{}",
                    report.output
                )));
            }
        }
        Ok(())
    }

    fn try_mutant(&self, mutant: &Mutant) -> Result<Outcome, Failure> {
        if let Err(why) = self.copy.change(mutant)? {
            return Ok(Outcome::DoesNotApply(why));
        }
        let names: Vec<&str> = mutant.test.names.iter().map(String::as_str).collect();
        let outcome = self.build(&mutant.test.program).and_then(|compiles| {
            if !compiles {
                return Ok(Outcome::DoesNotCompile);
            }
            let report = self.test(&mutant.test.program, &names, TEST_TIME_MAX)?;
            Ok(report.outcome(&names))
        });
        self.copy.restore(mutant)?;
        outcome
    }

    fn build(&self, program: &[String]) -> Result<bool, Failure> {
        let mut command = self.cargo(program);
        command.arg("--no-run").stdout(Stdio::null()).stderr(Stdio::null());
        Ok(await_within(&mut command, BUILD_TIME_MAX)?.is_some_and(|status| status.success()))
    }

    fn test(&self, program: &[String], names: &[&str], time_max: Duration) -> Result<Report, Failure> {
        let path = self.copy.folder().join("output.txt");
        let cannot = |error| {
            Failure::new(format!(
                "cannot keep the output of tests in {}: {error}",
                path.display()
            ))
        };
        let output = File::create(&path).map_err(cannot)?;
        let mut command = self.cargo(program);
        command.args(["--", "--exact"]).args(names);
        command.stdout(output).stderr(Stdio::null());
        let ended = await_within(&mut command, time_max)?.is_some();
        // Tests print what they like.
        let output = fs::read(&path).map_err(cannot)?;
        let output = String::from_utf8_lossy(&output).into_owned();
        Ok(Report { ended, output })
    }

    fn cargo(&self, program: &[String]) -> Command {
        let mut command = cargo();
        command
            .arg("test")
            .args(program)
            .current_dir(self.copy.tree())
            .env("CARGO_TARGET_DIR", self.copy.folder().join("target"))
            .envs(self.environment.iter().cloned());
        command
    }
}

/// What a run of tests printed.
struct Report {
    ended: bool,
    output: String,
}

impl Report {
    fn passed(&self, name: &str) -> bool {
        self.says(name, "ok")
    }

    fn outcome(&self, names: &[&str]) -> Outcome {
        if names.iter().any(|name| self.says(name, "FAILED")) {
            Outcome::Caught
        } else if self.ended {
            Outcome::Survived
        } else {
            Outcome::Hangs
        }
    }

    fn says(&self, name: &str, verdict: &str) -> bool {
        let line = format!("test {name} ... {verdict}");
        self.output.lines().any(|found| found == line)
    }
}

/// Waits for a command; `None` where it took too long, and it and what it started were ended.
fn await_within(command: &mut Command, time_max: Duration) -> Result<Option<ExitStatus>, Failure> {
    let cannot = |error| Failure::new(format!("cannot run cargo: {error}"));
    let mut child = command.process_group(0).stdin(Stdio::null()).spawn().map_err(cannot)?;
    let begun = Instant::now();
    while begun.elapsed() < time_max {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(50));
    }
    let group = format!("-{}", child.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    killed.map_err(cannot)?;
    child.wait().map_err(cannot)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(output: &str) -> Report {
        let output = output.to_owned();
        Report { ended: true, output }
    }

    #[test]
    fn only_a_test_that_was_named_and_failed_catches() {
        let check = |output: &str, expected| assert_eq!(report(output).outcome(&["a::b"]), expected, "{output:?}");
        check("test a::b ... FAILED\n", Outcome::Caught);
        check("test a::b ... ok\n", Outcome::Survived);
        check("test a::bc ... FAILED\ntest c::a::b ... FAILED\n", Outcome::Survived);
        check("", Outcome::Survived);
        let hanging = Report {
            ended: false,
            ..report("")
        };
        assert_eq!(hanging.outcome(&["a::b"]), Outcome::Hangs);
        assert!(report("test a::b ... ok").passed("a::b") && !report("test a::b ... ignored").passed("a::b"));
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let mut endless = Command::new("sleep");
        let ended = await_within(endless.arg("600"), Duration::from_millis(100));
        assert_eq!(ended.unwrap(), None);
        let ended = await_within(&mut Command::new("true"), Duration::from_secs(60));
        assert!(ended.unwrap().is_some_and(|status| status.success()));
    }
}
