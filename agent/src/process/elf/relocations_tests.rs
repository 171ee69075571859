//! Pointers in small files made by hand.

use super::{
    super::super::sample::{CODE, CONSTANTS, DATA, Sample},
    *,
};

fn pointers(sample: &Sample) -> Pointers {
    let file = sample.build();
    let elf = Elf::parse(file.as_slice()).expect("a sound file");
    elf.pointers().expect("sound tables")
}

#[test]
fn pointers_of_every_form() {
    let exported = || Sample::new().function("there", CODE + 0x20);
    for sample in [
        exported()
            .pointer(DATA + 0x40, CODE)
            .pointer(DATA + 8, CONSTANTS),
        exported()
            .packed(DATA + 8, CONSTANTS)
            .packed(DATA + 0x40, CODE),
        exported()
            .symbolic(DATA + 0x40, 1, CODE.wrapping_sub(CODE + 0x20))
            .packed(DATA + 8, CONSTANTS),
    ] {
        let pointers = pointers(&sample);
        assert_eq!(pointers.at(DATA + 0x40), Some(CODE));
        assert_eq!(pointers.at(DATA + 8), Some(CONSTANTS));
        assert_eq!(pointers.at(DATA + 0x10), None);
        assert_eq!(pointers.to(CODE).collect::<Vec<_>>(), [DATA + 0x40]);
        assert_eq!(pointers.to(DATA).count(), 0);
    }
}

#[test]
fn what_leads_to_another_file_is_left_out() {
    let imported = Sample::new().import("Py_Initialize").symbolic(DATA, 1, 0);
    assert_eq!(pointers(&imported).at(DATA), None);
    let absent = Sample::new().symbolic(DATA, 9, 0);
    assert_eq!(pointers(&absent).at(DATA), None);
}

/// A packed word stands for 63 pointers: a small table may claim millions.
#[test]
fn a_table_that_claims_too_much_is_refused() {
    let many = (0..0x200 / 8).fold(Sample::new(), |sample, at| {
        sample.packed(DATA + 8 * at, CODE)
    });
    assert_eq!(pointers(&many).to(CODE).count(), 0x200 / 8);
    let words = vec![u64::MAX; POINTERS_MAX / 63 + 1];
    let words = [DATA].into_iter().chain(words);
    let word = |word| Relr64::<LittleEndian>(object::U64::new(E, word));
    let table: Vec<_> = words.map(word).collect();
    // All of it would have to lie in one segment, as large as that.
    let mut file = Sample::new().build();
    let segment = 64 + 2 * 56;
    file[segment + 32..segment + 40].copy_from_slice(&(8_u64 << 20).to_le_bytes());
    file.resize(9 << 20, 0);
    let elf = Elf::parse(file.as_slice()).expect("a sound file");
    let refused = elf.packed(&table, &mut Vec::new());
    assert_eq!(refused, Err(ElfError::TooLarge("relocations")));
}
