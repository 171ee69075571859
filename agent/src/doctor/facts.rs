//! What the host says about itself, and what that means for the agent.

use std::path::PathBuf;

use super::{Check, State};

pub(super) const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Locked memory that maps need where the kernel counts them so (before 5.11).
const MEMLOCK: u64 = 64 << 20;

// Numbers of `include/uapi/linux/capability.h`.
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const SYS_RESOURCE: u32 = 24;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// What was read, before anybody judged it. An error is kept as its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Text of `/proc/self/status`.
    pub status: Result<String, String>,
    /// Text of `/proc/self/uid_map`.
    pub uid_map: Result<String, String>,
    /// Text of `/proc/self/limits`.
    pub limits: Result<String, String>,
    /// The kernel's release, like `6.1.0-18-amd64`.
    pub release: Result<String, String>,
    /// Whether the kernel's BTF can be read.
    pub btf: Result<(), String>,
    /// Where tracefs with both formats was found.
    pub tracefs: Result<PathBuf, String>,
    /// Text of the kernel's lockdown state; `None` where it has none.
    pub lockdown: Option<String>,
    /// Where the host's `/proc` should be.
    pub proc_root: PathBuf,
    /// Whether it shows the initial pid namespace.
    pub sees_host: Result<bool, String>,
}

impl Facts {
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.release_check(), self.btf_check(), self.tracefs_check()];
        checks.extend(self.lockdown_check());
        checks.extend(self.capability_checks());
        checks.extend([self.memlock_check(), self.host_check()]);
        checks
    }

    fn release_check(&self) -> Check {
        const NAME: &str = "kernel";
        let release = match &self.release {
            Ok(release) => release,
            Err(error) => {
                return Check::found(NAME, true, error).lacking(
                    State::Degraded,
                    "it is not known whether this kernel is new enough",
                    "mount /proc",
                );
            }
        };
        let check = Check::found(NAME, true, release);
        match version(release) {
            Some(version) if version >= (5, 10) => check,
            Some(version) if version >= (5, 8) => check.lacking(
                State::Degraded,
                "sigblame was never tried on kernels before 5.10",
                "use 5.10 or later",
            ),
            _ => check.lacking(
                State::Missing,
                "kernels before 5.8 have no ring buffer for BPF programs",
                "use 5.10 or later",
            ),
        }
    }

    fn btf_check(&self) -> Check {
        const NAME: &str = "BTF";
        match &self.btf {
            Ok(()) => Check::found(NAME, true, format!("{BTF} can be read")),
            Err(error) => Check::found(NAME, true, error).lacking(
                State::Missing,
                "it is not known where this kernel keeps what a process does on a signal",
                "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as the distributions' are; in a \
                 container, mount /sys",
            ),
        }
    }

    fn tracefs_check(&self) -> Check {
        const NAME: &str = "tracefs";
        match &self.tracefs {
            Ok(path) => Check::found(NAME, true, format!("{} can be read", path.display())),
            Err(error) => Check::found(NAME, true, error).lacking(
                State::Missing,
                "without the formats of rt_sigaction's tracepoints registrations are not seen",
                "mount -t tracefs tracefs /sys/kernel/tracing; in a container, mount that \
                 directory of the host",
            ),
        }
    }

    /// A row only where there is something to say: most kernels are not locked down.
    fn lockdown_check(&self) -> Option<Check> {
        let text = self.lockdown.as_ref()?.trim();
        text.contains("[confidentiality]").then(|| {
            Check::found("lockdown", true, text).lacking(
                State::Missing,
                "the kernel lets no program read its memory",
                "boot with lockdown=integrity instead of lockdown=confidentiality",
            )
        })
    }

    fn capability_checks(&self) -> Vec<Check> {
        let grant = "run as root, or add AmbientCapabilities= (systemd) or capabilities.add \
                     (Kubernetes) with it";
        let rows = [
            (
                "CAP_BPF",
                BPF,
                true,
                true,
                "no program can be loaded into the kernel",
            ),
            (
                "CAP_PERFMON",
                PERFMON,
                true,
                true,
                "no program can be attached or read memory",
            ),
            (
                "CAP_SYS_PTRACE",
                SYS_PTRACE,
                false,
                true,
                "modules mapped in other users' processes cannot be seen, so no server is found",
            ),
            (
                "CAP_DAC_READ_SEARCH",
                DAC_READ_SEARCH,
                false,
                false,
                "module files, and a tracefs, that only their owners may read stay unread",
            ),
        ];
        let effective = self.capabilities();
        rows.into_iter()
            .map(|(name, bit, by_admin, required, cost)| match &effective {
                Ok(set) if has(*set, bit) => Check::found(name, required, "effective"),
                Ok(set) if by_admin && has(*set, SYS_ADMIN) => {
                    Check::found(name, required, "effective as part of CAP_SYS_ADMIN")
                }
                Ok(_) => Check::found(name, required, "not effective").lacking(
                    State::Missing,
                    cost,
                    grant,
                ),
                Err(error) => {
                    Check::found(name, required, error).lacking(State::Missing, cost, grant)
                }
            })
            .collect()
    }

    /// The effective set. In a user namespace of its own a process has capabilities that the
    /// kernel does not accept for BPF.
    fn capabilities(&self) -> Result<u64, String> {
        let map = self.uid_map.as_ref().map_err(Clone::clone)?;
        if map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"] {
            return Err("this is a user namespace, whose capabilities do not count".to_owned());
        }
        let status = self.status.as_ref().map_err(Clone::clone)?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
            .ok_or_else(|| "/proc/self/status has no CapEff".to_owned())
    }

    fn memlock_check(&self) -> Check {
        const NAME: &str = "locked memory";
        let release = self.release.as_deref().unwrap_or_default();
        if version(release).is_none_or(|version| version >= (5, 11)) {
            return Check::found(NAME, true, "this kernel does not limit maps by it");
        }
        if self.capabilities().is_ok_and(|set| has(set, SYS_RESOURCE)) {
            return Check::found(NAME, true, "sigblame may raise the limit itself");
        }
        let limit = self.limits.as_ref().map(|text| soft_memlock(text));
        match limit {
            Ok(Some(limit)) if limit >= MEMLOCK => Check::found(NAME, true, "the limit is enough"),
            Ok(_) => Check::found(NAME, true, "the limit is below 64 MiB").lacking(
                State::Missing,
                "the ring between kernel and agent cannot be made",
                "raise it: LimitMEMLOCK=infinity (systemd), ulimit -l unlimited, or CAP_SYS_RESOURCE",
            ),
            Err(error) => Check::found(NAME, true, error).lacking(
                State::Degraded,
                "it is not known whether the limit is enough",
                "mount /proc",
            ),
        }
    }

    fn host_check(&self) -> Check {
        const NAME: &str = "host's processes";
        let root = self.proc_root.display();
        let (state, seen) = match &self.sees_host {
            Ok(true) => return Check::found(NAME, true, format!("{root} shows them")),
            Ok(false) => (State::Missing, format!("{root} shows a container's")),
            Err(error) => (State::Degraded, error.clone()),
        };
        Check::found(NAME, true, seen).lacking(
            state,
            "the kernel's process ids mean nothing here, so no server is found",
            "set hostPID: true (Kubernetes) or --pid=host (docker, podman), or mount the host's \
             /proc and name it with --proc-root",
        )
    }
}

fn has(set: u64, capability: u32) -> bool {
    set >> capability & 1 == 1
}

/// Major and minor number of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The soft limit; `unlimited` is the largest number.
fn soft_memlock(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}
