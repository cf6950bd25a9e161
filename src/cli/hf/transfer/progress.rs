//! How far a transfer has come: files, bytes, rate, time left, and what deduplication saved.
//!
//! Shown on a terminal only, and only when the work takes longer than [`QUIET_FOR`].

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::terminal::words::human_size;
use crate::xet::hash::XorbHash;

/// Work that is done sooner shows nothing.
const QUIET_FOR: Duration = Duration::from_secs(1);

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Counts what was moved, and shows it.
pub(in crate::cli) struct Progress {
    bar: Option<ProgressBar>,
    files: AtomicU64,
    files_total: AtomicU64,
    /// Bytes of files that are stored.
    stored: AtomicU64,
    /// Bytes of the xorbs sent for them. Files that were uploaded side by side share xorbs: each counts once.
    sent: AtomicU64,
    xorbs: Mutex<HashSet<XorbHash>>,
    shower: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Progress {
    /// Nothing is shown unless `shown`.
    pub(in crate::cli) fn new(shown: bool) -> Self {
        let bar = shown.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
        Self {
            bar,
            files: AtomicU64::new(0),
            files_total: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            xorbs: Mutex::default(),
            shower: Mutex::new(None),
        }
    }

    /// Begins, with what is to be done; on a runtime.
    pub(super) fn begin(&self, what: &'static str, files: u64, bytes: u64) {
        self.files_total.store(files, Ordering::Relaxed);
        let Some(bar) = self.bar.clone() else { return };
        bar.set_length(bytes);
        bar.set_prefix(what);
        // The template is right: a test draws it.
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} eta {eta} {msg}",
        ) {
            bar.set_style(style.progress_chars("=> "));
        }
        self.tell();
        let shower = tokio::spawn(async move {
            tokio::time::sleep(QUIET_FOR).await;
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        });
        if let Ok(mut kept) = self.shower.lock() {
            *kept = Some(shower);
        }
    }

    /// So many bytes more were moved.
    pub(super) fn bytes(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// So many files more are done.
    pub(super) fn files(&self, files: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.tell();
    }

    /// Files of this many bytes in all are stored, for which xorbs of these lengths were sent.
    pub(super) fn stored(&self, bytes: u64, xorbs: impl IntoIterator<Item = (XorbHash, u32)>) {
        let mut known = self.xorbs.lock().unwrap_or_else(PoisonError::into_inner);
        let new = xorbs.into_iter().filter(|(xorb, _)| known.insert(*xorb));
        self.sent.fetch_add(new.map(|(_, bytes)| u64::from(bytes)).sum(), Ordering::Relaxed);
        self.stored.fetch_add(bytes, Ordering::Relaxed);
        drop(known);
        self.tell();
    }

    fn tell(&self) {
        let Some(bar) = &self.bar else { return };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let saved = match count(&self.stored).saturating_sub(count(&self.sent)) {
            0 => String::new(),
            saved => format!(", {} deduplicated", human_size(saved)),
        };
        bar.set_message(format!("{}/{} files{saved}", count(&self.files), count(&self.files_total)));
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(shower) = self.shower.lock().ok().and_then(|mut kept| kept.take()) {
            shower.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    #[tokio::test]
    async fn the_bar_tells_files_bytes_and_what_was_saved() {
        let progress = Progress::new(true);
        progress.begin("Uploading", 3, 4_000_000);
        progress.bytes(1_000_000);
        progress.files(1);
        let shared = (XorbHash::from_bytes([1; 32]), 50_000);
        progress.stored(200_000, [shared]);
        progress.stored(150_000, [shared, (XorbHash::from_bytes([2; 32]), 50_000)]);
        let term = InMemoryTerm::new(4, 120);
        let bar = progress.bar.as_ref().unwrap();
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(term.clone())));
        bar.force_draw();
        let line = term.contents();
        assert!(line.starts_with("Uploading "), "{line}");
        assert!(line.contains("1.00 MB/4.00 MB"), "{line}");
        assert!(line.ends_with("1/3 files, 250.0 KB deduplicated"), "{line}");
        progress.end();
        assert_eq!(term.contents(), "");
    }

    #[tokio::test]
    async fn nothing_is_shown_where_nobody_looks() {
        let progress = Progress::new(false);
        progress.begin("Uploading", 1, 1);
        progress.bytes(1);
        progress.files(1);
        progress.end();
        assert!(progress.bar.is_none());
    }
}
