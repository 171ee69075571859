//! Mappings as they are in real workers, and odd ones.

use super::{
    super::{facts, proc, sample::*},
    *,
};
use crate::python::Version;

const BASE: u64 = 0x7f00_0000_0000;

/// The mappings that a loader makes of a [`Sample`], at a base.
fn loaded(base: u64, inode: u64, path: &str) -> String {
    let line = |from: u64, to: u64, mode: &str, offset: u64, file: &str| {
        format!(
            "{:x}-{:x} {mode} {offset:08x} {file}\n",
            base + from,
            base + to
        )
    };
    let file = format!("fe:01 {inode} {path}");
    [
        line(0, 0x4000, "r--p", 0, &file),
        line(CODE, CODE + 0x1000, "r-xp", CODE_OFFSET, &file),
        line(DATA, DATA + 0x1000, "rw-p", DATA_OFFSET, &file),
        line(DATA + 0x1000, DATA + 0x8000, "rw-p", 0, "00:00 0 "),
    ]
    .concat()
}

fn known(sample: &Sample) -> Option<Arc<FileFacts>> {
    Some(Arc::new(facts::facts(sample.build().as_slice()).ok()?))
}

fn grouped(text: &str, sample: impl Fn(u64) -> Option<Arc<FileFacts>>) -> Vec<Mapped> {
    group(proc::mappings(text), |_, file| sample(file.inode))
}

#[test]
fn a_files_mappings_are_one_module() {
    let text = loaded(BASE, 7, "/usr/lib/libpython3.11.so.1.0");
    let mapped = grouped(&text, |_| known(&Sample::python()));
    let modules = modules(&mapped);
    let [module] = &*modules.0 else {
        panic!("{modules:?}");
    };
    // The anonymous memory goes on behind `.bss`, and is not the file's there.
    assert_eq!((module.start, module.end), (BASE, BASE + END));
    assert_eq!(module.name(), "libpython3.11.so.1.0");
    assert_eq!(module.kind, ModuleKind::Python);
    let at = python(&mapped).expect("an interpreter");
    assert_eq!((at.file, &*at.path), (mapped[0].file, module.path.as_ref()));
    let file = known(&Sample::python()).and_then(|facts| facts.python.clone());
    assert_eq!(file.map(|file| file.loaded(BASE)), Some(at.python));
}

#[test]
fn a_file_that_cannot_be_read_is_a_module_still() {
    let mapped = grouped(&loaded(BASE, 7, "/x.so (deleted)"), |_| None);
    let modules = modules(&mapped);
    assert_eq!(modules.0[0].kind, ModuleKind::Other);
    assert_eq!(
        modules.0[0].end,
        BASE + DATA + 0x1000,
        "no .bss without facts"
    );
    assert_eq!(&*modules.0[0].path, "/x.so");
    assert_eq!(python(&mapped), None);
}

#[test]
fn what_is_mapped_as_data_is_no_module() {
    let text = format!(
        "{}7f1000000000-7f1000001000 r--p 00000000 fe:01 9 /locale-archive\n\
         7f2000000000-7f2000001000 r--p 00000000 fe:01 7 /a.so\n\
         7f3000000000-7f3000001000 r-xp 00000000 00:00 0 [vdso]\n\
         7f4000000000-7f4000001000 rwxp 00000000 00:00 0 \n",
        loaded(BASE, 7, "/a.so"),
    );
    let modules = modules(&grouped(&text, |_| None));
    assert_eq!(modules.0.len(), 1);
    assert!(modules.at(BASE + CODE).is_some());
    assert!(modules.at(0x7f20_0000_0000).is_none());
    assert!(modules.at(0x7f40_0000_0000).is_none());
}

#[test]
fn neighbours_are_kept_apart() {
    let text = loaded(BASE, 7, "/a.so") + &loaded(BASE + 0xf000, 8, "/b.so");
    let modules = modules(&grouped(&text, |_| known(&Sample::new())));
    let ranges: Vec<_> = modules.0.iter().map(|m| (m.start, m.end)).collect();
    assert_eq!(
        ranges,
        [(BASE, BASE + END), (BASE + 0xf000, BASE + 0xf000 + END)]
    );
}

#[test]
fn the_interpreter_of_mod_wsgi_comes_first() {
    let own = Sample::new()
        .object("wsgi_module", DATA)
        .object("_PyRuntime", DATA + 0x80)
        .soname("libpython3.12.so");
    let text = loaded(BASE, 7, "/libpython.so") + &loaded(BASE + 0x10000, 8, "/mod_wsgi.so");
    let mapped = grouped(&text, |inode| match inode {
        7 => known(&Sample::python()),
        _ => known(&own),
    });
    let python = python(&mapped).expect("an interpreter");
    assert_eq!(python.python.version, Some(Version::new(3, 12)));
    let head = BASE + 0x10000 + DATA + 0x80 + 40;
    assert_eq!(python.python.interpreters, head);
}

#[test]
fn itk_is_on_top_of_prefork() {
    let mpm_module = |name| Sample::new().object(name, DATA).import("ap_hook_mpm");
    let text = loaded(BASE, 7, "/itk.so") + &loaded(BASE + 0x10000, 8, "/prefork.so");
    let mapped = grouped(&text, |inode| {
        known(&mpm_module(match inode {
            7 => "mpm_itk_module",
            _ => "mpm_prefork_module",
        }))
    });
    assert_eq!(mpm(&mapped).as_deref(), Some("prefork"));
}
