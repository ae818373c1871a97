use std::io::{self, BufRead, Read as _, Write as _};

use crate::failure::Failure;

use super::RestoreRefused;

/// More than the longest name of a database, which has 63 bytes.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Asks for the name of the target database to be typed.
pub(super) fn ask(database: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr();
    write!(stderr, "type the name of the target database to go on: ")?;
    stderr.flush()?;
    Ok(check(&mut io::stdin().lock(), database)??)
}

fn check(input: &mut dyn BufRead, database: &str) -> io::Result<Result<(), RestoreRefused>> {
    let mut answer = Vec::new();
    input.take(ANSWER_BYTES_MAX).read_until(b'\n', &mut answer)?;
    let typed = String::from_utf8_lossy(&answer)
        .trim_end_matches(['\r', '\n'])
        .to_owned();
    if typed == database {
        Ok(Ok(()))
    } else {
        Ok(Err(RestoreRefused::NotConfirmed { typed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_name_confirms() {
        for (typed, expected) in [
            ("kulti\n", true),
            ("kulti\r\n", true),
            ("kulti", true),
            ("kulti \n", false),
            ("Kulti\n", false),
            ("yes\n", false),
            ("\n", false),
            ("", false),
        ] {
            let answer = check(&mut typed.as_bytes(), "kulti").unwrap();
            assert_eq!(answer.is_ok(), expected, "{typed:?}");
        }
        let long = "x".repeat(2000);
        let Err(RestoreRefused::NotConfirmed { typed }) = check(&mut long.as_bytes(), "kulti").unwrap() else {
            panic!("confirmed");
        };
        assert_eq!(typed.len(), 1024);
    }
}
