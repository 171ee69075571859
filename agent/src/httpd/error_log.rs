//! Blocked attempts as a server's error log tells them. Pure and total.
//!
//! Where the probe cannot see mod_wsgi's signal intercept, the log is what remains: the intercept
//! writes one line, and then the caller's stack by `traceback.print_stack` (up to 5.x
//! `SignalIntercept_call` in `src/server/wsgi_interp.c`, at `warn`; 6.x in `wsgi_signal.c`, at
//! `info`, which httpd's default leaves out). Each line has the prefix of `ErrorLogFormat`
//! (`server/log.c`, httpd 2.4), and lines of threads and processes are mixed.
//!
//! A prefix without a process id tells nobody whose a line is: such an attempt has no stack rather
//! than a mixed one, and none at all from 6.x, where only the prefix has the id. What an application
//! prints goes to the log at `error`, or for a client, and is not believed.

use std::collections::VecDeque;

use crate::event::{Frame, Instant};

/// Frames of a stack that are kept: the innermost.
const FRAMES_MAX: usize = 128;
/// Attempts whose stack may be incomplete at a time.
const OPEN_MAX: usize = 64;
/// Bytes of a file's name and of a function's.
const TEXT_MAX: usize = 512;

/// Up to 5.x, with the process id between the first two.
const BEFORE_6: [&str; 3] = [
    "mod_wsgi (pid=",
    "): Callback registration for signal ",
    " ignored.",
];
/// From 6.0 on.
const FROM_6: [&str; 2] = [
    "Ignoring Python signal handler registration for signal ",
    " in WSGI process; mod_wsgi manages signals.",
];
/// How `traceback` begins a frame, the line behind it, and what stands for many of the same.
const FRAME: &str = "  File \"";
const SOURCE: &str = "    ";
const REPEATED: &str = "  [Previous line repeated ";

/// A blocked attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// The process, by its id in the server's pid namespace.
    pub pid: u32,
    /// The thread, where the log has it: its id in the same namespace, or in older httpds and in
    /// some formats the C library's large number.
    pub tid: Option<u64>,
    /// The signal's number, as the caller gave it.
    pub signal: i64,
    /// The caller's stack, innermost first; empty where it is not told. Functions have their plain
    /// names.
    pub frames: Vec<Frame>,
    /// Outer frames were left out: there were too many.
    pub truncated: bool,
}

/// An attempt whose stack is being read.
#[derive(Debug)]
struct Open {
    who: Who,
    /// As in the first line, `[wsgi:warn]`.
    level: String,
    signal: i64,
    /// Outermost first, as it is written.
    frames: VecDeque<Frame>,
    truncated: bool,
    /// The line of a frame's source may follow.
    wants_source: bool,
    last: Instant,
}

/// A thread, as a prefix names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Who {
    pid: u32,
    tid: Option<u64>,
}

/// Reads a log line by line.
#[derive(Debug, Default)]
pub struct Reader {
    /// The oldest first.
    open: VecDeque<Open>,
    nameless: u64,
}

impl Reader {
    /// Takes in a line, without its end; gives the attempts that are complete by it.
    pub fn read(&mut self, line: &str, now: Instant) -> Vec<LoggedAttempt> {
        let first = First::of(line);
        if first.is_none() && self.open.is_empty() {
            return Vec::new();
        }
        let mut complete = Vec::new();
        let head = match &first {
            Some(first) => first.head,
            None => head(line),
        };
        let who = who(head);
        let open = |who: Who| self.open.iter().position(|open| open.who == who);
        if let Some(at) = who.and_then(open) {
            let level = level(head).unwrap_or_default();
            let goes_on = first.is_none()
                && self.open.get_mut(at).is_some_and(|open| {
                    level == open.level && open.go_on(&line[head.len()..], now)
                });
            if !goes_on {
                complete.extend(self.open.remove(at).map(Open::close));
            }
        }
        let Some(first) = first else {
            return complete;
        };
        let Some(who) = who else {
            match first.pid {
                Some(pid) => complete.push(LoggedAttempt {
                    pid,
                    tid: None,
                    signal: first.signal,
                    frames: Vec::new(),
                    truncated: false,
                }),
                None => self.nameless = self.nameless.saturating_add(1),
            }
            return complete;
        };
        if first.pid.is_some_and(|pid| pid != who.pid) {
            return complete;
        }
        if self.open.len() >= OPEN_MAX {
            complete.extend(self.open.pop_front().map(Open::close));
        }
        self.open.push_back(Open {
            who,
            level: level(head).unwrap_or_default().to_owned(),
            signal: first.signal,
            frames: VecDeque::new(),
            truncated: false,
            wants_source: false,
            last: now,
        });
        complete
    }

    /// The attempts whose last line came before a time: nothing more is to be expected of them.
    pub fn overdue(&mut self, before: Instant) -> Vec<LoggedAttempt> {
        let open = std::mem::take(&mut self.open);
        let (overdue, rest) = open.into_iter().partition(|open| open.last < before);
        self.open = rest;
        let overdue: VecDeque<Open> = overdue;
        overdue.into_iter().map(Open::close).collect()
    }

    /// Attempts, since the start, of which the log does not tell the process.
    #[must_use]
    pub fn nameless(&self) -> u64 {
        self.nameless
    }
}

impl Open {
    /// Takes in what follows the prefix; whether it belongs to the stack.
    fn go_on(&mut self, text: &str, now: Instant) -> bool {
        let wants_source = std::mem::take(&mut self.wants_source);
        if let Some((_, told)) = text.split_once(FRAME) {
            let Some(frame) = frame(told) else {
                return false;
            };
            self.push(frame);
            self.wants_source = true;
        } else if let Some((_, told)) = text.split_once(REPEATED) {
            let times = told.split(' ').next().and_then(|times| times.parse().ok());
            let (Some(times), Some(frame)) = (times, self.frames.back().cloned()) else {
                return false;
            };
            for _ in 0..FRAMES_MAX.min(times) {
                self.push(frame.clone());
            }
            self.truncated |= times > FRAMES_MAX;
        } else if !(wants_source && text.contains(SOURCE)) {
            return false;
        }
        self.last = now;
        true
    }

    fn push(&mut self, frame: Frame) {
        if self.frames.len() >= FRAMES_MAX {
            self.frames.pop_front();
            self.truncated = true;
        }
        self.frames.push_back(frame);
    }

    fn close(self) -> LoggedAttempt {
        LoggedAttempt {
            pid: self.who.pid,
            tid: self.who.tid,
            signal: self.signal,
            frames: self.frames.into_iter().rev().collect(),
            truncated: self.truncated,
        }
    }
}

/// The first line of an attempt.
struct First<'l> {
    head: &'l str,
    /// As the message has it.
    pid: Option<u32>,
    signal: i64,
}

impl<'l> First<'l> {
    fn of(line: &'l str) -> Option<Self> {
        let [mod_wsgi, callback, ignored] = BEFORE_6;
        let [ignoring, manages] = FROM_6;
        let first = if let Some((head, rest)) = line.split_once(mod_wsgi) {
            let (pid, rest) = rest.split_once(callback)?;
            Self {
                head,
                pid: Some(pid.parse().ok()?),
                signal: rest.strip_suffix(ignored)?.parse().ok()?,
            }
        } else {
            let (head, rest) = line.split_once(ignoring)?;
            Self {
                head,
                pid: None,
                signal: rest.strip_suffix(manages)?.parse().ok()?,
            }
        };
        let head = first.head;
        let printed = head.contains("[client ") || head.contains("[remote ");
        let is_error = level(head).is_some_and(|level| level.ends_with("error]"));
        (!printed && !is_error).then_some(first)
    }
}

/// What httpd puts before a message: words in brackets with blanks between them, the process among
/// them, as the default format has it, or else all before the stack's indentation.
fn head(line: &str) -> &str {
    let mut rest = line;
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    let words = &line[..line.len() - rest.len()];
    if who(words).is_some() {
        return words;
    }
    let end = [FRAME, REPEATED, SOURCE]
        .iter()
        .find_map(|text| line.find(text));
    &line[..end.unwrap_or(line.len())]
}

/// The thread that a prefix names: `[pid 7:tid 8]`, `[pid 7]`, `pid=7, tid=8`.
fn who(head: &str) -> Option<Who> {
    Some(Who {
        pid: u32::try_from(number_after(head, "pid")?).ok()?,
        tid: number_after(head, "tid"),
    })
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    let rest = rest.trim_start_matches([' ', '=', ':', '"']);
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// The word in brackets that tells the level, `[wsgi:warn]`, with its brackets.
pub(super) fn level(head: &str) -> Option<&str> {
    const LEVELS: [&str; 8] = [
        "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
    ];
    let mut rest = head;
    while let Some(at) = rest.find('[') {
        rest = &rest[at..];
        let end = rest.find(']')? + 1;
        let word = rest[1..end - 1].rsplit(':').next().unwrap_or_default();
        if LEVELS.contains(&word) {
            return Some(&rest[..end]);
        }
        rest = &rest[end..];
    }
    None
}

/// A frame from `FILE", line NUMBER, in FUNCTION`. A file may be called anything.
fn frame(text: &str) -> Option<Frame> {
    let (file, rest) = text.rsplit_once("\", line ")?;
    let (line, function) = rest.split_once(", in ")?;
    Some(Frame {
        file: unescaped(file),
        line: Some(line.parse().ok()?),
        function: unescaped(function),
    })
}

/// What httpd has escaped (`ap_escape_errorlog_item` in `server/util.c`), as it was.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next()
        && bytes.len() <= TEXT_MAX
    {
        let escaped = (byte == b'\\').then(|| {
            let mut after = rest.clone();
            let byte = match after.next()? {
                b'b' => 0x08,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                b'x' => hexadecimal(&mut after)? << 4 | hexadecimal(&mut after)?,
                other => other,
            };
            rest = after;
            Some(byte)
        });
        // Where the line was cut inside of it, it stays as it is.
        bytes.push(escaped.flatten().unwrap_or(byte));
    }
    let text = String::from_utf8_lossy(&bytes);
    let end = text.floor_char_boundary(TEXT_MAX);
    let mark = if end < text.len() { "…" } else { "" };
    format!("{}{mark}", &text[..end])
}

fn hexadecimal(digits: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let digit = char::from(digits.next()?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
#[path = "error_log_tests.rs"]
mod tests;
