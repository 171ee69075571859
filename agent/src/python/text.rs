//! Bytes of a Python string, as the interpreter keeps them, to a Rust string.
//!
//! CPython keeps a string in the narrowest of four forms (PEP 393): ASCII, Latin-1 (not UTF-8),
//! UCS-2 and UCS-4, in the machine's byte order. Surrogates may stand alone in any of the wide
//! forms (`surrogateescape` puts them into file names), so not every string is Unicode text.

/// The mark at the end of a text that was longer.
pub const CUT: char = '…';

/// Decodes a string; `kind` is the bytes per character, 0 for ASCII.
///
/// What is no character becomes U+FFFD. A text that was cut ends in `…`, and half a character
/// before the cut is dropped. Control characters stay: escaping is the sinks' matter, who know
/// what is special where they write.
#[must_use]
pub fn decode(bytes: &[u8], kind: u8, cut: bool) -> String {
    let mut text: String = match kind {
        0 => bytes.iter().map(|&byte| ascii(byte)).collect(),
        1 => bytes.iter().map(|&byte| char::from(byte)).collect(),
        2 => {
            let (units, _) = bytes.as_chunks();
            units
                .iter()
                .map(|&unit| wide(u16::from_ne_bytes(unit).into()))
                .collect()
        }
        4 => {
            let (units, _) = bytes.as_chunks();
            units
                .iter()
                .map(|&unit| wide(u32::from_ne_bytes(unit)))
                .collect()
        }
        // No form of CPython's: nothing of it can be read.
        _ => bytes
            .first()
            .map(|_| char::REPLACEMENT_CHARACTER)
            .into_iter()
            .collect(),
    };
    let half = matches!(kind, 2 | 4) && !bytes.len().is_multiple_of(kind.into());
    if cut {
        text.push(CUT);
    } else if half {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

fn ascii(byte: u8) -> char {
    if byte.is_ascii() {
        char::from(byte)
    } else {
        char::REPLACEMENT_CHARACTER
    }
}

fn wide(unit: u32) -> char {
    char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ucs2(units: &[u16]) -> Vec<u8> {
        units.iter().flat_map(|unit| unit.to_ne_bytes()).collect()
    }

    #[test]
    fn the_four_forms() {
        assert_eq!(decode(b"leaf", 0, false), "leaf");
        assert_eq!(decode(b"leaf_\xe9", 1, false), "leaf_é");
        assert_eq!(decode(&ucs2(&[0x5b57, 0x41]), 2, false), "字A");
        let snake: Vec<u8> = ['a', '🐍']
            .iter()
            .flat_map(|&c| u32::from(c).to_ne_bytes())
            .collect();
        assert_eq!(decode(&snake, 4, false), "a🐍");
        assert_eq!(decode(b"", 0, false), "");
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        assert_eq!(decode(b"a\xe9", 0, false), "a\u{fffd}");
        // os.fsdecode(b'\xff') is '\udcff'.
        assert_eq!(decode(&ucs2(&[0xdcff, 0x41]), 2, false), "\u{fffd}A");
        // A pair of surrogates in UCS-2 is two characters for Python, and none for Unicode.
        assert_eq!(
            decode(&ucs2(&[0xd83d, 0xdc0d]), 2, false),
            "\u{fffd}\u{fffd}"
        );
        assert_eq!(decode(&0x11_0000u32.to_ne_bytes(), 4, false), "\u{fffd}");
        assert_eq!(decode(b"abc", 3, false), "\u{fffd}");
        assert_eq!(decode(&[0x41, 0, 0x42], 2, false).chars().count(), 2);
    }

    #[test]
    fn a_cut_text_says_so_and_drops_half_a_character() {
        assert_eq!(decode(b"/srv/a", 0, true), "/srv/a…");
        assert_eq!(decode(&ucs2(&[0x41, 0x42])[..3], 2, true), "A…");
        assert_eq!(decode(b"", 0, true), "…");
    }

    #[test]
    fn control_characters_stay() {
        assert_eq!(decode(b"a\n\x1b[0m\0b", 0, false), "a\n\x1b[0m\0b");
    }

    proptest! {
        #[test]
        fn any_bytes_of_any_kind_are_text(bytes: Vec<u8>, kind: u8, cut: bool) {
            let text = decode(&bytes, kind, cut);
            prop_assert_eq!(text.ends_with(CUT), cut || decode(&bytes, kind, false).ends_with(CUT));
            prop_assert!(text.chars().count() <= bytes.len() + 1);
        }
    }
}
