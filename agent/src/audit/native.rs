//! Extension modules and the libraries beside them: what they could do to signals, by what they
//! import. Pure and total.
//!
//! A symbol that is imported may be called at any time, or never, and for any signal. Code that makes
//! the system call itself (Go does, a static C library does) imports nothing: Go is known by the
//! sections that its linker writes, others are not.

use object::{ReadRef, elf::SHT_DYNSYM, read::elf::Sym as _};

use crate::{
    audit::uses::{Audited, Effect, Handler, Signals, Use, When},
    event::Signal,
    process::elf::{E, Elf, ElfError},
};

/// Bytes of a table of symbols, and of the section with the literals.
const TABLE_MAX: u64 = 16 << 20;
/// The longest name of the tables below, and its end.
const NAME_MAX: u64 = 32;

/// Functions that set what somebody else says: of the C library, GLib, libev, libuv and Python.
const REGISTER: &[&str] = &[
    "sigaction",
    "signal",
    "bsd_signal",
    "sysv_signal",
    "__sysv_signal",
    "ssignal",
    "sigset",
    "sigignore",
    "sigvec",
    "g_unix_signal_add",
    "g_unix_signal_add_full",
    "g_unix_signal_source_new",
    "ev_signal_start",
    "uv_signal_start",
    "PyOS_setsig",
];

/// What a Java virtual machine takes without `-Xrs` (OpenJDK 17; seen by `tests/live`).
const JAVA: &[Signal] = &[
    Signal::USR2,
    Signal::SEGV,
    Signal::PIPE,
    Signal::BUS,
    Signal::ILL,
    Signal::FPE,
    Signal::XFSZ,
    Signal::QUIT,
    Signal::HUP,
    Signal::INT,
    Signal::TERM,
];

/// Functions that take these signals when they are called.
const TAKE: &[(&str, &[Signal])] = &[
    // While the command runs (POSIX).
    ("system", &[Signal::INT, Signal::QUIT]),
    // At their defaults (ncurses 6.4).
    (
        "initscr",
        &[Signal::INT, Signal::TERM, Signal::TSTP, Signal::WINCH],
    ),
    ("JNI_CreateJavaVM", JAVA),
];

/// What Go takes when a library is loaded that has it; other handlers get SA_ONSTACK, which is no
/// takeover (Go 1; seen by `tests/live`).
const GO: &[Signal] = &[
    Signal::BUS,
    Signal::FPE,
    Signal::SEGV,
    Signal::PIPE,
    Signal::URG,
];
/// What Go's linker leaves in each file (Go 1.13 and later; before, the second one alone).
const GO_SECTIONS: [&[u8]; 2] = [b".go.buildinfo", b".note.go.buildid"];

/// What the file could do.
///
/// # Errors
///
/// Where it is no 64-bit little-endian ELF file, or a broken one.
pub fn audit<'d, R: ReadRef<'d>>(data: R) -> Result<Audited, ElfError> {
    let elf = Elf::parse(data)?;
    let mut imported: Vec<&'static str> = Vec::new();
    if let Some((symbols, names)) = elf.table(SHT_DYNSYM, TABLE_MAX)? {
        for symbol in symbols.iter().filter(|symbol| symbol.is_undefined(E)) {
            let name = elf.name_at(names, symbol.st_name(E), NAME_MAX);
            let known = name.and_then(|name| {
                let taking = TAKE.iter().map(|(known, _)| *known);
                let mut all = REGISTER.iter().copied().chain(taking);
                all.find(|known| known.as_bytes() == name)
            });
            imported.extend(known);
        }
    }
    imported.sort_unstable();
    imported.dedup();
    let mut uses = Vec::new();
    let is_registering = |name: &&str| REGISTER.contains(name);
    let registering: Vec<&str> = imported.iter().copied().filter(is_registering).collect();
    let is_go = GO_SECTIONS
        .iter()
        .any(|name| matches!(elf.section(name, TABLE_MAX), Ok(Some(_))));
    if is_go {
        uses.push(found("Go runtime", Signals::these(GO), When::Import));
    }
    if !registering.is_empty() {
        let what = format!("imports {}", registering.join(", "));
        uses.push(found(&what, Signals::any(), When::Library));
    }
    for (name, signals) in TAKE {
        let signals = Signals::these(signals);
        if imported.contains(name) {
            uses.push(found(&format!("imports {name}"), signals, When::Library));
        } else if *name == "JNI_CreateJavaVM" && has_literal(&elf, name)? {
            // Looked up at run time, in a virtual machine that is found then.
            let mut java = found(&format!("looks up {name}"), signals, When::Library);
            java.likely = true;
            uses.push(java);
        }
    }
    uses.sort();
    Ok(Audited {
        uses,
        problem: None,
        parsed: true,
    })
}

fn found(what: &str, signals: Signals, when: When) -> Use {
    Use {
        line: None,
        what: what.to_owned(),
        effect: Effect::Registration,
        signals,
        handler: Handler::Unknown,
        when,
        likely: false,
    }
}

/// Whether a literal is this name. Libraries with more literals than the limit are not searched.
fn has_literal<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>, name: &str) -> Result<bool, ElfError> {
    match elf.section(b".rodata", TABLE_MAX) {
        Ok(Some((_, bytes))) => Ok(memchr::memmem::find(bytes, name.as_bytes()).is_some()),
        Ok(None) | Err(ElfError::TooLarge(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sample::Sample;

    fn told(sample: &Sample) -> Vec<String> {
        let file = sample.build();
        let audited = audit(file.as_slice()).unwrap();
        audited.uses.into_iter().map(|found| found.what).collect()
    }

    #[test]
    fn imports_are_found_and_exports_are_not() {
        let sample = Sample::new()
            .import("printf")
            .import("sigaction")
            .import("bsd_signal")
            .import("signals")
            .function("signal", 0x5000);
        assert_eq!(told(&sample), ["imports bsd_signal, sigaction"]);
        assert_eq!(told(&Sample::new().function("sigaction", 0x5000)), [""; 0]);
        assert_eq!(told(&Sample::httpd()), [""; 0]);
    }

    #[test]
    fn what_takes_certain_signals_says_so() {
        let file = Sample::new().import("system").build();
        let found = audit(file.as_slice()).unwrap().uses;
        assert_eq!(found[0].signals.known, [Signal::INT, Signal::QUIT]);
        let looked_up = Sample::new().constants(b"libjvm.so\0JNI_CreateJavaVM\0");
        assert_eq!(told(&looked_up), ["looks up JNI_CreateJavaVM"]);
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        for file in [&b""[..], b"\x7fELF", b"!<arch>\n", &[0xff; 100]] {
            assert!(audit(file).is_err(), "{file:?}");
        }
    }
}
