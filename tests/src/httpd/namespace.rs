//! What a server sees of the system, where that is not what we see: a directory that its workers
//! could not enter otherwise, another root, process ids of its own.
//!
//! It is made by `unshare`, `mount` and `chroot`, which every Linux has, in a mount namespace that
//! goes with the last process in it: nothing stays mounted, whoever is killed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What is done inside, before the server's program takes over: what is named up to `--` is mounted,
/// each from, at and with which options; then `/proc`, and the root changes. `$0` is the root.
const INSIDE: &str = r#"set -e
while [ "$1" != -- ]; do mount -o "bind$3" "$1" "$2"; shift 3; done
shift
mount -t proc proc "$0/proc"
if [ "$0" = / ]; then exec "$@"; else exec chroot "$0" "$@"; fi"#;

/// The namespaces of a server.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    binds: Vec<Bind>,
    root: Option<PathBuf>,
    processes: bool,
}

#[derive(Clone, Debug)]
struct Bind {
    from: PathBuf,
    at: PathBuf,
    writable: bool,
}

impl Namespaces {
    /// A directory appears, for reading, at another one that is there.
    pub fn bind(&mut self, from: &Path, at: &Path) {
        self.binds.push(Bind {
            from: from.to_path_buf(),
            at: at.to_path_buf(),
            writable: false,
        });
    }

    /// Another system's root directory. What it shares with ours is our temporary directory.
    pub fn root(&mut self, root: &Path) {
        let temporary = std::env::temp_dir();
        self.binds.push(Bind {
            at: below(root, &temporary),
            from: temporary,
            writable: true,
        });
        self.root = Some(root.to_path_buf());
    }

    /// Process ids of its own.
    pub fn own_processes(&mut self) {
        self.processes = true;
    }

    /// Whether the process that we start is another than the server's.
    pub(super) fn has_own_processes(&self) -> bool {
        self.processes
    }

    /// A path that the server knows, as we find it.
    pub(super) fn outside(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => below(root, path),
            None => path.to_path_buf(),
        }
    }

    /// A command that runs `program` there.
    pub(super) fn command(&self, program: &Path) -> Command {
        if self.binds.is_empty() && self.root.is_none() && !self.processes {
            return Command::new(program);
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if self.processes {
            // Without `unshare` itself nobody would end what is in there.
            command.args(["--pid", "--fork", "--kill-child"]);
        }
        let root = self.root.as_deref().unwrap_or(Path::new("/"));
        command.args(["--", "sh", "-c", INSIDE]).arg(root);
        for Bind { from, at, writable } in &self.binds {
            let options = if *writable { "" } else { ",ro" };
            command.args([from.as_os_str(), at.as_os_str(), options.as_ref()]);
        }
        command.arg("--").arg(program);
        command
    }
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_special_is_the_program_itself() {
        let command = Namespaces::default().command(Path::new("/usr/sbin/apache2"));
        assert_eq!(command.get_program(), "/usr/sbin/apache2");
        assert_eq!(command.get_args().count(), 0);
    }

    #[test]
    fn path_of_the_server_is_found_below_its_root() {
        let mut there = Namespaces::default();
        assert_eq!(there.outside(Path::new("/usr")), Path::new("/usr"));
        there.root(Path::new("/srv/sid"));
        assert_eq!(there.outside(Path::new("/usr")), Path::new("/srv/sid/usr"));
    }
}
