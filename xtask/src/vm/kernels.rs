//! Debian's kernels, downloaded and never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use sigblame_tests::scratch::Scratch;

use crate::{
    progress::{Installer, Step},
    roots::MIRROR,
    workspace::log_dir,
};

/// Each series with the suite that has it.
const KERNELS: [(&str, &str); 4] = [
    ("5.10", "bullseye"),
    ("6.1", "bookworm"),
    ("6.12", "trixie"),
    ("7.3", "trixie-backports"),
];

/// The series that can be had, oldest first.
pub(super) const SERIES: [&str; KERNELS.len()] = {
    let mut all = [""; KERNELS.len()];
    let mut index = 0;
    while index < KERNELS.len() {
        all[index] = KERNELS[index].0;
        index += 1;
    }
    all
};

/// The flavour for virtual machines: smaller, and all that we need is built in.
const FLAVOUR: &str = "-cloud-amd64";

/// Where a series' kernel is; `None` before it was downloaded.
pub(super) fn find(series: &str) -> Result<Option<PathBuf>> {
    let dir = dir(series)?;
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.to_string_lossy().contains("vmlinuz-"));
    Ok(files.pop())
}

/// Below the target directory, like the roots.
fn dir(series: &str) -> Result<PathBuf> {
    Ok(log_dir()?.join("kernels").join(series))
}

/// The step that downloads a series' newest kernel, where there is none yet.
pub(super) fn step(series: &str) -> Result<Step> {
    let suite = KERNELS.iter().find(|(name, _)| *name == series);
    let suite = suite.context("failed to find the kernel's suite")?.1;
    let series = series.to_owned();
    Ok(Step {
        title: format!("kernel {series} of Debian {suite}"),
        there: find(&series)?.is_some(),
        optional: false,
        install: Box::new(move |installer| download(installer, &series, suite)),
    })
}

fn download(installer: &Installer, series: &str, suite: &str) -> Result<()> {
    let scratch = Scratch::new("kernel")?;
    let config = configure_apt(&scratch, suite)?;
    let apt = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("APT_CONFIG", &config);
        command.current_dir(scratch.path());
        command
    };
    installer.run(&mut apt("apt-get", &["update"]))?;
    let names = apt("apt-cache", &["pkgnames", "linux-"])
        .output()
        .context("failed to start apt-cache")?;
    let name = newest(&String::from_utf8_lossy(&names.stdout), series);
    let name = name.with_context(|| format!("failed to find a kernel {series} in {suite}"))?;
    installer.run(&mut apt("apt-get", &["download", &name]))?;
    let package = find_below(scratch.path(), &format!("{name}_"))?;
    let unpacked = scratch.make_dir("unpacked")?;
    let mut extract = Command::new("dpkg-deb");
    installer.run(extract.arg("--extract").args([&package, &unpacked]))?;

    // In `boot`, or since 7.0 below `usr/lib/modules`.
    let image = find_below(&unpacked, "vmlinuz")?;
    let dir = dir(series)?;
    fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
    let version = name.splitn(3, '-').nth(2).unwrap_or_default();
    // Under its name only when it is whole.
    let part = dir.join("part");
    fs::copy(&image, &part)
        .and_then(|_| fs::rename(&part, dir.join(format!("vmlinuz-{version}"))))
        .with_context(|| format!("failed to keep the kernel in {}", dir.display()))
}

/// An apt of its own, which knows this suite only and nothing of the system.
fn configure_apt(scratch: &Scratch, suite: &str) -> Result<PathBuf> {
    let dir = scratch.path().display();
    for name in [
        "lists/partial",
        "archives/partial",
        "etc/apt.conf.d",
        "etc/preferences.d",
    ] {
        scratch.make_dir(name)?;
    }
    let files = [
        ("status", String::new()),
        (
            "etc/sources.list",
            format!(
                "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {MIRROR} {suite} main\n"
            ),
        ),
        (
            "apt.conf",
            format!(
                "Dir \"{dir}\";\nDir::Etc \"{dir}/etc\";\nDir::State \"{dir}\";\n\
                 Dir::State::status \"{dir}/status\";\nDir::Cache \"{dir}\";\n\
                 APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
                 APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
                 Acquire::Check-Valid-Until \"false\";\n"
            ),
        ),
    ];
    for (name, text) in files {
        let path = scratch.path().join(name);
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(scratch.path().join("apt.conf"))
}

/// The file below a directory whose name begins like that; the first by name of several.
fn find_below(dir: &Path, prefix: &str) -> Result<PathBuf> {
    fn search(dir: &Path, prefix: &str) -> std::io::Result<Option<PathBuf>> {
        let mut entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::path);
        for entry in entries {
            let kind = entry.file_type()?;
            if kind.is_file() && entry.file_name().to_string_lossy().starts_with(prefix) {
                return Ok(Some(entry.path()));
            }
            if kind.is_dir()
                && let Some(path) = search(&entry.path(), prefix)?
            {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
    let failed = || format!("failed to find {prefix}… in {}", dir.display());
    search(dir, prefix)
        .with_context(failed)?
        .with_context(failed)
}

/// The package with the newest kernel of a series. Since 7.0 its file is in `linux-binary`, and
/// `linux-image` only names it.
fn newest(names: &str, series: &str) -> Option<String> {
    let version = |name: &str| -> Option<(bool, Vec<u32>)> {
        let binary = name.strip_prefix("linux-binary-");
        let version = binary.or_else(|| name.strip_prefix("linux-image-"))?;
        let version = version.strip_suffix(FLAVOUR)?;
        version.strip_prefix(series)?.strip_prefix('.')?;
        let numbers = version.split(|letter: char| !letter.is_ascii_digit());
        Some((
            binary.is_some(),
            numbers.filter_map(|number| number.parse().ok()).collect(),
        ))
    };
    names
        .lines()
        .filter_map(|name| Some((version(name)?, name)))
        .max()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_series_is_taken() {
        let names = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-50-cloud-amd64\n\
                     linux-image-6.1.0-60-amd64\nlinux-image-6.1.0-50-cloud-amd64-unsigned\n\
                     linux-image-6.12.0-1-cloud-amd64\nlinux-image-7.3.9+deb13-cloud-amd64\n\
                     linux-binary-7.3.4+deb13-cloud-amd64\nlinux-image-cloud-amd64\n";
        let newest = |series| newest(names, series);
        assert_eq!(
            newest("6.1").as_deref(),
            Some("linux-image-6.1.0-50-cloud-amd64")
        );
        assert_eq!(
            newest("6.12").as_deref(),
            Some("linux-image-6.12.0-1-cloud-amd64")
        );
        assert_eq!(
            newest("7.3").as_deref(),
            Some("linux-binary-7.3.4+deb13-cloud-amd64")
        );
        assert_eq!(newest("5.10"), None);
    }
}
