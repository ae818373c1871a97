use crate::run::{self, Failure, cargo};
use crate::{test, tidy};

/// Everything that must hold before a change is taken. The tests come last, so that their summary ends the output.
pub(crate) fn run() -> Result<(), Failure> {
    run::run(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    run::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run::run(
        cargo()
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    test::Request::everything().run()
}
