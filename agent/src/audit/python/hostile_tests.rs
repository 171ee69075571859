//! Files that were made to break a reader.

use super::*;

fn on_a_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

#[test]
fn files_that_nest_without_end_are_refused() {
    let many = |text: &str| text.repeat(100_000);
    for source in [
        many("("),
        many("-"),
        many("not "),
        many("x."),
        many("1+"),
        many("f("),
        many("lambda:"),
        many("x if y else "),
        many("f'{"),
        many("{0:"),
        many("1**"),
        many("f()"),
        many("[0]"),
        many("(1,)+"),
        format!("{}1{}", many("("), many("+1)")),
        many("await "),
        (0..4_000)
            .map(|level| format!("{}if x:\n", " ".repeat(level)))
            .collect(),
        many("@"),
        many("else if x:"),
        many("match x:\n case ("),
    ] {
        let source = format!("import signal\n{source}\n");
        let audited = on_a_big_stack(|| audit(source.as_bytes(), false));
        assert!(audited.problem.is_some(), "{:?}", source.get(..40));
    }
    // Long is not deep.
    let flat = format!(
        "import signal\nx = [{}]\nsignal.signal(15, x)",
        many("(1, 'a'), ")
    );
    assert_eq!(audit(flat.as_bytes(), false).problem, None);
}

/// The deepest trees that are walked fit on the stack that is asked for.
#[test]
fn what_is_not_refused_fits_on_the_stack() {
    // Each character is a token.
    let many = |text: &str| text.repeat((nesting::LEVELS_MAX - 10) / text.len().min(2));
    for source in [
        format!("{}1", many("-")),
        format!("{}1", many("1+")),
        format!("{}1{}", many("("), many(")")),
        format!("{}1{}", many("["), many("]")),
        format!("x{}", many(".x")),
        format!("{}1", many("lambda:")),
    ] {
        let source = format!("import signal\n{source}\n");
        let audited = on_a_big_stack(|| audit(source.as_bytes(), false));
        let refused = audited
            .problem
            .is_some_and(|problem| problem.contains("nests"));
        assert!(!refused, "{:?}", source.get(..40));
    }
}

#[test]
fn odd_files_are_named_not_trusted() {
    let problem = |bytes: &[u8]| audit(bytes, false).problem;
    assert_eq!(
        problem(b"import signal\nsignal.signal(15, x)\n\0"),
        Some("it has NUL bytes, which Python refuses".into())
    );
    assert!(
        problem(b"import signal # \xe4\n")
            .unwrap()
            .contains("UTF-8")
    );
    assert_eq!(problem(b"\xef\xbb\xbfimport signal\n"), None);
    let old = audit(
        b"import signal\nprint 'x'\nsignal.signal(15, print)\n",
        false,
    );
    assert!(old.problem.unwrap().starts_with("line 2 is no Python 3"));
    assert_eq!(old.uses.len(), 1);
    assert!(old.uses[0].likely);
    let latin = audit(b"#!/usr/bin/python\r# -*- coding: latin-1 -*-\r\nimport signal # \xe4\rsignal.signal(15, x)\n", false);
    assert_eq!(latin.problem, None);
    assert_eq!(latin.uses[0].line, Some(4));
}

/// Names that refer to one another in every way end.
#[test]
fn names_that_explode_are_given_up() {
    let mut source = String::from("import signal\n");
    for at in 0..200 {
        for _ in 0..20 {
            source.push_str(&format!("a{at} = a{}\n", (at * 7 + 3) % 200));
        }
        source.push_str(&format!("a{at}(a{at})\n"));
    }
    source.push_str(&"a0(a1, a2)\n".repeat(5_000));
    let begin = std::time::Instant::now();
    let _ = audit(source.as_bytes(), false);
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
}

/// Names are copied with what they name.
#[test]
fn names_without_end_are_nobodys() {
    let long = "f".repeat(4_000);
    let mut source = String::from("import signal\n");
    for level in 0..100 {
        source.push_str(&format!("{}def {long}{level}():\n", " ".repeat(level)));
    }
    source.push_str(&format!("{}signal.signal(15, x)\n", " ".repeat(100)));
    let audited = on_a_big_stack(|| audit(source.as_bytes(), false));
    let crate::audit::uses::When::Call(name) = &audited.uses[0].when else {
        panic!("{audited:?}");
    };
    assert!(name.len() < 2_000, "{}", name.len());
    // Each name in a tuple of tuples has a path.
    let target = format!("{}a{} = x\n", "(".repeat(150), ", b)".repeat(150));
    let parsed = parse_unchecked(&target, ParseOptions::from(Mode::Module));
    let Mod::Module(module) = parsed.syntax() else {
        panic!("{target}");
    };
    let model = collect::collect(&module.body, false);
    for binding in model.scopes[0].names.values().flatten() {
        if let model::Binding::Value(_, _, path) = binding {
            assert!(path.len() <= model::PARTS_MAX, "{path:?}");
        }
    }
    let calls = "s()\n".repeat(20_000);
    let stars: String = (0..50_000)
        .map(|at| format!("from a{at} import *\n"))
        .collect();
    for source in [
        format!("import signal, {} as s\n{calls}", "a".repeat(4 << 20)),
        format!("import signal\ns = signal.{}\n{calls}", "a".repeat(4 << 20)),
        format!("import signal\n{stars}{calls}"),
    ] {
        let begin = std::time::Instant::now();
        let _ = on_a_big_stack(|| audit(source.as_bytes(), false));
        let passed = begin.elapsed();
        assert!(passed.as_secs() < 5, "{passed:?} {:?}", source.get(..40));
    }
}

#[test]
fn no_more_uses_are_told_than_anybody_reads() {
    let source = format!("import signal\n{}", "signal.signal(15, x)\n".repeat(5_000));
    let audited = audit(source.as_bytes(), false);
    assert_eq!(audited.uses.len(), 1_000);
    assert!(audited.problem.is_some_and(|it| it.contains("more uses")));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(text in "(signal|import |def f\\(|\\(|\\)|:|\n|    |=|,|\\.|'|f'|\\{|\\}|for |in |[a-z]|[^ -~]){0,120}") {
        let _ = audit(format!("signal\n{text}").as_bytes(), false);
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(0_u8.., 0..400)) {
        let _ = audit(&[b"signal\n", &bytes[..]].concat(), false);
    }
}
