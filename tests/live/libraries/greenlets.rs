//! Greenlets: several Python stacks on one thread, whose native halves are copied in and out.

use serde_json::Value;

use super::{When::Request, environment, see};
use crate::support::is_about;

/// The package whose frames lie below a greenlet's own.
const GREENLET: &str = "_greenlet.cpython-";

/// A library in C, called from greenlets in a monkey-patched application. The Python stack is the
/// greenlet's own. The native one is right down to where the greenlet begins; there it ends and says
/// so, or goes on to the thread's first function: what lies below may be another greenlet's.
#[test]
fn calls_inside_of_greenlets_have_the_greenlets_stack() {
    let packages = ["gevent", "greenlet"];
    let test = "greenlets::calls_inside_of_greenlets_have_the_greenlets_stack";
    let Some(environment) = environment(test, &packages) else {
        return;
    };
    let seen = see(&environment, "greenlet", (Request, true), &[]);
    let calls = seen.answer["calls"].as_array().unwrap();
    let lines: Vec<&Value> = seen
        .lines
        .iter()
        .filter(|l| is_about(l, "SIGUSR2"))
        .collect();
    assert_eq!(calls.len(), 8);
    assert_eq!(lines.len(), calls.len(), "{lines:#?}");
    let mut last = Value::from("default");
    // One thread: the calls were made in the order in which they were noted.
    for (line, call) in lines.into_iter().zip(calls) {
        assert_eq!(line["python"]["result"], "complete", "{line:#}");
        assert_eq!(line["python"]["frames"], call["frames"], "{line:#}");
        assert_eq!(line["thread"]["tid"], call["tid"], "{line:#}");
        assert_eq!(line["change"]["old"]["kind"], last, "{line:#}");
        last = line["change"]["new"]["kind"].clone();
        assert_eq!(line["blame"]["module"], "libtakeover.so", "{line:#}");
        assert_eq!(line["blame"]["line"], call["frames"][0]["line"]);
        ends_where_the_greenlet_begins(line, true);
    }
}

/// faulthandler, called from a greenlet: gevent and greenlet lie further out on the native stack, and
/// have nothing to do with it.
#[test]
fn who_switched_is_not_to_blame() {
    let packages = ["gevent", "greenlet"];
    let test = "greenlets::who_switched_is_not_to_blame";
    let Some(environment) = environment(test, &packages) else {
        return;
    };
    let seen = see(&environment, "faulthandler_inside", (Request, true), &[]);
    let call = &seen.answer["calls"][0];
    let crashes = ["SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSEGV"];
    for signal in crashes {
        let line = seen.lines.iter().find(|l| is_about(l, signal)).unwrap();
        assert_eq!(line["python"]["frames"], call["frames"], "{line:#}");
        assert_eq!(line["blame"]["module"], Value::Null, "{line:#}");
        assert_eq!(line["blame"]["line"], call["frames"][0]["line"]);
        ends_where_the_greenlet_begins(line, false);
    }
}

fn ends_where_the_greenlet_begins(line: &Value, is_foreign: bool) {
    let frames = line["native"]["frames"].as_array().unwrap();
    let names: Vec<(&str, &str)> = frames
        .iter()
        .map(|frame| {
            let symbol = frame["symbol"].as_str().unwrap_or_default();
            (frame["module"].as_str().unwrap(), symbol)
        })
        .collect();
    if is_foreign {
        let inner = [
            ("libtakeover.so", "reports_install"),
            ("libtakeover.so", "reports_start"),
        ];
        assert_eq!(names[1..3], inner, "{line:#}");
    }
    // How greenlet 3 starts one, innermost first.
    let start = names
        .iter()
        .position(|(module, symbol)| {
            module.starts_with(GREENLET) && symbol.contains("inner_bootstrap")
        })
        .unwrap_or_else(|| panic!("no greenlet: {line:#}"));
    let steps = ["inner_bootstrap", "g_initialstub", "g_switch"];
    for ((module, symbol), step) in names[start..].iter().zip(steps) {
        assert!(module.starts_with(GREENLET), "{line:#}");
        assert!(symbol.contains(step), "{step}: {line:#}");
    }
    let result = line["native"]["result"].as_str().unwrap();
    let (module, symbol) = names.last().unwrap();
    if result == "complete" {
        assert!(
            module.starts_with("libc.so") && (symbol.is_empty() || symbol.contains("clone")),
            "{line:#}"
        );
    } else {
        assert!(result.starts_with("truncated("), "{line:#}");
        assert_eq!(names.len(), start + steps.len(), "{line:#}");
    }
}
