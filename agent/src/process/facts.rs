//! What a mapped file is to us: told by its symbols, never by its name. Pure and total.
//!
//! Names lie: a container may call its server anything, mod_wsgi's file is called
//! `mod_wsgi-py311.cpython-311-x86_64-linux-gnu.so` when pip built it, and a libpython may be
//! linked into any of them. Exported symbols cannot lie without breaking the program.

use object::{
    LittleEndian, ReadRef,
    elf::{self, Sym64},
    read::elf::Sym as _,
};

use super::{
    ModuleKind,
    elf::{E, Elf, ElfError, Image},
    intercept_file::{self, Intercept, NoIntercept},
    python_file::{self, PythonFile},
};

/// What a mapped file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Whose it is.
    pub kind: ModuleKind,
    /// It is the httpd program.
    pub httpd: bool,
    /// Offset in the file of httpd's `ap_read_config`, which reads the configuration.
    pub read_config: Option<u64>,
    /// The MPM that it is, or that is linked into it.
    pub mpm: Option<String>,
    /// mod_wsgi's version, if it is mod_wsgi and tells.
    pub mod_wsgi: Option<String>,
    /// Its signal intercept, if it is mod_wsgi: where it is, or why that is not known.
    pub intercept: Option<Result<Intercept, NoIntercept>>,
    /// The interpreter in it.
    pub python: Option<PythonFile>,
    /// Where its parts are loaded.
    pub image: Image,
}

/// What the exported and imported symbols say.
#[derive(Default)]
struct Seen {
    core: u32,
    read_config: Option<u64>,
    mpm: Option<String>,
    wsgi: bool,
    module: bool,
    apr: bool,
    libc: bool,
    imports_httpd: bool,
    python: python_file::Symbols,
}

impl Seen {
    fn add(&mut self, name: &[u8], symbol: &Sym64<LittleEndian>) {
        if symbol.is_undefined(E) {
            self.imports_httpd |= name.starts_with(b"ap_");
            self.python.imported |= name.starts_with(b"Py");
            return;
        }
        match name {
            // The server's core: its modules import these, and only it exports them
            // (server/main.c, server/config.c; checked with `nm -D` of Debian's apache2).
            b"ap_run_mpm" | b"ap_server_conf" | b"ap_hook_post_config" => self.core += 1,
            b"ap_read_config" if symbol.st_type() == elf::STT_FUNC => {
                self.read_config = Some(symbol.st_value(E));
            }
            b"wsgi_module" => self.wsgi = true,
            b"apr_initialize" | b"apu_version" => self.apr = true,
            b"__libc_start_main" | b"gnu_get_libc_version" => self.libc = true,
            _ => {
                if let Some(name) = name.strip_suffix(b"_module")
                    && symbol.st_type() == elf::STT_OBJECT
                {
                    self.module = true;
                    if let Some(mpm) = name.strip_prefix(b"mpm_") {
                        self.mpm = Some(String::from_utf8_lossy(mpm).into_owned());
                    }
                }
                self.python.add(name, symbol.st_value(E));
            }
        }
    }

    fn kind(&self, httpd: bool, python: bool, soname: &[u8]) -> ModuleKind {
        // glibc before 2.34 has the last two apart; they set the signals 32 and 33 [inferred].
        const LIBC: [&[u8]; 4] = [b"ld-linux", b"ld-musl-", b"libpthread.so.", b"librt.so."];
        if httpd {
            ModuleKind::Httpd
        } else if self.wsgi {
            ModuleKind::ModWsgi
        } else if self.mpm.is_some() && self.imports_httpd {
            ModuleKind::Mpm
        } else if python {
            ModuleKind::Python
        } else if self.apr || (self.module && self.imports_httpd) {
            ModuleKind::HttpdPart
        } else if self.libc || LIBC.iter().any(|name| soname.starts_with(name)) {
            ModuleKind::Libc
        } else {
            ModuleKind::Other
        }
    }
}

/// Reads what a file is.
///
/// # Errors
///
/// When it is no 64-bit little-endian ELF file, or a broken or absurd one.
pub fn facts<'d, R: ReadRef<'d>>(data: R) -> Result<FileFacts, ElfError> {
    let elf = Elf::parse(data)?;
    let mut seen = Seen::default();
    for (name, symbol) in elf.symbols(elf::SHT_DYNSYM)? {
        seen.add(name, symbol);
    }
    let soname = elf.soname()?.unwrap_or_default();
    let httpd = seen.core >= 2;
    let may_embed = httpd || seen.wsgi;
    let python = std::mem::take(&mut seen.python).resolve(&elf, soname, may_embed)?;
    let kind = seen.kind(httpd, python.is_some(), soname);
    Ok(FileFacts {
        kind,
        httpd,
        read_config: seen
            .read_config
            .filter(|_| httpd)
            .and_then(|address| elf.image.code_offset_of(address)),
        intercept: seen.wsgi.then(|| intercept_file::find(&elf)),
        mod_wsgi: seen.wsgi.then(|| mod_wsgi_version(&elf)).flatten(),
        python,
        mpm: seen.mpm,
        image: elf.image,
    })
}

/// mod_wsgi's version.
///
/// The source has it as a plain literal, for `mod_wsgi/%s` in the server's banner
/// (`MOD_WSGI_VERSION_STRING`, 4.x to 6.x). Other literals look alike, CPython's version among
/// them, so: three numbers of which the first is 4 or more, the nearest to the banner's format.
fn mod_wsgi_version<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>) -> Option<String> {
    const BANNER: &[u8] = b"mod_wsgi/";
    elf.constants().find_map(|(_, data)| {
        let banner = python_file::find(data, BANNER)?;
        let mut at = 0;
        let mut best: Option<(usize, &str)> = None;
        for literal in data.split(|&byte| byte == 0) {
            let distance = at.max(banner) - at.min(banner);
            at += literal.len() + 1;
            if is_version(literal)
                && best.is_none_or(|(nearest, _)| distance < nearest)
                && let Ok(version) = std::str::from_utf8(literal)
            {
                best = Some((distance, version));
            }
        }
        Some(best?.1.to_owned())
    })
}

fn is_version(literal: &[u8]) -> bool {
    let mut numbers = literal.split(|&byte| byte == b'.');
    let is_number = |n: &[u8]| (1..=3).contains(&n.len()) && n.iter().all(u8::is_ascii_digit);
    literal.first().is_some_and(|&first| first >= b'4')
        && literal.len() <= 11
        && numbers.clone().count() == 3
        && numbers.all(is_number)
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
