//! How a run of the program fails, and the one place that prints it.

use std::error::Error;
use std::fmt::Write as _;

use backstay::RepositoryError;
use backstay::seal::SealError;

use crate::exit::Exit;
use crate::explain::{advise, unwrapped};

/// Why a command did not do what was asked: an error, its exit status, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<dyn Error>,
    exit: Exit,
    hints: Vec<String>,
}

impl Failure {
    /// The exit status.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The same with another exit status.
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Whether something is encrypted that no key at hand opens.
    pub(crate) fn lacks_key(&self) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = Some(&*self.error);
        while let Some(error) = next {
            let error = unwrapped(error);
            if matches!(error.downcast_ref(), Some(RepositoryError::Sealed { .. }))
                || matches!(error.downcast_ref(), Some(SealError::NoKey { .. }))
            {
                return true;
            }
            next = error.source();
        }
        false
    }

    /// What failed and because of what, in one line.
    pub(crate) fn in_one_line(&self) -> String {
        let lines = self.messages().into_iter().map(|message| message.replace('\n', " "));
        lines.collect::<Vec<_>>().join(": ")
    }

    /// The lines for standard error: what failed, because of what, what to do.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        for (index, message) in self.messages().iter().enumerate() {
            let label = if index == 0 { "error" } else { "caused by" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{label}: {}", indented(message));
        }
        for hint in &self.hints {
            let _ = writeln!(text, "hint: {}", indented(hint));
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// The messages of the error and its causes.
    fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> = Vec::new();
        let mut next: Option<&(dyn Error + 'static)> = Some(&*self.error);
        while let Some(error) = next {
            let error = unwrapped(error);
            let message = error.to_string();
            let last = messages.last().map_or("", String::as_str);
            // Errors of other crates may repeat their cause, or say nothing but that their cause is the server's.
            if !last.ends_with(&message) && message != "db error" {
                messages.push(message);
            }
            next = error.source();
        }
        messages
    }
}

/// Further lines of a message stand below its first.
fn indented(message: &str) -> String {
    message.trim_end().replace('\n', "\n  ")
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let advice = advise(&error);
        Self {
            exit: advice.exit,
            hints: advice.hints,
            error: Box::new(error),
        }
    }
}
