//! What outlives the agent: a database in the state directory.
//!
//! It has a thread of its own, behind a bounded queue: nobody who hears events ever waits for a
//! disk. What cannot be written is counted, told once, and tried again with the next change.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use tracing::{error, warn};

/// The database's name below the state directory.
const NAME: &str = "sigblame.db";
/// What `user_version` says of the tables below.
const VERSION: i64 = 1;
/// Batches that wait for the disk.
const QUEUE: usize = 64;
/// How long another program's lock is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// The tables. Each open finding is one row, with all that keeps it open.
const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE open (fingerprint TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
";

/// A change of one open finding: its row from now on, or none.
pub type Write = (String, Option<String>);

/// The database, and its thread.
#[derive(Debug)]
pub struct Disk {
    queue: Option<SyncSender<Vec<Write>>>,
    writer: Option<JoinHandle<()>>,
    errors: Arc<AtomicU64>,
}

/// What was there before.
#[derive(Debug)]
pub struct Before {
    /// The host has not been started anew since: process ids and starts still name the same.
    pub same_boot: bool,
    /// Every finding that was open.
    pub open: Vec<String>,
}

impl Disk {
    /// Opens the database of a state directory, or makes one. A damaged one is set aside.
    ///
    /// # Errors
    ///
    /// Where there can be none: the directory cannot be written to, another agent has it, or a newer
    /// version wrote it.
    pub fn open(directory: &Path, boot: &str) -> Result<(Self, Before)> {
        let path = directory.join(NAME);
        let (connection, before) = match open(&path, boot) {
            Err(error) if is_damaged(&error) => {
                let aside = set_aside(&path)?;
                warn!(
                    aside = %aside.display(),
                    "the database of the state directory is damaged: it is set aside, and what was \
                     open before is not known"
                );
                open(&path, boot)
            }
            other => other,
        }
        .with_context(|| {
            format!(
                "failed to open {}; choose another place with --state-dir",
                path.display()
            )
        })?;
        let (queue, batches) = sync_channel(QUEUE);
        let errors = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&errors);
        let writer = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write_all(connection, &batches, &counter))
            .context("failed to start the thread that writes the state directory")?;
        let disk = Self {
            queue: Some(queue),
            writer: Some(writer),
            errors,
        };
        Ok((disk, before))
    }

    /// Leaves changes for the disk; gives them back where too many wait.
    ///
    /// # Errors
    ///
    /// The changes.
    pub fn write(&self, changes: Vec<Write>) -> Result<(), Vec<Write>> {
        let Some(queue) = &self.queue else {
            return Err(changes);
        };
        match queue.try_send(changes) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(changes) | TrySendError::Disconnected(changes)) => Err(changes),
        }
    }

    /// How often something could not be written.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Writes what is left.
    pub fn close(mut self, last: Vec<Write>) {
        if let Some(queue) = self.queue.take() {
            // Whoever ends has the time.
            let _ = queue.send(last);
        }
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn open(path: &Path, boot: &str) -> Result<(Connection, Before)> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // Before the first look: a second agent on the same directory is told so.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => {
            let make = format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;");
            connection.execute_batch(&make)?;
        }
        VERSION => {}
        newer => bail!("a newer sigblame wrote it (version {newer}, this one knows {VERSION})"),
    }
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(check),
        )
        .into());
    }
    let known = "SELECT value FROM meta WHERE name = 'boot'";
    let last: Option<String> = connection
        .query_row(known, [], |row| row.get(0))
        .optional()?;
    let open = connection
        .prepare("SELECT body FROM open ORDER BY rowid")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    connection.execute("REPLACE INTO meta VALUES ('boot', ?1)", [boot])?;
    let before = Before {
        same_boot: last.as_deref() == Some(boot),
        open,
    };
    Ok((connection, before))
}

fn is_damaged(error: &anyhow::Error) -> bool {
    let code = error
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code);
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Gives a damaged database a name that no other has.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let aside = (1..1_000)
        .map(|number| path.with_extension(format!("db.damaged-{number}")))
        .find(|aside| !aside.exists())
        .context("failed to set a damaged database aside: a thousand lie there already")?;
    fs::rename(path, &aside)
        .with_context(|| format!("failed to set the damaged {} aside", path.display()))?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context("failed to remove a damaged database's journal");
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// Writes until nobody sends any more.
fn write_all(mut connection: Connection, batches: &Receiver<Vec<Write>>, errors: &AtomicU64) {
    let mut left: Vec<Write> = Vec::new();
    while let Ok(batch) = batches.recv() {
        left.extend(batch);
        // What else waits goes into the same transaction.
        while left.len() < 1_000
            && let Ok(batch) = batches.try_recv()
        {
            left.extend(batch);
        }
        match write(&mut connection, &left) {
            Ok(()) => left.clear(),
            Err(reason) => {
                if errors.fetch_add(1, Ordering::Relaxed) == 0 {
                    error!(%reason, "failed to write to the state directory: what is open now may \
                                     not be known after a restart; make room there");
                }
                // A disk that stays full must not fill the memory: the last word of each counts.
                let last: std::collections::BTreeMap<_, _> = left.drain(..).collect();
                left.extend(last);
            }
        }
    }
}

fn write(connection: &mut Connection, changes: &[Write]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for (fingerprint, body) in changes {
        match body {
            Some(body) => transaction
                .prepare_cached("REPLACE INTO open VALUES (?1, ?2)")?
                .execute(params![fingerprint, body])?,
            None => transaction
                .prepare_cached("DELETE FROM open WHERE fingerprint = ?1")?
                .execute([fingerprint])?,
        };
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(name: &str, body: Option<&str>) -> Write {
        (name.to_owned(), body.map(str::to_owned))
    }

    /// What was written last is there when it is opened again, by this boot or another.
    #[test]
    fn what_is_open_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, before) = Disk::open(directory.path(), "a").unwrap();
        assert!(before.open.is_empty());
        disk.write(vec![put("x", Some("1")), put("y", Some("2"))])
            .unwrap();
        disk.write(vec![put("x", None), put("y", Some("3"))])
            .unwrap();
        disk.close(vec![put("z", Some("4"))]);
        let (disk, before) = Disk::open(directory.path(), "a").unwrap();
        assert_eq!(
            (before.same_boot, before.open),
            (true, vec!["3".to_owned(), "4".to_owned()])
        );
        // Two at once would write over one another.
        let error = Disk::open(directory.path(), "a").unwrap_err();
        assert!(format!("{error:#}").contains("locked"), "{error:#}");
        disk.close(Vec::new());
        assert!(!Disk::open(directory.path(), "b").unwrap().1.same_boot);
    }

    #[test]
    fn a_damaged_database_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        for damage in [
            "no database at all".repeat(100),
            "SQLite format 3\0".to_owned() + &"x".repeat(9_000),
        ] {
            fs::write(&path, damage).unwrap();
            let (disk, before) = Disk::open(directory.path(), "a").unwrap();
            assert!(before.open.is_empty());
            disk.close(Vec::new());
        }
        assert!(directory.path().join("sigblame.db.damaged-2").exists());
    }

    #[test]
    fn a_newer_ones_database_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        Disk::open(directory.path(), "a")
            .unwrap()
            .0
            .close(Vec::new());
        let connection = Connection::open(directory.path().join(NAME)).unwrap();
        connection.pragma_update(None, "user_version", 9).unwrap();
        drop(connection);
        let error = format!("{:#}", Disk::open(directory.path(), "a").unwrap_err());
        assert!(
            error.contains("a newer sigblame wrote it (version 9"),
            "{error}"
        );
    }
}
