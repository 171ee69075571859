//! What the kernel says about a process's eBPF programs, without bpftool: `fdinfo` has the figures,
//! the kernel's symbols the names, and the tag is in both.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};

/// Where the kernel is told to count how often and how long programs run.
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// One loaded program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    /// Instructions that the verifier looked at; 0 before Linux 5.16.
    pub(super) verified: u64,
    /// Runs while they are counted.
    pub(super) runs: u64,
    /// Their time in nanoseconds.
    pub(super) nanoseconds: u64,
}

/// The programs that a process holds, by id, which is the order in which they were loaded.
pub(super) fn of(pid: u32) -> Result<BTreeMap<u64, Program>> {
    let symbols = fs::read_to_string("/proc/kallsyms").context("failed to read /proc/kallsyms")?;
    let dir = format!("/proc/{pid}/fdinfo");
    let failed = || format!("failed to read {dir}");
    let mut programs = BTreeMap::new();
    for entry in fs::read_dir(&dir).with_context(failed)? {
        // Closed meanwhile.
        let Ok(text) = fs::read_to_string(entry.with_context(failed)?.path()) else {
            continue;
        };
        if let Some((id, program)) = parse(&text, &symbols) {
            programs.insert(id, program);
        }
    }
    Ok(programs)
}

/// A link, too, has a tag and an id, but no type.
fn parse(fdinfo: &str, symbols: &str) -> Option<(u64, Program)> {
    let value = |key: &str| {
        fdinfo
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"))
    };
    let number = |key: &str| value(key).and_then(|text| text.parse().ok());
    value("prog_type")?;
    let id = number("prog_id")?;
    let symbol = format!(" bpf_prog_{}_", value("prog_tag")?);
    let name = symbols.lines().find_map(|line| {
        let (_, name) = line.split_once(&symbol)?;
        name.split_whitespace().next()
    });
    let program = Program {
        name: name.map_or_else(|| format!("program {id}"), str::to_owned),
        verified: number("verified_insns").unwrap_or(0),
        runs: number("run_cnt").unwrap_or(0),
        nanoseconds: number("run_time_ns").unwrap_or(0),
    };
    Some((id, program))
}

/// While it lives, the kernel counts runs, which costs each of them some nanoseconds.
pub(super) struct Counting {
    before: String,
}

impl Counting {
    pub(super) fn begin() -> Result<Self> {
        let before =
            fs::read_to_string(STATS).with_context(|| format!("failed to read {STATS}"))?;
        fs::write(STATS, "1").with_context(|| format!("failed to write {STATS}"))?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(STATS, self.before.trim()) {
            eprintln!(
                "failed to put {STATS} back to {}: {error}",
                self.before.trim()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_by_their_tag() {
        let fdinfo = "pos:\t0\nprog_type:\t5\nprog_jited:\t1\nprog_tag:\tc839c71f24c9e682\n\
                      prog_id:\t208\nrun_time_ns:\t70\nrun_cnt:\t2\nverified_insns:\t98424\n";
        let symbols = "ffffffffc0025b88 t bpf_prog_c839c71f24c9e682_registration_exit\t[bpf]\n";
        let (id, program) = parse(fdinfo, symbols).unwrap();
        assert_eq!((id, program.name.as_str()), (208, "registration_exit"));
        let figures = (program.verified, program.runs, program.nanoseconds);
        assert_eq!(figures, (98_424, 2, 70));
        assert_eq!(parse(fdinfo, "").unwrap().1.name, "program 208");
    }

    #[test]
    fn other_descriptors_are_none() {
        assert_eq!(
            parse(
                "pos:\t0\nlink_type:\tperf\nprog_tag:\tc8\nprog_id:\t2\n",
                ""
            ),
            None
        );
        assert_eq!(parse("", ""), None);
    }
}
