use std::process::{Command, Stdio};

use wait4::Wait4 as _;

use crate::support::Sandbox;

/// Bytes of each of two values: a text, and a bytea, whose COPY text is twice as long.
const VALUE_BYTES: u64 = 100 << 20;

/// Two workers hold the texts of their members, three values long, and what they read or compress beside. It is about
/// 600 MB.
const PEAK_BYTES_MAX: u64 = 8 * VALUE_BYTES;

/// Runs the program, which must succeed; gives the most memory that it had, in bytes.
fn peak_bytes(sandbox: &Sandbox, arguments: &[&str]) -> u64 {
    let mut command = sandbox.backstay(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success(), "{arguments:?}: {}", used.status);
    used.rusage.maxrss
}

#[test]
fn values_of_a_hundred_megabytes_come_back_in_bounded_memory() {
    let sandbox = Sandbox::start();
    sandbox.sql(
        "kulti",
        "CREATE TABLE wide (id int PRIMARY KEY, t text, b bytea);
         INSERT INTO wide VALUES (1, repeat(E'\\t\\\\ and thirty bytes of text: \u{fc}\\n', 3276800), NULL),
           (2, NULL, decode(repeat('00ff5c0a', 26214400), 'hex')), (3, 'short', '\\x00')",
    );
    let digests = |database: &str| {
        sandbox.sql(
            database,
            "SELECT octet_length(t), md5(t), octet_length(b), md5(b) FROM wide ORDER BY id",
        )
    };
    let expected = digests("kulti");
    assert_eq!(expected.matches(&VALUE_BYTES.to_string()).count(), 2, "{expected}");
    for arguments in [
        &["backup", "--jobs", "2"][..],
        &["verify", "latest", "--jobs", "2"],
        &[
            "restore", "latest", "--to", "copy", "--create", "--jobs", "2", "--yes", "copy",
        ],
    ] {
        let peak = peak_bytes(&sandbox, arguments);
        assert!(peak < PEAK_BYTES_MAX, "{arguments:?} took {} MiB", peak >> 20);
    }
    assert_eq!(digests("copy"), expected);
    sandbox.sql("postgres", "CREATE DATABASE by_psql TEMPLATE template0");
    let pack = sandbox.file_ending("backups", ".sql.gz");
    let mut unpack = Command::new("gzip")
        .arg("-dc")
        .arg(pack)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut psql = sandbox.client("psql", "by_psql");
    let psql = psql
        .args(["-Xq", "-o", "/dev/null"])
        .stdin(unpack.stdout.take().unwrap())
        .status();
    assert!(psql.unwrap().success() && unpack.wait().unwrap().success());
    assert_eq!(digests("by_psql"), expected);
}
