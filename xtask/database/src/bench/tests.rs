use std::process::Command;

use backstay::SearchPath;
use backstay_postgres::Installation;

use super::*;

fn parse(line: &str) -> Result<Options, Failure> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    Options::parse(&words)
}

#[test]
fn options_are_understood_or_refused() {
    let defaults = parse("").unwrap();
    assert_eq!((defaults.scale, defaults.jobs, defaults.runs), (1.0, 2, 3));
    let all =
        parse("--scale 0.5 --jobs 4 --runs 1 --compress gzip:1,zstd --clients /p --only bucket --json f").unwrap();
    let expected = Options {
        scale: 0.5,
        jobs: 4,
        runs: 1,
        compress: vec!["gzip:1".to_owned(), "zstd".to_owned()],
        clients: Some("/p".into()),
        only: Some("bucket".into()),
        json: Some("f".into()),
    };
    assert_eq!(all, expected);
    assert_eq!(parse("--smoke --jobs 3").unwrap().scale, 0.002);
    for wrong in [
        "--scale",
        "--scale x",
        "--scale -1",
        "--jobs 0",
        "--runs 0",
        "--fast yes",
        "x",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

/// A program beside this test, which `cargo test` of the workspace builds; else it is built.
fn program(name: &str, to_build: &[&str]) -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().with_file_name("");
    let program = folder.join(name);
    if !program.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo).arg("build").args(to_build).status();
        assert!(status.unwrap().success() && program.is_file(), "{name} cannot be built");
    }
    program
}

#[test]
fn everything_that_is_measured_can_be_done() {
    let named = std::env::var_os("BACKSTAY_TEST_PG_BINS").unwrap_or_default();
    let path = std::env::var_os("PATH");
    let search = SearchPath::with_usual_places(path.as_deref()).preferring(std::env::split_paths(&named));
    let installations = Installation::find_all(&search);
    let (newest, oldest) = (installations.first(), installations.last());
    let (newest, oldest) = newest
        .zip(oldest)
        .expect("no PostgreSQL server: run `cargo xtask test`, or install one (Debian: apt-get install postgresql)");
    let mut options = parse("--smoke").unwrap();
    options.clients = Some(newest.bin().to_owned());
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    options.json = Some(json.clone());
    let s3_server = [
        "--package",
        "backstay-testkit",
        "--features",
        "s3-server",
        "--example",
        "s3-server",
    ];
    let programs = Programs {
        postgres: oldest.bin(),
        backstay: &program("backstay", &["--package", "backstay-cli"]),
        s3_server: &program("examples/s3-server", &s3_server),
    };
    let groups = measure_all(&programs, &options, &CancelToken::new()).unwrap();

    let ratio = |group: usize, key, peer| groups[group].ratio(key, peer).is_some_and(|ratio| ratio > 0.0);
    assert!(ratio(0, "ours-zstd", "plain") && ratio(0, "ours-gzip", "floor"));
    assert!(ratio(1, "ours-gzip", "psql") && ratio(1, "ours-zstd", "pg_restore"));
    assert!(ratio(2, "ours-standard-gzip", "gunzip-gzip"));
    assert!(ratio(1, "ours-gzip", "floor") && ratio(0, "ours-gzip-sealed", "ours-gzip"));
    assert!(ratio(3, "ours-far", "local") && ratio(4, "ours-far", "ours-near"));
    let figures = std::fs::read_to_string(json).unwrap();
    assert!(
        figures.contains("\"heap_bytes\"")
            && figures.contains("ours-standard-zstd")
            && figures.contains("ours-restore-zstd"),
        "{figures}"
    );
}
