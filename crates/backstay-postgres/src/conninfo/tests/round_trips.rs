use proptest::prelude::*;

use super::variables;
use crate::Secret;
use crate::conninfo::{Variables, resolve};

/// Any text that a connection string can hold.
fn any_text() -> impl Strategy<Value = String> {
    let plain = proptest::string::string_regex("[a-z%:@/?#\\[\\] '\"\\\\=&,é\n]{1,12}").unwrap();
    let any = proptest::collection::vec(any::<char>().prop_filter("zero byte", |&c| c != '\0'), 1..12);
    prop_oneof![plain, any.prop_map(String::from_iter)]
}

/// A name that is not taken for a URL, which is refused on purpose.
fn database_name() -> impl Strategy<Value = String> {
    any_text().prop_filter("a URL", |name| !name.contains(":/"))
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

proptest! {
    #[test]
    fn a_percent_encoded_url_means_its_parts(
        user in any_text(), password in any_text(), database in database_name(), options in any_text(), port in 1u16..
    ) {
        let url = format!(
            "postgresql://{}:{}@h:{port}/{}?options={}",
            percent_encoded(&user), percent_encoded(&password), percent_encoded(&database), percent_encoded(&options)
        );
        let config = resolve(Some(&url), &variables(&[])).unwrap().config;
        prop_assert_eq!(config.endpoints[0].to_string(), format!("h:{port}"));
        prop_assert_eq!(config.user, user);
        prop_assert_eq!(config.password, Some(Secret::new(password)));
        prop_assert_eq!(config.database, database);
        prop_assert_eq!(config.options, Some(options));
    }

    #[test]
    fn a_quoted_string_means_its_parts(
        user in any_text(), password in any_text(), database in database_name(), port in 1u16..
    ) {
        let text = format!(
            "user={} password = {} host=h port='{port}' dbname= {}",
            quoted(&user), quoted(&password), quoted(&database)
        );
        let config = resolve(Some(&text), &variables(&[])).unwrap().config;
        prop_assert_eq!(config.endpoints[0].to_string(), format!("h:{port}"));
        prop_assert_eq!(config.user, user);
        prop_assert_eq!(config.password, Some(Secret::new(password)));
        prop_assert_eq!(config.database, database);
    }

    #[test]
    fn a_child_connects_to_the_same(
        user in any_text(), password in any_text(), database in database_name(), options in any_text(),
        hosts in prop_oneof![
            Just("host=a"), Just("host=a,/sock,b port=1,2,3"), Just("host=a,b hostaddr=,::1"), Just("host=/a/b port=7")
        ],
        rest in prop_oneof![
            Just(""), Just("sslmode=require"), Just("sslrootcert=system"), Just("sslmode=verify-ca sslrootcert=/r"),
            Just("sslcert=/c sslkey=/k"), Just("channel_binding=require connect_timeout=5"), Just("sslmode=disable")
        ]
    ) {
        let text = format!(
            "{hosts} {rest} user={} password={} dbname={} options={} application_name=n",
            quoted(&user), quoted(&password), quoted(&database), quoted(&options)
        );
        let config = resolve(Some(&text), &variables(&[])).unwrap().config;
        let child: Variables = config.child_environment().set.into_iter().collect();
        prop_assert_eq!(resolve(None, &child).unwrap().config, config);
    }

    #[test]
    fn no_text_makes_it_panic_or_shows_its_password(text in any_text(), before in any_text(), after in any_text()) {
        for connection in [
            text.clone(),
            format!("postgres://{text}"),
            format!("postgres://{before}:sEcReT7{after}@h/d"),
            format!("postgres://u:{before}sEcReT7{after}@h/d?{text}"),
            format!("password={before}sEcReT7{after} {text}"),
        ] {
            if let Err(error) = resolve(Some(&connection), &variables(&[])) {
                prop_assert!(!format!("{error} {error:?}").contains("sEcReT7"), "{connection}");
            }
        }
    }
}
