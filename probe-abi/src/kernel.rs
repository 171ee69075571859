//! Where the fields of this kernel are: read from its BTF and its tracepoint formats at load.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Byte offsets (and two sizes) in the running kernel, given to the probe as one global.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[expect(
    missing_docs,
    reason = "each field is named after the kernel's struct and member"
)]
pub struct RawKernel {
    pub task_sighand: u32,
    pub task_tgid: u32,
    pub task_pid: u32,
    pub task_mm: u32,
    pub task_leader: u32,
    /// `task_struct.start_boottime` (`real_start_time` before 5.5).
    pub task_start: u32,
    /// `thread.fsbase` on x86_64, `thread.uw.tp_value` on aarch64.
    pub task_thread_pointer: u32,
    pub task_signal: u32,
    pub task_exit_code: u32,
    /// `signal_struct.live`, an atomic count of the threads that still live.
    pub signal_live: u32,
    pub sighand_action: u32,
    /// Size of one `k_sigaction`.
    pub action_size: u32,
    pub action_handler: u32,
    pub action_flags: u32,
    pub action_mask: u32,
    /// `task_struct.stack`: where the kernel's own stack of the task begins.
    pub task_stack: u32,
    /// Size of `pt_regs`.
    pub regs_size: u32,
    /// `ip`, `pc`.
    pub regs_ip: u32,
    pub regs_sp: u32,
    /// `bp`, `regs[29]`.
    pub regs_fp: u32,
    /// `regs[30]`; zero on x86_64, which has none.
    pub regs_lr: u32,
    /// The first argument of a system call: `di`, `orig_x0`.
    pub regs_argument: u32,
    /// 1 where the kernel has `bpf_task_pt_regs` (5.15 and later), and otherwise 0.
    pub has_task_regs: u32,
    /// 1 where the kernel has `bpf_get_attach_cookie` (5.15 and later), and otherwise 0.
    pub has_cookie: u32,
    pub binprm_file: u32,
    pub file_inode: u32,
    pub inode_number: u32,
    pub inode_super: u32,
    pub inode_generation: u32,
    pub super_device: u32,
    /// `sig` in the format of `syscalls:sys_enter_rt_sigaction`.
    pub enter_signal: u32,
    /// `act` in the format of `syscalls:sys_enter_rt_sigaction`.
    pub enter_action: u32,
    /// `ret` in the format of `syscalls:sys_exit_rt_sigaction`.
    pub exit_result: u32,
}
const _: () = assert!(size_of::<RawKernel>() == 33 * 4);
