//! Times of last change, counted as Python counts them: `hf` plans with floating-point milliseconds, and a plan must
//! come out the same to the last digit.

use crate::bucket::Timestamp;
use crate::cli::terminal::words;

/// Milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(in crate::cli) struct Mtime(f64);

impl Mtime {
    /// What the file system says: seconds and nanoseconds. (Python's `st_mtime` is a float of seconds.)
    #[expect(clippy::cast_precision_loss, reason = "Python loses the same")]
    pub(in crate::cli) fn of_file(secs: i64, nanos: i64) -> Self {
        Self((secs as f64 + 1e-9 * nanos as f64) * 1000.0)
    }

    /// What the server says; 0 if it says nothing.
    #[expect(clippy::cast_precision_loss, reason = "Python loses the same")]
    pub(in crate::cli) fn of_server(at: Option<Timestamp>) -> Self {
        at.map_or(Self(0.0), |at| Self((u128::from(at.0) * 1000) as f64 / 1e6 * 1000.0))
    }

    /// How much later this is, in milliseconds.
    pub(in crate::cli) fn after(self, other: Self) -> f64 {
        self.0 - other.0
    }

    /// Whole milliseconds, as they are sent; before 1970 counts as 1970.
    #[expect(clippy::cast_sign_loss, reason = "what is negative becomes 0")]
    pub(in crate::cli) fn timestamp(self) -> Timestamp {
        Timestamp(self.0 as u64)
    }

    /// As it stands in a plan.
    pub(in crate::cli) fn iso(self) -> String {
        let secs = self.0 / 1000.0;
        let micros = (secs.fract() * 1e6).round_ties_even();
        words::iso_of_micros(secs.trunc() as i128 * 1_000_000 + micros as i128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_rounded_as_python_rounds_them() {
        // python3 -c 'import os,datetime as d; ...fromtimestamp(st.st_mtime*1000/1000, d.timezone.utc).isoformat()'
        assert_eq!(Mtime::of_file(1_763_920_205, 714_360_123).iso(), "2025-11-23T17:50:05.714360+00:00");
        assert_eq!(Mtime::of_file(1_763_920_205, 0).iso(), "2025-11-23T17:50:05+00:00");
        assert_eq!(Mtime::of_file(1_763_920_205, 999_999_999).iso(), "2025-11-23T17:50:06+00:00");
        assert_eq!(Mtime::of_file(-1, 500_000_000).iso(), "1969-12-31T23:59:59.500000+00:00");
        assert_eq!(
            Mtime::of_server(Some(Timestamp(1_763_920_205_714))).iso(),
            "2025-11-23T17:50:05.714000+00:00"
        );
        assert_eq!(Mtime::of_server(None).iso(), "1970-01-01T00:00:00+00:00");
    }

    #[test]
    fn milliseconds_are_cut_not_rounded_when_sent() {
        assert_eq!(Mtime::of_file(1, 999_999_000).timestamp(), Timestamp(1_999));
        assert_eq!(Mtime::of_file(-5, 0).timestamp(), Timestamp(0));
    }
}
