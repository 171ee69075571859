//! Properties: nothing is too odd to be read, and nested conditions give what a simple model gives.

use proptest::prelude::*;

use super::{fuzzing, tree::read_text};

/// A piece of a configuration that can change the switch.
#[derive(Clone, Debug)]
enum Piece {
    Switch(bool),
    Define(usize),
    Undefine(usize),
    If {
        negated: bool,
        name: usize,
        inside: Vec<Piece>,
    },
    /// Conditions do not care for sections, and the switch may not stand in them.
    Section(Vec<Piece>),
}

const NAMES: [&str; 3] = ["A", "b", "C"];

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Piece::Switch),
        (0..NAMES.len()).prop_map(Piece::Define),
        (0..NAMES.len()).prop_map(Piece::Undefine),
    ];
    let piece = leaf.prop_recursive(5, 40, 6, |inner| {
        let inside = prop::collection::vec(inner, 0..6);
        prop_oneof![
            3 => (any::<bool>(), 0..NAMES.len(), inside.clone()).prop_map(|(negated, name, inside)| {
                Piece::If { negated, name, inside }
            }),
            1 => inside.prop_map(Piece::Section),
        ]
    });
    prop::collection::vec(piece, 0..8)
}

/// As lines of a configuration.
fn written(pieces: &[Piece], text: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Switch(true) => text.push_str("WSGIRestrictSignal On\n"),
            Piece::Switch(false) => text.push_str(" wsgiRestrictSignal \\\n \"off\"\n"),
            Piece::Define(name) => text.push_str(&format!("Define {}\n", NAMES[*name])),
            Piece::Undefine(name) => text.push_str(&format!("undefine '{}'\n", NAMES[*name])),
            Piece::If {
                negated,
                name,
                inside,
            } => {
                let not = if *negated { "!" } else { "" };
                text.push_str(&format!("<IfDefine {not}{}>\n", NAMES[*name]));
                written(inside, text);
                text.push_str("</ifdefine>\n");
            }
            Piece::Section(inside) => {
                text.push_str("<Directory /x>\n");
                written(inside, text);
                text.push_str("</Directory>\n");
            }
        }
    }
}

/// What they come to.
fn model(
    pieces: &[Piece],
    defined: &mut [bool; 3],
    inside_section: bool,
    switch: &mut Option<bool>,
) {
    for piece in pieces {
        match piece {
            Piece::Switch(on) if !inside_section => *switch = Some(*on),
            Piece::Switch(_) => {}
            Piece::Define(name) => defined[*name] = true,
            Piece::Undefine(name) => defined[*name] = false,
            Piece::If {
                negated,
                name,
                inside,
            } => {
                if defined[*name] != *negated {
                    model(inside, defined, inside_section, switch);
                }
            }
            Piece::Section(inside) => model(inside, defined, true, switch),
        }
    }
}

proptest! {
    #[test]
    fn nested_conditions_give_what_the_model_gives(pieces in pieces()) {
        let (mut text, mut switch) = (String::new(), None);
        written(&pieces, &mut text);
        model(&pieces, &mut [false; 3], false, &mut switch);
        let read = read_text(&text).configuration.restrict_signal;
        prop_assert_eq!(read.map(|switch| switch.on), switch, "{}", text);
    }

    #[test]
    fn anything_is_read_within_limits(
        text in "(<?/?(Include|IfDefine|Macro|Use|Define|Directory|VirtualHost|WSGI[A-Z][a-zA-Z]{0,9})? ?[A-C$@{}\"'\\\\*~!./ äß\\x00-\\x1f]{0,12}>?\n?){0,40}",
    ) {
        fuzzing::check(&[text.into_bytes()]);
    }

    #[test]
    fn any_bytes_are_read_within_limits(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzzing::check(&[bytes]);
    }
}
