//! Texts of `/proc/PID/…`, parsed. Pure and total: any text gives a value or `None`.
//!
//! The formats are the kernel's: `Documentation/filesystems/proc.rst`, `fs/proc/array.c` and
//! `fs/proc/task_mmu.c`. A process chooses its own name, arguments and file names, so nothing
//! here trusts what stands between the kernel's separators.

use super::Container;

/// What `/proc/PID/stat` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: u32,
    /// The name that the process gave itself; may hold blanks and parentheses.
    pub comm: String,
    /// The parent's process id; 0 where it has none or lies outside the pid namespace.
    pub parent: u32,
    /// Start in ticks of `USER_HZ` since boot: field 22, as [`super::ProcessKey`] has it.
    pub start: u64,
}

/// Parses `/proc/PID/stat`.
///
/// The name is not escaped there, so its end is the *last* closing parenthesis.
#[must_use]
pub fn stat(text: &str) -> Option<Stat> {
    let (pid, rest) = text.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once(") ")?;
    // What follows begins with field 3, the state.
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        pid: pid.parse().ok()?,
        comm: comm.to_owned(),
        parent,
        start,
    })
}

/// What `/proc/PID/status` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Id of the process that the thread belongs to.
    pub tgid: u32,
    /// Process id in the innermost pid namespace.
    pub ns_pid: u32,
    /// Effective user id.
    pub uid: u32,
}

/// Parses `/proc/PID/status`.
///
/// Unlike in `stat`, the name is escaped there: it cannot fake a line.
#[must_use]
pub fn status(text: &str) -> Option<Status> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let tgid = field("Tgid")?.trim().parse().ok()?;
    // Absent where the kernel was built without pid namespaces.
    let ns_pid = match field("NSpid") {
        Some(ids) => ids.split_ascii_whitespace().next_back()?.parse().ok()?,
        None => tgid,
    };
    let uid = field("Uid")?
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(Status { tgid, ns_pid, uid })
}

/// What `/proc/PID/status` tells of signals: those that the process ignores, and those that it
/// handles, bit 0 being signal 1. `None` of a process that has ended: its masks are empty
/// (`task_sig` in `fs/proc/array.c`).
#[must_use]
pub fn masks(text: &str) -> Option<(u64, u64)> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    if field("State:")?.trim_start().starts_with(['Z', 'X']) {
        return None;
    }
    let mask = |name: &str| hexadecimal(field(name)?.trim());
    Some((mask("SigIgn:")?, mask("SigCgt:")?))
}

/// A file as `/proc/PID/maps` names it.
///
/// On overlay and btrfs file systems this can differ from what `stat(2)` says, and it is the
/// one by which the kernel tells uprobe targets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Device in the kernel's own encoding: major number above 20 bits of minor number.
    pub device: u32,
    /// Inode number.
    pub inode: u64,
}

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// The memory may be executed.
    pub executable: bool,
    /// Offset into the file.
    pub offset: u64,
    /// The file; `None` for anonymous memory and the kernel's own areas (`[heap]`, `[vdso]`).
    pub file: Option<FileId>,
    /// The path as the process sees it, or the kernel's word for the area; may be empty.
    pub path: String,
    /// The file has no name any more, or another file has it.
    pub deleted: bool,
}

/// What the kernel writes behind the path of a file without a name.
pub(super) const DELETED: &str = " (deleted)";

/// Parses one line of `/proc/PID/maps`.
#[must_use]
pub fn mapping(line: &str) -> Option<Mapping> {
    // Five fields, one blank apart; the path is padded with blanks and may hold some itself.
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    let permissions = fields.next()?.as_bytes();
    let offset = hexadecimal(fields.next()?)?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let (major, minor) = (hexadecimal(major)?, hexadecimal(minor)?);
    let inode: u64 = fields.next()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_start_matches(' ');
    let (path, deleted) = match path.strip_suffix(DELETED) {
        Some(path) => (path, true),
        None => (path, false),
    };
    if start >= end || permissions.len() != 4 || major >= 1 << 12 || minor >= 1 << 20 {
        return None;
    }
    let device = u32::try_from(major << 20 | minor).ok()?;
    Some(Mapping {
        start,
        end,
        executable: permissions[2] == b'x',
        offset,
        file: (inode != 0).then_some(FileId { device, inode }),
        path: path.to_owned(),
        deleted,
    })
}

/// Parses `/proc/PID/maps`; lines that are none are left out.
pub fn mappings(text: &str) -> impl Iterator<Item = Mapping> {
    text.lines().filter_map(mapping)
}

fn hexadecimal(digits: &str) -> Option<u64> {
    // `from_str_radix` would take a sign.
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// A socket of `/proc/PID/net/unix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixSocket<'t> {
    /// Its inode, as a descriptor's link names it.
    pub inode: u64,
    /// Somebody may connect to it.
    pub listens: bool,
    /// What it is bound to; empty where it is bound to nothing.
    pub path: &'t str,
}

/// Parses `/proc/PID/net/unix` (`unix_seq_show` in `net/unix/af_unix.c`); lines that are none are
/// left out. A path may hold a line's end: a line is whatever a process of that network says.
pub fn unix_sockets(text: &str) -> impl Iterator<Item = UnixSocket<'_>> {
    /// `__SO_ACCEPTCON`.
    const LISTENS: u64 = 1 << 16;
    text.lines().filter_map(|line| {
        // Address, references, protocol, flags, type, state, inode; the path may hold blanks.
        let mut rest = line;
        let mut fields = [""; 7];
        for field in &mut fields {
            (*field, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            // A short inode is padded.
            rest = rest.trim_start_matches(' ');
        }
        let [_, _, _, flags, _, _, inode] = fields;
        Some(UnixSocket {
            inode: inode.parse().ok()?,
            listens: hexadecimal(flags)? & LISTENS != 0,
            path: rest,
        })
    })
}

/// The inode in a line of `/proc/PID/net/tcp`, or of `tcp6`, if it is of a socket that listens
/// (`get_tcp4_sock` in `net/ipv4/tcp_ipv4.c`).
#[must_use]
pub fn tcp_listener(line: &str) -> Option<u64> {
    // Number, address, other address, state, queues, timer, retransmits, user, timeout, inode.
    let mut fields = line.split_ascii_whitespace();
    let listens = fields.nth(3)? == "0A";
    fields.nth(5)?.parse().ok().filter(|_| listens)
}

/// The inode of a socket, from a descriptor's link.
#[must_use]
pub fn socket_inode(link: &str) -> Option<u64> {
    let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

/// Parses `/proc/PID/cgroup`, of cgroup v1 (a line per controller) or v2 (one line).
///
/// The innermost container counts: a container may run another one, or systemd.
#[must_use]
pub fn cgroup(text: &str) -> Option<Container> {
    text.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        // Without a systemd driver, containerd joins slice, runtime and id with colons.
        let parts = || path.split(['/', ':']).rev();
        Some(Container {
            id: parts().find_map(container_id)?,
            pod_uid: parts().find_map(pod_uid),
        })
    })
}

/// Runtimes' prefixes of a systemd scope; `crio-conmon-…` and its like hold the monitor only.
const RUNTIMES: [&str; 4] = ["docker-", "cri-containerd-", "crio-", "libpod-"];

fn container_id(part: &str) -> Option<String> {
    let id = match part.strip_suffix(".scope") {
        Some(scope) => RUNTIMES
            .iter()
            .find_map(|runtime| scope.strip_prefix(runtime))?,
        // The cgroupfs driver: the id alone.
        None => part.strip_prefix("libpod-").unwrap_or(part),
    };
    (id.len() == 64 && id.bytes().all(is_digit)).then(|| id.to_owned())
}

fn pod_uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = &part[part.rfind("pod")? + 3..];
    // Systemd's slices use the dash for nesting, so the kubelet writes underscores instead.
    let uid = uid.replace('_', "-");
    let groups: Vec<usize> = uid.split('-').map(str::len).collect();
    // A static pod's uid is a hash of its manifest: 32 digits without dashes.
    let shaped = groups == [8, 4, 4, 4, 12] || groups == [32];
    (shaped && uid.bytes().all(|b| b == b'-' || is_digit(b))).then_some(uid)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
#[path = "proc_tests.rs"]
mod tests;
