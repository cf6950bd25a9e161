//! The audit log: a JSON line for each request, in a file of its own.
//!
//! The log on standard error is for running the gateway, this one for knowing who did what. No line is dropped: when the file
//! cannot keep up, requests wait for it. On SIGHUP the file is closed and the configured name opened again, so that logrotate
//! can rename it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::SystemTime;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::clock::Timestamp;
use crate::model::version::VersionRef;
use crate::store::lifecycle::Ended;
use crate::store::meta::DueWhat;

/// Lines that may wait for the file, at some 400 bytes each.
const WAITING_MAX: usize = 4096;

/// A line, for one request; or for something that a lifecycle rule has ended.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    /// When it ended, RFC 3339.
    pub(super) time: String,
    /// Its id, as in its answer and in the log; `None` of what no request asked for.
    pub(super) id: Option<&'a str>,
    /// The API; the line calls it `door`, and tools that read the file know it by that name.
    #[serde(rename = "door")]
    pub(super) api: &'a str,
    /// The client's address.
    pub(super) address: Option<String>,
    pub(super) account: Option<&'a str>,
    pub(super) access_key_id: Option<&'a str>,
    pub(super) operation: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) bucket: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) status: u16,
    /// The error's code.
    pub(super) code: Option<&'a str>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) micros: u64,
    /// What a lifecycle rule has ended; in no line of a request.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) expiry: Option<Expiry<'a>>,
}

/// By which rule something ended, and what.
#[derive(Debug, Serialize)]
pub(super) struct Expiry<'a> {
    rule: &'a str,
    /// The version that is gone, or an upload's id.
    version: Option<String>,
    upload: Option<&'a str>,
    /// The delete marker that the object is behind now.
    delete_marker: Option<String>,
}

/// The API that lines of lifecycle rules name.
const LIFECYCLE: &str = "lifecycle";

/// The file. A thread writes it, and ends when this is dropped.
pub struct AuditLog {
    lines: mpsc::SyncSender<Vec<u8>>,
    reopen: Arc<AtomicBool>,
}

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    let options = OpenOptions::new().create(true).append(true).mode(0o600).clone();
    Ok(BufWriter::new(options.open(path)?))
}

impl AuditLog {
    /// Opens the file, or makes it, for its owner only.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        let (lines, waiting) = mpsc::sync_channel(WAITING_MAX);
        let reopen = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&reopen);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_all(file, &path, &waiting, &asked))?;
        Ok(Self { lines, reopen })
    }

    /// Closes the file and opens the configured name again, before the next line.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// Writes what a lifecycle rule has ended, as the request that would have done so.
    pub fn write_ended(&self, at: Timestamp, ended: &Ended<'_>) {
        let (item, bucket) = (ended.item, ended.bucket.to_string());
        let upload = match &item.entry.what {
            DueWhat::Upload(id) => Some(id.as_str()),
            _ => None,
        };
        let text = |version: VersionRef| version.to_string();
        let version = item.version.filter(|_| ended.marker.is_none()).map(text);
        let delete_marker = ended.marker.map(text);
        let expiry = Expiry { rule: &item.rule, version, upload, delete_marker };
        let now = OffsetDateTime::from(SystemTime::from(at));
        self.write(&Entry {
            time: now.format(&Rfc3339).unwrap_or_default(),
            id: None,
            api: LIFECYCLE,
            address: None,
            account: None,
            access_key_id: None,
            operation: ended.operation(),
            method: "",
            path: "",
            bucket: Some(&bucket),
            key: Some(item.entry.key.as_str()),
            status: 204,
            code: None,
            received_bytes: 0,
            sent_bytes: 0,
            micros: 0,
            expiry: Some(expiry),
        });
    }

    pub(super) fn write(&self, entry: &Entry<'_>) {
        if let Ok(mut line) = serde_json::to_vec(entry) {
            line.push(b'\n');
            // The thread is there as long as this is.
            let _ = self.lines.send(line);
        }
    }
}

/// Writes lines until every sender is gone.
fn write_all(mut file: BufWriter<File>, path: &Path, waiting: &mpsc::Receiver<Vec<u8>>, reopen: &AtomicBool) {
    while let Ok(first) = waiting.recv() {
        if reopen.swap(false, Ordering::Relaxed) {
            match open(path) {
                Ok(opened) => file = opened,
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "the audit log stays with its old file");
                }
            }
        }
        let written =
            std::iter::once(first).chain(waiting.try_iter()).try_for_each(|line| file.write_all(&line));
        if let Err(error) = written.and_then(|()| file.flush()) {
            tracing::error!(%error, path = %path.display(), "the audit log cannot be written");
        }
    }
}
