//! Everything that the probe must know of the running kernel, from its own descriptions of
//! itself: BTF for its structs, tracefs for its tracepoints.

use probe_abi::{kernel::RawKernel, record::ACTION_SIZE};
use thiserror::Error;

use super::{
    btf::{Btf, BtfError},
    tracefs::{Format, FormatError},
};

/// Why the kernel's offsets are not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KernelError {
    /// A struct or a member.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// A field of a tracepoint.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The inventory's rows have no room for it.
    #[error(
        "failed to use struct k_sigaction: it has {size} bytes, the inventory has room for {ACTION_SIZE}"
    )]
    Action {
        /// Its size.
        size: u32,
    },
}

/// Where the thread's pointer to its thread-local storage is kept while it does not run.
const THREAD_POINTER: &str = if cfg!(target_arch = "aarch64") {
    "thread.uw.tp_value"
} else {
    "thread.fsbase"
};

/// What `pt_regs` calls the registers of the native stack.
struct Registers {
    ip: &'static str,
    /// The member that `fp` and `lr` count from.
    base: &'static str,
    fp: u32,
    lr: Option<u32>,
    /// What still holds a system call's first argument after the call.
    argument: &'static str,
}

/// On aarch64 the frame pointer is `regs[29]` and the link register `regs[30]`.
const REGISTERS: Registers = if cfg!(target_arch = "aarch64") {
    Registers {
        ip: "pc",
        base: "regs",
        fp: 29 * 8,
        lr: Some(30 * 8),
        argument: "orig_x0",
    }
} else {
    Registers {
        ip: "ip",
        base: "bp",
        fp: 0,
        lr: None,
        argument: "di",
    }
};

/// Helpers that not every kernel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Helpers {
    /// `bpf_task_pt_regs`.
    pub task_regs: bool,
    /// `bpf_get_attach_cookie`.
    pub cookie: bool,
}

/// Looks up every field of [`RawKernel`].
///
/// The formats are those of `syscalls:sys_enter_rt_sigaction` and `…sys_exit_rt_sigaction`.
pub fn offsets(
    btf: &Btf<'_>,
    enter: &str,
    exit: &str,
    helpers: Helpers,
) -> Result<RawKernel, KernelError> {
    let (enter, exit) = (Format::parse(enter)?, Format::parse(exit)?);
    let at = |name, member| btf.offset(name, member);
    // Linux 5.5 renamed it, and changed nothing else.
    let start = at("task_struct", "start_boottime")
        .or_else(|first| at("task_struct", "real_start_time").map_err(|_| first))?;
    let action_size = btf.size("k_sigaction")?;
    if action_size as usize > ACTION_SIZE {
        return Err(KernelError::Action { size: action_size });
    }
    Ok(RawKernel {
        task_sighand: at("task_struct", "sighand")?,
        task_tgid: at("task_struct", "tgid")?,
        task_pid: at("task_struct", "pid")?,
        task_mm: at("task_struct", "mm")?,
        task_leader: at("task_struct", "group_leader")?,
        task_start: start,
        task_thread_pointer: at("task_struct", THREAD_POINTER)?,
        task_signal: at("task_struct", "signal")?,
        task_exit_code: at("task_struct", "exit_code")?,
        signal_live: at("signal_struct", "live")?,
        sighand_action: at("sighand_struct", "action")?,
        action_size,
        action_handler: at("k_sigaction", "sa.sa_handler")?,
        action_flags: at("k_sigaction", "sa.sa_flags")?,
        action_mask: at("k_sigaction", "sa.sa_mask")?,
        task_stack: at("task_struct", "stack")?,
        regs_size: btf.size("pt_regs")?,
        regs_ip: at("pt_regs", REGISTERS.ip)?,
        regs_sp: at("pt_regs", "sp")?,
        regs_fp: at("pt_regs", REGISTERS.base)? + REGISTERS.fp,
        regs_lr: REGISTERS.lr.map_or(Ok(0), |lr| {
            at("pt_regs", REGISTERS.base).map(|base| base + lr)
        })?,
        regs_argument: at("pt_regs", REGISTERS.argument)?,
        has_task_regs: helpers.task_regs.into(),
        has_cookie: helpers.cookie.into(),
        binprm_file: at("linux_binprm", "file")?,
        file_inode: at("file", "f_inode")?,
        inode_number: at("inode", "i_ino")?,
        inode_super: at("inode", "i_sb")?,
        inode_generation: at("inode", "i_generation")?,
        super_device: at("super_block", "s_dev")?,
        // A system call's arguments and result are `unsigned long` in the record.
        enter_signal: enter.offset("sig", 8)?,
        enter_action: enter.offset("act", 8)?,
        exit_result: exit.offset("ret", 8)?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::probe::btf::tests::Blob;

    const ENTER: &str = "name: sys_enter_rt_sigaction
\tfield:int sig;\toffset:16;\tsize:8;\tsigned:0;
\tfield:const struct sigaction * act;\toffset:24;\tsize:8;\tsigned:0;
";
    const EXIT: &str = "name: sys_exit_rt_sigaction
\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;
";

    /// A kernel with one member after the other, eight bytes each.
    fn kernel(start: &str, without: &str, action_size: u32) -> Vec<u8> {
        let mut blob = Blob::new();
        let mut structure = |name, size, members: &[(&str, u32)]| {
            let members = members.iter().filter(|(member, _)| *member != without);
            let members: Vec<_> = (0..)
                .zip(members)
                .map(|(i, &(member, of))| (member, of, 64 * i))
                .collect();
            blob.structure(name, 4, size, &members);
        };
        structure("tp", 8, &[("tp_value", 0)]);
        structure("thread_struct", 16, &[("fsbase", 0), ("uw", 1)]);
        let task = [
            "sighand",
            "tgid",
            "pid",
            "mm",
            "group_leader",
            start,
            "signal",
            "exit_code",
            "stack",
        ];
        let task: Vec<_> = task
            .map(|member| (member, 0))
            .into_iter()
            .chain([("thread", 2)])
            .collect();
        structure("task_struct", 88, &task);
        structure("signal_struct", 8, &[("live", 0)]);
        structure("sighand_struct", 8, &[("action", 0)]);
        structure(
            "sigaction",
            24,
            &[("sa_handler", 0), ("sa_flags", 0), ("sa_mask", 0)],
        );
        structure("k_sigaction", action_size, &[("sa", 6)]);
        let registers = [REGISTERS.ip, "sp", REGISTERS.base, REGISTERS.argument];
        structure("pt_regs", 32, &registers.map(|register| (register, 0)));
        structure("linux_binprm", 8, &[("file", 0)]);
        structure("file", 8, &[("f_inode", 0)]);
        structure(
            "inode",
            24,
            &[("i_ino", 0), ("i_sb", 0), ("i_generation", 0)],
        );
        structure("super_block", 8, &[("s_dev", 0)]);
        blob.bytes()
    }

    fn look(bytes: &[u8], enter: &str, exit: &str) -> Result<RawKernel, KernelError> {
        let helpers = Helpers {
            task_regs: true,
            cookie: true,
        };
        offsets(&Btf::parse(bytes)?, enter, exit, helpers)
    }

    #[test]
    fn every_field_is_looked_up_under_its_own_name() {
        let thread = if cfg!(target_arch = "aarch64") {
            80
        } else {
            72
        };
        let expected = RawKernel {
            task_sighand: 0,
            task_tgid: 8,
            task_pid: 16,
            task_mm: 24,
            task_leader: 32,
            task_start: 40,
            task_thread_pointer: thread,
            task_signal: 48,
            task_exit_code: 56,
            signal_live: 0,
            sighand_action: 0,
            action_size: 32,
            action_handler: 0,
            action_flags: 8,
            action_mask: 16,
            task_stack: 64,
            regs_size: 32,
            regs_ip: 0,
            regs_sp: 8,
            regs_fp: 16 + REGISTERS.fp,
            regs_lr: REGISTERS.lr.map_or(0, |lr| 16 + lr),
            regs_argument: 24,
            has_task_regs: 1,
            has_cookie: 1,
            binprm_file: 0,
            file_inode: 0,
            inode_number: 0,
            inode_super: 8,
            inode_generation: 16,
            super_device: 0,
            enter_signal: 16,
            enter_action: 24,
            exit_result: 16,
        };
        for start in ["start_boottime", "real_start_time"] {
            assert_eq!(look(&kernel(start, "", 32), ENTER, EXIT), Ok(expected));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let says = |bytes: &[u8], enter: &str, exit: &str| {
            look(bytes, enter, exit)
                .expect_err("incomplete")
                .to_string()
        };
        let whole = kernel("start_boottime", "", 32);
        for member in [
            "i_generation",
            "exit_code",
            "sa_mask",
            "start_boottime",
            "sp",
            "stack",
        ] {
            let sentence = says(&kernel("start_boottime", member, 32), ENTER, EXIT);
            assert!(sentence.contains(member), "{sentence}");
        }
        assert!(says(&whole, EXIT, EXIT).contains("field sig in"));
        assert!(says(&whole, ENTER, ENTER).contains("field ret in"));
        let large = kernel("start_boottime", "", 40);
        assert!(says(&large, ENTER, EXIT).contains("it has 40 bytes"));
    }

    #[test]
    fn the_running_kernel_has_it_all() {
        // Containers and some kernels have no BTF; the loader says so, not this test.
        let Ok(bytes) = fs::read("/sys/kernel/btf/vmlinux") else {
            return;
        };
        let found = look(&bytes, ENTER, EXIT).expect("all of it");
        assert!(
            found.task_thread_pointer > found.task_sighand,
            "thread is the last member"
        );
        assert_eq!(found.task_tgid, found.task_pid + 4);
        assert_eq!((found.action_handler, found.action_flags), (0, 8));
    }
}
