//! Where the running kernel keeps its fields: a reader for BTF, the kernel's own type
//! information (`Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`, Linux 6.12).
//!
//! aya makes no CO-RE relocations for Rust programs, so the probe gets its offsets as data. Only
//! structs and unions can be asked for. The reader is total: garbage is an error, never a panic
//! and never an endless loop.

use thiserror::Error;

/// The bytes of `/sys/kernel/btf/vmlinux`, indexed.
#[derive(Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where type `id` stands in `types`. Type 0 is `void` and has no bytes.
    at: Vec<usize>,
    /// Structs and unions with members, sorted by name.
    named: Vec<(&'a [u8], u32)>,
}

/// Why BTF did not tell.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum BtfError {
    #[error("failed to read the kernel's BTF: the {part} ends beyond its {length} bytes")]
    Cut { part: &'static str, length: usize },
    #[error("failed to read the kernel's BTF: it starts with {magic:#06x} instead of 0xeb9f")]
    Magic { magic: u16 },
    #[error("failed to read the kernel's BTF: type {id} is of the unknown kind {kind}")]
    Kind { id: usize, kind: u32 },
    #[error("failed to find struct {name} in the kernel's BTF")]
    NoStruct { name: String },
    #[error("failed to find {member} of struct {name} in the kernel's BTF")]
    NoMember { name: String, member: String },
    #[error("failed to locate {member} of struct {name}: it is a bit field")]
    BitField { name: String, member: String },
    #[error("failed to locate {what}: the kernel's BTF has several that differ")]
    Ambiguous { what: String },
    #[error("failed to locate {member} of struct {name}: its types nest without end")]
    Endless { name: String, member: String },
}

const HEADER: usize = 24;
const MAGIC: u16 = 0xeb9f;

const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// Members that one search may look at, and names of a type that it may look through:
/// `task_struct`, the largest, has some 300 members with all its anonymous ones.
const MEMBERS: u32 = 20_000;
const NAMES: u32 = 32;
const DEPTH: u32 = 16;

/// One type's fixed part.
struct Type {
    kind: u32,
    /// Number of members, for structs and unions.
    count: usize,
    /// Member offsets carry a bit-field size in their high byte.
    sized_bits: bool,
    /// Size in bytes, or the type referred to.
    size_or_type: u32,
    /// Where the members start.
    members: usize,
}

/// What stopped a search; the caller knows the names.
enum Stop {
    BitField,
    Endless,
}

impl<'a> Btf<'a> {
    /// Checks the header and indexes the types.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let length = bytes.len();
        let cut = |part| BtfError::Cut { part, length };
        let header = |at| word(bytes, at).map(|word| word as usize);
        let first = header(0).ok_or(cut("header"))?;
        let magic = first as u16;
        if magic != MAGIC {
            return Err(BtfError::Magic { magic });
        }
        let field = |at| header(at).ok_or(cut("header"));
        let start = field(4)?;
        if start < HEADER {
            return Err(cut("header"));
        }
        let section = |part, offset, size| {
            let from = start + field(offset)?;
            bytes.get(from..from + field(size)?).ok_or(cut(part))
        };
        let types = section("type section", 8, 12)?;
        let strings = section("string section", 16, 20)?;

        let mut btf = Self {
            types,
            strings,
            at: vec![0],
            named: Vec::new(),
        };
        let mut at = 0;
        while at < types.len() {
            let id = btf.at.len();
            let found = btf.read(at).ok_or(cut("type section"))?;
            let each = match found.kind {
                // A pointer, a forward declaration, another name, a qualifier, a function.
                2 | 7..=12 | 16 | 18 => 0,
                // An integer, a variable, a declaration's tag: one word.
                1 | 14 | 17 => 4,
                3 => 12,
                STRUCT | UNION | 15 | 19 => 12 * found.count,
                6 | 13 => 8 * found.count,
                kind => return Err(BtfError::Kind { id, kind }),
            };
            let next = found.members + each;
            if next > types.len() {
                return Err(cut("type section"));
            }
            if matches!(found.kind, STRUCT | UNION) && found.count > 0 {
                let name = word(types, at).and_then(|offset| btf.string(offset));
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    btf.named.push((name, id as u32));
                }
            }
            btf.at.push(at);
            at = next;
        }
        btf.named.sort_unstable();
        Ok(btf)
    }

    /// Bytes from the start of a struct to a member: `("task_struct", "thread.fsbase")`.
    ///
    /// Members of anonymous structs and unions are the struct's own, as in C.
    pub fn offset(&self, name: &str, member: &str) -> Result<u32, BtfError> {
        let mut found = None;
        for id in self.ids(name)? {
            let mut budget = MEMBERS;
            let of = || (name.to_owned(), member.to_owned());
            let bits = self.member(id, member, 0, &mut budget).map_err(|stop| {
                let (name, member) = of();
                match stop {
                    Stop::BitField => BtfError::BitField { name, member },
                    Stop::Endless => BtfError::Endless { name, member },
                }
            })?;
            let Some(bits) = bits else { continue };
            if bits % 8 != 0 {
                let (name, member) = of();
                return Err(BtfError::BitField { name, member });
            }
            let what = || format!("{member} of struct {name}");
            agree(
                &mut found,
                u32::try_from(bits / 8).unwrap_or(u32::MAX),
                what,
            )?;
        }
        let (name, member) = (name.to_owned(), member.to_owned());
        found.ok_or(BtfError::NoMember { name, member })
    }

    /// Bytes of a struct or union.
    pub fn size(&self, name: &str) -> Result<u32, BtfError> {
        let mut found = None;
        for id in self.ids(name)? {
            if let Some(found_type) = self.type_of(id) {
                agree(&mut found, found_type.size_or_type, || {
                    format!("struct {name}")
                })?;
            }
        }
        found.ok_or_else(|| BtfError::NoStruct {
            name: name.to_owned(),
        })
    }

    /// Every struct or union of this name; the kernel may have several, in different files.
    fn ids(&self, name: &str) -> Result<impl Iterator<Item = u32>, BtfError> {
        let from = self
            .named
            .partition_point(|(other, _)| *other < name.as_bytes());
        let rest = self.named.get(from..).unwrap_or_default();
        let mut same = rest
            .iter()
            .take_while(move |(other, _)| *other == name.as_bytes())
            .peekable();
        if same.peek().is_none() {
            return Err(BtfError::NoStruct {
                name: name.to_owned(),
            });
        }
        Ok(same.map(|(_, id)| *id))
    }

    /// Bits from the start of type `id` to the member at `path`; `None` if there is none.
    fn member(
        &self,
        id: u32,
        path: &str,
        depth: u32,
        budget: &mut u32,
    ) -> Result<Option<u64>, Stop> {
        let Some(of) = self.resolve(id)? else {
            return Ok(None);
        };
        if depth == DEPTH {
            return Err(Stop::Endless);
        }
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        for at in (0..of.count).map(|index| of.members + 12 * index) {
            *budget = budget.checked_sub(1).ok_or(Stop::Endless)?;
            let field = |offset| word(self.types, at + offset);
            let (Some(name), Some(inner), Some(place)) = (field(0), field(4), field(8)) else {
                return Ok(None);
            };
            let Some(name) = self.string(name) else {
                continue;
            };
            let (bits, width) = if of.sized_bits {
                (u64::from(place & 0xff_ffff), place >> 24)
            } else {
                (u64::from(place), 0)
            };
            let below = match rest {
                // An anonymous part: its members count as the struct's own.
                _ if name.is_empty() => path,
                _ if name != first.as_bytes() => continue,
                None if width != 0 => return Err(Stop::BitField),
                None => return Ok(Some(bits)),
                Some(rest) => rest,
            };
            let found = self.member(inner, below, depth + 1, budget)?;
            if found.is_some() || !name.is_empty() {
                return Ok(found.map(|inner| bits + inner));
            }
        }
        Ok(None)
    }

    /// The struct or union behind typedefs and qualifiers; `None` for anything else.
    fn resolve(&self, mut id: u32) -> Result<Option<Type>, Stop> {
        for _ in 0..NAMES {
            match self.type_of(id) {
                Some(found) if matches!(found.kind, STRUCT | UNION) => return Ok(Some(found)),
                // typedef, volatile, const, restrict, a type's tag.
                Some(Type {
                    kind: 8..=11 | 18,
                    size_or_type,
                    ..
                }) => id = size_or_type,
                _ => return Ok(None),
            }
        }
        Err(Stop::Endless)
    }

    fn type_of(&self, id: u32) -> Option<Type> {
        match id {
            0 => None,
            _ => self.read(*self.at.get(id as usize)?),
        }
    }

    fn read(&self, at: usize) -> Option<Type> {
        let info = word(self.types, at + 4)?;
        Some(Type {
            kind: (info >> 24) & 0x1f,
            // 16 bits are in use; the kernel refuses BTF that has one of the next eight set.
            count: (info & 0xff_ffff) as usize,
            sized_bits: info >> 31 == 1,
            size_or_type: word(self.types, at + 8)?,
            members: at + 12,
        })
    }

    fn string(&self, offset: u32) -> Option<&'a [u8]> {
        let rest = self.strings.get(offset as usize..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        rest.get(..end)
    }
}

/// Takes a finding, unless an earlier one says something else.
fn agree(found: &mut Option<u32>, new: u32, what: impl Fn() -> String) -> Result<(), BtfError> {
    match found.replace(new) {
        Some(old) if old != new => Err(BtfError::Ambiguous { what: what() }),
        _ => Ok(()),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*word))
}

#[cfg(test)]
pub(super) mod tests;
