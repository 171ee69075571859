//! A tracepoint's `format` file: where the kernel puts the fields that a program reads.
//!
//! Offsets are not stable between kernels: in 6.16 the names in `sched_process_fork` went from
//! arrays in the record to references behind it, and all that follows moved.

use thiserror::Error;

/// Where a field is, in bytes from the start of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Offset.
    pub offset: u32,
    /// Size.
    pub size: u32,
}

/// The fields of one tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format<'a> {
    /// The event's name.
    pub name: &'a str,
    fields: Vec<(&'a str, Field)>,
}

/// Why a format did not tell.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum FormatError {
    #[error("failed to read a tracepoint's format: it has no `name:` line")]
    NoName,
    #[error("failed to read the format of tracepoint {event}: field {field} has no {part}")]
    Garbled {
        event: String,
        field: String,
        part: &'static str,
    },
    #[error("failed to find field {field} in the format of tracepoint {event}")]
    NoField { event: String, field: String },
    #[error(
        "failed to use field {field} of tracepoint {event}: it has {size} bytes, not {expected}"
    )]
    Size {
        event: String,
        field: String,
        size: u32,
        expected: u32,
    },
}

impl<'a> Format<'a> {
    /// Reads the text of a `format` file.
    pub fn parse(text: &'a str) -> Result<Self, FormatError> {
        let name = text.lines().find_map(|line| line.strip_prefix("name:"));
        let name = name.map(str::trim).ok_or(FormatError::NoName)?;
        let mut fields = Vec::new();
        for line in text.lines() {
            let Some(line) = line.trim_start().strip_prefix("field:") else {
                continue;
            };
            let mut parts = line.split(';').map(str::trim);
            let declaration = parts.next().unwrap_or_default();
            let mut number = |part: &'static str| {
                parts
                    .next()
                    .and_then(|text| text.strip_prefix(part)?.strip_prefix(':')?.parse().ok())
                    .ok_or_else(|| FormatError::Garbled {
                        event: name.to_owned(),
                        field: declaration.to_owned(),
                        part,
                    })
            };
            let (offset, size) = (number("offset")?, number("size")?);
            fields.push((variable(declaration), Field { offset, size }));
        }
        Ok(Self { name, fields })
    }

    /// Where a field is.
    pub fn field(&self, name: &str) -> Result<Field, FormatError> {
        let found = self.fields.iter().find(|(other, _)| *other == name);
        found
            .map(|(_, field)| *field)
            .ok_or_else(|| FormatError::NoField {
                event: self.name.to_owned(),
                field: name.to_owned(),
            })
    }

    /// The offset of a field that the program reads in one piece of `size` bytes.
    pub fn offset(&self, name: &str, size: u32) -> Result<u32, FormatError> {
        let field = self.field(name)?;
        if field.size != size {
            return Err(FormatError::Size {
                event: self.name.to_owned(),
                field: name.to_owned(),
                size: field.size,
                expected: size,
            });
        }
        Ok(field.offset)
    }
}

/// The variable of a C declaration: `comm` in `char comm[16]`, `act` in `struct sigaction * act`.
fn variable(declaration: &str) -> &str {
    let last = declaration.rsplit([' ', '*']).next().unwrap_or_default();
    last.split('[').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `/sys/kernel/tracing/events/syscalls/sys_enter_rt_sigaction/format` of Linux 6.18.
    const ENTER: &str = "name: sys_enter_rt_sigaction
ID: 237
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:int sig;\toffset:16;\tsize:8;\tsigned:0;
\tfield:const struct sigaction * act;\toffset:24;\tsize:8;\tsigned:0;
\tfield:struct sigaction * oact;\toffset:32;\tsize:8;\tsigned:0;
\tfield:size_t sigsetsize;\toffset:40;\tsize:8;\tsigned:0;

print fmt: \"sig: 0x%08lx, act: 0x%08lx\", ((unsigned long)(REC->sig)), ((unsigned long)(REC->act))
";

    /// `sched/sched_process_fork` of Linux 6.6, less most common fields.
    const FORK_6_6: &str = "name: sched_process_fork
ID: 315
format:
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char parent_comm[16];\toffset:8;\tsize:16;\tsigned:1;
\tfield:pid_t parent_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:char child_comm[16];\toffset:28;\tsize:16;\tsigned:1;
\tfield:pid_t child_pid;\toffset:44;\tsize:4;\tsigned:1;

print fmt: \"comm=%s pid=%d child_comm=%s child_pid=%d\", REC->parent_comm, REC->parent_pid
";

    /// The same from Linux 6.18.
    const FORK_6_18: &str = "name: sched_process_fork
ID: 366
format:
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:__data_loc char[] parent_comm;\toffset:8;\tsize:4;\tsigned:0;
\tfield:pid_t parent_pid;\toffset:12;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] child_comm;\toffset:16;\tsize:4;\tsigned:0;
\tfield:pid_t child_pid;\toffset:20;\tsize:4;\tsigned:1;
";

    fn offset(text: &str, name: &str) -> u32 {
        let format = Format::parse(text).expect("well formed");
        format.field(name).expect(name).offset
    }

    #[test]
    fn the_fields_of_a_system_call() {
        let format = Format::parse(ENTER).expect("well formed");
        assert_eq!(format.name, "sys_enter_rt_sigaction");
        assert_eq!(
            format.field("sig"),
            Ok(Field {
                offset: 16,
                size: 8
            })
        );
        assert_eq!(format.offset("act", 8), Ok(24));
        assert_eq!(format.offset("__syscall_nr", 4), Ok(8));
    }

    #[test]
    fn arrays_and_references_of_both_times() {
        assert_eq!(offset(FORK_6_6, "parent_comm"), 8);
        assert_eq!(offset(FORK_6_6, "child_pid"), 44);
        assert_eq!(offset(FORK_6_18, "child_comm"), 16);
        assert_eq!(offset(FORK_6_18, "child_pid"), 20);
    }

    #[test]
    fn errors_name_the_field_and_the_event() {
        let format = Format::parse(ENTER).expect("well formed");
        let says = |error: FormatError| error.to_string();
        assert_eq!(
            says(format.field("ret").expect_err("absent")),
            "failed to find field ret in the format of tracepoint sys_enter_rt_sigaction"
        );
        assert_eq!(
            says(format.offset("sig", 4).expect_err("wide")),
            "failed to use field sig of tracepoint sys_enter_rt_sigaction: \
             it has 8 bytes, not 4"
        );
        let cut = "name: x\n\tfield:int sig;\toffset:16;\n";
        assert_eq!(
            says(Format::parse(cut).expect_err("cut")),
            "failed to read the format of tracepoint x: field int sig has no size"
        );
        let wide = "name: x\n\tfield:int sig;\toffset:99999999999;\tsize:8;\n";
        assert!(says(Format::parse(wide).expect_err("wide")).ends_with("int sig has no offset"));
        assert_eq!(Format::parse("").expect_err("empty"), FormatError::NoName);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, at in 0..ENTER.len()) {
            let _ = Format::parse(&text);
            let _ = Format::parse(&format!("{}{text}\n{}", &ENTER[..at], &ENTER[at..]));
        }
    }
}
