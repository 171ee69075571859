//! Makes the roots of other Debian suites, for tests and virtual machines.
//!
//! Each is made once, under another name, and gets its own when it is whole: what was interrupted
//! is thrown away by the next run. Nothing stays mounted in a root.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{UnmountFlags, unmount};
pub(crate) use sigblame_tests::roots::SUITES;
use sigblame_tests::roots::{self, PACKAGES, Root};

use crate::{
    packages::{self, Group},
    progress::{self, Installer, Step},
    workspace::{is_root, target_dir},
};

/// Where Debian is.
pub(crate) const MIRROR: &str = "http://deb.debian.org/debian";

/// Which roots are made.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Debian's names; all of them when none is given.
    #[arg(value_name = "SUITE", value_parser = clap::builder::PossibleValuesParser::new(SUITES))]
    suites: Vec<String>,
}

/// Makes the roots that are not there yet.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut suites: Vec<&str> = options.suites.iter().map(String::as_str).collect();
    if suites.is_empty() {
        suites = SUITES.to_vec();
    }
    for root in make(&suites)? {
        println!("{}", root.path().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The roots of these suites, made where they are missing.
pub(crate) fn make(suites: &[&str]) -> Result<Vec<Root>> {
    let dir = dir()?;
    let mut steps = vec![packages::step(Group::Roots)];
    steps.extend(suites.iter().map(|suite| step(&dir, suite)));
    progress::perform(steps)?;
    suites
        .iter()
        .map(|suite| {
            Root::at(&dir, suite)
                .with_context(|| format!("failed to find the root of {suite} where it was made"))
        })
        .collect()
}

/// Where all roots are.
fn dir() -> Result<PathBuf> {
    let dir = roots::dir(&target_dir()?);
    fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
    Ok(dir)
}

fn step(dir: &Path, suite: &str) -> Step {
    let (dir, suite) = (dir.to_path_buf(), suite.to_owned());
    Step {
        title: format!("root of Debian {suite} with httpd and mod_wsgi"),
        there: Root::at(&dir, &suite).is_some(),
        optional: false,
        install: Box::new(move |installer| install(installer, &dir, &suite)),
    }
}

fn install(installer: &Installer, dir: &Path, suite: &str) -> Result<()> {
    if !is_root() {
        bail!("failed to make the root of {suite}: run `cargo xtask roots` in a root shell");
    }
    // Two that make the same root take turns; the second one finds it made.
    let lock = dir.join(format!(".{suite}.lock"));
    let file = File::create(&lock).with_context(|| format!("failed to make {}", lock.display()))?;
    file.lock()
        .with_context(|| format!("failed to lock {}", lock.display()))?;
    if Root::at(dir, suite).is_some() {
        return Ok(());
    }

    let part = Part::new(dir.join(format!(".{suite}.part")))?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap
        .arg("--variant=minbase")
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(suite)
        .arg(&part.path)
        .arg(MIRROR)
        .env("DEBIAN_FRONTEND", "noninteractive");
    // It mounts /proc and /sys while it works, makes a policy-rc.d that starts nothing, and brings
    // the host's resolv.conf.
    installer.run(&mut debootstrap)?;
    part.finish(&dir.join(suite))
}

/// A root that is being made. What is left of it goes with this value.
struct Part {
    path: PathBuf,
}

impl Part {
    fn new(path: PathBuf) -> Result<Self> {
        remove(&path)?;
        fs::create_dir(&path).with_context(|| format!("failed to make {}", path.display()))?;
        Ok(Self { path })
    }

    /// Settles what programs in a root ask for, and gives it its name.
    fn finish(self, name: &Path) -> Result<()> {
        unmount_below(&self.path)?;
        let files = [
            ("etc/hosts", "127.0.0.1 localhost\n"),
            // The Release files of sid expire within a week; a root lives longer.
            (
                "etc/apt/apt.conf.d/90sigblame",
                "Acquire::Check-Valid-Until \"false\";\n",
            ),
            // 101: "action forbidden by policy", see invoke-rc.d(8).
            ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
        ];
        for (file, text) in files {
            let path = self.path.join(file);
            fs::write(&path, text)
                .with_context(|| format!("failed to write {}", path.display()))?;
        }
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path.join("usr/sbin/policy-rc.d"), executable.clone())
            .and_then(|()| fs::set_permissions(&self.path, executable))
            .context("failed to open the root to its readers")?;
        // What was unpacked is not needed a second time.
        let archives = self.path.join("var/cache/apt/archives");
        fs::remove_dir_all(&archives)
            .with_context(|| format!("failed to remove {}", archives.display()))?;
        roots::declare(&self.path).context("failed to declare the root whole")?;

        remove(name)?;
        fs::rename(&self.path, name).with_context(|| {
            let (from, to) = (self.path.display(), name.display());
            format!("failed to rename {from} to {to}")
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            eprintln!("{error:#}");
        }
    }
}

/// Removes a root, and never what is mounted in it. None is fine.
fn remove(path: &Path) -> Result<()> {
    unmount_below(path)?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome.with_context(|| format!("failed to remove {}", path.display())),
    }
}

/// Takes away what an interrupted debootstrap left mounted.
fn unmount_below(path: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .context("failed to read what is mounted here")?;
    for mounted in mounted_below(&mounts, path) {
        unmount(&mounted, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .with_context(|| format!("failed to unmount {}", mounted.display()))?;
    }
    Ok(())
}

/// The mount points below a directory, the latest first. See proc_pid_mountinfo(5).
fn mounted_below(mountinfo: &str, path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(field.replace("\\040", " ")))
        .filter(|point| point.starts_with(path) && point != path)
        .collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_below_and_in_reverse() {
        let text = "22 1 253:0 / / rw - ext4 /dev/vda rw\n\
                    30 22 0:5 / /t/a\\040b/.sid.part/proc rw - proc proc rw\n\
                    31 30 0:6 / /t/a\\040b/.sid.part/proc/x rw - proc proc rw\n\
                    32 22 0:7 / /t/a\\040b/.sid.partner rw - proc proc rw\n";
        assert_eq!(
            mounted_below(text, Path::new("/t/a b/.sid.part")),
            [
                Path::new("/t/a b/.sid.part/proc/x"),
                Path::new("/t/a b/.sid.part/proc")
            ]
        );
        assert!(mounted_below(text, Path::new("/u")).is_empty());
    }
}
