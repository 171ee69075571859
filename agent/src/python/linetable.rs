//! From an instruction to a line: the three tables that CPython has had since 3.6.
//!
//! The oracle of the tests is CPython's own `PyCode_Addr2Line` (`Objects/codeobject.c`), asked
//! in each interpreter for every instruction; see `tests/fixtures/linetables`. Where CPython
//! answers -1, this module answers `None`.

use super::Version;

/// The form of a line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `co_lnotab`, up to 3.9: pairs of (bytes, lines), `Objects/lnotab_notes.txt` of 3.6–3.9.
    Lnotab,
    /// `co_linetable` of 3.10: ranges with a line or none, `Objects/lnotab_notes.txt` of 3.10.
    Ranges,
    /// `co_linetable` from 3.11 on: lines and columns, `Objects/locations.md` of 3.11.
    Locations,
}

impl Kind {
    /// The form that a version uses. `None` before 3.6, where line deltas were unsigned.
    #[must_use]
    pub fn of(version: Version) -> Option<Self> {
        match (version.major, version.minor) {
            (3, 6..=9) => Some(Self::Lnotab),
            (3, 10) => Some(Self::Ranges),
            (3, 11..) => Some(Self::Locations),
            _ => None,
        }
    }
}

/// The line of the instruction at a byte offset into the bytecode.
///
/// `cut` says that the table was longer than what is there. A cut table answers only where what
/// is there decides; so does a garbled one. `None` also stands for code that has no line (the
/// compiler's own), and for a line that no `int` holds.
#[must_use]
pub fn line(kind: Kind, table: &[u8], first_line: u32, instruction: i64, cut: bool) -> Option<u32> {
    let first = i64::from(first_line);
    let line = if instruction < 0 {
        // The frame has not started: CPython reports the first line.
        first
    } else {
        match kind {
            Kind::Lnotab => lnotab(table, first, instruction, cut)?,
            Kind::Ranges => ranges(table, first, instruction)?,
            Kind::Locations => locations(table, first, instruction)?,
        }
    };
    // CPython computes in `int`; `co_firstlineno` is one, too.
    u32::try_from(i32::try_from(line).ok()?).ok()
}

/// Each pair says how many bytes of code the line so far still has, and what to add then.
///
/// Beyond the last pair the line stays, so the end of a cut table decides nothing.
fn lnotab(table: &[u8], first: i64, instruction: i64, cut: bool) -> Option<i64> {
    let mut line = first;
    let mut address = 0;
    for &[bytes, lines] in table.as_chunks().0 {
        address += i64::from(bytes);
        if address > instruction {
            return Some(line);
        }
        line += i64::from(lines.cast_signed());
    }
    (!cut).then_some(line)
}

/// Each pair is a range of code and its line's distance; -128 means that the range has no line.
fn ranges(table: &[u8], first: i64, instruction: i64) -> Option<i64> {
    let mut line = first;
    let mut end = 0;
    for &[bytes, lines] in table.as_chunks().0 {
        end += i64::from(bytes);
        let delta = lines.cast_signed();
        if delta != -128 {
            line += i64::from(delta);
        }
        if instruction < end {
            return (delta != -128).then_some(line);
        }
    }
    None
}

/// Each entry starts with the only byte that has bit 7 set: the kind of entry in bits 3–6, the
/// number of two-byte code units less one in bits 0–2. What follows depends on the kind.
fn locations(table: &[u8], first: i64, instruction: i64) -> Option<i64> {
    let mut line = first;
    let mut end = 0;
    let mut rest = table;
    while let [head, tail @ ..] = rest {
        if head & 0x80 == 0 {
            return None;
        }
        let size = tail.iter().position(|byte| byte & 0x80 != 0);
        let (body, next) = tail.split_at(size.unwrap_or(tail.len()));
        end += 2 * (i64::from(head & 7) + 1);
        let delta = match (head >> 3) & 15 {
            // Columns only: the line stays.
            0..=9 => Some(0),
            // Two bytes of columns; the kind itself is the distance.
            kind @ 10..=12 => Some(i64::from(kind) - 10),
            // A distance, without (13) and with (14) the end line and the columns.
            13 | 14 => Some(signed(body)?),
            // No line.
            _ => None,
        };
        line += delta.unwrap_or(0);
        if instruction < end {
            return delta.map(|_| line);
        }
        rest = next;
    }
    None
}

/// A signed number in groups of six bits, lowest first; bit 6 means that more follow. The lowest
/// bit of the number is the sign.
fn signed(bytes: &[u8]) -> Option<i64> {
    let mut value: i64 = 0;
    // Six groups hold any `unsigned int`, which is all that CPython writes.
    for (group, byte) in (0u32..6).zip(bytes) {
        value |= i64::from(byte & 0x3f) << (6 * group);
        if byte & 0x40 == 0 {
            let magnitude = value >> 1;
            return Some(if value & 1 == 0 {
                magnitude
            } else {
                -magnitude
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// One code object of a real interpreter.
    struct Case {
        name: String,
        kind: Kind,
        first_line: u32,
        table: Vec<u8>,
        /// CPython's answer for each code unit.
        lines: Vec<Option<u32>>,
    }

    /// Columns: version, code object, first line, table, runs of `units*line`.
    fn cases() -> Vec<Case> {
        let text = include_str!("../../../tests/fixtures/linetables/cases.txt");
        let rows = text.lines().filter(|row| !row.starts_with('#'));
        rows.map(|row| case(row).expect(row)).collect()
    }

    fn case(row: &str) -> Option<Case> {
        let mut columns = row.split(' ');
        let version = columns.next()?;
        let (major, minor) = version.split_once('.')?;
        let kind = Kind::of(Version::new(major.parse().ok()?, minor.parse().ok()?))?;
        let name = format!("{} in {version}", columns.next()?);
        let first_line = columns.next()?.parse().ok()?;
        let (hex, _) = columns.next()?.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let table = hex.iter().map(byte).collect::<Option<_>>()?;
        let mut lines = Vec::new();
        for run in columns.next()?.split(',') {
            let (units, line) = run.split_once('*')?;
            lines.extend(std::iter::repeat_n(line.parse().ok(), units.parse().ok()?));
        }
        Some(Case {
            name,
            kind,
            first_line,
            table,
            lines,
        })
    }

    impl Case {
        fn line(&self, size: usize, unit: usize, cut: bool) -> Option<u32> {
            let table = &self.table[..size];
            line(self.kind, table, self.first_line, 2 * unit as i64, cut)
        }
    }

    #[test]
    fn every_instruction_has_cpythons_line() {
        let cases = cases();
        assert!(cases.len() > 20, "the fixture is there");
        for case in &cases {
            for (unit, &expected) in case.lines.iter().enumerate() {
                let found = case.line(case.table.len(), unit, false);
                assert_eq!(found, expected, "unit {unit} of {}", case.name);
            }
        }
    }

    #[test]
    fn a_cut_table_tells_the_truth_or_nothing() {
        // Cutting the longest tables everywhere takes a minute and shows nothing more.
        for case in cases().iter().filter(|case| case.table.len() < 400) {
            for (unit, &whole) in case.lines.iter().enumerate() {
                for size in 0..=case.table.len() {
                    let found = case.line(size, unit, true);
                    let at = format!("unit {unit}, {size} bytes of {}", case.name);
                    assert!(found.is_none() || found == whole, "{found:?} at {at}");
                }
                // All bytes, and the instruction is not behind them.
                if case.kind != Kind::Lnotab {
                    assert_eq!(case.line(case.table.len(), unit, true), whole);
                }
            }
        }
    }

    #[test]
    fn a_frame_before_its_first_instruction_is_at_the_first_line() {
        for kind in [Kind::Lnotab, Kind::Ranges, Kind::Locations] {
            assert_eq!(line(kind, &[], 7, -1, true), Some(7));
            assert_eq!(
                line(kind, &[], u32::MAX, -1, false),
                None,
                "no `int` holds it"
            );
        }
    }

    #[test]
    fn garbled_locations_have_no_line() {
        let at = |table: &[u8]| line(Kind::Locations, table, 10, 0, false);
        // Kind 13 with a distance of +1, then the same with its number cut off or endless.
        assert_eq!(at(&[0x80 | 13 << 3, 2]), Some(11));
        assert_eq!(at(&[0x80 | 13 << 3]), None);
        assert_eq!(at(&[0x80 | 13 << 3, 0x42]), None);
        assert_eq!(
            at(&[0x80 | 13 << 3, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 1]),
            None
        );
        // A line before the first of the file, and an entry that does not start like one.
        assert_eq!(at(&[0x80 | 13 << 3, 0x3f]), None);
        assert_eq!(at(&[0x00, 0x80]), None);
        // Two bytes further is behind this table.
        assert_eq!(line(Kind::Locations, &[0x80, 0], 10, 2, false), None);
    }

    /// Bytes that look like entries of a location table, with long numbers among them.
    fn entries() -> impl Strategy<Value = Vec<u8>> {
        let entry = (
            0x80..=0xffu8,
            vec(0x40..0x80u8, 0..16),
            vec(0..0x40u8, 0..3),
        );
        vec(entry, 0..8).prop_map(|entries| {
            let flat = |(head, long, short)| [vec![head], long, short].concat();
            entries.into_iter().flat_map(flat).collect()
        })
    }

    proptest! {
        #[test]
        fn any_table_has_a_line_or_none(
            table in prop_oneof![vec(any::<u8>(), 0..100), entries()],
            first: u32,
            instruction: i64,
            cut: bool,
        ) {
            for kind in [Kind::Lnotab, Kind::Ranges, Kind::Locations] {
                let _ = line(kind, &table, first, instruction, cut);
                let near = instruction.rem_euclid(2 * table.len() as i64 + 2);
                let _ = line(kind, &table, first, near, cut);
            }
        }
    }
}
