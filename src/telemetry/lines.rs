//! Log lines on their way out.
//!
//! A line about a request is the last thing done for it, and to hand it to the system alone can cost more than the
//! request. So those lines wait for each other, for some milliseconds at most; all others go out at once, after those
//! that wait. A process that is killed may lose the lines of its last milliseconds.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of lines about requests.
const REQUESTS: &str = "xetgate::access";

/// How long they wait.
const WAIT: Duration = Duration::from_millis(10);

/// Bytes that wait at most.
const WAITING_BYTES_MAX: usize = 64 << 10;

type Sink = Box<dyn Write + Send>;

struct Out {
    sink: Sink,
    waiting: Vec<u8>,
}

impl Out {
    fn flush(&mut self) -> io::Result<()> {
        let written = self.sink.write_all(&self.waiting).and_then(|()| self.sink.flush());
        self.waiting.clear();
        written
    }
}

struct Shared {
    out: Mutex<Out>,
    /// Lines have begun to wait.
    begun: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where log lines are written to.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

impl Lines {
    /// Lines that go to `sink`. Without a thread to send off those that wait, none waits.
    pub(super) fn to(sink: Sink) -> io::Result<Self> {
        let out = Mutex::new(Out { sink, waiting: Vec::new() });
        let shared = Arc::new(Shared { out, begun: Condvar::new() });
        let watched = Arc::downgrade(&shared);
        std::thread::Builder::new().name("log-lines".to_owned()).spawn(move || send_off(&watched))?;
        Ok(Self(shared))
    }

    /// Sends off what waits.
    pub(super) fn flush(&self) {
        // Nobody is left to be told.
        let _ = self.0.lock().flush();
    }
}

/// The work of the thread: lets lines wait, and sends them off.
fn send_off(watched: &Weak<Shared>) {
    while let Some(shared) = watched.upgrade() {
        let waiting = |out: &mut Out| out.waiting.is_empty();
        let out = shared.begun.wait_timeout_while(shared.lock(), Duration::from_secs(1), waiting);
        let has_lines = !out.unwrap_or_else(PoisonError::into_inner).0.waiting.is_empty();
        if has_lines {
            std::thread::sleep(WAIT);
            let _ = shared.lock().flush();
        }
    }
}

/// Writes one line.
pub(super) struct Line<'l> {
    shared: &'l Shared,
    may_wait: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut out = self.shared.lock();
        if out.waiting.is_empty() && self.may_wait {
            self.shared.begun.notify_one();
        }
        out.waiting.extend_from_slice(line);
        if !self.may_wait || out.waiting.len() >= WAITING_BYTES_MAX {
            out.flush()?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Line<'l> {
        Line { shared: &self.0, may_wait: false }
    }

    fn make_writer_for(&'l self, line: &Metadata<'_>) -> Line<'l> {
        Line { shared: &self.0, may_wait: line.target() == REQUESTS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_about_requests_wait_a_moment_and_all_keep_their_order() {
        let written = Written::default();
        let lines = Lines::to(Box::new(written.clone())).unwrap();
        let text = || String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let write = |may_wait, line: &[u8]| Line { shared: &lines.0, may_wait }.write_all(line).unwrap();
        write(true, b"request\n");
        write(false, b"trouble\n");
        assert_eq!(text(), "request\ntrouble\n");
        write(true, b"last\n");
        while !text().ends_with("last\n") {
            std::thread::yield_now();
        }
        write(true, b"at the end\n");
        lines.flush();
        assert!(text().ends_with("at the end\n"));
    }
}
