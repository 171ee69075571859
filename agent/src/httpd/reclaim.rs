//! What httpd writes when a child does not go (`reclaim_one_pid` in `server/mpm_unix.c`, httpd 2.4).
//! Pure and total.
//!
//! It stops or restarts its children by a table of times: SIGTERM again after 3, 5 and 7 seconds,
//! SIGKILL after 9 (`ap_reclaim_child_processes`). Daemons of mod_wsgi are not among them: APR kills
//! those after 3 seconds without a word (`free_proc_chain` in `apr_pools.c`, `APR_KILL_AFTER_TIMEOUT`).

use serde::{Deserialize, Serialize};

use super::error_log::level;

/// What httpd does about a child that does not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Notice {
    /// It sends SIGTERM once more.
    #[serde(rename = "AH00045")]
    Asked,
    /// It sends SIGKILL.
    #[serde(rename = "AH00046")]
    Killed,
}

impl Notice {
    /// The number by which httpd's messages are known.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "AH00045",
            Self::Killed => "AH00046",
        }
    }

    const ALL: [(Self, &str, &str); 2] = [
        (Self::Asked, "SIGTERM", "warn]"),
        (Self::Killed, "SIGKILL", "error]"),
    ];
}

/// The child, by its id in the server's pid namespace, and what httpd does about it; `None` for any
/// other line.
///
/// What an application prints has the level `wsgi:error`, or that of a request, and is not believed;
/// who writes to the log's descriptor itself can say anything, of children that hang only.
#[must_use]
pub fn notice(line: &str) -> Option<(u32, Notice)> {
    let (head, rest) = line.split_once("child process ")?;
    let (pid, rest) = rest.split_once(" still did not exit, sending a ")?;
    let mut all = Notice::ALL.into_iter();
    let (notice, _, told) = all.find(|(_, signal, _)| *signal == rest)?;
    let is_httpds = level(head).is_none_or(|level| {
        // httpd's own level may have no module, by an older `ErrorLogFormat`.
        level.ends_with(told) && matches!(level.split_once(':'), None | Some(("[core", _)))
    });
    let is_numbered = head.ends_with(&format!("{}: ", notice.name()));
    (is_httpds && is_numbered && !head.contains("[client ")).then_some((pid.parse().ok()?, notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As httpd 2.4.71 wrote them.
    #[test]
    fn what_httpd_writes_is_read() {
        let line = "[Mon Nov 23 00:37:42.406914 2026] [core:warn] [pid 9446:tid 9446] AH00045: child \
                    process 9480 still did not exit, sending a SIGTERM";
        assert_eq!(notice(line), Some((9480, Notice::Asked)));
        let line = "[Mon Nov 23 00:37:48.413983 2026] [core:error] [pid 9446:tid 9446] AH00046: child \
                    process 9480 still did not exit, sending a SIGKILL";
        assert_eq!(notice(line), Some((9480, Notice::Killed)));
        let bare = "AH00046: child process 7 still did not exit, sending a SIGKILL";
        assert_eq!(notice(bare), Some((7, Notice::Killed)));
    }

    /// Nobody else's lines are, nor halves.
    #[test]
    fn what_others_write_is_not() {
        for line in [
            "",
            "[wsgi:error] [pid 7] AH00046: child process 7 still did not exit, sending a SIGKILL",
            "[core:warn] AH00046: child process 7 still did not exit, sending a SIGKILL",
            "[core:error] AH00045: child process 7 still did not exit, sending a SIGKILL",
            "[core:error] [client ::1] AH00046: child process 7 still did not exit, sending a SIGKILL",
            "[core:error] AH00046: child process x still did not exit, sending a SIGKILL",
            "[core:error] AH00046: child process 7 still did not exit, sending a SIGKILL now",
            "[core:error] AH00046: child process 99999999999 still did not exit, sending a SIGKILL",
            "[core:error] AH00047: could not make child process 7 exit, attempting to continue anyway",
        ] {
            assert_eq!(notice(line), None, "{line}");
        }
    }
}
