//! Configurations that nobody wrote: whatever httpd takes of them, the reader takes, too.

use std::fmt::Write as _;

use crate::oracle::Server;

/// How many of them; each is one start of httpd, some 20 ms.
const ROUNDS: u64 = 150;

/// SplitMix64, as the fuzzer has it.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len() as u64) as usize]
    }
}

const NAMES: [&str; 4] = ["ALPHA", "beta", "Gamma", "x"];
const MODULES: [&str; 6] = [
    "mod_wsgi.c",
    "wsgi_module",
    "event.c",
    "mod_none.c",
    "core.c",
    "mod_so.c",
];
const VERSIONS: [&str; 8] = [
    ">= 2.4", "< 2.4", "!= 2.2.0", "~ ^2\\.4", "= /^3/", "2.4.0", "!>= 2.6", "\"<\" 3 ",
];

struct Generator<'s> {
    random: Random,
    server: &'s Server,
    /// Files that were written, so that each is new.
    files: u32,
    groups: u32,
}

impl Generator<'_> {
    /// A word with something to unquote or to fill in.
    fn word(&mut self) -> String {
        let name = self.random.one(&NAMES);
        match self.random.below(9) {
            0 => format!("\"{name} and\\\\more\""),
            1 => format!("'{name} \\' \"quoted\"'"),
            2 => format!("${{{name}}}x"),
            3 => format!("\"${{{name}}} ${{ENV_VAR}}\""),
            4 => format!("{name}\\\\\\\\x\\y"),
            5 => "${env_var}${ENV_VAR}$x${".to_owned(),
            6 => format!("\"{name}\\\n   more\""),
            _ => format!("/srv/{name}"),
        }
    }

    fn directive(&mut self, is_global: bool) -> String {
        let word = self.word();
        match self.random.below(12) {
            0 | 1 | 4 if !is_global => "WSGICallableObject x".to_owned(),
            0 => "WSGIRestrictSignal Off".to_owned(),
            1 => "wsgirestrictsignal \\\n\tON".to_owned(),
            2 => {
                self.groups += 1;
                format!(
                    "WSGIDaemonProcess g{} threads=3 \\\n  display-name={word}",
                    self.groups
                )
            }
            3 => format!("WSGIScriptAlias /{} {word}", self.random.below(9)),
            4 => "WSGIPythonOptimize 1".to_owned(),
            5 => format!(
                "Define {} {}",
                self.random.one(&NAMES),
                self.random.below(9)
            ),
            6 => format!("Define {}", self.random.one(&NAMES)),
            7 => format!("UnDefine {}", self.random.one(&NAMES)),
            8 => "# a comment \\\nthat goes on".to_owned(),
            9 => format!("  WSGITrustedProxyHeaders {word} {}  ", self.word()),
            10 => "WSGIProcessGroup \"%{GLOBAL}\"".to_owned(),
            _ => String::new(),
        }
    }

    fn section(&mut self, depth: u32, is_global: bool) -> String {
        let not = self.random.one(&["", "!"]);
        let (open, close) = match self.random.below(6) {
            0 => (
                format!("IfDefine {not}{}", self.random.one(&NAMES)),
                "IfDefine",
            ),
            1 => (
                format!("ifmodule {not}{}", self.random.one(&MODULES)),
                "IfModule",
            ),
            2 => (
                format!("IfVersion {}", self.random.one(&VERSIONS)),
                "IFVERSION",
            ),
            3 => (format!("IfFile \"{not}main.conf\""), "IfFile"),
            4 if is_global => ("VirtualHost *:80".to_owned(), "VirtualHost"),
            _ => (
                format!("IfDefine \"{}\"", self.random.one(&NAMES)),
                "ifdefine",
            ),
        };
        let is_global = is_global && close != "VirtualHost";
        let inside = self.lines(depth + 1, is_global);
        format!("<{open}>\n{inside}</{close}>")
    }

    fn include(&mut self, depth: u32, is_global: bool) -> String {
        self.files += 1;
        let directory = format!("part{}", self.files);
        for _ in 0..=self.random.below(2) {
            let name = self
                .random
                .one(&["b.conf", "a.conf", "a/c.conf", ".d.conf", "e"]);
            let text = self.lines(depth + 1, is_global);
            let path = self.server.dir().join(&directory).join(name);
            self.server.write(&path, &text);
        }
        let pattern = self
            .random
            .one(&["", "/", "/*.conf", "/[a-b]*.conf", "/*/*", "/?.co*"]);
        format!("IncludeOptional {directory}{pattern}")
    }

    fn macros(&mut self, depth: u32, is_global: bool) -> String {
        self.files += 1;
        let name = format!("M{}", self.files);
        let inside = self.lines(depth + 1, is_global);
        let inside = inside.replace("/srv/x", "$a").replace("/srv/beta", "@b");
        let (first, second) = (self.word(), self.word());
        format!(
            "<Macro {name} $a @b>\n# not counted\n\n{inside}WSGITrustedProxyHeaders $a @b\n</Macro>\n\
             Use {} {first} {second}",
            name.to_lowercase()
        )
    }

    fn lines(&mut self, depth: u32, is_global: bool) -> String {
        let mut text = String::new();
        for _ in 0..self.random.below(5) {
            let line = match self.random.below(10) {
                0 | 1 if depth < 4 => self.section(depth, is_global),
                2 if depth < 4 => self.include(depth, is_global),
                3 if depth < 3 => self.macros(depth, is_global),
                _ => self.directive(is_global),
            };
            writeln!(text, "{line}").unwrap();
        }
        text
    }
}

#[test]
fn generated_configurations_are_read_as_httpd_reads_them() {
    let (mut taken, mut seen) = (0, 0);
    for seed in 0..ROUNDS {
        let Some(mut server) = Server::new("generated_configurations_are_read_as_httpd_reads_them")
        else {
            return;
        };
        let at = server.dir().display().to_string();
        let modules = server.modules().display().to_string();
        let mut generator = Generator {
            random: Random(seed),
            server: &server,
            files: 0,
            groups: 0,
        };
        let text: String = (0..4).map(|_| generator.lines(0, true)).collect();
        let head = format!(
            "LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n\
             LoadModule macro_module {modules}/mod_macro.so\n\
             LoadModule wsgi_module {modules}/mod_wsgi.so\nServerName a.org\nListen 80\n\
             ErrorLog {at}/error.log\n"
        );
        server.write(&server.dir().join("main.conf"), &format!("{head}{text}"));
        let arguments = [
            "-d",
            &at,
            "-f",
            "main.conf",
            "-Dbeta",
            "-C",
            "Define Gamma 'c\\\\d'",
        ];
        server.arguments = arguments.map(str::to_owned).to_vec();
        server.environment = vec![("ENV_VAR".to_owned(), "environment".to_owned())];
        // httpd refuses some: a group's name twice, an argument too many.
        if let Ok(read) = server.compare(&format!("seed {seed}:\n{text}")) {
            taken += 1;
            seen += read.seen.len();
        }
    }
    eprintln!("httpd took {taken} of {ROUNDS}, with {seen} directives of mod_wsgi");
    assert!(
        taken > ROUNDS / 2 && seen > 200,
        "{taken} of {ROUNDS}, {seen} directives"
    );
}
