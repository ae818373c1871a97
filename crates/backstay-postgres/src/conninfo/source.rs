use super::error::{ConninfoError, Origin};
use super::settle::PLACEHOLDER_PASSWORD;
use super::variables::Variables;
use super::{Request, Resolved, Source, text};

/// Variables that say where a server is; a password or a TLS mode alone does not.
const NAMING_VARIABLES: [&str; 6] = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"];

/// Settles which database is meant, by the first of these that is there:
///
/// 1. `explicit`, what the person named;
/// 2. `DATABASE_URL`;
/// 3. `SUPABASE_PROJECT_REF` with `SUPABASE_DB_PASSWORD`: the project's direct host. If `SUPABASE_POOLER_URL` names
///    Supabase's pooler of the same project, that is kept for [`Resolved::reachable`];
/// 4. `SUPABASE_POOLER_URL`; `SUPABASE_DB_PASSWORD` takes the place of a missing password or of `[YOUR-PASSWORD]`. It
///    comes before 3 where it names another host than Supabase's pooler;
/// 5. the `PG*` variables, if one of them says where a server is.
///
/// Empty variables count as not set. What a rule leaves open comes from the service, the `PG*` variables and the
/// defaults, as for [`resolve`](super::resolve).
///
/// # Errors
/// [`ConninfoError::NothingConfigured`] where nothing is there, [`ConninfoError::EmptyConnection`] where `explicit` is
/// empty: falling back to another database would be a surprise. Else as for [`resolve`](super::resolve).
pub fn resolve_source(explicit: Option<&str>, variables: &Variables) -> Result<Resolved, ConninfoError> {
    if let Some(connection) = explicit {
        if connection.trim_ascii().is_empty() {
            return Err(ConninfoError::EmptyConnection);
        }
        return super::resolve(Some(connection), variables);
    }
    if let Some(url) = text_of("DATABASE_URL", variables)? {
        return url_request(Source::DatabaseUrl, "DATABASE_URL", url)?.settle(variables);
    }
    let pooler = text_of("SUPABASE_POOLER_URL", variables)?;
    let pooler = pooler.map(|url| supabase_pooler(url, variables)).transpose()?;
    let project = match text_of("SUPABASE_PROJECT_REF", variables)? {
        Some(reference) if variables.get_filled("SUPABASE_DB_PASSWORD").is_some() => {
            Some(supabase_project(reference, variables)?)
        }
        _ => None,
    };
    match (project, pooler) {
        (Some(direct), Some(pooler)) if are_of_two_projects(&direct, &pooler) => {
            return Err(ConninfoError::ProjectsDiffer);
        }
        (Some(direct), Some(pooler)) if pooler.config.is_supabase_pooler() => {
            return Ok(Resolved {
                pooler: Some(Box::new(pooler.config)),
                warnings: [direct.warnings, pooler.warnings].concat(),
                ..direct
            });
        }
        (_, Some(pooler)) => return Ok(pooler),
        (Some(direct), None) => return Ok(direct),
        (None, None) => {}
    }
    if NAMING_VARIABLES.iter().any(|name| variables.get_filled(name).is_some()) {
        return super::resolve(None, variables);
    }
    Err(ConninfoError::NothingConfigured)
}

/// Settles a connection that somebody described and gave a name: by a URL or key/value pairs, and by values of libpq's keys,
/// which count more.
///
/// The variables that say where a server is (`PGHOST`, `PGHOSTADDR`, `PGPORT`, `PGDATABASE`, `PGUSER`, `PGSERVICE`) are not
/// looked at, since they would make another database of it. What else is left open comes from the service that is named,
/// the other `PG*` variables and the defaults, as for [`resolve`](super::resolve).
///
/// # Errors
/// Those of [`resolve`](super::resolve).
pub fn resolve_described<'d>(
    connection: Option<&str>,
    values: impl IntoIterator<Item = (&'d str, &'d str)>,
    variables: &Variables,
) -> Result<Resolved, ConninfoError> {
    let origin = Origin::Configuration;
    let mut request = Request::new(Source::Configuration);
    if let Some(connection) = connection {
        if connection.trim_ascii().is_empty() {
            return Err(ConninfoError::EmptyConnection);
        }
        if !connection.contains('=') && !connection.contains("://") {
            return Err(ConninfoError::NotPostgres { origin });
        }
        text::parse(connection, &origin, &mut request)?;
    }
    for (key, value) in values {
        if let Some(at) = value.bytes().position(|byte| byte == 0) {
            return Err(ConninfoError::Syntax {
                origin,
                position: at + 1,
                problem: "a zero byte is not allowed",
            });
        }
        let known = request.settings.set_by_name(key.as_bytes(), value.into(), &origin);
        known.ok_or_else(|| ConninfoError::UnknownKey {
            origin: origin.clone(),
            position: 1,
            nearest: super::keys::nearest(key.as_bytes()),
        })?;
    }
    request.settle(&variables.without(&NAMING_VARIABLES))
}

/// Whether it is known that they are; a user of the pooler may have no reference behind it.
fn are_of_two_projects(one: &Resolved, other: &Resolved) -> bool {
    match (one.config.supabase_project(), other.config.supabase_project()) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}

fn text_of<'a>(name: &'static str, variables: &'a Variables) -> Result<Option<&'a str>, ConninfoError> {
    let Some(value) = variables.get_filled(name) else {
        return Ok(None);
    };
    let not_text = || ConninfoError::Syntax {
        origin: Origin::Variable(name),
        position: 1,
        problem: "the value is not UTF-8 text",
    };
    value.to_str().ok_or_else(not_text).map(Some)
}

/// Reads a variable that must hold a URL or key/value pairs: a bare word in it is most likely something else.
fn url_request(source: Source, variable: &'static str, url: &str) -> Result<Request, ConninfoError> {
    let origin = Origin::Variable(variable);
    if !url.contains('=') && !url.contains("://") {
        return Err(ConninfoError::NotPostgres { origin });
    }
    let mut request = Request::new(source);
    text::parse(url, &origin, &mut request)?;
    Ok(request)
}

/// The connection in `SUPABASE_POOLER_URL`.
fn supabase_pooler(url: &str, variables: &Variables) -> Result<Resolved, ConninfoError> {
    let mut request = url_request(Source::SupabasePoolerUrl, "SUPABASE_POOLER_URL", url)?;
    let has_password = request
        .settings
        .filled("password")
        .is_some_and(|password| password.bytes() != PLACEHOLDER_PASSWORD);
    if !has_password {
        set_supabase_password(&mut request, variables);
    }
    request.settle(variables)
}

/// The direct connection of a project, as Supabase documents it.
fn supabase_project(reference: &str, variables: &Variables) -> Result<Resolved, ConninfoError> {
    if !reference.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(ConninfoError::InvalidProjectRef);
    }
    let mut request = Request::new(Source::SupabaseProject);
    let host = format!("db.{reference}.supabase.co");
    request
        .settings
        .set("host", host, Origin::Variable("SUPABASE_PROJECT_REF"));
    // `hostaddr` is settled too, or a PGHOSTADDR for another server would redirect the connection.
    let settled = [
        ("hostaddr", ""),
        ("port", "5432"),
        ("user", "postgres"),
        ("dbname", "postgres"),
    ];
    for (key, value) in settled {
        request.settings.set(key, value, Origin::Rule);
    }
    set_supabase_password(&mut request, variables);
    request.settle(variables)
}

fn set_supabase_password(request: &mut Request, variables: &Variables) {
    if let Some(password) = variables.get_filled("SUPABASE_DB_PASSWORD") {
        let origin = Origin::Variable("SUPABASE_DB_PASSWORD");
        request.settings.set("password", password.as_encoded_bytes(), origin);
    }
}
