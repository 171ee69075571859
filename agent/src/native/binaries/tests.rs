//! Hostile files.

use std::os::unix::fs::FileExt as _;

use super::*;

/// A sparse file with tables as large as they may be takes no room on a disk.
fn hostile() -> File {
    const SIZE: u64 = 40 << 20;
    const NAMES: &[u8] = b"\0.eh_frame_hdr\0.eh_frame\0.shstrtab\0";
    let words =
        |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let section = |name: u64, kind: u64, offset: u64, size: u64| {
        words(&[name | kind << 32, 2, offset, offset, size, 0, 8, 0])
    };
    let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    head.extend(words(&[3 | 62 << 16 | 1 << 32, 0, 0, 64]));
    head.extend(words(&[64 << 32, 64 << 16 | 4 << 32 | 3 << 48]));
    head.truncate(64);
    head.extend(section(0, 0, 0, 0));
    head.extend(section(1, 1, 4096, SIZE));
    head.extend(section(15, 1, 4096 + SIZE, SIZE));
    head.extend(section(25, 3, 1024, NAMES.len() as u64));
    let file = tempfile::tempfile().expect("a file");
    file.set_len(4096 + 2 * SIZE).expect("a sparse file");
    file.write_all_at(&head, 0).expect("room");
    file.write_all_at(NAMES, 1024).expect("room");
    let table = [1, 0x1b, 3, 0x3b];
    file.write_all_at(&table, 4096).expect("room");
    file
}

/// A stack may lie in hundreds of them: what is kept is bounded while it is walked, too.
#[test]
fn the_files_of_one_stack_are_bounded() {
    let mut binaries = Binaries::default();
    for _ in 0..3 {
        let identity = binaries.learn(&hostile()).expect("an ELF file");
        let kept = binaries.entries.values().filter_map(|e| e.cfi.as_ref());
        let kept: usize = kept.map(|cfi| cfi.size()).sum();
        assert!(kept <= BYTES_MAX, "{kept} bytes after {identity:?}");
    }
}
