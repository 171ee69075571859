//! `<IfVersion>`: mod_version of httpd 2.4, `modules/metadata/mod_version.c`.

use super::lines;

/// httpd's own version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Major, minor and patch level.
    pub number: [u32; 3],
    /// What stands behind the number: `-dev`, mostly nothing.
    pub rest: String,
}

impl Version {
    /// From `2.4.62` or `2.5.1-dev`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let mut parts = number.split('.').map(|part| part.parse().ok());
        let number = [parts.next()??, parts.next()??, parts.next()??];
        let rest = rest.to_owned();
        parts.next().is_none().then_some(Self { number, rest })
    }

    fn text(&self) -> String {
        let [major, minor, patch] = self.number;
        format!("{major}.{minor}.{patch}{}", self.rest)
    }

    /// Whether the arguments of `<IfVersion` hold; the error is a clause.
    pub(super) fn is(&self, arguments: &str) -> Result<bool, String> {
        let words = lines::words(arguments);
        let mut words = words.iter().map(String::as_str);
        let (first, second, third) = (words.next(), words.next(), words.next());
        // The operator may be left out, and the bracket may stand apart.
        let (operator, version, closed) = match (first, second, third) {
            (Some(version), None, _) => ("=", version, false),
            (Some(version), Some(">"), None) => ("=", version, true),
            (Some(operator), Some(version), third) => (operator, version, third == Some(">")),
            (None, ..) => return Err("it names no version".to_owned()),
        };
        let version = if closed {
            version
        } else {
            version.strip_suffix('>').ok_or("it is not closed")?
        };
        let bare = operator.strip_prefix('!').filter(|bare| !bare.is_empty());
        let negated = operator.starts_with('!');
        let holds = match bare.unwrap_or(operator) {
            "=" | "==" => match version.strip_prefix('/') {
                Some(pattern) => self.matches(
                    pattern
                        .strip_suffix('/')
                        .ok_or("its expression has no / at its end")?,
                )?,
                None => self.number == number(version)?,
            },
            "~" => self.matches(version)?,
            "<" => self.number < number(version)?,
            "<=" => self.number <= number(version)?,
            ">" => self.number > number(version)?,
            ">=" => self.number >= number(version)?,
            other => return Err(format!("{other:?} is no operator")),
        };
        Ok(holds != negated)
    }

    fn matches(&self, pattern: &str) -> Result<bool, String> {
        regex_lite::RegexBuilder::new(pattern)
            .size_limit(1 << 20)
            .build()
            .map(|regex| regex.is_match(&self.text()))
            .map_err(|_| format!("{pattern:?} is no regular expression that we can read"))
    }
}

/// Numbers that are left out are 0.
fn number(text: &str) -> Result<[u32; 3], String> {
    let wrong = || format!("{text:?} is no version");
    let mut number = [0; 3];
    let mut slots = number.iter_mut();
    for part in text.split('.') {
        let slot = slots.next().ok_or_else(wrong)?;
        *slot = part.parse().map_err(|_| wrong())?;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared() {
        let version = Version::parse("2.4.62").unwrap();
        for (arguments, expected) in [
            (">= 2.4>", Ok(true)),
            (">= 2.4.63>", Ok(false)),
            ("< 2.4.62>", Ok(false)),
            ("<= 2.4.62>", Ok(true)),
            ("> 2.4.9>", Ok(true)),
            ("= 2.4>", Ok(false)),
            ("2.4.62>", Ok(true)),
            ("!= 2.4.62>", Ok(false)),
            ("!>= 2.6>", Ok(true)),
            ("= /^2\\.4\\.[0-9]+$/>", Ok(true)),
            ("~ ^2.5>", Ok(false)),
            ("!~ ^2.5>", Ok(true)),
            ("\"2.4.62\" >", Ok(true)),
            (">= \"2.4\" >", Ok(true)),
        ] {
            assert_eq!(version.is(arguments), expected, "{arguments}");
        }
        for arguments in [
            "", ">= 2.4", "=> 2.4>", ">= two>", "= /x>", "~ (>", "! 2.4>", "1.2.3.4>",
        ] {
            assert!(version.is(arguments).is_err(), "{arguments}");
        }
        assert_eq!(Version::parse("2.5.1-dev").unwrap().text(), "2.5.1-dev");
        assert_eq!(Version::parse("2.4"), None);
    }
}
