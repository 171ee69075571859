//! What the probe knows about Python, and what its walk brings back.
//!
//! [`RawLayout`] is all that the probe knows: offsets and behaviours of one CPython minor
//! version, as data. The agent fills it from a table row (and, from 3.13 on, from the
//! interpreter's own `_Py_DebugOffsets`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The offset of a field that this version does not have.
pub const ABSENT: u32 = u32::MAX;

/// Where the fields of one CPython version are, in bytes, and how that version behaves.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(
    missing_docs,
    reason = "each field is the CPython field that the comment above it names"
)]
pub struct RawLayout {
    /// Bits of `f_code`/`f_executable` that are the address (3.14 tags the low ones).
    pub code_mask: u64,
    /// Minor version in bits 0–7, major in bits 8–15, [`FREE_THREADED`].
    pub version: u32,

    // PyInterpreterState
    pub interpreter_next: u32,
    pub interpreter_threads: u32,
    pub interpreter_id: u32,

    // PyThreadState
    pub thread_next: u32,
    pub thread_id: u32,
    /// `frame`, `cframe` or `current_frame`.
    pub thread_frame: u32,
    /// `_PyCFrame.current_frame`; absent where `thread_frame` is the frame itself.
    pub cframe_frame: u32,
    pub thread_interpreter: u32,
    /// `_status`, a `u32` of bits, from 3.12 on.
    pub thread_status: u32,
    /// Bits of `_status`: attached to its thread now (`active`).
    pub status_active: u32,
    /// Bits of `_status`: attached to its thread last (`bound_gilstate`).
    pub status_bound: u32,
    /// Bits of `_status`: not, or no longer, any thread's (`unbound`, `cleared`, `finalized`).
    pub status_dead: u32,

    // PyFrameObject or _PyInterpreterFrame
    pub frame_previous: u32,
    pub frame_code: u32,
    /// `prev_instr`/`instr_ptr`, or `f_lasti` where `instruction_unit` is not zero.
    pub frame_instruction: u32,
    /// One byte; absent where frames have no owner (3.10 and before).
    pub frame_owner: u32,
    pub frame_size: u32,
    /// Owners from this value on are shims, which no traceback shows.
    pub shim_owner: u32,
    /// Bytes per unit of an `f_lasti` (an `i32`); zero where the frame holds a pointer.
    pub instruction_unit: u32,
    /// `is_entry`, one byte of 3.11 only: native code called this frame.
    pub frame_entry: u32,
    /// `tlbc_index`, an `i32` of free-threaded builds from 3.14 on: which copy of the bytecode.
    pub frame_copy: u32,

    // PyCodeObject
    pub code_file: u32,
    /// `co_qualname`, or `co_name` before 3.11.
    pub code_name: u32,
    pub code_first_line: u32,
    /// `co_linetable`, or `co_lnotab` before 3.10.
    pub code_table: u32,
    /// `co_code_adaptive`; absent where the frame holds an `f_lasti`.
    pub code_bytecode: u32,
    /// `_co_firsttraceable`, in two-byte units.
    pub code_first_traceable: u32,
    pub code_size: u32,
    /// `co_tlbc`, of free-threaded builds from 3.14 on: the copies of the bytecode.
    pub code_copies: u32,

    // PyASCIIObject, PyCompactUnicodeObject
    pub text_length: u32,
    pub text_state: u32,
    pub text_ascii: u32,
    pub text_compact: u32,
    pub text_mask_ascii: u32,
    pub text_mask_kind: u32,
    pub text_shift_kind: u32,
    /// Bytes from the object's head that hold both `length` and `state`.
    pub text_header: u32,
    /// Strings without this bit have their characters at the pointer [`RawLayout::text_data`].
    pub text_mask_compact: u32,
    pub text_data: u32,

    // PyBytesObject
    pub bytes_size: u32,
    pub bytes_data: u32,

    // PyObject, PyTypeObject
    pub object_type: u32,
    pub type_name: u32,
    pub type_flags: u32,

    // PyTupleObject
    pub tuple_size: u32,
    pub tuple_items: u32,

    // PyLongObject
    /// `ob_size`, the number of digits with the integer's sign, or `lv_tag` (3.12 and later).
    pub integer_tag: u32,
    /// Bits of `lv_tag` below the number of digits; zero where it is `ob_size`.
    pub integer_shift: u32,
    pub integer_digits: u32,
    /// Bits of a digit: 30, in 32.
    pub integer_bits: u32,

    // PyFunctionObject
    pub function_code: u32,
}
const _: () = assert!(size_of::<RawLayout>() == 8 + 52 * 4);

/// Bit of [`RawLayout::version`]: built without the global interpreter lock.
pub const FREE_THREADED: u32 = 1 << 16;
/// Layout index of an interpreter whose layout nobody knows: its stacks are not walked.
pub const UNSUPPORTED: u32 = u32::MAX;

/// The result of a walk. A newtype, not a Rust enum: any 16 bits may arrive.
#[repr(transparent)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct StackResult(pub u16);

impl StackResult {
    /// This thread runs no Python: no thread state of its own, or one without a frame.
    pub const NONE: Self = Self(0);
    /// Every frame is there.
    pub const COMPLETE: Self = Self(1);
    /// The innermost frames are there, `left_out` are not; zero where a frame could not be read, so
    /// that nobody knows how many lie beyond it.
    pub const TRUNCATED: Self = Self(2);
    /// The walk could not be done; `RawStack::miss` says why.
    pub const FAILED: Self = Self(3);
}

/// What the walk found, frames apart.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawStack {
    /// Address of the `PyThreadState`, zero if none was found.
    pub thread_state: u64,
    /// `PyInterpreterState.id`, -1 where unknown.
    pub interpreter: i64,
    /// Address of the head of the list of interpreters, zero where no interpreter of this process
    /// is known.
    pub interpreters: u64,
    /// How many [`RawFrame`]s follow.
    pub frames: u32,
    /// How many outer frames are not among them.
    pub left_out: u32,
    /// Bytes of frames that follow the record's fixed part.
    pub size: u32,
    /// [`RawLayout::version`] of the layout that was used, zero where none was.
    pub version: u32,
    /// [`RawStack::AMBIGUOUS`], [`RawStack::THREAD_KNOWN`].
    pub flags: u32,
    /// How the walk ended.
    pub result: StackResult,
    /// Why it failed: a [`crate::miss::Miss`] number.
    pub miss: u16,
}
const _: () = assert!(size_of::<RawStack>() == 48);

impl RawStack {
    /// Several thread states with frames belong to this thread, and none holds the lock.
    pub const AMBIGUOUS: u32 = 1;
    /// The thread has a thread state, with or without frames.
    pub const THREAD_KNOWN: u32 = 2;
}

/// One Python frame. `file_size + name_size + table_size` bytes follow, padded to eight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawFrame {
    /// Address of the code object.
    pub code: u64,
    /// Offset of the instruction into the bytecode, in bytes; negative before the first.
    pub instruction: i64,
    /// `co_firstlineno`.
    pub first_line: u32,
    /// Bytes of the line table.
    pub table_size: u32,
    /// Bytes of the file's name.
    pub file_size: u16,
    /// Bytes of the qualified name.
    pub name_size: u16,
    /// Bytes per character: 0 is ASCII, 1 Latin-1, 2 UCS-2, 4 UCS-4.
    pub file_kind: u8,
    /// Like `file_kind`.
    pub name_kind: u8,
    /// The `RawFrame::…` bits.
    pub flags: u16,
}
const _: () = assert!(size_of::<RawFrame>() == 32);

impl RawFrame {
    /// The code object is that of the frame before: nothing follows, all of it stands there.
    pub const SAME_CODE: u16 = 1;
    /// The file's name is that of the frame before.
    pub const SAME_FILE: u16 = 2;
    /// The file's name is longer than what was copied.
    pub const FILE_CUT: u16 = 4;
    /// The qualified name is longer than what was copied.
    pub const NAME_CUT: u16 = 8;
    /// The line table is longer than what was copied.
    pub const TABLE_CUT: u16 = 16;
    /// The code object could not be read.
    pub const UNREADABLE: u16 = 32;
    /// Native code lies between this frame and the one before, which it called: the interpreter
    /// was entered anew.
    pub const CROSSED: u16 = 64;
}

/// Frames per stack; beyond this only the count and the outermost one are kept.
pub const FRAMES: u32 = 128;
/// Links of the chain of frames that are looked at for those: shims, which no traceback shows, are
/// links, too, a third of all in some programs.
pub const LINKS: u32 = 256;
/// List nodes (interpreters and thread states) that a search looks at.
pub const NODES: u32 = 4096;
/// Links that are counted beyond [`LINKS`].
pub const UNCOUNTED: u32 = 4096;
/// Bytes of a file's name. CPython's own tree has 186 at most.
pub const FILE_SIZE: usize = 255;
/// Bytes of a qualified name. CPython's own tree has 168 at most.
pub const NAME_SIZE: usize = 255;
/// Bytes of a line table: `subprocess.Popen.__init__` alone has 2,319.
pub const TABLE_SIZE: usize = 8191;
/// Bytes of a record's Python frames. A power of two: positions are masked with it.
pub const RECORD_SIZE: usize = 65_536;
