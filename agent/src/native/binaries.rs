//! The files whose code is on stacks: their tables and names, read when a stack asks for them.
//!
//! Files are read, never mapped, as everywhere (`process::files`), and none is kept open: a file
//! that we held would keep a container's file system busy.

use std::{
    collections::HashMap,
    fs::File,
    path::Path,
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use object::elf;

use super::{
    cfi::{Cfi, Context, Section},
    debug,
    recorded::Recorded,
    registers::Arch,
    space::{Region, Source, Space},
    symbols::{self, Symbol},
    unwind::{self, Place},
    vdso,
};
use crate::{
    event::{NativeFrame, NativeStack, StackCopy},
    process::{
        directory::Directory,
        elf::Elf,
        files::{self, Identity},
    },
};

/// Bytes of a file's `.eh_frame`: LLVM 22's, with 10 MiB, is the largest of Debian's.
const FRAMES_MAX: u64 = 48 << 20;
/// Bytes of tables and names that are kept: any one file's tables have room.
const BYTES_MAX: usize = 2 * FRAMES_MAX as usize;
/// Files that are remembered; a worker's stacks touch some ten.
const FILES_MAX: usize = 512;
/// Addresses of a file whose names are remembered.
const NAMES_MAX: usize = 4_096;
/// What a name that is remembered takes, at most some three times as much.
const NAME_BYTES: usize = 256;
/// How long files are read for one stack: each frame may lie in another file, all of them large.
const READ_TIME: Duration = Duration::from_secs(1);

/// What was learnt of a file, and when it was last asked for.
#[derive(Debug, Default)]
struct Entry {
    cfi: Option<Arc<Cfi>>,
    names: HashMap<u64, Option<Symbol>>,
    used: u64,
}

/// What is to be found out about a registration.
pub struct Want<'a> {
    /// The registers and the stack.
    pub copy: StackCopy<'a>,
    /// The old handler's address.
    pub old: Option<u64>,
    /// The new handler's address.
    pub new: Option<u64>,
    /// Whether files may be read that are not known yet, which takes milliseconds.
    pub may_read: bool,
}

/// The tables and names of files, by what the files are.
pub struct Binaries {
    entries: HashMap<Identity, Entry>,
    clock: u64,
    context: Box<Context>,
    vdso: Option<Arc<Cfi>>,
    /// Until when files may be read for this stack.
    read_until: Option<Moment>,
}

impl Default for Binaries {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            clock: 0,
            context: Box::new(Context::new()),
            vdso: vdso::tables(),
            read_until: None,
        }
    }
}

impl Binaries {
    /// Unwinds a stack of a process, and says whether it ended at code that `space` does not
    /// know: something may have been mapped since.
    pub fn unwind(
        &mut self,
        proc_root: &Path,
        pid: u32,
        space: &mut Space,
        want: &Want<'_>,
    ) -> (NativeStack, bool) {
        let directory = Directory::new(proc_root, pid);
        self.clock += 1;
        self.read_until = want.may_read.then(|| Moment::now() + READ_TIME);
        let handlers = [want.old, want.new];
        if let Some(stack) = space.walks.same(&want.copy, handlers) {
            return (stack.clone(), false);
        }
        let copy = Recorded::new(want.copy);
        let mut context = std::mem::take(&mut self.context);
        let walk = unwind::walk(Arch::HOST, &mut context, &copy, |address| {
            self.place(&directory, space, address)
        });
        self.context = context;
        let mut asked = walk.addresses.clone();
        asked.extend(handlers.iter().flatten());
        let names = self.names(&directory, space, &asked);
        let frame = |address: &u64| frame(space, *address, names.get(address));
        let symbol = |handler: Option<u64>| {
            let (symbol, inside) = names.get(&handler?)?;
            // A handler is a function; what begins elsewhere is not its name.
            (*inside == 0).then(|| symbol.clone())
        };
        let stack = NativeStack {
            result: walk.result,
            frames: walk.addresses.iter().filter_map(frame).collect(),
            old_symbol: symbol(want.old),
            new_symbol: symbol(want.new),
        };
        self.shrink();
        let is_final = walk.unknown.is_none();
        if is_final && want.may_read {
            space.walks.keep(copy, handlers, &stack);
        }
        (stack, !is_final)
    }

    /// The functions that begin at these addresses of a process.
    pub fn functions(
        &mut self,
        proc_root: &Path,
        pid: u32,
        space: &mut Space,
        addresses: &[u64],
    ) -> Vec<(u64, Arc<str>)> {
        self.clock += 1;
        self.read_until = Some(Moment::now() + READ_TIME);
        let names = self.names(&Directory::new(proc_root, pid), space, addresses);
        self.shrink();
        let begins = |(address, (name, inside))| (inside == 0).then_some((address, name));
        let mut functions: Vec<_> = names.into_iter().filter_map(begins).collect();
        functions.sort_unstable();
        functions
    }

    fn place(&mut self, directory: &Directory, space: &mut Space, address: u64) -> Place {
        let Some(region) = space.at(address).cloned() else {
            return Place::Nothing;
        };
        let cfi = match region.source {
            Source::Anonymous => return Place::Plain,
            Source::Vdso => self.vdso.clone(),
            Source::File(..) => match self.identity(directory, space, &region) {
                None => return Place::Unreadable,
                Some(identity) => self.entries.get(&identity).and_then(|e| e.cfi.clone()),
            },
        };
        match region.bias().zip(cfi) {
            Some((bias, cfi)) => Place::File(bias, cfi),
            None => Place::Plain,
        }
    }

    /// What a region's file is; its tables are in `entries` then.
    fn identity(
        &mut self,
        directory: &Directory,
        space: &mut Space,
        region: &Region,
    ) -> Option<Identity> {
        let Source::File(file, _) = region.source else {
            return None;
        };
        let known = space.opened.get(&file).copied();
        if let Some(identity) = known
            && identity.is_none_or(|identity| self.entries.contains_key(&identity))
        {
            self.use_now(identity?);
            return identity;
        }
        if !may_read(self.read_until) {
            return None;
        }
        let identity = directory
            .open(&region.mapping, file)
            .and_then(|(open, _)| self.learn(&open));
        space.opened.insert(file, identity);
        identity
    }

    fn use_now(&mut self, identity: Identity) {
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry.used = self.clock;
        }
    }

    /// Reads a file's tables, unless they are known.
    fn learn(&mut self, file: &File) -> Option<Identity> {
        let (identity, metadata) = Identity::of(file).ok()?;
        if self.entries.contains_key(&identity) {
            self.use_now(identity);
            return Some(identity);
        }
        // What is no ELF file has no tables: code of a compiler that maps a file of its own.
        let cfi = files::read(file, &metadata, |data| {
            let elf = Elf::parse(data).ok()?;
            let section = |name| {
                let (address, bytes) = elf.section(name, FRAMES_MAX).ok()??;
                let bytes = bytes.to_vec();
                Some(Section { address, bytes })
            };
            Cfi::new(section(b".eh_frame_hdr")?, section(b".eh_frame")?)
        });
        let entry = Entry {
            cfi: cfi.ok()?.map(Arc::new),
            names: HashMap::new(),
            used: self.clock,
        };
        // One stack may lie in hundreds of files.
        self.entries.insert(identity, entry);
        self.shrink();
        Some(identity)
    }

    /// The functions at these addresses of a process, and how far inside each one is.
    fn names(
        &mut self,
        directory: &Directory,
        space: &mut Space,
        addresses: &[u64],
    ) -> HashMap<u64, (Arc<str>, u64)> {
        let mut wanted: HashMap<Identity, (Region, Vec<(u64, u64)>)> = HashMap::new();
        for &address in addresses {
            if let Some(region) = space.at(address).cloned()
                && let Some(bias) = region.bias()
                && let Some(identity) = self.identity(directory, space, &region)
            {
                let (_, list) = wanted.entry(identity).or_insert((region, Vec::new()));
                list.push((address, address.wrapping_sub(bias)));
            }
        }
        let mut names = HashMap::new();
        for (identity, (region, list)) in wanted {
            let Some(entry) = self.entries.get_mut(&identity) else {
                continue;
            };
            let mut unknown: Vec<u64> = list.iter().map(|(_, own)| *own).collect();
            unknown.retain(|own| !entry.names.contains_key(own));
            if !unknown.is_empty() && may_read(self.read_until) {
                if entry.names.len() > NAMES_MAX {
                    entry.names.clear();
                }
                let found = look_up(directory, &region, identity, &unknown);
                entry.names.extend(unknown.into_iter().zip(found));
            }
            for (address, own) in list {
                if let Some(Some(symbol)) = entry.names.get(&own) {
                    let inside = own.wrapping_sub(symbol.address);
                    names.insert(address, (symbol.name.clone(), inside));
                }
            }
        }
        names
    }

    /// Forgets what was not asked for the longest.
    fn shrink(&mut self) {
        let size = |entry: &Entry| {
            entry.cfi.as_ref().map_or(0, |cfi| cfi.size()) + entry.names.len() * NAME_BYTES
        };
        let mut bytes: usize = self.entries.values().map(size).sum();
        while bytes > BYTES_MAX || self.entries.len() > FILES_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some((identity, gone)) = oldest.map(|(i, e)| (*i, size(e))) else {
                return;
            };
            bytes -= gone;
            self.entries.remove(&identity);
        }
    }
}

fn may_read(until: Option<Moment>) -> bool {
    until.is_some_and(|until| Moment::now() < until)
}

fn frame(space: &Space, address: u64, name: Option<&(Arc<str>, u64)>) -> Option<NativeFrame> {
    let region = space.at(address)?;
    let (symbol, offset) = match name {
        Some((symbol, inside)) => (Some(Arc::clone(symbol)), *inside),
        None => {
            let base = region.bias().unwrap_or(region.mapping.start);
            (None, address.wrapping_sub(base))
        }
    };
    Some(NativeFrame {
        module: region.name().into(),
        code: region.code(),
        symbol,
        offset,
    })
}

/// The functions at these addresses of a region's file, by its own table of all symbols, or else
/// by that of its debug file, or else by the exported ones.
fn look_up(
    directory: &Directory,
    region: &Region,
    identity: Identity,
    addresses: &[u64],
) -> Vec<Option<Symbol>> {
    let look = || {
        let Source::File(id, _) = region.source else {
            return None;
        };
        let (file, _) = directory.open(&region.mapping, id)?;
        let (now, metadata) = Identity::of(&file).ok()?;
        if now != identity {
            return None;
        }
        let own = files::read(&file, &metadata, |data| {
            let elf = Elf::parse(data).ok()?;
            if let Some(found) = symbols::find(&elf, elf::SHT_SYMTAB, addresses).ok()? {
                return Some((found, None));
            }
            let exported = symbols::find(&elf, elf::SHT_DYNSYM, addresses).ok()?;
            let exported = exported.unwrap_or_else(|| vec![None; addresses.len()]);
            Some((exported, debug::Link::of(&elf)))
        });
        let (mut found, link) = own.ok()??;
        if let Some(link) = link
            && let Some(debug) = link.open(directory, &region.mapping.path)
        {
            let better = debug::symbols(&debug, &link, addresses).unwrap_or_default();
            for (slot, better) in found.iter_mut().zip(better) {
                *slot = better.or_else(|| slot.take());
            }
        }
        Some(found)
    };
    look().unwrap_or_else(|| vec![None; addresses.len()])
}

#[cfg(test)]
mod tests;
