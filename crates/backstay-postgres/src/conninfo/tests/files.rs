use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{shown, with_home};
use crate::conninfo::{Resolved, Warning, resolve};

fn write(path: PathBuf, content: &str, mode: u32) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn password(resolved: &Resolved) -> Option<String> {
    let password = resolved.config.password.as_ref()?;
    Some(String::from_utf8(password.expose().to_vec()).unwrap())
}

#[test]
fn lines_of_the_password_file() {
    let home = tempfile::tempdir().unwrap();
    let lines = "# h:5432:d:u:comment\n\
                 \n\
                 h:5432:d:u:plain\r\n\
                 h:5432:d:u:second is too late\n\
                 h:*:d:u:any port\n\
                 *:*:*:wild:wild card\n\
                 h:5432:d:nothing:\n\
                 h:5432:*:nothing:after an empty one\n\
                 ::1:5432:d:u:six\n\
                 fe80\\:\\:1:5432:d:u:escaped six\n\
                 10.0.0.1:5432:d:u:by address\n\
                 localhost:5432:d:u:local\n\
                 /own/socket:5432:d:u:own socket\n\
                 h:5432:a\\:b:c\\\\d:x\\:y\\\\z:rest\n\
                 h:5432:d:u2:last";
    write(home.path().join(".pgpass"), lines, 0o600);
    let check = |connection: &str, expected: Option<&str>| {
        let resolved = resolve(Some(connection), &with_home(home.path(), &[])).unwrap();
        assert_eq!(password(&resolved).as_deref(), expected, "{connection}");
        assert_eq!(resolved.warnings, []);
    };
    check("host=h dbname=d user=u", Some("plain"));
    check("host=h port=1 dbname=d user=u", Some("any port"));
    check("host=x port=1 dbname=x user=wild", Some("wild card"));
    check("host=h dbname=d user=nothing", None);
    check("host=::1 dbname=d user=u", Some("six"));
    check("host=fe80::1 dbname=d user=u", Some("escaped six"));
    check("hostaddr=10.0.0.1 host='' dbname=d user=u", Some("by address"));
    check("hostaddr=10.0.0.1 host=h dbname=d user=u", Some("plain"));
    check("host=/var/run/postgresql dbname=d user=u", Some("local"));
    check("host=/tmp dbname=d user=u", Some("local"));
    check("host=localhost dbname=d user=u", Some("local"));
    check("host=/own/socket dbname=d user=u", Some("own socket"));
    check("host=/other/socket dbname=d user=u", None);
    check("host=h dbname=a:b user='c\\\\d'", Some("x:y\\z"));
    check("host=h dbname=d user=u2", Some("last"));
    check("host=h dbname=d user=nobody", None);
    check("host=hh dbname=d user=u", None);
    check("host=h dbname=d user=u password=given", Some("given"));
}

#[test]
fn all_hosts_of_a_connection_must_have_the_same_password() {
    let home = tempfile::tempdir().unwrap();
    let path = write(
        home.path().join(".pgpass"),
        "a:1:*:*:same\nb:2:*:*:same\nc:*:*:*:other\n",
        0o600,
    );
    let variables = with_home(home.path(), &[]);
    let resolved = resolve(Some("host=a,b port=1,2"), &variables).unwrap();
    assert_eq!(password(&resolved).as_deref(), Some("same"));
    for connection in [
        "host=a,b port=2,1,",
        "host=a,c port=1",
        "host=a,x port=1",
        "host=x,a port=1",
    ] {
        let error = resolve(Some(connection.trim_end_matches(',')), &variables);
        if connection == "host=a,b port=2,1," {
            assert!(error.unwrap().config.password.is_none(), "neither port has a line");
        } else {
            let expected = "does not have the same password for all hosts of the connection";
            let expected = format!("password file {} {expected}", path.display());
            assert_eq!(error.unwrap_err().to_string(), expected, "{connection}");
        }
    }
}

#[test]
fn where_the_password_file_is() {
    let home = tempfile::tempdir().unwrap();
    write(home.path().join(".pgpass"), "*:*:*:*:home\n", 0o600);
    let named = write(home.path().join("named"), "*:*:*:*:named\n", 0o600);
    let other = write(home.path().join("other"), "*:*:*:*:other\n", 0o400);
    let (named, other) = (named.to_str().unwrap(), other.to_str().unwrap());
    let check = |connection: &str, more: &[(&str, &str)], expected: Option<&str>| {
        let resolved = resolve(Some(connection), &with_home(home.path(), more)).unwrap();
        assert_eq!(password(&resolved).as_deref(), expected, "{connection} {more:?}");
        assert_eq!(resolved.warnings, []);
    };
    check("host=h", &[], Some("home"));
    check("host=h", &[("PGPASSFILE", named)], Some("named"));
    check(
        &format!("host=h passfile={other}"),
        &[("PGPASSFILE", named)],
        Some("other"),
    );
    check("host=h", &[("PGPASSFILE", "/nonexistent/file")], None);
    check("host=h", &[("PGPASSFILE", "")], Some("home"));
    check("host=h", &[("PGPASSFILE", named), ("PGPASSWORD", "p")], Some("p"));
}

#[test]
fn a_password_file_that_others_can_read_is_ignored_with_a_warning() {
    let home = tempfile::tempdir().unwrap();
    let check = |path: &Path, expected: Warning| {
        let variables = with_home(home.path(), &[("PGPASSFILE", path.to_str().unwrap())]);
        let resolved = resolve(Some("host=h"), &variables).unwrap();
        assert_eq!(password(&resolved), None);
        assert_eq!(resolved.warnings, [expected]);
    };
    for mode in [0o640, 0o604, 0o610, 0o601, 0o666] {
        let path = write(home.path().join("pass"), "*:*:*:*:p\n", mode);
        check(&path, Warning::PassfileExposed(path.clone()));
    }
    check(home.path(), Warning::PassfileNotPlain(home.path().to_owned()));
    let long = write(home.path().join("long"), &"#\n".repeat(1 << 20), 0o600);
    check(&long, Warning::PassfileUnreadable(long.clone()));
}

#[test]
fn services() {
    let home = tempfile::tempdir().unwrap();
    let system = tempfile::tempdir().unwrap();
    let user_file = "# a comment\nhost=outside\n[other]\nhost=o\n\n[s]  \n  host=h\n# port=1\nuser=first\nuser=second\n\
                     password= p=q \n[s]\nport=9\n[tab]\nhost=t\t\n";
    write(home.path().join(".pg_service.conf"), user_file, 0o644);
    write(
        system.path().join("pg_service.conf"),
        "[s]\nhost=system\n[sys]\nhost=system\n",
        0o644,
    );
    let named = write(home.path().join("named"), "[s]\nhost=named\n", 0o644);
    let folder = system.path().to_str().unwrap();
    let check = |service: &str, more: &[(&str, &str)], expected: &str| {
        let more = [&[("PGSYSCONFDIR", folder)], more].concat();
        let resolved = resolve(Some(&format!("service={service}")), &with_home(home.path(), &more));
        let actual = resolved.map_or_else(|error| error.to_string(), |resolved| shown(&resolved.config));
        assert_eq!(actual, expected);
    };
    check("s", &[], "first@h:5432/first password= p=q");
    check("other", &[], "me@o:5432/me");
    check("tab", &[], "me@t:5432/me");
    check("sys", &[], "me@system:5432/me");
    check("s", &[("PGSERVICEFILE", named.to_str().unwrap())], "me@named:5432/me");
    check(
        "sys",
        &[("PGSERVICEFILE", named.to_str().unwrap())],
        "me@system:5432/me",
    );
    check("none", &[], "definition of service \"none\" not found");
    check(
        "s",
        &[("PGSERVICEFILE", "/nonexistent")],
        "cannot read service file /nonexistent",
    );
}

#[test]
fn malformed_services() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".pg_service.conf");
    let check = |line: &str, expected: &str| {
        write(path.clone(), &format!("[s]\nhost=h\n{line}\n"), 0o644);
        let error = resolve(Some("service=s"), &with_home(home.path(), &[])).unwrap_err();
        let place = format!("character 1 of line 3 of {}", path.display());
        assert_eq!(error.to_string(), expected.replace("PLACE", &place));
    };
    check("port", "missing `=`, at PLACE");
    check("port = 1", "no blanks are allowed around `=`, at PLACE");
    check("prot=1", "unknown key at PLACE; the nearest known key is `port`");
    check("service=t", "a service cannot name another service, at PLACE");
}

#[test]
fn default_certificates() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| home.path().join(".postgresql").join(name);
    let check = |connection: &str, expected: &str, warnings: &[Warning]| {
        let resolved = resolve(Some(connection), &with_home(home.path(), &[]));
        let actual = match resolved {
            Ok(resolved) => {
                assert_eq!(resolved.warnings, warnings, "{connection}");
                shown(&resolved.config)
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(
            actual.replace(file("").to_str().unwrap(), "~/"),
            expected,
            "{connection}"
        );
    };
    check("host=h", "me@h:5432/me", &[]);
    write(file("root.crt"), "", 0o644);
    check("host=h", "me@h:5432/me root=~/root.crt", &[]);
    check(
        "host=h sslmode=verify-full",
        "me@h:5432/me ssl=VerifyFull root=~/root.crt",
        &[],
    );
    check("host=h sslrootcert=/r", "me@h:5432/me root=/r", &[]);
    check("host=h sslmode=disable", "me@h:5432/me ssl=Disable", &[]);
    check("host=/sock", "me@/sock:5432/me", &[]);
    write(file("postgresql.crt"), "", 0o644);
    check(
        "host=h",
        "client certificate ~/postgresql.crt has no private key: name it with sslkey",
        &[],
    );
    let key = write(file("postgresql.key"), "", 0o600);
    let client = "me@h:5432/me root=~/root.crt client=~/postgresql.crt,~/postgresql.key";
    check("host=h", client, &[]);
    check("host=h sslcertmode=disable", "me@h:5432/me root=~/root.crt", &[]);
    check("host=h sslcert=/c", &client.replace("~/postgresql.crt", "/c"), &[]);
    write(file("root.crl"), "", 0o644);
    check("host=h", client, &[Warning::RevocationListUnused(file("root.crl"))]);
    write(key, "", 0o644);
    let exposed = "private key file ~/postgresql.key has group or world access; it must be u=rw (0600) or less, or \
                   u=rw,g=r (0640) or less if owned by root";
    check("host=h", exposed, &[]);
}
