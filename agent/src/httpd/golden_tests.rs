//! Whole servers: what is read of each file of `golden/`, and what of anything else.
//!
//! `tests/httpd` holds the same files against a real httpd. A wanted change of what is expected:
//! `BLESS=1 cargo test -p sigblame golden`.

use std::{env, fs};

use super::{reader, tree};

fn path(name: &str) -> String {
    format!("{}/src/httpd/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn golden_servers_are_read_as_expected() {
    for name in ["debian", "fedora", "express", "traps"] {
        let text = fs::read_to_string(path(&format!("{name}.txt"))).expect(name);
        let (start, mut files) = tree::golden(&text);
        let reading = reader::read(&mut files, &start);
        let seen = reading.seen.iter();
        let seen = seen.map(|seen| format!("{}: {} {}", seen.place, seen.name, seen.arguments));
        let made = serde_json::json!({
            "configuration": reading.configuration,
            "seen": seen.collect::<Vec<_>>(),
        });
        let expected = path(&format!("{name}.json"));
        if env::var_os("BLESS").is_some() {
            let text = serde_json::to_string_pretty(&made).expect("JSON");
            fs::write(&expected, text + "\n").expect(&expected);
        }
        let text = fs::read_to_string(&expected).expect(&expected);
        let expected: serde_json::Value = serde_json::from_str(&text).expect(&expected);
        assert_eq!(made, expected, "{name}");
    }
}
