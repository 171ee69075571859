//! The calling thread's native stack, unwound: which code, innermost first.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::process::ModuleKind;

/// Why a native stack is not complete: the one list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The copy of the stack ended before the stack did.
    CopyEnded,
    /// More frames than any stack that we unwind.
    TooDeep,
    /// Code without unwind information: made at run time, or built without it.
    NoUnwindInfo,
    /// The unwind information makes no sense, or asks for what is not known.
    BadUnwindInfo,
    /// A return address that lies in no code: the stack is damaged, or of another kind.
    NotCode,
    /// The file that the code is mapped from could not be read.
    Unreadable,
    /// What is mapped in the process is not known: it is gone, or registers in a loop.
    MapsUnknown,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::CopyEnded,
        Self::TooDeep,
        Self::NoUnwindInfo,
        Self::BadUnwindInfo,
        Self::NotCode,
        Self::Unreadable,
        Self::MapsUnknown,
    ];

    /// The name that users see.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::CopyEnded => "copy_ended",
            Self::TooDeep => "too_deep",
            Self::NoUnwindInfo => "no_unwind_info",
            Self::BadUnwindInfo => "bad_unwind_info",
            Self::NotCode => "not_code",
            Self::Unreadable => "unreadable",
            Self::MapsUnknown => "maps_unknown",
        }
    }
}

/// How a native stack came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NativeResult {
    /// Down to the thread's first function.
    Complete,
    /// The innermost frames are there.
    Truncated(Reason),
    /// The record has no registers.
    #[default]
    None,
    /// Not one frame is known.
    Failed(Reason),
}

impl fmt::Display for NativeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Truncated(reason) => write!(f, "truncated({})", reason.label()),
            Self::None => f.write_str("none"),
            Self::Failed(reason) => write!(f, "failed({})", reason.label()),
        }
    }
}

/// Whose code a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A mapped file's.
    Module(ModuleKind),
    /// An extension of Python's standard library: `…/lib-dynload/…`.
    StandardLibrary,
    /// libffi: it makes calls for others and none of its own.
    Carrier,
    /// The kernel's, mapped into each process.
    Vdso,
    /// Memory that no file backs: code made at run time.
    Anonymous,
    /// A file's that could not be read.
    Unknown,
}

impl Code {
    /// Whether it belongs to the application: an extension, a library, code made at run time.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Module(ModuleKind::Other) | Self::Anonymous)
    }

    /// The name that users see.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Module(ModuleKind::Libc) => "c-library",
            Self::Module(ModuleKind::Python) | Self::StandardLibrary => "interpreter",
            Self::Carrier => "carrier",
            Self::Vdso => "kernel",
            Self::Unknown => "unknown",
            _ if self.is_server() => "server",
            Self::Module(_) | Self::Anonymous => "application",
        }
    }

    /// Whether it is httpd's, or a part's of it.
    #[must_use]
    pub fn is_server(self) -> bool {
        matches!(
            self,
            Self::Module(
                ModuleKind::Httpd | ModuleKind::Mpm | ModuleKind::ModWsgi | ModuleKind::HttpdPart
            )
        )
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NativeFrame {
    /// The last part of the mapped file's path; `[anonymous]`, `[vdso]`.
    pub module: Arc<str>,
    /// Whose code it is.
    pub code: Code,
    /// The function, demangled, where the file or its debug file has a symbol for the address.
    pub symbol: Option<Arc<str>>,
    /// Bytes from the symbol's start; without a symbol, from the file's own first address.
    pub offset: u64,
}

/// The calling thread's native stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeStack {
    /// How it came out.
    pub result: NativeResult,
    /// Innermost first; the first one made the system call.
    pub frames: Vec<NativeFrame>,
    /// The function at the old handler's address, where it is known.
    pub old_symbol: Option<Arc<str>>,
    /// The function at the new handler's address, where it is known.
    pub new_symbol: Option<Arc<str>>,
}

/// What the probe copied, while it still lies in the ring: it may hold secrets, so that nothing
/// keeps it.
#[derive(Clone, Copy)]
pub struct StackCopy<'record> {
    /// Behind the `syscall` instruction.
    pub ip: u64,
    /// The first byte's address.
    pub sp: u64,
    /// Frame pointer: `rbp`, `x29`.
    pub fp: u64,
    /// Link register of aarch64.
    pub lr: u64,
    /// The stack from `sp` on.
    pub bytes: &'record [u8],
}

impl StackCopy<'_> {
    /// The word at an address, if it was copied.
    #[must_use]
    pub fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels are what serde writes, so that captures and findings speak alike.
    #[test]
    fn labels_are_the_names() {
        for reason in Reason::ALL {
            let json = serde_json::to_value(reason).expect("a word");
            assert_eq!(json, reason.label());
        }
    }

    #[test]
    fn words_come_from_the_copy_only() {
        let copy = StackCopy {
            ip: 0,
            sp: 0x1000,
            fp: 0,
            lr: 0,
            bytes: &[1, 0, 0, 0, 0, 0, 0, 0, 2],
        };
        assert_eq!(copy.word(0x1000), Some(1));
        assert_eq!(copy.word(0x1001), Some(2 << 56));
        for outside in [0, 0xfff, 0x1002, u64::MAX] {
            assert_eq!(copy.word(outside), None, "{outside:#x}");
        }
    }
}
