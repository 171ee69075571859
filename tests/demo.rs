//! The demo site by itself: a real server answers every link, and the two lists of links agree.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right end, also in what several tests share"
)]

use serde_json::Value;
use sigblame_tests::{
    demo::{self, DAEMON_MOUNT, IMPORT, PROCESS_GROUP, ROUTES},
    httpd::{Httpd, Installation, Mpm},
    skip,
};

fn start(test: &str) -> Option<Httpd> {
    if Installation::find().is_none() {
        skip(
            test,
            "no httpd with mod_wsgi is installed; `cargo xtask test` installs it",
        );
        return None;
    }
    Some(demo::start(Mpm::Event).unwrap())
}

/// A link with its recorded stacks, in the mount that `prefix` names.
fn ask(server: &Httpd, prefix: &str, path: &str) -> Value {
    let response = server.get(&format!("{prefix}{path}?json")).unwrap();
    assert_eq!(
        response.status,
        200,
        "{prefix}{path}: {}\n{}",
        response.body,
        server.error_log()
    );
    serde_json::from_str(&response.body).unwrap()
}

#[test]
fn page_and_table_have_the_same_links() {
    let Some(server) = start("page_and_table_have_the_same_links") else {
        return;
    };
    for mount in ["", DAEMON_MOUNT] {
        let page = server.get(&format!("{mount}/")).unwrap().body;
        let links: Vec<&str> = page
            .split("<a href=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.strip_prefix(mount))
            .collect();
        let table: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
        assert_eq!(links, table, "the links of pages.py and of demo::ROUTES");
    }
}

#[test]
fn every_link_works_in_both_mounts() {
    let Some(server) = start("every_link_works_in_both_mounts") else {
        return;
    };
    for (mount, group) in [("", ""), (DAEMON_MOUNT, PROCESS_GROUP)] {
        for route in ROUTES {
            let answer = ask(&server, mount, route.path);
            assert_eq!(answer["process_group"], group, "{answer}");
            let pid = u32::try_from(answer["pid"].as_u64().unwrap()).unwrap();
            assert!(server.children().unwrap().contains(&pid), "{answer}");
            for call in answer["calls"].as_array().unwrap() {
                let innermost = &call["frames"][0];
                let file = innermost["file"].as_str().unwrap();
                assert!(server.app_file("").join(file).exists(), "{answer}");
                let line = usize::try_from(innermost["line"].as_u64().unwrap()).unwrap();
                let text = std::fs::read_to_string(file).unwrap();
                assert!(
                    text.lines().nth(line - 1).unwrap().contains(".here("),
                    "{answer}"
                );
            }
        }
    }
}

#[test]
fn import_is_swallowed_without_a_word_to_the_application() {
    let Some(server) = start("import_is_swallowed_without_a_word_to_the_application") else {
        return;
    };
    let answer = ask(&server, "", IMPORT);
    let calls = answer["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 3, "{answer}");
    let route = ROUTES.iter().find(|route| route.path == IMPORT).unwrap();
    for (call, (signal, _)) in calls.iter().zip(route.at_start) {
        let note = answer["notes"].to_string();
        assert!(note.contains(&format!("{signal}: swallowed")), "{note}");
        let number = call["signals"][0].as_u64().unwrap();
        let logged = format!("Callback registration for signal {number} ignored");
        // Once in each process, when it started: nobody had clicked before.
        assert_eq!(server.error_log().matches(&logged).count(), 2, "{signal}");
    }
    let frames = calls[0]["frames"].as_array().unwrap();
    let functions: Vec<&str> = frames
        .iter()
        .filter_map(|frame| frame["function"].as_str())
        .collect();
    assert_eq!(
        functions[..2],
        ["Billing.attempt", "Billing.reload_on_hangup"]
    );
    assert!(
        answer["notes"][0].as_str().unwrap().contains("swallowed"),
        "{answer}"
    );
}
