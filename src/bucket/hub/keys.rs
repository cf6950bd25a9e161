//! Which keys a Hub can hold. Source: Hub documentation, "Storage buckets", S3 access, limits.

use crate::bucket::{BucketError, ObjectKey};

/// The rule that a key breaks, if it breaks one.
pub(super) fn broken_rule(key: &str) -> Option<&'static str> {
    let has_segment = |wanted: &str| key.split('/').any(|segment| segment == wanted);
    if key.starts_with('/') || key.ends_with('/') {
        return Some("A key on the Hub must not begin or end with '/'.");
    }
    if key.contains("//") {
        return Some("A key on the Hub must not hold '//'.");
    }
    if has_segment(".") || has_segment("..") {
        return Some("A key on the Hub must not hold '.' or '..' between slashes.");
    }
    if key.contains('\\') {
        return Some("A key on the Hub must not hold a backslash.");
    }
    if key.chars().any(char::is_control) {
        return Some("A key on the Hub must not hold control characters.");
    }
    None
}

/// Refuses a key that no object on a Hub can have.
pub(super) fn check(key: &ObjectKey) -> Result<(), BucketError> {
    match broken_rule(key.as_str()) {
        None => Ok(()),
        Some(rule) => Err(BucketError::InvalidKey { key: key.clone(), rule }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_told_by_name() {
        for good in ["a", "a/b.c", ".hidden", "a/...", "ключ/ü +&"] {
            assert_eq!(broken_rule(good), None, "{good:?}");
        }
        for (bad, word) in [
            ("/a", "begin"),
            ("a/", "end"),
            ("a//b", "'//'"),
            ("./a", "'.'"),
            ("a/../b", "'..'"),
            ("a\\b", "backslash"),
            ("a\nb", "control"),
        ] {
            assert!(broken_rule(bad).is_some_and(|rule| rule.contains(word)), "{bad:?}");
        }
    }
}
