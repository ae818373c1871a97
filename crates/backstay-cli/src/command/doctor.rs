use backstay::{Inclusion, PlatformChoice, Preflight, PreflightNeeds, Resolved, preflight};
use serde::Serialize;

use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Columns, Form, Output, Voice, bytes, complain, count, print_json, print_text};
use crate::settle::SettledDoctor;

use super::backup::FindingJson;
use super::{finding_lines, remark_warnings};

/// Looks at a database and tells whether a backup would work.
pub(crate) fn examine(settled: &SettledDoctor, environment: &Environment) -> Result<Exit, Failure> {
    remark_warnings(&settled.source, settled.output);
    let needs = PreflightNeeds {
        jobs: settled.jobs,
        programs: &environment.programs,
        pg_dump: settled.pg_dump.as_deref(),
        whole_database: true,
        large_objects: Inclusion::Included,
        platform: PlatformChoice::Auto,
    };
    let found = preflight(&settled.source.config, needs)?;
    let exit = match found.refusals().next() {
        None => Exit::Done,
        Some(_) => Exit::Refused,
    };
    match settled.output {
        Output { form: Form::Json, .. } => print_json(&json(&settled.source, &found))?,
        Output {
            voice: Voice::Normal, ..
        } => print_text(&text(&settled.source, &found))?,
        Output {
            voice: Voice::Quiet, ..
        } => found.refusals().for_each(|finding| complain(&finding_lines(finding))),
    }
    Ok(exit)
}

fn pg_dump(found: &Preflight) -> Option<String> {
    let program = found.pg_dump.as_ref()?;
    Some(format!("{} ({})", program.path.display(), program.version))
}

fn text(source: &Resolved, found: &Preflight) -> String {
    let mut columns = Columns::default();
    let connection = format!("{}, from {}", source.config.describe(), source.source);
    columns.row(["connection", &connection]);
    let server = format!("PostgreSQL {}, encoding {}", found.server_version, found.encoding);
    columns.row(["server", &server]);
    columns.row(["role", &found.role]);
    let tables = count(found.tables as u64, "table", "tables");
    columns.row(["holds", &format!("{tables}, {}", bytes(found.table_bytes))]);
    columns.row(["pg_dump", pg_dump(found).as_deref().unwrap_or("none")]);
    let mut text = format!("{}\n{columns}", found.database);
    for finding in &found.findings {
        text.push_str(&finding_lines(finding));
        text.push('\n');
    }
    text.push_str(match found.refusals().next() {
        None => "ready to be backed up\n",
        Some(_) => "cannot be backed up\n",
    });
    text
}

#[derive(Serialize)]
struct DoctorJson<'f> {
    ready: bool,
    database: &'f str,
    connection: String,
    connection_source: String,
    server_version: &'f str,
    server_version_num: u32,
    encoding: &'f str,
    role: &'f str,
    tables: usize,
    table_bytes: u64,
    pg_dump: Option<String>,
    findings: Vec<FindingJson<'f>>,
}

fn json<'f>(source: &Resolved, found: &'f Preflight) -> DoctorJson<'f> {
    DoctorJson {
        ready: found.refusals().next().is_none(),
        database: &found.database,
        connection: source.config.describe(),
        connection_source: source.source.to_string(),
        server_version: &found.server_version,
        server_version_num: found.server_version_num,
        encoding: &found.encoding,
        role: &found.role,
        tables: found.tables,
        table_bytes: found.table_bytes,
        pg_dump: pg_dump(found),
        findings: found.findings.iter().map(FindingJson::from).collect(),
    }
}
