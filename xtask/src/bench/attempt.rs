//! What a blocked attempt costs: a call of `signal.signal` that mod_wsgi's intercept swallows.
//!
//! Each tool has a uprobe on the function, which has no symbol in a stripped module. bpftrace is told
//! its place by what the file says of its type, apart from sigblame's own search.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{server::Worker, spread, tool::Attached};

/// Calls per request: fewer than the probe copies whole stacks for in a second.
const CALLS: u32 = 30;
/// Requests; the figure is their median.
const REQUESTS: u32 = 3;
/// `tp_call` in a type of CPython 3.6 to 3.15.
const TP_CALL: u64 = 128;

/// Nanoseconds per call under a tool, which must have seen every one.
pub(super) fn measure(attached: &Attached, worker: &mut Worker) -> Result<f64> {
    let before = attached.attempts()?;
    let times: Vec<f64> = (0..REQUESTS)
        .map(|_| worker.attempt(CALLS))
        .collect::<Result<_>>()?;
    attached.check_attempts(before, CALLS * REQUESTS)?;
    Ok(spread::median(&times))
}

/// The function that a worker's intercept is: its file, and its address there.
pub(super) fn function(pid: u32) -> Result<(PathBuf, u64)> {
    let maps = format!("/proc/{pid}/maps");
    let text = fs::read_to_string(&maps).with_context(|| format!("failed to read {maps}"))?;
    let module = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("mod_wsgi"))
        .with_context(|| format!("failed to find mod_wsgi in {maps}"))?;
    let said = readelf(&["--syms", "--dyn-syms", "--relocs"], Path::new(module))?;
    let address = address(&said)
        .with_context(|| format!("failed to find the signal intercept of {module}"))?;
    Ok((PathBuf::from(module), address))
}

fn readelf(what: &[&str], file: &Path) -> Result<String> {
    let output = Command::new("readelf")
        .arg("--wide")
        .args(what)
        .arg(file)
        .output()
        .context("failed to start readelf")?;
    if !output.status.success() {
        bail!("failed to read {} with readelf", file.display());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// By the function's symbol, or by its type's and the relocation of the pointer in that.
fn address(said: &str) -> Option<u64> {
    let hexadecimal = |word: Option<&str>| u64::from_str_radix(word?, 16).ok();
    let symbol = |name: &str| {
        let mut lines = said.lines();
        let line = lines.find(|line| line.split_whitespace().nth(7) == Some(name))?;
        hexadecimal(line.split_whitespace().nth(1))
    };
    symbol("SignalIntercept_call").or_else(|| {
        let slot = symbol("SignalIntercept_Type")? + TP_CALL;
        let line = said.lines().find(|line| {
            line.contains("_RELATIV") && hexadecimal(line.split_whitespace().next()) == Some(slot)
        })?;
        hexadecimal(line.split_whitespace().nth(3))
    })
}

#[cfg(test)]
mod tests {
    use super::address;

    /// As binutils 2.40 prints Debian's mod_wsgi 4.9.4, and one with symbols.
    #[test]
    fn function_is_found_by_its_symbol_or_its_type() {
        let stripped = "000000000003ed80  0000000000000008 R_X86_64_RELATIVE                         219e0\n\
                        412: 000000000003ed00   408 OBJECT  GLOBAL DEFAULT   22 SignalIntercept_Type\n";
        assert_eq!(address(stripped), Some(0x2_19e0));
        let whole =
            "    33: 000000000001c2d0   543 FUNC    LOCAL  DEFAULT   12 SignalIntercept_call\n";
        assert_eq!(address(whole), Some(0x1_c2d0));
        assert_eq!(address(""), None);
    }
}
