//! Counts tests from what libtest prints, over any number of runs.

/// Passed, failed, skipped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// What libtest calls passed.
    passed: usize,
    failures: Vec<String>,
    skips: Vec<String>,
    /// Skipped tests that libtest counts as passed.
    said_skipped: usize,
    /// Failures at the start of the current run.
    before: usize,
    /// Indented lines since the last heading `failures:`, which may be names.
    indented: Vec<String>,
}

impl Tally {
    /// Takes a line of output.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(skip) = line.strip_prefix("skipped: ") {
            // Printed by `sigblame_tests::skip`; libtest will call the same test passed.
            let name = skip.split(": ").next();
            if !self
                .skips
                .iter()
                .any(|other| other.split(": ").next() == name)
            {
                self.skips.push(skip.to_owned());
                self.said_skipped += 1;
            }
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, "passed");
            // There are two lists of failures, the first with their output. A test's own line
            // serves less: what the test wrote may stand between its name and its result.
            let first = self.indented.len().saturating_sub(count(result, "failed"));
            self.failures.extend(self.indented.drain(..).skip(first));
        } else if let Some((name, why)) = line
            .strip_prefix("test ")
            .and_then(|test| test.split_once(" ... ignored"))
        {
            self.skip(name, why.trim_start_matches([',', ' ']));
        } else if line == "failures:" {
            self.indented.clear();
        } else if let Some(name) = line.strip_prefix("    ") {
            self.indented.push(name.to_owned());
        }
    }

    /// A test that was not run.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.skips.push(format!("{name}: {why}"));
    }

    /// A run that failed without a failed test did not build, or crashed.
    pub(crate) fn end_of_run(&mut self, success: bool, command: &str) {
        if !success && self.failures.len() == self.before {
            self.failures.push(format!("`{command}` itself"));
        }
        self.before = self.failures.len();
        self.indented.clear();
    }

    /// Whether anything failed.
    pub(crate) fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Names what failed and what was left out, and ends with the sum.
    pub(crate) fn report(&self) {
        println!();
        for skip in &self.skips {
            println!("skipped: {skip}");
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{}", self.sum());
    }

    fn sum(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed.saturating_sub(self.said_skipped),
            self.failures.len(),
            self.skips.len()
        )
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(result: &str, word: &str) -> usize {
    let words: Vec<&str> = result.split([' ', ';']).collect();
    words
        .windows(2)
        .find(|pair| pair[1] == word)
        .and_then(|pair| pair[0].parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line));
        tally
    }

    /// As libtest prints it, with a test that writes to its output and fails.
    const FAILED: &str = "test a ... ok\ntest b ... noise\nFAILED\ntest c ... ignored, needs a guest\n\n\
        failures:\n\n---- b stdout ----\n\nthread 'b' panicked at b.rs:1:1:\n    not a name\n\n\
        failures:\n    b\n\n\
        test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn runs_are_summed() {
        let mut tally = tally(FAILED);
        tally.end_of_run(false, "one");
        tally.read("test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured");
        tally.end_of_run(true, "two");
        assert_eq!(tally.failures, ["b"]);
        assert_eq!(tally.skips, ["c: needs a guest"]);
        assert_eq!(tally.sum(), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_test_that_says_it_was_skipped_did_not_pass() {
        let tally = tally(
            "test a ... \nskipped: a: no httpd\n\nskipped: a: no cc\nok\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n",
        );
        assert_eq!(tally.skips, ["a: no httpd"]);
        assert_eq!(tally.sum(), "0 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_run_that_does_not_build_is_a_failure() {
        let mut tally = tally(FAILED);
        tally.end_of_run(false, "one");
        tally.end_of_run(false, "two");
        tally.end_of_run(true, "three");
        assert_eq!(tally.failures, ["b", "`two` itself"]);
    }
}
