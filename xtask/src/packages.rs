//! System packages: which, what for, and what proves that one is there.
//!
//! Installed on Debian and Ubuntu with root only. Everywhere else the user is told what to install:
//! we never guess at another package manager, and never ask for a password.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::{
    progress::{Installer, Step},
    workspace,
};

/// What packages are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Building the agent.
    Build,
    /// Building bpf-linker, where it is missing.
    Linker,
    /// The demo server, and the tests that need a real one.
    Demo,
    /// The other programs that tests compare with.
    Test,
    /// mod_wsgi for other Pythons than the system's, where there are any.
    Matrix,
    /// The tool that benchmarks compare with.
    Bench,
    /// Making roots of other Debian suites.
    Roots,
    /// A Java virtual machine, for the test of one inside a worker.
    Java,
    /// Trying other kernels in virtual machines.
    Vm,
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Self::Build => "packages for the build",
            Self::Linker => "packages to build bpf-linker",
            Self::Demo => "packages for the demo server",
            Self::Test => "packages for the tests",
            Self::Matrix => "packages for the matrix of Pythons",
            Self::Bench => "packages for the benchmark",
            Self::Roots => "packages to make roots of Debian",
            Self::Java => "packages for the test of Java",
            Self::Vm => "packages for virtual machines",
        }
    }
}

/// What is there when a package is. Other ways to install it are as good.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// A program, on `PATH` or among the servers.
    Program(&'static str),
    /// A file or directory.
    File(&'static str),
    /// httpd and mod_wsgi, wherever this system keeps them.
    ModWsgi,
    /// A Java virtual machine where JPype looks for one.
    Java,
}

struct Package {
    group: Group,
    /// Debian's name, which Ubuntu shares.
    name: &'static str,
    proof: Proof,
}

const fn package(group: Group, name: &'static str, proof: Proof) -> Package {
    Package { group, name, proof }
}

/// LLVM's version is that of the pinned toolchain: bpf-linker reads the bitcode that rustc writes.
pub(crate) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// Every package that something here needs.
const PACKAGES: &[Package] = &[
    package(Group::Build, "gcc", Proof::Program("cc")),
    package(
        Group::Build,
        "libc6-dev",
        Proof::File("/usr/include/stdio.h"),
    ),
    // For the C++ library, which LLVM needs.
    package(Group::Linker, "g++", Proof::Program("c++")),
    package(
        Group::Linker,
        "llvm-22-dev",
        Proof::File("/usr/lib/llvm-22/bin/llvm-config"),
    ),
    // Without the package `apache2`, which adds only a service and its configuration.
    package(Group::Demo, "apache2-bin", Proof::Program("apache2")),
    package(Group::Demo, "libapache2-mod-wsgi-py3", Proof::ModWsgi),
    package(Group::Demo, "gcc", Proof::Program("cc")),
    package(
        Group::Demo,
        "libc6-dev",
        Proof::File("/usr/include/stdio.h"),
    ),
    package(Group::Test, "prometheus", Proof::Program("promtool")),
    package(
        Group::Test,
        "prometheus-alertmanager",
        Proof::Program("amtool"),
    ),
    package(Group::Matrix, "apache2-dev", Proof::Program("apxs")),
    // For the extension that the matrix's application loads.
    package(
        Group::Matrix,
        "python3-dev",
        Proof::Program("python3-config"),
    ),
    package(Group::Bench, "bpftrace", Proof::Program("bpftrace")),
    package(Group::Roots, "debootstrap", Proof::Program("debootstrap")),
    // Ubuntu has its own keys only.
    package(
        Group::Roots,
        "debian-archive-keyring",
        Proof::File("/usr/share/keyrings/debian-archive-keyring.gpg"),
    ),
    package(Group::Java, "default-jre-headless", Proof::Java),
    package(
        Group::Vm,
        "qemu-system-x86",
        Proof::Program("qemu-system-x86_64"),
    ),
    package(Group::Vm, "cpio", Proof::Program("cpio")),
    package(
        Group::Vm,
        "debian-archive-keyring",
        Proof::File("/usr/share/keyrings/debian-archive-keyring.gpg"),
    ),
    // What `python3 -m venv` puts into a new environment.
    package(
        Group::Test,
        "python3-venv",
        Proof::File("/usr/share/python-wheels"),
    ),
];

/// The packages of a group that are not there.
pub(crate) fn missing(group: Group) -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|package| package.group == group && !is_there(package.proof))
        .map(|package| package.name)
        .collect()
}

fn is_there(proof: Proof) -> bool {
    match proof {
        Proof::Program(name) => workspace::find_program(name).is_some(),
        Proof::File(path) => Path::new(path).exists(),
        Proof::ModWsgi => sigblame_tests::httpd::Installation::find().is_some(),
        Proof::Java => sigblame_tests::libraries::java().is_some(),
    }
}

/// The step that installs what is missing of a group.
pub(crate) fn step(group: Group) -> Step {
    let missing = missing(group);
    let title = if missing.is_empty() {
        group.title().to_owned()
    } else {
        format!("{}: {}", group.title(), missing.join(" "))
    };
    Step {
        title,
        there: missing.is_empty(),
        optional: false,
        install: Box::new(move |installer| install(installer, &missing)),
    }
}

/// Whether [`step`] could install anything on this system.
pub(crate) fn can_install() -> bool {
    workspace::is_root() && is_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

/// Debian, Ubuntu, and whatever says that it is like one of them.
fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split(' '))
        .any(|id| id == "debian" || id == "ubuntu")
}

fn install(installer: &Installer, names: &[&str]) -> Result<()> {
    let names_line = names.join(" ");
    if !can_install() {
        bail!(
            "failed to install {names_line}: that needs root, and Debian or Ubuntu. There, run \
             `apt-get install {names_line}` as root; elsewhere install what your system calls them"
        );
    }
    let _quiet = QuietServices::begin()?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(names);
    // The lists of packages are fetched only when they are missing or too old to serve.
    if installer.try_run(&mut apt_get(&arguments))? {
        return Ok(());
    }
    installer.run(&mut apt_get(&["update"]))?;
    installer.run(&mut apt_get(&arguments)).with_context(|| {
        format!("failed to install {names_line}: does this release of the system have them?")
    })
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Where Debian's packages ask whether they may start their services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// While it lives, a package that we install starts no service: nobody asked for one. An
/// administrator's own policy is left as it is.
struct QuietServices {
    ours: bool,
}

impl QuietServices {
    fn begin() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;

        let ours = !Path::new(POLICY).exists();
        if ours {
            // 101: "action forbidden by policy", see invoke-rc.d(8).
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")
                .and_then(|()| fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)))
                .with_context(|| format!("failed to write {POLICY}"))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for QuietServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("failed to remove {POLICY}, which keeps services from starting: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_kin_are_known() {
        assert!(is_debian("PRETTY_NAME=\"Debian\"\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\n"));
        assert!(!is_debian("VERSION_ID=debian\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn linker_packages_are_of_the_version_that_is_built_against() {
        let version = LLVM_PREFIX.rsplit('-').next().unwrap();
        for package in PACKAGES
            .iter()
            .filter(|package| package.group == Group::Linker)
        {
            if let Proof::File(path) = package.proof
                && path.contains("llvm")
            {
                assert!(path.starts_with(LLVM_PREFIX), "{path}");
                assert!(package.name.contains(version), "{}", package.name);
            }
        }
    }
}
