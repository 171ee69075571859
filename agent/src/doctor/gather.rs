//! Looking at this process and this host. Nothing is judged here.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{Facts, facts::BTF};

/// Where tracefs may be mounted, newest habit first.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The two formats without which the tracepoint rung does not know where a field is.
const FORMATS: [&str; 2] = ["sys_enter_rt_sigaction", "sys_exit_rt_sigaction"];

/// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`: the initial pid namespace.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

impl Facts {
    /// Looks at this process and this host.
    #[must_use]
    pub fn gather(proc_root: &Path) -> Self {
        Self {
            status: read(Path::new("/proc/self/status")),
            uid_map: read(Path::new("/proc/self/uid_map")),
            limits: read(Path::new("/proc/self/limits")),
            release: read(Path::new("/proc/sys/kernel/osrelease")).map(|r| r.trim().to_owned()),
            btf: File::open(BTF)
                .map(drop)
                .map_err(|e| named(Path::new(BTF), &e)),
            tracefs: tracefs(),
            lockdown: read(Path::new("/sys/kernel/security/lockdown")).ok(),
            proc_root: proc_root.to_owned(),
            sees_host: sees_host(proc_root),
        }
    }
}

fn tracefs() -> Result<PathBuf, String> {
    let mut first = None;
    for root in TRACEFS {
        let events = Path::new(root).join("events/syscalls");
        let result = FORMATS
            .iter()
            .try_for_each(|event| read(&events.join(event).join("format")).map(drop));
        match result {
            Ok(()) => return Ok(PathBuf::from(root)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_default())
}

/// Only the initial pid namespace has the kernel's own threads; its number is fixed, too, but
/// reading it takes a capability.
fn sees_host(root: &Path) -> Result<bool, String> {
    if let Ok(namespace) = fs::read_link(root.join("1/ns/pid")) {
        return Ok(namespace.as_os_str() == INITIAL_PID_NAMESPACE);
    }
    // A pid namespace always has a process 1.
    read(&root.join("1/comm"))?;
    Ok(read(&root.join("2/comm")).is_ok_and(|name| name.trim() == "kthreadd"))
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| named(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn named(path: &Path, error: &io::Error) -> String {
    format!("failed to read {}: {error}", path.display())
}
