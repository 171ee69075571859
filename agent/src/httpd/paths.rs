//! Paths as httpd puts them together, and names with wildcards.
//!
//! APR 1.7: `apr_filepath_merge` (`file_io/unix/filepath.c`) and `apr_fnmatch` with
//! `APR_FNM_PERIOD` (`strings/apr_fnmatch.c`).

/// `path`, counted from `root` where it is relative, without `.`, `..` and double slashes.
pub(super) fn merge(root: &str, path: &str) -> String {
    let whole = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{root}/{path}")
    };
    let absolute = whole.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." if !matches!(parts.last(), None | Some(&"..")) => {
                parts.pop();
            }
            // Above the root is the root.
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let mut merged = String::with_capacity(whole.len());
    if absolute {
        merged.push('/');
    }
    merged.push_str(&parts.join("/"));
    let is_directory = whole.ends_with('/') || whole.ends_with("/.") || whole.ends_with("/..");
    if is_directory && !parts.is_empty() {
        merged.push('/');
    }
    merged
}

/// A name in a directory.
pub(super) fn join(directory: &str, name: &str) -> String {
    let slash = if directory.ends_with('/') { "" } else { "/" };
    format!("{directory}{slash}{name}")
}

/// Whether a part of a path is a pattern: `apr_fnmatch_test`.
pub(super) fn is_pattern(part: &str) -> bool {
    let mut bytes = part.bytes();
    let mut open = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'?' | b'*' => return true,
            b'\\' if bytes.next().is_none() => return false,
            b'[' => open = true,
            b']' if open => return true,
            _ => {}
        }
    }
    false
}

/// Whether a file's name is of a pattern; a dot at its head has to be written.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') && !pattern.starts_with("\\.") {
        return false;
    }
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken: only that one needs to
    // be tried again, so that no pattern takes more than the product of the lengths.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
            continue;
        } else {
            one(&pattern[p..], name[n])
        };
        if let Some(length) = step {
            p += length;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How much of the pattern's head stands for this one byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match set(&pattern[1..], byte) {
            Some((true, length)) => Some(1 + length),
            Some((false, _)) => None,
            // A bracket that is never closed is only a bracket.
            None => (byte == b'[').then_some(1),
        },
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

/// Whether a byte is in a set, and how long the set is with its closing bracket.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        let mut low = *pattern.get(at)?;
        if low == b']' {
            return Some((found != negated, at + 1));
        }
        if low == b'\\' {
            at += 1;
            low = *pattern.get(at)?;
        }
        let mut high = low;
        if pattern.get(at + 1) == Some(&b'-') && pattern.get(at + 2).is_some_and(|b| *b != b']') {
            at += 2;
            high = pattern[at];
            if high == b'\\' {
                at += 1;
                high = *pattern.get(at)?;
            }
        }
        found |= (low..=high).contains(&byte);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_together() {
        for (root, path, expected) in [
            ("/etc/apache2", "ports.conf", "/etc/apache2/ports.conf"),
            ("/etc/apache2/", "./a//b", "/etc/apache2/a/b"),
            ("/etc/apache2", "/abs//x/../y", "/abs/y"),
            ("/etc/apache2", "../../../x", "/x"),
            ("/etc", "conf.d/", "/etc/conf.d/"),
            ("/etc", "", "/etc/"),
            ("/", "x", "/x"),
            ("/etc", "..", "/"),
            ("rel", "x", "rel/x"),
        ] {
            assert_eq!(merge(root, path), expected, "{root} {path}");
        }
    }

    #[test]
    fn patterns_match_like_apr_does() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            (".*", ".conf", true),
            ("?.conf", ".conf", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("[a-c]?.conf", "b1.conf", true),
            ("[!a-c].conf", "b.conf", false),
            ("[!a-c].conf", "x.conf", true),
            ("[^a].conf", "b.conf", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("*", "", true),
            ("x", "", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        for (part, expected) in [
            ("a", false),
            ("a*", true),
            ("a[", false),
            ("a[]", true),
            ("a\\*", false),
            ("a]?", true),
        ] {
            assert_eq!(is_pattern(part), expected, "{part}");
        }
    }
}
