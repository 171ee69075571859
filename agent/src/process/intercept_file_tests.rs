//! The intercept in small files made by hand, in the forms that builds have.

use proptest::prelude::*;

use super::{super::sample::*, *};

/// Where a type or a specification has its name.
const NAMED: u64 = DATA + 0x100;
const SLOTS: u64 = DATA + 0x400;
const FUNCTION: u64 = CODE + 0x80;

fn find_in(sample: &Sample) -> Result<Intercept, NoIntercept> {
    let file = sample.build();
    find(&Elf::parse(file.as_slice()).expect("a sound file"))
}

fn found(sample: &Sample) -> Vec<Way> {
    let intercept = find_in(sample).expect("an intercept");
    assert_eq!(
        (intercept.address, intercept.offset),
        (FUNCTION, FUNCTION - CODE + CODE_OFFSET)
    );
    intercept.ways
}

/// The name behind other literals.
fn literal() -> Sample {
    Sample::new().constants(b"4.9.4\0").constants(NAME)
}

const LITERAL: u64 = CONSTANTS + 6;

/// A type, as a stripped build of up to 5.x has it, without an exported symbol.
fn named_type() -> Sample {
    literal()
        .pointer(NAMED, LITERAL)
        .pointer(NAMED + 24, CODE + 0x10)
        .pointer(NAMED + 104, FUNCTION)
}

fn exported_type() -> Sample {
    named_type().object("SignalIntercept_Type", NAMED - 24)
}

/// A specification with these slots and functions.
fn specification(slots: &[(u32, u64)]) -> Sample {
    let mut data = vec![0; 0x1000];
    let mut sample = literal().pointer(NAMED, LITERAL).pointer(NAMED + 24, SLOTS);
    for (index, &(id, function)) in slots.iter().enumerate() {
        let at = usize::try_from(SLOTS - DATA).expect("small") + 16 * index;
        data[at..at + 4].copy_from_slice(&id.to_le_bytes());
        sample = sample.pointer(SLOTS + 16 * index as u64 + 8, function);
    }
    sample.data(&data)
}

#[test]
fn every_way_leads_to_it() {
    use Way::*;
    let symbol = || Sample::new().hidden("SignalIntercept_call", FUNCTION);
    assert_eq!(found(&symbol()), [Symbol]);
    assert_eq!(found(&named_type()), [NamedType]);
    assert_eq!(found(&exported_type()), [ExportedType, NamedType]);
    let all = exported_type().hidden("SignalIntercept_call", FUNCTION);
    assert_eq!(found(&all), [Symbol, ExportedType, NamedType]);
    let usual = [(52, CODE), (50, FUNCTION), (0, 0)];
    assert_eq!(found(&specification(&usual)), [NamedSpecification]);
    assert_eq!(found(&specification(&usual[1..])), [NamedSpecification]);
    let all = specification(&usual).hidden("SignalIntercept_call", FUNCTION);
    assert_eq!(found(&all), [Symbol, NamedSpecification]);
}

/// The end of a longer literal is the same bytes, and nothing points there.
#[test]
fn the_name_may_stand_more_than_once() {
    let sample = Sample::new()
        .constants(b"not mod_wsgi.SignalIntercept\0")
        .constants(NAME)
        .pointer(NAMED, CONSTANTS + 29)
        .pointer(NAMED + 24, CODE)
        .pointer(NAMED + 104, FUNCTION);
    assert_eq!(found(&sample), [Way::NamedType]);
}

#[test]
fn a_type_of_another_name_is_not_ours() {
    let other = Sample::new()
        .constants(b"mod_wsgi.Dispatch\0")
        .object("SignalIntercept_Type", NAMED - 24)
        .pointer(NAMED, CONSTANTS)
        .pointer(NAMED + 24, CODE)
        .pointer(NAMED + 104, FUNCTION);
    assert_eq!(find_in(&other), Err(NoIntercept::NoName));
}

#[test]
fn what_is_missing_is_named() {
    use NoIntercept::*;
    let beyond: Vec<_> = (0..64).map(|_| (1, CODE)).chain([(50, FUNCTION)]).collect();
    for (sample, reason) in [
        (Sample::new(), NoName),
        (literal(), NoPointer),
        (literal().pointer(NAMED, LITERAL), NoCall),
        // Its dealloc is there, its call is not, or is no code.
        (
            literal()
                .pointer(NAMED, LITERAL)
                .pointer(NAMED + 24, CODE)
                .pointer(NAMED + 104, DATA),
            NoCall,
        ),
        (specification(&[]), NoCall),
        (specification(&[(52, CODE), (0, 0), (50, FUNCTION)]), NoCall),
        (specification(&[(50, DATA)]), NoCall),
        (specification(&beyond), NoCall),
        // A symbol that is none of a function's.
        (Sample::new().hidden("SignalIntercept_call", DATA), NoName),
        (Sample::new().import("SignalIntercept_call"), NoName),
    ] {
        let error = find_in(&sample).expect_err("no intercept");
        assert_eq!(error, reason);
        assert!(error.to_string().starts_with("failed to find the signal"));
    }
}

#[test]
fn two_ways_that_disagree_lead_nowhere() {
    use Way::*;
    for (sample, (one, other)) in [
        (
            named_type().hidden("SignalIntercept_call", CODE),
            (Symbol, NamedType),
        ),
        (
            Sample::new()
                .hidden("SignalIntercept_call", CODE)
                .hidden("SignalIntercept_call", FUNCTION),
            (Symbol, Symbol),
        ),
        (
            named_type()
                .pointer(NAMED + 0x200, LITERAL)
                .pointer(NAMED + 0x200 + 24, CODE)
                .pointer(NAMED + 0x200 + 104, CODE),
            (NamedType, NamedType),
        ),
    ] {
        assert_eq!(find_in(&sample), Err(NoIntercept::Disagreement(one, other)));
    }
}

/// Where relocations cannot be read, the symbol does without them.
#[test]
fn a_broken_table_leaves_the_symbol() {
    let broken = |sample: &Sample| {
        let mut file = sample.build();
        let headers = u64::from_le_bytes(file[40..48].try_into().expect("eight bytes"));
        // The size of the relocations, which are the last section.
        let size = usize::try_from(headers).expect("small") + 8 * 64 + 32;
        file[size..size + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        find(&Elf::parse(file.as_slice()).expect("sound headers"))
    };
    let symbol = broken(&named_type().hidden("SignalIntercept_call", FUNCTION));
    assert_eq!(symbol.expect("an intercept").ways, [Way::Symbol]);
    let refused = NoIntercept::Elf(ElfError::TooLarge("tables"));
    assert_eq!(broken(&named_type()), Err(refused));
}

proptest! {
    /// A file in which some bytes of the tables, the literals and the data are wrong.
    #[test]
    fn a_broken_file_is_survived(
        changes in prop::collection::vec((0..0x800_usize, any::<u8>()), 1..8),
        moved in prop::collection::vec((0..0x420_usize, any::<u8>()), 0..4),
    ) {
        for sample in [exported_type(), specification(&[(52, CODE), (50, FUNCTION)])] {
            let mut file = sample.build();
            for &(at, byte) in &changes {
                file[at] = byte;
            }
            for &(at, byte) in &moved {
                file[usize::try_from(DATA_OFFSET).expect("small") + at] = byte;
            }
            if let Ok(elf) = Elf::parse(file.as_slice())
                && let Ok(intercept) = find(&elf)
            {
                prop_assert_eq!(
                    elf.image.code_offset_of(intercept.address),
                    Some(intercept.offset)
                );
            }
        }
    }
}
