//! Which names from a bucket may become files of a local folder.
//!
//! | a name | then |
//! |---|---|
//! | that leads out of the folder (`..`, `/x`, `C:x`) | stops the command: somebody has put it there on purpose |
//! | that no file can have (`dir/`, `a//b`, `./a`) | is left out, and how many there are is reported |
//! | with a part that is longer than file systems allow | is left out, and reported by its name |

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::terminal::words::printable;

/// Most bytes of a file's name, and of a folder's. Source: Linux, `NAME_MAX` of `limits.h`.
const NAME_BYTES_MAX: usize = 255;

/// Names that are left out are reported up to this number, and the others counted.
const NAMES_TOLD_MAX: usize = 10;

/// So many characters of a long name are shown.
const NAME_CHARS_SHOWN: usize = 60;

/// Refuses a name from a bucket that would lead out of the folder that it is written into, on any system.
pub(in crate::cli) fn check_name(name: &str) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::Value(format!(
            "Invalid filename '{}': {why}. Rename it in the bucket, or leave it out with --exclude.",
            printable(name)
        )))
    };
    if name.replace('\\', "/").split('/').any(|part| part == "..") {
        return refuse("cannot contain a '..' path segment");
    }
    let has_drive = |part: &str| {
        let bytes = part.as_bytes();
        bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
    };
    if name.starts_with('/') || name.split('/').any(|part| part.starts_with('\\') || has_drive(part)) {
        return refuse("cannot be an absolute, drive-relative or UNC path");
    }
    if name.contains('\0') {
        return refuse("cannot contain a NUL character");
    }
    Ok(())
}

/// Whether a name can be a file's: `dir/` (as S3 clients make for empty folders), `a//b` or `./a` can be none of its own.
pub(in crate::cli) fn is_file_name(name: &str) -> bool {
    name.split('/').all(|part| !part.is_empty() && part != ".")
}

/// Whether a part of a name is longer than a file's name can be.
pub(in crate::cli) fn is_too_long(name: &str) -> bool {
    name.split('/').any(|part| part.len() > NAME_BYTES_MAX)
}

/// Names of a bucket that cannot be files here, for one report at the end.
#[derive(Debug, Default)]
pub(in crate::cli) struct LeftOut {
    odd: usize,
    long: Vec<String>,
}

impl LeftOut {
    /// Whether a file can have this name; if not, it is noted.
    pub(in crate::cli) fn admits(&mut self, name: &str) -> bool {
        if !is_file_name(name) {
            self.odd += 1;
            return false;
        }
        if is_too_long(name) {
            self.long.push(name.to_owned());
            return false;
        }
        true
    }

    /// Says what was left out, on standard error.
    pub(in crate::cli) fn tell(&self, session: &mut Session) {
        for warning in self.warnings() {
            session.terminal.warning(&warning);
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.odd > 0 {
            warnings.push(format!(
                "{} name(s) in the bucket end with a slash or have an empty part, and cannot be files; skipped.",
                self.odd
            ));
        }
        if !self.long.is_empty() {
            let shown = self.long.iter().take(NAMES_TOLD_MAX).map(|name| shortened(name));
            let more = match self.long.len().saturating_sub(NAMES_TOLD_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            warnings.push(format!(
                "{} name(s) in the bucket have a part of more than {NAME_BYTES_MAX} bytes, and cannot be files; skipped: \
                 {}{more}.",
                self.long.len(),
                shown.collect::<Vec<_>>().join(", ")
            ));
        }
        warnings
    }
}

fn shortened(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
    if shown.len() < name.len() {
        shown.push_str("...");
    }
    format!("'{}'", printable(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        for bad in [
            "../x",
            "a/../../x",
            "a\\..\\x",
            "..",
            "/etc/passwd",
            "C:/x",
            "a/D:foo",
            "a:b",
            "\\\\host\\share",
            "a\0b",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b..c", "...", "1:x", "ab:c", "x\ny", "C", "é"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn marks_of_folders_are_no_files() {
        for bad in ["dir/", "a//b", "./a", "a/./b", ""] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
        assert!(is_file_name("a/.b/c"));
    }

    #[test]
    fn what_is_left_out_is_counted_and_long_names_are_named() {
        let mut left_out = LeftOut::default();
        let long = format!("a/{}", "é".repeat(128));
        assert!(left_out.admits("a/b") && left_out.admits(&"x".repeat(255)));
        assert!(
            !left_out.admits("dir/") && !left_out.admits(&long) && !left_out.admits(&format!("{long}/b"))
        );
        let shown = format!("'a/{}...'", "é".repeat(58));
        assert_eq!(
            left_out.warnings(),
            [
                "1 name(s) in the bucket end with a slash or have an empty part, and cannot be files; skipped."
                    .to_owned(),
                format!(
                    "2 name(s) in the bucket have a part of more than 255 bytes, and cannot be files; skipped: {shown}, {shown}."
                ),
            ]
        );
        for _ in 0..10 {
            left_out.admits(&long);
        }
        assert!(left_out.warnings()[1].ends_with(" and 2 more."), "{:?}", left_out.warnings());
        assert!(LeftOut::default().warnings().is_empty());
    }
}
