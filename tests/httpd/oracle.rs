//! What httpd says of a configuration, and what the agent's reader does.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use sigblame::httpd::files::{self, Read};
use sigblame_tests::{httpd::Installation, scratch::Scratch, skip};

/// A directive of mod_wsgi: where it stands, its name in small letters, and its arguments.
pub(crate) type Directive = (String, String, String);

/// A server that is never started, in a directory of its own.
pub(crate) struct Server {
    pub(crate) scratch: Scratch,
    installation: Installation,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Server {
    /// `None`, and a word about it, where no httpd is installed.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let Some(installation) = Installation::find() else {
            skip(test, "no httpd with mod_wsgi is installed");
            return None;
        };
        let scratch = Scratch::new("config").unwrap();
        Some(Self {
            scratch,
            installation,
            arguments: Vec::new(),
            environment: Vec::new(),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn modules(&self) -> &Path {
        &self.installation.modules
    }

    /// Writes a file, with the directories above it.
    pub(crate) fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What httpd took, or what it said against it.
    pub(crate) fn httpd(&self) -> Result<Vec<Directive>, String> {
        let info = self.modules().join("mod_info.so");
        let mut command = Command::new(&self.installation.httpd);
        command
            .args(&self.arguments)
            .args(["-c", &format!("LoadModule info_module {}", info.display())])
            .args(["-t", "-D", "DUMP_CONFIG"])
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir("/");
        let output = command.output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(dumped(&String::from_utf8_lossy(&output.stdout)))
    }

    /// What the agent reads of the same server.
    pub(crate) fn read(&self) -> Read {
        let arguments: String = (["httpd".to_owned()].iter())
            .chain(&self.arguments)
            .map(|argument| format!("{argument}\0"))
            .collect();
        let environment = self.environment.iter();
        let environment: String = environment
            .map(|(name, value)| format!("{name}={value}\0"))
            .collect();
        let program = File::open(&self.installation.httpd).unwrap();
        let start = files::start(&program, &arguments, &environment, None).unwrap();
        files::read_below(Path::new("/"), &start).unwrap()
    }

    /// Both, and whether they agree; the error is what httpd said against the configuration.
    pub(crate) fn compare(&self, what: &str) -> Result<Read, String> {
        let theirs = self.httpd()?;
        let read = self.read();
        let ours: Vec<Directive> = read
            .seen
            .iter()
            .map(|seen| {
                let file = match &*seen.place.file {
                    "-c" | "-C" => "-c/-C directives",
                    file => file,
                };
                let place = format!("{file}:{}", seen.place.line);
                (place, seen.name.to_lowercase(), seen.arguments.clone())
            })
            .collect();
        assert_eq!(ours, theirs, "{what}: {:?}", read.configuration.problems);
        Ok(read)
    }
}

/// mod_wsgi's directives in httpd's own list.
fn dumped(text: &str) -> Vec<Directive> {
    let (mut file, mut line) = ("", "");
    let mut directives = Vec::new();
    for text in text.lines() {
        let text = text.trim_start();
        if let Some(name) = text.strip_prefix("# In file: ") {
            file = name;
        } else if let Some(number) = text.strip_prefix('#') {
            line = number.trim().trim_end_matches(':');
        } else if text.to_lowercase().starts_with("wsgi") {
            let (name, arguments) = text.split_once(' ').unwrap_or((text, ""));
            let place = format!("{file}:{line}");
            directives.push((place, name.to_lowercase(), arguments.to_owned()));
        }
    }
    directives
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
