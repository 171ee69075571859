//! Segments and broken files.

use super::{super::sample::*, *};

fn image() -> Image {
    let file = Sample::python().build();
    Elf::parse(file.as_slice()).expect("a sound file").image
}

#[test]
fn addresses_and_offsets() {
    let image = image();
    assert_eq!(image.end(), END);
    assert_eq!(image.offset_of(DATA + 8), Some(DATA_OFFSET + 8));
    assert_eq!(image.code_offset_of(CODE + 8), Some(CODE_OFFSET + 8));
    assert_eq!(image.code_offset_of(DATA), None);
    assert_eq!(image.offset_of(END - 1), None, ".bss is not in the file");
    assert_eq!(image.offset_of(u64::MAX), None);
}

#[test]
fn the_bias_comes_from_the_executable_segment() {
    let image = image();
    let base = 0x7f00_0000_0000;
    let bias = image.bias(base + CODE, base + CODE + 0x1000, CODE_OFFSET);
    assert_eq!(bias, Some(base));
    // A part of the code that `mprotect` split off.
    let part = image.bias(
        base + CODE + 0x800,
        base + CODE + 0x1000,
        CODE_OFFSET + 0x800,
    );
    assert_eq!(part, Some(base));
    assert_eq!(image.bias(base, base + 0x1000, 0), None, "no code there");
    assert_eq!(Image::default().bias(base, base + 1, 0), None);
    assert!(image.bias(u64::MAX, 0, u64::MAX).is_none());
}

/// polars: the constants end in the page of the file in which the code begins.
#[test]
fn two_segments_may_share_a_page_of_the_file() {
    let segment = |address, offset, file_size, executable| Segment {
        address,
        offset,
        file_size,
        memory_size: file_size,
        executable,
    };
    let image = Image(vec![
        segment(0, 0, 0x165_b508, false),
        segment(0x165_c540, 0x165_b540, 0x3_0000, true),
    ]);
    let base = 0x7f12_3400_0000;
    let bias = image.bias(base + 0x165_c000, base + 0x168_d000, 0x165_b000);
    assert_eq!(bias, Some(base));
}

#[test]
fn symbols_and_constants() {
    let file = Sample::python().hidden("quiet", DATA).build();
    let elf = Elf::parse(file.as_slice()).expect("a sound file");
    let names = |kind| -> Vec<&[u8]> {
        let symbols = elf.symbols(kind).expect("a table");
        symbols.map(|(name, _)| name).collect()
    };
    assert!(names(elf::SHT_DYNSYM).contains(&&b"_PyRuntime"[..]));
    assert_eq!(names(elf::SHT_SYMTAB), [&b""[..], b"quiet"]);
    assert_eq!(
        elf.soname().expect("a table"),
        Some(&b"libpython3.11.so.1.0"[..])
    );
    assert_eq!(elf.value_at(CONSTANTS), Some(0x030b_02f0));
    assert_eq!(elf.constants().count(), 1);
}

#[test]
fn foreign_files_are_refused() {
    let mut big_endian = Sample::python().build();
    big_endian[5] = 2;
    let mut narrow = Sample::python().build();
    narrow[4] = 1;
    for file in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &big_endian, &narrow] {
        assert!(matches!(Elf::parse(file), Err(ElfError::Malformed(_))));
    }
}

#[test]
fn absurd_counts_are_refused() {
    let mut sections = Sample::python().build();
    sections[60..62].copy_from_slice(&(SECTIONS_MAX + 1).to_le_bytes());
    let refused = Elf::parse(sections.as_slice()).err();
    assert_eq!(refused, Some(ElfError::TooLarge("sections")));
    let mut segments = Sample::python().build();
    segments[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
    let refused = Elf::parse(segments.as_slice()).err();
    assert_eq!(refused, Some(ElfError::TooLarge("segments")));
}

#[test]
fn a_name_without_end_is_left_out() {
    let names = [b'x'; 4 * NAME_MAX];
    assert_eq!(text(&names, 0), None);
    assert_eq!(text(b"ab\0", 1), Some(&b"b"[..]));
    assert_eq!(text(b"ab", 0), None);
    assert_eq!(text(b"ab\0", 9), None);
}
