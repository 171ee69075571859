//! What files are: small ones made by hand, and broken ones.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use probe_abi::process::START_CODE;

use super::{
    super::{python_file::Start, sample::*},
    *,
};
use crate::python::{
    Version, layout,
    reading::{Reading, Unsupported},
};

fn facts_of(sample: &Sample) -> FileFacts {
    facts(sample.build().as_slice()).expect("a sound file")
}

#[test]
fn kinds_come_from_symbols() {
    let module = || Sample::new().import("ap_hook_post_config");
    for (sample, kind) in [
        (Sample::httpd(), ModuleKind::Httpd),
        (Sample::mod_wsgi(), ModuleKind::ModWsgi),
        (Sample::python(), ModuleKind::Python),
        (
            Sample::new().object("_PyThreadState_Current", DATA),
            ModuleKind::Python,
        ),
        (module().object("mpm_event_module", DATA), ModuleKind::Mpm),
        (
            module().object("rewrite_module", DATA),
            ModuleKind::HttpdPart,
        ),
        (
            Sample::new().function("apr_initialize", CODE),
            ModuleKind::HttpdPart,
        ),
        (
            Sample::new().function("apu_version", CODE),
            ModuleKind::HttpdPart,
        ),
        (
            Sample::new().function("__libc_start_main", CODE),
            ModuleKind::Libc,
        ),
        (
            Sample::new().soname("ld-linux-x86-64.so.2"),
            ModuleKind::Libc,
        ),
        (Sample::new().soname("libpthread.so.0"), ModuleKind::Libc),
        // What only looks like one of ours.
        (module(), ModuleKind::Other),
        (module().function("init_module", CODE), ModuleKind::Other),
        (Sample::new().object("cffi_module", DATA), ModuleKind::Other),
        (
            Sample::new().object("cffi_module", DATA).import("malloc"),
            ModuleKind::Other,
        ),
        (Sample::new().import("wsgi_module"), ModuleKind::Other),
        (Sample::new().import("_PyRuntime"), ModuleKind::Other),
        (
            Sample::new().soname("libpython3.11.so.1.0"),
            ModuleKind::Other,
        ),
        (Sample::new(), ModuleKind::Other),
    ] {
        let facts = facts_of(&sample);
        assert_eq!(facts.kind, kind);
        assert_eq!(facts.httpd, kind == ModuleKind::Httpd);
    }
}

#[test]
fn an_mpm_may_be_linked_into_httpd() {
    assert_eq!(facts_of(&Sample::httpd()).mpm, None);
    let facts = facts_of(&Sample::httpd().object("mpm_prefork_module", DATA));
    assert_eq!(facts.mpm.as_deref(), Some("prefork"));
    assert_eq!(facts.kind, ModuleKind::Httpd);
}

#[test]
fn the_version_of_mod_wsgi() {
    let version = |sample: &Sample| facts_of(sample).mod_wsgi;
    assert_eq!(version(&Sample::mod_wsgi()).as_deref(), Some("4.9.4"));
    let bare = Sample::new().object("wsgi_module", DATA);
    assert_eq!(version(&bare), None);
    // A static libpython brings other libraries' versions along.
    let many = bare
        .clone()
        .constants(b"9.9.9\0padding, so that it is far\x006.1.1\0mod_wsgi/%s\0");
    assert_eq!(version(&many).as_deref(), Some("6.1.1"));
    for odd in [
        &b"mod_wsgi/%s\x004.9\x004.9.4.1\x004..1\x001234.1.1\x004.9.x\0"[..],
        b"4.9.4\0",
    ] {
        assert_eq!(version(&bare.clone().constants(odd)), None);
    }
    assert_eq!(
        version(&Sample::new().constants(b"4.9.4\0mod_wsgi/%s\0")),
        None
    );
}

#[test]
fn the_intercept_is_mod_wsgis() {
    let facts = facts_of(&Sample::mod_wsgi());
    let intercept = facts.intercept.expect("it is mod_wsgi");
    let offset = intercept.map(|intercept| intercept.offset);
    assert_eq!(offset, Ok(CODE_OFFSET + 0x80));
    let none = facts_of(&Sample::new().object("wsgi_module", DATA)).intercept;
    assert_eq!(none, Some(Err(NoIntercept::NoName)));
    assert_eq!(facts_of(&Sample::python()).intercept, None);
}

#[test]
fn the_interpreter() {
    let (row, _) = layout::find(Version::new(3, 11)).expect("a row");
    let current = if cfg!(target_arch = "aarch64") {
        592
    } else {
        576
    };
    let expected = PythonFile {
        version: Some(Version::new(3, 11)),
        interpreters: DATA + 0x40 + 40,
        current: Some(DATA + 0x40 + current),
        reading: Reading::Row(row),
        disagreements: Vec::new(),
        start: Some(Start {
            address: CODE + 0x70,
            offset: CODE_OFFSET + 0x70,
            code: [0; START_CODE],
        }),
    };
    assert_eq!(facts_of(&Sample::python()).python, Some(expected));
}

#[test]
fn the_interpreters_version_has_several_sources() {
    let runtime = || Sample::new().object("_PyRuntime", DATA);
    let version = |sample: &Sample| facts_of(sample).python.expect("one").version;
    assert_eq!(version(&runtime()), None);
    assert_eq!(
        version(&runtime().soname("libpython3.7m.so.1.0")),
        Some(Version::new(3, 7))
    );
    assert_eq!(version(&runtime().soname("libpython3.so")), None);
    let tag = runtime().constants(b"\0cpython-3x\0cpython-310-x86\0cpython-39\0");
    assert_eq!(version(&tag), Some(Version::new(3, 9)));
    let absurd = runtime().constants(b"\0cpython-3999\0");
    assert_eq!(version(&absurd), None);
    let wrong = runtime()
        .object("Py_Version", CONSTANTS)
        .constants(&[0xff; 8]);
    assert_eq!(version(&wrong), None);
}

#[test]
fn a_free_threaded_build_says_so() {
    let table = |threaded: u64| {
        let words = [u64::from_le_bytes(*b"xdebugpy"), 0x030d_00f0, threaded];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let sample = Sample::new().object("_PyRuntime", DATA).data(&bytes);
        let python = facts_of(&sample).python.expect("an interpreter");
        python.version
    };
    let usual = Version::new(3, 13);
    assert_eq!(table(0), Some(usual));
    assert_eq!(table(1), Some(usual.free_threaded()));
}

/// 3.6 has no `_PyRuntime`; the list of its interpreters is in the full symbol table, or is read from
/// the code that returns it.
#[test]
fn an_interpreter_of_3_6() {
    let older = || {
        Sample::new()
            .object("_PyThreadState_Current", DATA)
            .function("_Py_InitializeEx_Private", CODE)
            .soname("libpython3.6m.so.1.0")
    };
    let python = facts_of(&older().hidden("interp_head", DATA + 0x10)).python;
    let python = python.expect("an interpreter");
    let (row, _) = layout::find(Version::new(3, 6)).expect("a row");
    assert_eq!(python.reading, Reading::Row(row));
    assert_eq!(
        (python.interpreters, python.current),
        (DATA + 0x10, Some(DATA))
    );
    assert_eq!(python.start.map(|start| start.address), Some(CODE));

    let stripped = older().function("PyInterpreterState_Head", CODE + 0x20);
    let python = facts_of(&stripped).python.expect("an interpreter");
    assert_eq!(python.reading, Reading::Unsupported(Unsupported::NoList));
    let code: &[u8] = if cfg!(target_arch = "aarch64") {
        // adrp x0, . + 0x2000; ldr x0, [x0, #0x18]; ret
        &[0, 0, 0, 0xd0, 0, 0x0c, 0x40, 0xf9, 0xc0, 3, 0x5f, 0xd6]
    } else {
        // mov rax, [rip + 0x1ff1]; ret
        &[0x48, 0x8b, 0x05, 0xf1, 0x1f, 0, 0, 0xc3]
    };
    let python = facts_of(&stripped.code(0x20, code)).python;
    let python = python.expect("an interpreter");
    assert_eq!(python.reading, Reading::Row(row));
    assert_eq!(python.interpreters, DATA + 0x18);
}

#[test]
fn an_interpreter_that_cannot_be_read_says_why() {
    let reading = |sample: &Sample| facts_of(sample).python.expect("one").reading;
    let libpython = |soname| Sample::new().object("_PyRuntime", DATA).soname(soname);
    for (sample, reason) in [
        (libpython("libpython3.16.so.1.0"), Unsupported::Version),
        (libpython("libother.so"), Unsupported::Version),
        (libpython("libpython3.11d.so.1.0"), Unsupported::DebugBuild),
        (libpython("libpython3.7dm.so.1.0"), Unsupported::DebugBuild),
        (
            Sample::python().function("_Py_NegativeRefcount", CODE),
            Unsupported::DebugBuild,
        ),
        (
            Sample::new()
                .object("_PyThreadState_Current", DATA)
                .soname("libpython3.5m.so.1.0"),
            Unsupported::Version,
        ),
    ] {
        assert_eq!(reading(&sample), Reading::Unsupported(reason));
        // It is there all the same, so that its stacks are missing and not empty.
        assert_ne!(facts_of(&sample).python.expect("one").interpreters, 0);
    }
}

/// A file without symbols, as strip leaves a static program that exports nothing.
#[test]
fn the_section_of_the_runtime_tells_of_it() {
    let sample = Sample::new()
        .runtime_section()
        .constants(b"\0cpython-310\0");
    let python = facts_of(&sample).python.expect("an interpreter");
    assert_eq!(python.version, Some(Version::new(3, 10)));
    assert_eq!(python.interpreters, DATA + 32);
    assert_eq!(facts_of(&sample).kind, ModuleKind::Python);
}

#[test]
fn mod_wsgi_may_carry_the_interpreter() {
    let exported = Sample::new()
        .object("wsgi_module", DATA)
        .object("_PyRuntime", DATA + 0x40)
        .object("Py_Version", CONSTANTS)
        .constants(&0x030c_01f0_u64.to_le_bytes());
    let facts = facts_of(&exported);
    assert_eq!(facts.kind, ModuleKind::ModWsgi);
    assert_eq!(
        facts.python.and_then(|p| p.version),
        Some(Version::new(3, 12))
    );

    let hidden = Sample::new()
        .object("wsgi_module", DATA)
        .hidden("_PyRuntime", DATA + 0x40)
        .hidden("Py_Version", CONSTANTS)
        .constants(&0x030c_01f0_u64.to_le_bytes());
    assert_eq!(
        facts_of(&hidden).python.map(|p| p.interpreters),
        Some(DATA + 0x40 + 40)
    );
    // Whoever imports Python's functions has no interpreter of its own.
    assert_eq!(facts_of(&hidden.import("Py_Initialize")).python, None);
}

/// A file that is cut anywhere is refused, or has the facts that are still in it.
#[test]
fn a_cut_file_is_survived() {
    let whole = Sample::python().build();
    for end in 0..whole.len() {
        let _ = facts(&whole[..end]);
    }
    assert!(facts(&whole[..0x200]).is_err(), "headers only");
    assert!(facts(whole.as_slice()).is_ok());
}

/// As many symbols as fit, all with a name that has no end: the time stays bounded.
#[test]
fn a_file_made_to_be_slow_is_not() {
    let (table, names, end) = (0x6000_u64, 0x40_0000_u64, 0x80_0000_u64);
    let size = |bytes: u64| usize::try_from(bytes).expect("small");
    let mut file = Sample::python().build();
    file.resize(size(names), 0);
    file.resize(size(end), b'x');
    let headers = u64::from_le_bytes(file[40..48].try_into().expect("eight bytes"));
    for (section, from, length) in [
        (1, table, (names - table) / 24 * 24),
        (2, names, end - names),
    ] {
        let header = size(headers + 64 * section);
        file[header + 24..header + 32].copy_from_slice(&from.to_le_bytes());
        file[header + 32..header + 40].copy_from_slice(&length.to_le_bytes());
    }
    let start = Instant::now();
    let facts = facts(file.as_slice()).expect("a sound file");
    let time = start.elapsed();
    assert_eq!(facts.kind, ModuleKind::Other);
    assert!(time < Duration::from_secs(5), "{time:?}");
}

proptest! {
    /// Bytes that are no file at all, with and without the magic.
    #[test]
    fn random_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = facts(bytes.as_slice());
        let head = bytes.len().min(7);
        bytes[..head].copy_from_slice(&b"\x7fELF\x02\x01\x01"[..head]);
        let _ = facts(bytes.as_slice());
    }

    /// A libpython in which some bytes of the headers and tables are wrong.
    #[test]
    fn a_broken_libpython_is_survived(
        changes in prop::collection::vec((0..0x600_usize, any::<u8>()), 1..8),
    ) {
        let mut file = Sample::python().build();
        for (at, byte) in changes {
            file[at] = byte;
        }
        let facts = facts(file.as_slice());
        if let Ok(FileFacts { image, .. }) = facts {
            let _ = (image.end(), image.bias(0x7000, 0x8000, 0x4000));
        }
    }
}
