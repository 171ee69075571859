//! Configurations that somebody made up to do harm, for the fuzzer and for property tests.

use std::{collections::BTreeMap, fs};

use super::{
    Configuration, reader,
    source::Source as _,
    tree::{self, Tree},
};

/// What parts of an input are called: some lie in directories, and patterns find them.
const NAMES: [&str; 6] = [
    "/etc/httpd/httpd.conf",
    "/etc/httpd/a.conf",
    "/etc/httpd/conf.d/b.conf",
    "/etc/httpd/conf.d/c.conf",
    "/etc/httpd/x/y/d.conf",
    "/srv/app.wsgi",
];
/// Parts are split where this stands.
const MARK: &str = "\n--- ";

/// Golden servers with all in one directory, and small things that grow.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let golden = ["debian", "fedora", "express", "traps"].map(|name| {
        let path = format!("{}/src/httpd/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        fs::read(&path).expect(&path)
    });
    let grown = [
        "Include httpd.conf\nInclude *.conf\nInclude conf.d\n--- \nInclude ../httpd/*/*\nInclude /",
        "Define A ${B}${B}\nDefine B ${A}${A}\n<IfDefine !A>\n</IfDefine>\nInclude httpd.conf",
        "<Macro M $a @b>\n<Macro N$a>\nUse M $a$a @b@b\n</Macro>\nUse N$a\nUse M $a @b\n</Macro>\nUse M x y",
        "<Directory /*/[a-z]?>\n<Files ~ x>\n<Location />\nWSGIProcessGroup %{ENV:X}\n</Location>\n\
         </Files>\n</Directory>\nWSGIScriptAliasMatch ^(.*) /srv/$1\nWSGIScriptAlias / /srv/app.wsgi",
        "<WSGIInterpreterOptions process-group=a application-group=%{GLOBAL}>\nWSGIRestrictSignal Off\n\
         </WSGIInterpreterOptions>\n<IfVersion ~ ^(2|3)\\.[0-9]+>\n</IfVersion>\nListen [::]:1\nErrorLog |x",
    ];
    let grown = grown.map(|text| text.as_bytes().to_vec());
    golden.into_iter().chain(grown).collect()
}

/// The files of an input.
fn files(bytes: &[u8]) -> Tree {
    let text = String::from_utf8_lossy(bytes);
    let mut files = BTreeMap::new();
    for (name, part) in NAMES.iter().zip(text.split(MARK)) {
        files.insert((*name).to_owned(), part.to_owned());
    }
    Tree(files)
}

/// Reads inputs and holds what is made of them to its limits.
pub(crate) fn check(inputs: &[Vec<u8>]) {
    for bytes in inputs {
        let mut files = files(bytes);
        let mut start = tree::start();
        start.defines.push("A".to_owned());
        start.before.push("Define B x".to_owned());
        let Configuration {
            main_file,
            server_root,
            interpreter_options,
            daemons,
            scripts,
            import_scripts,
            problems,
            ..
        } = reader::read(&mut files, &start).configuration;
        assert!(server_root.starts_with('/') && server_root.len() <= 4_096);
        assert!(files.kind(&main_file).is_some() || !problems.is_empty());
        assert!(problems.len() <= 100);
        assert!(problems.iter().all(|problem| problem.what.len() <= 310));
        let most = [
            interpreter_options.len(),
            daemons.len(),
            scripts.len(),
            import_scripts.len(),
        ];
        assert!(most.into_iter().all(|count| count <= 16_384), "{most:?}");
    }
}
