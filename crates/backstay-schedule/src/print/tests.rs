use super::*;

fn unit(name: &str, title: &str, cron: &str, zone: Option<&str>) -> Unit {
    let words: Vec<&str> = title.split(' ').collect();
    let arguments = ["run", "--now", words[0], "--db", words[2]];
    Unit {
        name: name.to_owned(),
        title: title.to_owned(),
        cron: cron.parse().unwrap(),
        zone: (zone.map(str::to_owned), TimeZone::get(zone.unwrap_or("UTC")).unwrap()),
        jitter: SignedDuration::from_mins(10),
        arguments: arguments.map(str::to_owned).to_vec(),
        variables: vec!["KULTI_PASSWORD".to_owned(), "MAIL_PASSWORD".to_owned()],
    }
}

fn units() -> Vec<Unit> {
    let mut drill = unit("shop-drill", "drill of shop", "0 4 1 * SUN", Some("Asia/Tokyo"));
    drill.jitter = SignedDuration::ZERO;
    drill.variables.clear();
    vec![unit("kulti-backup", "backup of kulti", "30 2 * * *", None), drill]
}

fn setting() -> Setting {
    Setting {
        program: "backstay".to_owned(),
        config: "./100% of \"$X\"/backstay.toml".to_owned(),
        image: "backstay:0.1.0".to_owned(),
    }
}

fn shown(files: &[PrintedFile]) -> String {
    let files = files.iter().map(|file| format!("# {}\n{}", file.name, file.text));
    files.collect::<Vec<_>>().join("\n")
}

#[test]
fn lines_for_cron() {
    insta::assert_snapshot!(shown(&[crontab(&units(), &setting())]));
}

#[test]
fn units_for_systemd() {
    insta::assert_snapshot!(shown(&systemd(&units(), &setting())));
}

#[test]
fn jobs_for_kubernetes() {
    insta::assert_snapshot!(shown(&[kubernetes(&units(), &setting())]));
}

#[test]
fn sunday_has_the_number_that_kubernetes_knows() {
    for (cron, expected) in [
        ("0 4 * * 7", "0 4 * * 0"),
        ("0 4 * * 5-7", "0 4 * * 0,5,6"),
        ("7 7 7 7 *", "7 7 7 7 *"),
    ] {
        let text = kubernetes(&[unit("shop-drill", "drill of shop", cron, None)], &setting()).text;
        assert!(text.contains(&format!("schedule: \"{expected}\"")), "{text}");
    }
}

#[test]
fn a_workflow_for_github() {
    let now = "2025-01-16T00:00:00Z".parse().unwrap();
    let mut units = units();
    units[1].cron = "0 12 1 * SUN".parse().unwrap();
    insta::assert_snapshot!(shown(&[github_actions(&units, &setting(), now).unwrap()]));
    units[1].zone = (
        Some("Europe/Berlin".to_owned()),
        TimeZone::get("Europe/Berlin").unwrap(),
    );
    let error = github_actions(&units, &setting(), now).unwrap_err();
    assert!(matches!(error, PrintError::ClocksAreSet { .. }), "{error}");
}

#[test]
fn times_for_systemd_are_those_of_cron() {
    for (cron, expected) in [
        ("30 2 * * *", &["*-*-* 02:30:00"][..]),
        ("*/15 * * * *", &["*-*-* *:00,15,30,45:00"]),
        ("0 4 * * SUN,5", &["Sun,Fri *-*-* 04:00:00"]),
        ("0 4 1,15 2-3 *", &["*-02,03-01,15 04:00:00"]),
        ("0 4 1 * 1", &["*-*-01 04:00:00", "Mon *-*-* 04:00:00"]),
        // Every day is one of the month, and some are Mondays, too.
        (
            "0 4 1 * 0-6",
            &["*-*-01 04:00:00", "Sun,Mon,Tue,Wed,Thu,Fri,Sat *-*-* 04:00:00"],
        ),
    ] {
        assert_eq!(systemd::on_calendar(&cron.parse().unwrap()), expected, "{cron}");
    }
}
