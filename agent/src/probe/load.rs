//! Puts the object into the kernel.

use std::{fs, io, path::Path};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::Array,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported},
};
use probe_abi::{kernel::RawKernel, map, python::RawLayout};

use super::{
    btf::Btf as Members,
    hooks::{self, Chosen, HookStatus},
    kernel::{self, Helpers},
    maps::Controls,
    ring::Ring,
};

/// The probe's object, built by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe.o"));

/// Where the running kernel keeps its types.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Where tracefs is mounted; the second is the old place, below debugfs.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Why the kernel half cannot do its job here. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// BTF is missing or unreadable.
    #[error(
        "failed to read the kernel's types from {BTF}: {0}; sigblame needs a kernel built with \
         CONFIG_DEBUG_INFO_BTF (Debian's and Ubuntu's are) and /sys mounted"
    )]
    Btf(String),
    /// tracefs is missing or unreadable.
    #[error(
        "failed to read {path}: {error}; mount tracefs with \
         `mount -t tracefs tracefs /sys/kernel/tracing`, and run as root or with \
         CAP_DAC_READ_SEARCH"
    )]
    Tracefs {
        /// The file.
        path: String,
        /// Why.
        error: String,
    },
    /// This kernel's structs are not what they should be.
    #[error("failed to find a field of this kernel: {0}")]
    Fields(String),
    /// The privilege is missing.
    #[error(
        "failed to create eBPF maps: {0}; run as root, or with CAP_BPF and CAP_PERFMON \
         (before Linux 5.8: CAP_SYS_ADMIN)"
    )]
    Privilege(String),
    /// The object was refused.
    #[error("failed to load the probe: {0}")]
    Object(String),
    /// A hook without which there is nothing to do was refused.
    #[error("failed to attach the required hook {hook}: {reason}")]
    Hook {
        /// [`hooks::Hook::name`].
        hook: &'static str,
        /// Of the last rung.
        reason: String,
    },
}

/// A loaded probe, taken apart for those who use its parts.
pub struct Probe {
    /// The records.
    pub ring: Ring,
    /// What user space tells the probe, and asks it.
    pub controls: Controls,
    /// What became of each hook.
    pub hooks: Vec<HookStatus>,
    /// Where this kernel's fields are.
    pub kernel: RawKernel,
}

/// Loads the object, attaches every hook and takes the ring. Each hook has the best mechanism that the
/// kernel takes, or else the one that was chosen.
///
/// # Errors
///
/// [`LoadError`], each of which says what is missing and what to do.
pub fn load(layouts: &[RawLayout], chosen: &Chosen) -> Result<Probe, LoadError> {
    let probe = try_load(layouts, chosen)?;
    for hook in hooks::HOOKS.iter().filter(|hook| hook.required) {
        let mut rungs = probe.hooks.iter().filter(|status| status.hook == hook.name);
        if !rungs.clone().any(|status| status.attached) {
            let reason = rungs.next_back().and_then(|status| status.reason.clone());
            return Err(LoadError::Hook {
                hook: hook.name,
                reason: reason.unwrap_or_default(),
            });
        }
    }
    Ok(probe)
}

/// Like [`load`], but a required hook that is missing is a row, not an error: for `doctor`.
///
/// # Errors
///
/// As [`load`], hooks apart.
pub fn try_load(layouts: &[RawLayout], chosen: &Chosen) -> Result<Probe, LoadError> {
    let types = fs::read(BTF).map_err(|error| LoadError::Btf(error.to_string()))?;
    let members = Members::parse(&types).map_err(|error| LoadError::Btf(error.to_string()))?;
    let enter = format_of("syscalls/sys_enter_rt_sigaction")?;
    let exit = format_of("syscalls/sys_exit_rt_sigaction")?;
    raise_memory_limit();
    raise_file_limit();
    // Where the kernel does not say, it is taken to be an old one: that costs at most the stack, and
    // calls that are told twice.
    let has = |kind, helper| is_helper_supported(kind, helper).unwrap_or(false);
    let helpers = Helpers {
        task_regs: has(ProgramType::TracePoint, BpfHelper::BPF_FUNC_task_pt_regs),
        cookie: has(ProgramType::KProbe, BpfHelper::BPF_FUNC_get_attach_cookie),
    };
    let offsets = kernel::offsets(&members, &enter, &exit, helpers)
        .map_err(|error| LoadError::Fields(error.to_string()))?;

    let mut loader = EbpfLoader::new();
    loader
        .override_global(map::KERNEL, &offsets, true)
        .map_max_entries(map::SCRATCH, map::CLAIMED_ROWS + possible_processors());
    let mut ebpf = loader.load(OBJECT).map_err(|error| object_error(&error))?;
    let btf = Btf::from_sys_fs().map_err(|error| LoadError::Btf(error.to_string()))?;
    fill_layouts(&mut ebpf, layouts)?;
    let hooks = hooks::attach_all(&mut ebpf, &btf, chosen);
    let ring = Ring::take(&mut ebpf).map_err(LoadError::Object)?;
    let controls = Controls::take(ebpf, &offsets, layouts).map_err(LoadError::Object)?;
    Ok(Probe {
        ring,
        controls,
        hooks,
        kernel: offsets,
    })
}

fn fill_layouts(ebpf: &mut Ebpf, layouts: &[RawLayout]) -> Result<(), LoadError> {
    let map = ebpf
        .map_mut(map::LAYOUTS)
        .ok_or_else(|| LoadError::Object("the object has no map LAYOUTS".to_owned()))?;
    let mut rows: Array<_, RawLayout> =
        Array::try_from(map).map_err(|error| LoadError::Object(error.to_string()))?;
    for (index, layout) in (0_u32..).zip(layouts) {
        rows.set(index, layout, 0)
            .map_err(|error| LoadError::Object(error.to_string()))?;
    }
    Ok(())
}

/// The text of a tracepoint's format file.
fn format_of(event: &str) -> Result<String, LoadError> {
    let mut last = None;
    for root in TRACEFS {
        let path = Path::new(root).join("events").join(event).join("format");
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(text),
            // The first place is the one to speak of.
            Err(error) => last = last.or(Some((path.display().to_string(), error.to_string()))),
        }
    }
    let (path, error) = last.unwrap_or_default();
    Err(LoadError::Tracefs { path, error })
}

/// Maps count against the locked-memory limit before Linux 5.11. Without CAP_SYS_RESOURCE it can
/// be raised to the hard limit only. Where that is not enough, creating the maps will say so.
fn raise_memory_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: each call gets a valid pointer to a struct that outlives it.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) != 0
            && libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) == 0
        {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit);
        }
    }
}

/// Each uprobe holds two descriptors, and applications choose how many files there are to be probed, up
/// to bounds of ours (`super::uprobes`) that are above the usual limit of 1,024. Where it cannot be
/// raised, attaching will say so.
fn raise_file_limit() {
    const ENOUGH: libc::rlim_t = 16_384;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: each call gets a valid pointer to a struct that outlives it.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && limit.rlim_cur < ENOUGH {
            limit.rlim_cur = ENOUGH.min(limit.rlim_max);
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// How many processors this machine could ever have; the scratch map has a row for each.
fn possible_processors() -> u32 {
    aya::util::nr_cpus()
        .ok()
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(1)
}

fn object_error(error: &aya::EbpfError) -> LoadError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    let mut refused = false;
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        refused |= cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
        source = cause.source();
    }
    if refused || text.contains("not permitted") {
        LoadError::Privilege(text)
    } else {
        LoadError::Object(text)
    }
}
