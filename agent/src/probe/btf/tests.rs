//! A blob made by hand, garbage, and the running kernel where it lets us read.

use std::fs;

use proptest::prelude::*;

use super::*;

/// Builds BTF the way `pahole` lays it out.
pub(in crate::probe) struct Blob {
    types: Vec<u32>,
    strings: Vec<u8>,
}

impl Blob {
    pub(in crate::probe) fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.bytes().chain([0]));
        at
    }

    fn add(&mut self, name: &str, info: u32, size_or_type: u32, rest: &[u32]) {
        let name = self.name(name);
        self.types.extend([name, info, size_or_type]);
        self.types.extend(rest);
    }

    /// Members are (name, type, bit offset word).
    pub(in crate::probe) fn structure(
        &mut self,
        name: &str,
        kind: u32,
        size: u32,
        members: &[(&str, u32, u32)],
    ) {
        let rest: Vec<u32> = members
            .iter()
            .flat_map(|&(name, of, bits)| [self.name(name), of, bits])
            .collect();
        self.add(name, kind << 24 | members.len() as u32, size, &rest);
    }

    pub(in crate::probe) fn bytes(&self) -> Vec<u8> {
        let types = 4 * self.types.len() as u32;
        let header = [
            u32::from(MAGIC) | 1 << 16,
            24,
            0,
            types,
            types,
            self.strings.len() as u32,
        ];
        let words = header.iter().chain(&self.types);
        words
            .flat_map(|word| word.to_ne_bytes())
            .chain(self.strings.iter().copied())
            .collect()
    }
}

/// ```c
/// struct inner { int pad; long value; };                    // 2, via const 3 and typedef 4
/// struct outer {
///     int first;
///     union { long either; struct { int low; int high; }; };  // 5 in 6, anonymous
///     inner_t inner;
///     unsigned flag : 3;
/// };                                                        // 7
/// ```
fn sample() -> Blob {
    const BITS: u32 = 1 << 31 >> 24;
    let mut blob = Blob::new();
    blob.add("int", 1 << 24, 4, &[32]);
    blob.structure("inner", STRUCT, 16, &[("pad", 1, 0), ("value", 1, 64)]);
    blob.add("", 10 << 24, 2, &[]);
    blob.add("inner_t", 8 << 24, 3, &[]);
    blob.structure("", STRUCT, 8, &[("low", 1, 0), ("high", 1, 32)]);
    blob.structure("", UNION, 8, &[("either", 1, 0), ("", 5, 0)]);
    let outer = [
        ("first", 1, 0),
        ("", 6, 64),
        ("inner", 4, 128),
        ("flag", 1, 3 << 24 | 256),
    ];
    blob.structure("outer", STRUCT | BITS, 40, &outer);
    blob
}

#[test]
fn members_are_found_through_names_and_anonymous_parts() {
    let bytes = sample().bytes();
    let btf = Btf::parse(&bytes).expect("the sample is well formed");
    let found = ["first", "either", "low", "high", "inner", "inner.value"]
        .map(|member| btf.offset("outer", member).expect(member));
    assert_eq!(found, [0, 8, 8, 12, 16, 24]);
    assert_eq!(btf.size("outer"), Ok(40));
    assert_eq!(btf.size("inner"), Ok(16));
}

#[test]
fn what_is_not_there_is_named() {
    let bytes = sample().bytes();
    let btf = Btf::parse(&bytes).expect("the sample is well formed");
    let says = |result: Result<u32, BtfError>| result.expect_err("an error").to_string();
    let sentence = "failed to find struct other in the kernel's BTF";
    assert_eq!(says(btf.size("other")), sentence);
    assert_eq!(says(btf.offset("other", "x")), sentence);
    for member in [
        "second",
        "inner.other",
        "first.more",
        "inner.value.more",
        "",
        ".",
    ] {
        let sentence = format!("failed to find {member} of struct outer in the kernel's BTF");
        assert_eq!(says(btf.offset("outer", member)), sentence);
    }
    let sentence = "failed to locate flag of struct outer: it is a bit field";
    assert_eq!(says(btf.offset("outer", "flag")), sentence);
}

#[test]
fn structs_of_one_name_must_agree() {
    let mut blob = sample();
    blob.structure("inner", STRUCT, 16, &[("pad", 1, 32), ("value", 1, 64)]);
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).expect("the sample is well formed");
    assert_eq!(btf.offset("inner", "value"), Ok(8));
    let error = btf.offset("inner", "pad").expect_err("they differ");
    assert!(matches!(error, BtfError::Ambiguous { .. }), "{error}");
}

#[test]
fn types_that_contain_themselves_end() {
    let mut blob = Blob::new();
    // typedef a b; typedef b a; and a struct of a thousand anonymous selves.
    blob.add("a", 8 << 24, 2, &[]);
    blob.add("b", 8 << 24, 1, &[]);
    blob.structure("names", STRUCT, 8, &[("loop", 1, 0)]);
    blob.structure("selves", STRUCT, 8, &[("", 4, 0); 1000]);
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).expect("well formed, if odd");
    for (name, member) in [("names", "loop.x"), ("selves", "x")] {
        let error = btf.offset(name, member).expect_err("no end");
        assert!(matches!(error, BtfError::Endless { .. }), "{error}");
    }
}

#[test]
fn broken_blobs_are_refused() {
    let bytes = sample().bytes();
    for length in 0..bytes.len() {
        let error = Btf::parse(&bytes[..length]).expect_err("cut");
        assert!(matches!(error, BtfError::Cut { .. }), "{length}: {error}");
    }
    let mut swapped = bytes.clone();
    swapped.swap(0, 1);
    assert!(matches!(Btf::parse(&swapped), Err(BtfError::Magic { .. })));
    let mut blob = sample();
    blob.add("new", 31 << 24, 0, &[]);
    assert_eq!(
        Btf::parse(&blob.bytes()).err(),
        Some(BtfError::Kind { id: 8, kind: 31 })
    );
    // The last type has fewer members than it says.
    let mut blob = sample();
    blob.add("short", (STRUCT << 24) | 1, 8, &[0, 1]);
    let error = Btf::parse(&blob.bytes()).expect_err("cut");
    assert!(
        matches!(
            error,
            BtfError::Cut {
                part: "type section",
                ..
            }
        ),
        "{error}"
    );
    // Names beyond the strings: the type is not found, the others are.
    let mut blob = sample();
    blob.types[4] = 9999;
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).expect("names are looked at late");
    assert!(btf.size("inner").is_err() && btf.size("outer").is_ok());
}

#[test]
fn the_running_kernel_is_read() {
    // Containers and some kernels have none; the loader says so, not this test.
    let Ok(bytes) = fs::read("/sys/kernel/btf/vmlinux") else {
        return;
    };
    let btf = Btf::parse(&bytes).expect("the kernel's own BTF");
    assert!(btf.size("task_struct").expect("task_struct") > 1000);
    assert_eq!(btf.offset("k_sigaction", "sa.sa_handler"), Ok(0));
    // Anonymous union, then struct page's own member.
    assert!(btf.offset("page", "mapping").is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Btf::parse(&bytes).map(|btf| btf.offset("outer", "inner.value"));
    }

    #[test]
    fn a_garbled_blob_ends(at in 0..400usize, byte: u8) {
        let mut bytes = sample().bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(btf) = Btf::parse(&bytes) {
            for member in ["first", "low", "inner.value", "flag"] {
                let _ = btf.offset("outer", member);
            }
            let _ = btf.size("inner");
        }
    }
}
