//! Programs of Python's that tests run, each in an environment of its own beneath `target/`.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{self, Failure};
use crate::system;

/// A program, and the package that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    name: &'static str,
    /// Where the tests look for it.
    pub(crate) variable: &'static str,
    package: &'static str,
    extras: &'static str,
    version: &'static str,
}

/// All of them: an S3 server, AWS's own client of such servers, a Python that has another reader of Parquet, one that
/// has a mail server, what checks workflows of GitHub and objects of Kubernetes, and Prometheus's reader of metrics.
pub(crate) const PROGRAMS: [Program; 7] = [
    Program {
        name: "moto_server",
        variable: "BACKSTAY_TEST_MOTO",
        package: "moto",
        extras: "[server,s3]",
        version: "5.2.5",
    },
    Program {
        name: "aws",
        variable: "BACKSTAY_TEST_AWS",
        package: "awscli",
        extras: "",
        version: "1.46.2",
    },
    Program {
        name: "python3",
        variable: "BACKSTAY_TEST_DUCKDB",
        package: "duckdb",
        extras: "",
        version: "2.0.1",
    },
    Program {
        name: "python3",
        variable: "BACKSTAY_TEST_SMTP",
        package: "aiosmtpd",
        extras: "",
        version: "1.4.6",
    },
    Program {
        name: "check-jsonschema",
        variable: "BACKSTAY_TEST_CHECK_JSONSCHEMA",
        package: "check-jsonschema",
        extras: "",
        version: "0.39.0",
    },
    Program {
        name: "kubernetes-validate",
        variable: "BACKSTAY_TEST_KUBERNETES",
        package: "kubernetes-validate",
        extras: "",
        version: "1.37.0",
    },
    Program {
        name: "python3",
        variable: "BACKSTAY_TEST_PROMETHEUS",
        package: "prometheus-client",
        extras: "",
        version: "0.26.0",
    },
];

impl Program {
    /// Finds the program: the one that the variable names, else the one installed before, else installs it.
    pub(crate) fn find_or_install(self) -> Result<PathBuf, Failure> {
        let Self {
            name,
            variable,
            package,
            extras,
            version,
        } = self;
        if let Some(named) = env::var_os(variable).filter(|named| !named.is_empty()) {
            return Ok(named.into());
        }
        let folder = run::target().join(format!("{package}-{version}"));
        let program = folder.join("bin").join(name);
        // Scripts of an environment name its path, so it is made where it stays, and marked when it is whole.
        let mark = folder.join("is-whole");
        if mark.is_file() && program.is_file() {
            return Ok(program);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        }
        let need = format!("the tests need Python 3 with venv, for the program {name}");
        if !has_venv() {
            system::install(&["python3", "python3-venv"], &need)?;
        }
        println!("installing {package} {version} into {}", folder.display());
        let wanted = format!("{package}{extras}=={version}");
        let install = || -> Result<(), Failure> {
            run::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            run::run(Command::new(folder.join("bin/pip")).args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                &wanted,
            ]))
        };
        install().map_err(|failure| {
            Failure::new(format!(
                "{failure}\n{need}; or install it (pip install '{wanted}') and name its {name} in {variable}"
            ))
        })?;
        fs::write(&mark, "").map_err(|error| Failure::new(format!("{}: {error}", mark.display())))?;
        Ok(program)
    }
}

fn has_venv() -> bool {
    // Debian's python3 has the module and lacks what it needs.
    let output = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    output.is_ok_and(|output| output.status.success())
}
