use std::path::PathBuf;

use backstay::HoldFacts;
use backstay::status::BackupManifest;
use serde_json::json;

use crate::browser::{Browser, Screen};
use crate::made::{backup, drill, fleet, page_about, proven, series, store};

const SCREENS: [Screen; 6] = [
    Screen {
        width: 1280,
        scheme: "light",
    },
    Screen {
        width: 1280,
        scheme: "dark",
    },
    Screen {
        width: 768,
        scheme: "light",
    },
    Screen {
        width: 768,
        scheme: "dark",
    },
    Screen {
        width: 375,
        scheme: "light",
    },
    Screen {
        width: 375,
        scheme: "dark",
    },
];

/// A name that is a script where anybody forgets to escape it.
const SCRIPT: &str = "<script>document.title='taken'</script><img src=x onerror=document.title='taken'>";

/// A database of which everything that can be is called [`SCRIPT`].
fn hostile() -> String {
    let mut hostile = proven(backup("kulti", 10, 1 << 20), "deep");
    hostile.holds = vec![HoldFacts {
        who: SCRIPT.to_owned(),
        why: SCRIPT.to_owned(),
    }];
    let mut refused = backup("kulti", 20, 1 << 20);
    refused.manifest = BackupManifest::Refused(SCRIPT.to_owned());
    let mut drill = drill(&hostile, true, 60);
    drill.evidence.place = SCRIPT.to_owned();
    let mut series = series(vec![refused, hostile], vec![drill]);
    series.origin = None;
    page_about(&[store(SCRIPT, vec![series])], &[])
}

fn many() -> String {
    let backups = (0..2000).rev().map(|night| {
        let backup = backup("kulti", 10 + 24 * night, (100 << 20) + 1000 * (2000 - night as u64));
        if night % 7 == 0 {
            proven(backup, "standard")
        } else {
            backup
        }
    });
    page_about(&[store("./backups", vec![series(backups.collect(), Vec::new())])], &[])
}

/// Where pages and pictures go that somebody wants to look at.
fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_browser_shows_every_page_and_asks_nobody() {
    let mut browser = Browser::start();
    let one = page_about(
        &[store(
            "./backups",
            vec![series(vec![backup("kulti", 10, 5 << 20)], Vec::new())],
        )],
        &[],
    );
    let pages = [
        ("fleet", fleet(), 3),
        ("empty", page_about(&[store("./backups", Vec::new())], &[]), 0),
        ("one", one, 1),
        ("many", many(), 1),
        ("hostile", hostile(), 1),
    ];
    let looks = std::env::var_os("BACKSTAY_TEST_PICTURES").is_some();
    for (name, page, databases) in pages {
        let file = folder().join(format!("{name}.html"));
        std::fs::write(&file, &page).unwrap();
        let mut backgrounds = Vec::new();
        for screen in SCREENS {
            let about = format!("{name} {screen:?}");
            let (console, requests) = browser.open(&file, screen);
            assert!(console.is_empty(), "{about}: {console:?}");
            assert!(requests.is_empty(), "{about}: {requests:?}");
            // No name became markup, and nothing is wider than the screen.
            let title = browser.evaluate("document.title");
            assert!(title.as_str().unwrap().starts_with("Backups"), "{about}: {title}");
            assert_eq!(
                browser.evaluate("document.scripts.length + document.images.length"),
                json!(0),
                "{about}"
            );
            let over = "(page => page.scrollWidth - page.clientWidth)(document.documentElement)";
            assert_eq!(browser.evaluate(over), json!(0), "{about}");
            let sections = browser.evaluate("document.querySelectorAll('section[id^=database-]').length");
            assert_eq!(sections, json!(databases), "{about}");
            backgrounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
            if looks {
                let picture = browser.picture();
                let picture = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, picture).unwrap();
                let file = format!("{name}-{}-{}.png", screen.width, screen.scheme);
                std::fs::write(folder().join(file), picture).unwrap();
            }
        }
        assert_ne!(backgrounds[0], backgrounds[1], "{name}: light is dark");
        if looks {
            let printed = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, browser.printed()).unwrap();
            std::fs::write(folder().join(format!("{name}.pdf")), printed).unwrap();
        }
    }
    a_fleet_is_told(&mut browser);
}

/// What a reader of the screen, and one who reads it aloud, finds.
fn a_fleet_is_told(browser: &mut Browser) {
    let file = folder().join("fleet.html");
    let desk = Screen {
        width: 1280,
        scheme: "dark",
    };
    browser.open(&file, desk);
    let headings = "[...document.querySelectorAll('h1, h2')].map(heading => heading.textContent)";
    assert_eq!(
        browser.evaluate(headings),
        json!([
            "Backups",
            "Databases",
            "kulti",
            "shop",
            "vault",
            "Stores",
            "What was done"
        ])
    );
    let states = "[...document.querySelectorAll('#overview ~ div tbody .pill')].map(pill => pill.textContent.trim().split(' ')[1])";
    assert_eq!(browser.evaluate(states), json!(["good", "bad", "unknown"]));
    // Each chart has a name and a description, and its numbers stand in a table.
    let unnamed = "[...document.querySelectorAll('svg')].filter(svg => !svg.querySelector('title')?.textContent
        || !svg.querySelector('desc')?.textContent || svg.getAttribute('role') != 'img').length";
    assert_eq!(browser.evaluate(unnamed), json!(0));
    assert!(
        browser
            .evaluate("document.querySelectorAll('svg').length")
            .as_u64()
            .unwrap()
            >= 7
    );
    let headed = "[...document.querySelectorAll('table')].every(table => table.querySelectorAll('thead th[scope=col]').length > 0)";
    assert_eq!(browser.evaluate(headed), json!(true));
    let ids =
        "(ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(element => element.id))";
    assert_eq!(browser.evaluate(ids), json!(0), "ids are there twice");
    let broken = "[...document.querySelectorAll('[aria-labelledby]')].flatMap(element => element.getAttribute('aria-labelledby').split(' '))
        .filter(id => !document.getElementById(id)).length";
    assert_eq!(browser.evaluate(broken), json!(0), "names that nothing has");
    // Charts take the colours of the dark page.
    let line = "getComputedStyle(document.querySelector('svg polyline')).stroke";
    let dark = browser.evaluate(line);
    browser.open(
        &file,
        Screen {
            scheme: "light",
            ..desk
        },
    );
    assert_ne!(browser.evaluate(line), dark);
    let text = browser.evaluate("document.body.textContent");
    let text = text.as_str().unwrap();
    for expected in [
        "access denied",
        "audit of 2024",
        "#pre-migration",
        "weekly",
        "yearly",
        "monthly",
        "/var/backups/prod",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn a_page_is_bounded() {
    let lengths = [fleet(), many(), hostile()].map(|page| page.len());
    assert!(lengths.iter().all(|length| *length < 400_000), "{lengths:?}");
}
