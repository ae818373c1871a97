use std::fs;

use super::*;

const GOOD: &str = "[store.a]\nurl = 'x'\n";

fn in_places(places: Vec<PathBuf>) -> Configuration {
    Configuration {
        places,
        ..Configuration::default()
    }
}

#[test]
fn the_file_is_the_one_named_else_the_one_here_else_that_of_the_user() {
    let find = |typed: Option<&str>, variables: &[(&str, &str)]| {
        let variables = variables.iter().copied().collect();
        let found = Configuration::find(typed.map(PathBuf::from), &variables);
        let places: Vec<String> = found.places.iter().map(|path| path.display().to_string()).collect();
        (found.named.map(|path| path.display().to_string()), places.join(" "))
    };
    let here = "backstay.toml";
    for (variables, expected) in [
        (&[][..], here.to_owned()),
        (&[("HOME", "/h")], format!("{here} /h/.config/backstay/{here}")),
        (
            &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")],
            format!("{here} /x/backstay/{here}"),
        ),
        (
            &[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")],
            format!("{here} /h/.config/backstay/{here}"),
        ),
        (&[("HOME", ""), ("XDG_CONFIG_HOME", "")], here.to_owned()),
    ] {
        assert_eq!(find(None, variables), (None, expected), "{variables:?}");
    }
    let variable = [("BACKSTAY_CONFIG", "v.toml")];
    assert_eq!(find(None, &variable).0.as_deref(), Some("v.toml"));
    assert_eq!(find(Some("t.toml"), &variable).0.as_deref(), Some("t.toml"));
    assert_eq!(find(None, &[("BACKSTAY_CONFIG", "")]).0, None);
}

#[test]
fn the_first_file_that_is_there_counts_and_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let places: Vec<PathBuf> = ["a/b.toml", "c.toml", "d.toml"]
        .iter()
        .map(|name| folder.path().join(name))
        .collect();
    let none = in_places(places.clone());
    assert!(none.get().unwrap().is_none());
    assert!(matches!(none.require(), Err(ConfigurationError::Nowhere(_))));
    fs::write(&places[1], GOOD).unwrap();
    fs::write(&places[2], "mistake").unwrap();
    let found = in_places(places.clone());
    assert_eq!(found.require().unwrap().path, places[1]);
    fs::remove_file(&places[1]).unwrap();
    assert!(found.require().is_ok());
    assert!(matches!(in_places(places).get(), Err(ConfigurationError::Mistakes(_))));
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let configuration = Configuration::find(Some(PathBuf::from("/nowhere/b.toml")), &Variables::default());
    assert!(matches!(configuration.get(), Err(ConfigurationError::Read { .. })));
}

#[test]
fn what_is_too_long_or_no_text_is_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.toml");
    let named = Configuration::find(Some(path.clone()), &Variables::default());
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    assert!(matches!(named.get(), Err(ConfigurationError::TooLong { .. })));
    fs::write(&path, b"\xff").unwrap();
    assert!(matches!(named.get(), Err(ConfigurationError::Read { .. })));
    fs::write(&path, "#".repeat(1 << 20)).unwrap();
    assert!(named.get().is_ok());
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_is_used_only_if_it_is_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.toml");
    fs::write(&path, GOOD).unwrap();
    for (mode, is_used) in [(0o644, true), (0o664, true), (0o666, false), (0o646, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let found = in_places(vec![path.clone()]);
        match found.get() {
            Ok(_) => assert!(is_used, "{mode:o}"),
            Err(error) => assert!(
                !is_used && matches!(error, ConfigurationError::Exposed { .. }),
                "{error}"
            ),
        }
        let named = Configuration::find(Some(path.clone()), &Variables::default());
        assert!(named.get().is_ok(), "{mode:o}");
    }
}
