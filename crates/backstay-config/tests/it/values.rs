//! What values mean: paths, variables, secrets, and which variables a store brings along.

use std::path::Path;

use backstay_config::{Config, EXAMPLE, PlatformWord, ResolveError, SecretSource, Store};

fn parse(text: &str) -> Config {
    parse_in("backstay.toml", text)
}

fn parse_in(file: &str, text: &str) -> Config {
    Config::parse(text, Path::new(file)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn variables(name: &str) -> Option<String> {
    match name {
        "WORD" => Some("hunter2".to_owned()),
        "BUCKET" => Some("bucket".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A location, and variables by name.
type Resolved = (String, Vec<(&'static str, String)>);

fn store(text: &str) -> Result<Resolved, ResolveError> {
    let config = parse(&format!("[store.s]\n{text}"));
    let store: &Store = config.store("s").expect("it is there");
    let resolved = store.resolve(&variables)?;
    let variables = resolved.variables.into_iter();
    let variables = variables.map(|(name, value)| (name, value.into_exposed())).collect();
    Ok((resolved.location, variables))
}

fn location(text: &str) -> String {
    store(text).unwrap_or_else(|error| panic!("{text}: {error}")).0
}

#[test]
fn settings_of_a_store_stand_behind_its_url() {
    assert_eq!(location("url = 's3://bucket'"), "s3://bucket");
    let all = "
        url = 's3://${BUCKET}/a'
        region = 'r'
        endpoint = 'http://127.0.0.1:9000'
        path-style = true
        sse = 'aws:kms'
        sse-kms-key = 'arn:aws:kms:r:1:key/k?&=%'
        storage-class = 'STANDARD_IA'
        lock = 'compliance'
        lock-days = 30
        legal-hold = false
        checksums = 'auto'
        conditional = 'on'
        part-size = '64MiB'
        ca-file = '/x y.pem'";
    assert_eq!(
        location(all),
        "s3://bucket/a?region=r&endpoint=http://127.0.0.1:9000&path-style=true&sse=aws:kms&\
         sse-kms-key=arn:aws:kms:r:1:key/k%3F%26%3D%25&storage-class=STANDARD_IA&lock=compliance&lock-days=30&\
         legal-hold=off&checksums=auto&conditional=on&part-size=64MiB&ca-file=/x%20y.pem"
    );
    let behind_others = "url = 's3://bucket?region=r'\nlock-until = '2030-01-01T00:00:00Z'\nlock = 'governance'";
    assert_eq!(
        location(behind_others),
        "s3://bucket?region=r&lock=governance&lock-until=2030-01-01T00:00:00Z"
    );
    assert_eq!(
        location("url = 'supabase://b'\nproject = 'p'\nobject-limit = '1GB'"),
        "supabase://b?project=p&object-limit=1GB"
    );
    assert_eq!(
        location("url = 'vercel-blob://b'\nstore = 's'\naccess = 'private'\nread-endpoint = 'https://r'"),
        "vercel-blob://b?store=s&access=private&read-endpoint=https://r"
    );
}

#[test]
fn relative_paths_begin_in_the_folder_of_the_file() {
    let text = "
        [store.local]
        url = './backups'
        [store.named]
        url = 'file:backups'
        [store.absolute]
        url = '/backups'
        [store.bucket]
        url = 's3://bucket'
        ca-file = 'ca.pem'
        [store.dot]
        url = 'a:b/c'
        [database.d]
        host = 'localhost'
        sslcert = 'client.crt'
        sslrootcert = 'system'
        passfile = '${WORD}'
        encrypt-to-file = ['keys', '/keys']";
    for (file, folder) in [
        ("backstay.toml", ""),
        ("./backstay.toml", ""),
        ("/etc/b/backstay.toml", "/etc/b/"),
    ] {
        let config = parse_in(file, text);
        let location = |name| config.store(name).unwrap().location(&variables).unwrap();
        assert_eq!(location("local"), format!("{folder}./backups"));
        assert_eq!(location("named"), format!("file:{folder}backups"));
        assert_eq!(location("absolute"), "/backups");
        assert_eq!(location("bucket"), format!("s3://bucket?ca-file={folder}ca.pem"));
        let database = config.database("d").unwrap();
        let connection = database.connection.resolve(&variables).unwrap();
        let part = |key| {
            let mut parts = connection.parts.iter();
            parts.find(|(name, _)| *name == key).unwrap().1.expose().to_owned()
        };
        assert_eq!(part("sslcert"), format!("{folder}client.crt"));
        assert_eq!(part("sslrootcert"), "system");
        assert_eq!(part("passfile"), format!("{folder}hunter2"));
        let files = database
            .encryption
            .to_file
            .iter()
            .map(|file| file.resolve(&variables).unwrap());
        let expected = [format!("{folder}keys"), "/keys".to_owned()];
        assert!(files.eq(expected.iter().map(std::path::PathBuf::from)));
    }
}

#[test]
fn credentials_take_the_place_of_variables_and_take_away_what_goes_with_others() {
    let empty = String::new;
    let (_, found) = store(
        "url = 's3://b'\naccess-key-id = '${WORD}'\nsecret-access-key = { env = 'WORD' }\n\
         session-token = { command = ['printf', 'a'] }",
    )
    .unwrap();
    let expected = [
        ("AWS_PROFILE", empty()),
        ("AWS_ACCESS_KEY_ID", "hunter2".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
        ("AWS_SESSION_TOKEN", "a".to_owned()),
    ];
    assert_eq!(found, expected);
    let (_, found) = store("url = 's3://b'\nprofile = 'p'").unwrap();
    let expected = [
        ("AWS_ACCESS_KEY_ID", empty()),
        ("AWS_SECRET_ACCESS_KEY", empty()),
        ("AWS_SESSION_TOKEN", empty()),
        ("AWS_PROFILE", "p".to_owned()),
    ];
    assert_eq!(found, expected);
    let (_, found) = store("url = 'supabase://b'\nsecret-key = { env = 'WORD' }").unwrap();
    let expected = [
        ("SUPABASE_SERVICE_ROLE_KEY", empty()),
        ("SUPABASE_SECRET_KEY", "hunter2".to_owned()),
    ];
    assert_eq!(found, expected);
    let (_, found) = store("url = 'vercel-blob://b'\ntoken = { env = 'WORD' }").unwrap();
    assert_eq!(found, [("BLOB_READ_WRITE_TOKEN", "hunter2".to_owned())]);
}

#[test]
fn what_a_variable_brings_is_checked_as_what_stands_there() {
    for (text, expected) in [
        (
            "url = '${BUCKET}'\nregion = 'r'",
            "backstay.toml:3:10: \"region\" goes with s3:// only",
        ),
        ("url = '${NONE}'", "backstay.toml:2:7: the variable NONE is not set"),
        ("url = '${EMPTY}'", "backstay.toml:2:7: the variable EMPTY is not set"),
        (
            "url = 's3://${BUCKET}?region=a'\nregion = 'r'",
            "backstay.toml:3:10: \"region\" stands in the URL too",
        ),
    ] {
        assert_eq!(store(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn only_what_is_asked_for_is_fetched() {
    let config = parse(
        "[database.d]\nurl = { command = ['/no/such/program'] }\npassword = { env = 'NONE' }\n\
         [store.s]\nurl = 's3://b'\naccess-key-id = 'a'\nsecret-access-key = { file = '/no/such/file' }",
    );
    let connection = &config.database("d").unwrap().connection;
    let shown = connection.resolve_without_secrets(&variables).unwrap();
    assert!(shown.url.is_none() && shown.parts.is_empty());
    assert!(connection.resolve(&variables).is_err());
    let store = config.store("s").unwrap();
    assert_eq!(store.location(&variables).unwrap(), "s3://b");
    assert!(store.resolve(&variables).is_err());
    assert!(matches!(
        connection.password(),
        Some(backstay_config::Given::Secret(SecretSource::Variable { .. }))
    ));
}

#[test]
fn the_example_is_a_configuration_and_so_is_what_it_leaves_out() {
    parse(EXAMPLE);
    // Whatever is a comment there with the look of a line of TOML is one.
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
            rest
        }
        _ => line,
    });
    let all: Vec<&str> = lines.collect();
    let text = all.join("\n");
    let error = Config::parse(&text, Path::new("example.toml")).unwrap_err();
    let problems: Vec<&str> = error.problems().iter().map(backstay_config::Problem::message).collect();
    // The contradictions are those of two ways to encrypt, and of two ways to say which rows.
    let expected = ["encrypt-to", "encrypt-to-file"]
        .map(|key| format!("{key:?} in [database.kulti] does not go with \"encrypt-passphrase\""));
    let rows = "\"query\" in [export] does not go with \"table\"".to_owned();
    assert_eq!(problems, expected.into_iter().chain([rows]).collect::<Vec<_>>());
}

#[test]
fn retentions_are_policies() {
    let config = parse(
        "[database.a]\nhost = 'h'\nretention = 'r'\n[database.b]\nhost = 'h'\nretention = { keep-yearly = 2 }\n\
         [database.c]\nhost = 'h'\n[retention.r]\nkeep-last = 1\nkeep-daily = 2\nkeep-weekly = 3\nkeep-monthly = 4\n\
         keep-within = '1y6m'\nkeep-tag = ['a', 'b=c']\nmin-age = '36h'\ntime-zone = 'Mars/Olympus'",
    );
    let of = |name| config.retention_of(config.database(name).unwrap());
    let policy = of("a").unwrap().policy(|name| {
        assert_eq!(name, "Mars/Olympus");
        Some(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)))
    });
    let policy = policy.unwrap();
    assert_eq!(
        (
            policy.keep_last,
            policy.keep_daily,
            policy.keep_weekly,
            policy.keep_monthly,
            policy.keep_yearly
        ),
        (1, 2, 3, 4, 0)
    );
    assert_eq!(policy.keep_within.unwrap().to_string(), "1y6m");
    assert_eq!(policy.min_age.unwrap().to_string(), "36h");
    assert_eq!(
        policy.keep_tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a", "b=c"]
    );
    assert_eq!(policy.time_zone, jiff::tz::TimeZone::fixed(jiff::tz::offset(1)));
    let unknown = of("a").unwrap().policy(|_| None).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "backstay.toml:17:13: there is no time zone \"Mars/Olympus\""
    );
    assert_eq!(of("b").unwrap().policy(|_| None).unwrap().keep_yearly, 2);
    assert!(of("c").is_none());
}

#[test]
fn rules_are_data() {
    let config = parse(
        "[database.a]\nhost = 'h'\nrules = 'r'\n[database.b]\nhost = 'h'\nrules = { encrypted = true }\n\
         [database.c]\nhost = 'h'\n\
         [rules.r]\nrequire-table = ['public.users', 'orders']\nmax-table-loss = 10\nmax-database-loss = 5\nmax-growth = 3\n\
         history = 7\nextension = ['postgis']\nmax-age = '26h'\nrestored-within-minutes = 60\n\
         severity = { table-shrank = 'error', table-grew = 'warning' }\n\
         [rules.r.table.\"public.users\"]\nmin-rows = 100\nmax-loss = 1\nmax-growth = 2\nrow-security = 'forced'\n\
         policy = ['own rows']\nindex = ['users_pkey']\ngrant = { app = ['SELECT', 'INSERT'] }\n\
         deny = { PUBLIC = ['SELECT'] }\n\
         [rules.r.sql.unpaid]\nquery = 'SELECT count(*) FROM public.orders'\nexpect = 0\nseverity = 'warning'\n\
         [rules.r.sql.admins]\nquery = 'SELECT 1'\nexpect-rows = { min = 1, max = 5 }\n\
         [rules.r.sql.one]\nquery = 'SELECT 1'\nexpect-rows = 1\n\
         [rules.r.sql.sum]\nquery = 'SELECT 1'\nexpect = 'as-in-backup'\n\
         [[rules.r.exempt]]\nrule = 'table-shrank'\nsubject = 'sessions'\nreason = 'cleaned up'\nuntil = 2025-12-31\n\
         [[rules.r.exempt]]\nrule = 'backup-age'\nreason = 'moved'\nuntil = '2025-02-28'\n",
    );
    let of = |name| config.rules_of(config.database(name).unwrap());
    let mut rules = of("a").unwrap().clone();
    // By name, as TOML has no order.
    rules.sql.sort_by(|a, b| a.name.cmp(&b.name));
    insta::assert_debug_snapshot!(rules);
    assert!(of("b").unwrap().encrypted);
    assert!(of("c").is_none());
}

#[test]
fn a_platform_is_one_of_a_few_words() {
    let section = |word: &str| format!("[database.kulti]\nhost = \"localhost\"\nplatform = \"{word}\"\n");
    for word in ["auto", "plain", "supabase", "rds", "neon", "cloudsql"] {
        let config = parse(&section(word));
        let platform = config.database("kulti").unwrap().platform;
        assert_eq!(platform.map(PlatformWord::word), Some(word));
    }
    let told = Config::parse(&section("heroku"), Path::new("backstay.toml"));
    let told = told.unwrap_err().to_string();
    assert!(
        told.contains("3:12") && told.contains("must be one of auto, plain, supabase"),
        "{told}"
    );
}
