use std::time::Duration;

use backstay_core::manifest::CheckValue;
use backstay_postgres::{Answer, CancelToken, ConnectionConfig, ask};
use backstay_verify::{SqlCheck, SqlOutcome};

/// Asks the queries of checks in a database, each for `limit` at most, in a read-only transaction. What each gave is to be
/// judged by [`SqlCheck::judge`]; what failed is an outcome too.
#[must_use]
pub fn ask_checks(
    database: &ConnectionConfig,
    checks: &[SqlCheck],
    limit: Duration,
    cancel: &CancelToken,
) -> Vec<SqlOutcome> {
    let answers = ask(database, &queries(checks), limit, cancel);
    answers.into_iter().map(outcome).collect()
}

pub(crate) fn queries(checks: &[SqlCheck]) -> Vec<String> {
    checks.iter().map(|check| check.query.clone()).collect()
}

/// What a backup keeps of the answers of its snapshot.
pub(crate) fn values_to_keep(checks: &[SqlCheck], answers: Vec<Answer>) -> Vec<CheckValue> {
    let pairs = checks.iter().zip(answers);
    pairs
        .map(|(check, answer)| check.value_to_keep(outcome(answer)))
        .collect()
}

fn outcome(answer: Answer) -> SqlOutcome {
    match answer {
        Answer::Value(value) => SqlOutcome::Value(value),
        Answer::Rows(rows) => SqlOutcome::Rows(rows),
        Answer::Failed(reason) => SqlOutcome::Failed(reason),
    }
}
