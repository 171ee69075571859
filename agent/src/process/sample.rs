//! Small ELF files for tests, made by hand: three segments, a dynamic symbol table, literals.
//!
//! The code lies in the file at 0x4000 and in memory at 0x5000, the data at 0x5000 and 0x7000,
//! so that a test sees when an offset is taken for an address.

/// Address of the literals; the offset is the same.
pub(crate) const CONSTANTS: u64 = 0x3000;
/// Address of the code.
pub(crate) const CODE: u64 = 0x5000;
/// Offset of the code.
pub(crate) const CODE_OFFSET: u64 = 0x4000;
/// Address of the data.
pub(crate) const DATA: u64 = 0x7000;
/// Offset of the data.
pub(crate) const DATA_OFFSET: u64 = 0x5000;
/// Bytes of the file.
pub(crate) const SIZE: usize = 0x6000;
/// One past the last address: `.bss` takes two pages more than the file has.
pub(crate) const END: u64 = 0xa000;

const FUNCTION: u8 = 2;
const OBJECT: u8 = 1;

/// A file in the making.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    dynamic: Vec<(&'static str, u64, u8)>,
    full: Vec<(&'static str, u64, u8)>,
    soname: &'static str,
    constants: Vec<u8>,
    data: Vec<u8>,
    code: Vec<u8>,
    runtime: bool,
    /// Place, symbol (0 for the file itself) and addend.
    listed: Vec<[u64; 3]>,
    packed: Vec<[u64; 2]>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Exports a variable.
    pub(crate) fn object(mut self, name: &'static str, address: u64) -> Self {
        self.dynamic.push((name, address, OBJECT));
        self
    }

    /// Exports a function.
    pub(crate) fn function(mut self, name: &'static str, address: u64) -> Self {
        self.dynamic.push((name, address, FUNCTION));
        self
    }

    /// Imports something.
    pub(crate) fn import(mut self, name: &'static str) -> Self {
        self.dynamic.push((name, 0, 0));
        self
    }

    /// Has a symbol in `.symtab` only.
    pub(crate) fn hidden(mut self, name: &'static str, address: u64) -> Self {
        self.full.push((name, address, OBJECT));
        self
    }

    pub(crate) fn soname(mut self, name: &'static str) -> Self {
        self.soname = name;
        self
    }

    /// Adds to the literals, which begin at [`CONSTANTS`].
    pub(crate) fn constants(mut self, bytes: &[u8]) -> Self {
        self.constants.extend(bytes);
        self
    }

    /// Sets the data, which begin at [`DATA`].
    pub(crate) fn data(mut self, bytes: &[u8]) -> Self {
        self.data = bytes.to_vec();
        self
    }

    /// Puts code at a distance from [`CODE`].
    pub(crate) fn code(mut self, at: usize, bytes: &[u8]) -> Self {
        self.code.resize(at, 0);
        self.code.extend(bytes);
        self
    }

    /// Has a pointer into the file itself, in the list of relocations.
    pub(crate) fn pointer(self, place: u64, target: u64) -> Self {
        self.symbolic(place, 0, target)
    }

    /// Has a pointer to a dynamic symbol, by its index, with something added.
    pub(crate) fn symbolic(mut self, place: u64, symbol: u64, addend: u64) -> Self {
        self.listed.push([place, symbol, addend]);
        self
    }

    /// Has a pointer into the file itself, in the packed relocations. Only inside the data.
    pub(crate) fn packed(mut self, place: u64, target: u64) -> Self {
        self.packed.push([place, target]);
        self
    }

    /// Has a section `.PyRuntime` at [`DATA`].
    pub(crate) fn runtime_section(mut self) -> Self {
        self.runtime = true;
        self
    }

    /// The exported type of the signal intercept at an address, and its function.
    fn intercept_type(mut self, at: u64, function: u64) -> Self {
        let name = CONSTANTS + self.constants.len() as u64;
        self.constants.extend(b"mod_wsgi.SignalIntercept\0");
        self.object("SignalIntercept_Type", at)
            .pointer(at + 24, name)
            .pointer(at + 48, CODE + 0x90)
            .pointer(at + 128, function)
    }

    /// An httpd program with its MPM loaded as a module.
    pub(crate) fn httpd() -> Self {
        Self::new()
            .function("ap_run_mpm", CODE)
            .function("ap_hook_post_config", CODE + 16)
            .object("ap_server_conf", DATA)
            .object("core_module", DATA + 64)
            .import("apr_initialize")
    }

    /// mod_wsgi as Debian builds it: stripped, with a shared libpython.
    pub(crate) fn mod_wsgi() -> Self {
        Self::new()
            .object("wsgi_module", DATA)
            .import("ap_hook_post_config")
            .import("Py_Initialize")
            .constants(b"3.11.1\0python_init\x004.9.4\0mod_wsgi/%s\0Python/%d.%d\0")
            .intercept_type(DATA + 0x100, CODE + 0x80)
    }

    /// A libpython 3.11.
    pub(crate) fn python() -> Self {
        Self::new()
            .soname("libpython3.11.so.1.0")
            .object("_PyRuntime", DATA + 0x40)
            .object("Py_Version", CONSTANTS)
            .function("Py_InitializeFromConfig", CODE + 0x70)
            .constants(&0x030b_02f0_u64.to_le_bytes())
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let (dynamic, mut dynamic_names) = table(&self.dynamic);
        let (full, full_names) = table(&self.full);
        let soname = dynamic_names.len() as u64;
        dynamic_names.extend(self.soname.bytes().chain([0]));
        let mut entries = words(&[14, soname]);
        if self.soname.is_empty() {
            entries.clear();
        }
        entries.extend(words(&[0, 0]));

        let names =
            b"\0.dynsym\0.dynstr\0.dynamic\0.rodata\0.symtab\0.strtab\0.shstrtab\0.PyRuntime\0.rela.dyn\0.relr.dyn\0";
        let mut file = vec![0; SIZE];
        let mut at = 0x200;
        // Name, type, address, data, link, entry size.
        let mut sections = vec![[0; 6]];
        let mut put = |name: &str, kind: u64, data: &[u8], place: Option<u64>, link, entry| {
            let offset = place.unwrap_or(at);
            let from = usize::try_from(offset).expect("small");
            file[from..from + data.len()].copy_from_slice(data);
            if place.is_none() {
                at += (data.len() as u64 + 15) & !15;
            }
            let name = names
                .windows(name.len() + 2)
                .position(|w| w[0] == 0 && &w[1..=name.len()] == name.as_bytes())
                .expect("a known name");
            sections.push([
                name as u64 + 1,
                kind,
                offset,
                data.len() as u64,
                link,
                entry,
            ]);
        };
        put(".dynsym", 11, &dynamic, None, 2, 24);
        put(".dynstr", 3, &dynamic_names, None, 0, 0);
        put(".dynamic", 6, &entries, None, 2, 16);
        put(".rodata", 1, &self.constants, Some(CONSTANTS), 0, 0);
        put(".symtab", 2, &full, None, 6, 24);
        put(".strtab", 3, &full_names, None, 0, 0);
        put(".shstrtab", 3, names, None, 0, 0);
        if self.runtime {
            put(".PyRuntime", 1, &self.data, Some(DATA_OFFSET), 0, 0);
        }
        if !self.listed.is_empty() {
            // RELATIVE, or 64 where there is a symbol.
            let entry = |&[place, symbol, addend]: &[u64; 3]| {
                words(&[
                    place,
                    symbol << 32 | if symbol == 0 { 8 } else { 1 },
                    addend,
                ])
            };
            let table: Vec<u8> = self.listed.iter().flat_map(entry).collect();
            put(".rela.dyn", 4, &table, None, 1, 24);
        }
        if !self.packed.is_empty() {
            let table: Vec<u8> = self.packed.iter().flat_map(|p| words(&p[..1])).collect();
            put(".relr.dyn", 19, &table, None, 0, 8);
        }
        let code_at = usize::try_from(CODE_OFFSET).expect("small");
        file[code_at..code_at + self.code.len()].copy_from_slice(&self.code);
        let data_at = usize::try_from(DATA_OFFSET).expect("small");
        file[data_at..data_at + self.data.len()].copy_from_slice(&self.data);
        for &[place, target] in &self.packed {
            let at = usize::try_from(place - DATA + DATA_OFFSET).expect("small");
            file[at..at + 8].copy_from_slice(&target.to_le_bytes());
        }

        let headers: Vec<u8> = sections
            .iter()
            .flat_map(|&[name, kind, offset, size, link, entry]| {
                // Only the data are loaded elsewhere than they are in the file.
                let address = if offset == DATA_OFFSET { DATA } else { offset };
                words(&[name | kind << 32, 2, address, offset, size, link, 8, entry])
            })
            .collect();
        let sections_at = at;
        let from = usize::try_from(at).expect("small");
        file[from..from + headers.len()].copy_from_slice(&headers);

        let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        head.extend(words(&[3 | 62 << 16 | 1 << 32, 0, 64, sections_at]));
        head.extend(words(&[
            64 << 32 | 56 << 48,
            3 | 64 << 16 | (sections.len() as u64) << 32 | 7 << 48,
        ]));
        // Type and flags, offset, address twice, size in the file and in memory, alignment.
        for [flags, offset, address, size, memory] in [
            [4, 0, 0, CODE_OFFSET, CODE_OFFSET],
            [5, CODE_OFFSET, CODE, 0x1000, 0x1000],
            [6, DATA_OFFSET, DATA, 0x1000, END - DATA],
        ] {
            head.extend(words(&[
                1 | flags << 32,
                offset,
                address,
                address,
                size,
                memory,
                0x1000,
            ]));
        }
        file[..head.len()].copy_from_slice(&head);
        file
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A symbol table and its names.
fn table(symbols: &[(&str, u64, u8)]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut names) = (vec![0; 24], vec![0]);
    for &(name, address, kind) in symbols {
        // Global binding; any section but the undefined one.
        let section = u64::from(kind != 0);
        let info = 1 << 4 | u64::from(kind);
        table.extend(words(&[
            names.len() as u64 | info << 32 | section << 48,
            address,
            8,
        ]));
        names.extend(name.bytes().chain([0]));
    }
    (table, names)
}
