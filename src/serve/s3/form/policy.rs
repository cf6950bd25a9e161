//! A form's policy: until when it holds, and what its fields may say.
//!
//! Every field must be covered by a condition, or a user could add what the signer has not thought of. Exempt are the
//! signature's own, the file, and `x-ignore-*` (as AWS documents), and checksums: they can only make a form stricter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::{S3Error, S3Result, s3_error};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bucket::{BucketId, Timestamp};

use super::fields::Fields;

/// What a field must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Is(String),
    StartsWith(String),
}

/// A policy.
#[derive(Debug)]
pub(super) struct Policy {
    expires: OffsetDateTime,
    /// Names are in lower case.
    conditions: Vec<(String, Test)>,
    length: Option<(u64, u64)>,
}

fn invalid(what: &str) -> S3Error {
    s3_error!(InvalidPolicyDocument, "Invalid Policy: {what}")
}

fn refused(what: &str) -> S3Error {
    s3_error!(AccessDenied, "Invalid according to Policy: {what}")
}

impl Policy {
    /// Reads a policy: JSON in base64. The names of its own parts are case-sensitive, those of fields are not.
    pub(super) fn parse(base64: &str) -> S3Result<Self> {
        let json = STANDARD.decode(base64).map_err(|_| invalid("it is not base64"))?;
        let json: Value = serde_json::from_slice(&json).map_err(|_| invalid("it is not JSON"))?;
        let expiration = json.get("expiration").and_then(Value::as_str);
        let expiration = expiration.ok_or_else(|| invalid("it has no expiration"))?;
        let iso =
            expiration.contains('T').then(|| OffsetDateTime::parse(expiration, &Rfc3339).ok()).flatten();
        let expires = iso.ok_or_else(|| invalid("the expiration is not an ISO 8601 date"))?;
        let conditions = json.get("conditions").and_then(Value::as_array);
        let conditions = conditions.ok_or_else(|| invalid("it has no list of conditions"))?;
        let mut policy = Self { expires, conditions: Vec::new(), length: None };
        conditions.iter().try_for_each(|condition| policy.add(condition))?;
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> S3Result<()> {
        let malformed = || invalid("a condition is neither an object nor a list of three");
        match condition {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let value = value.as_str().ok_or_else(malformed)?;
                    self.conditions.push((name.to_ascii_lowercase(), Test::Is(value.to_owned())));
                }
                Ok(())
            }
            Value::Array(list) => {
                let [operator, first, second] = list.as_slice() else { return Err(malformed()) };
                let operator = operator.as_str().ok_or_else(malformed)?.to_ascii_lowercase();
                if operator == "content-length-range" {
                    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
                    let range = number(first).zip(number(second)).filter(|(min, max)| min <= max);
                    self.length =
                        Some(range.ok_or_else(|| invalid("content-length-range needs two numbers"))?);
                    return Ok(());
                }
                let name = first.as_str().and_then(|name| name.strip_prefix('$')).ok_or_else(malformed)?;
                let value = second.as_str().ok_or_else(malformed)?.to_owned();
                let test = match operator.as_str() {
                    "eq" => Test::Is(value),
                    "starts-with" => Test::StartsWith(value),
                    _ => return Err(invalid("an operator is unknown")),
                };
                self.conditions.push((name.to_ascii_lowercase(), test));
                Ok(())
            }
            _ => Err(malformed()),
        }
    }

    /// How many bytes the file may have, at least and at most, if that is said.
    pub(super) fn length(&self) -> Option<(u64, u64)> {
        self.length
    }

    /// When it ends, in Unix seconds.
    pub(super) fn expires_at_secs(&self) -> i64 {
        self.expires.unix_timestamp()
    }

    /// The bucket's name with its namespace, if the policy names exactly that.
    pub(super) fn must_name(&self, bucket: &BucketId) -> S3Result<String> {
        let id = bucket.to_string();
        let names = |(name, test): &(String, Test)| name == "bucket" && *test == Test::Is(id.clone());
        if self.conditions.iter().any(names) {
            return Ok(id);
        }
        Err(refused(&format!(
            "the bucket is not its signer's own: a condition must say {{\"bucket\": \"{id}\"}}"
        )))
    }

    /// Whether it still holds, and the fields are as it wants them.
    pub(super) fn check(&self, now: Timestamp, fields: &Fields) -> S3Result<()> {
        if self.expires.unix_timestamp_nanos() / 1_000_000 <= i128::from(now.0) {
            return Err(refused("Policy expired."));
        }
        for (name, test) in &self.conditions {
            let value = fields.get(name).unwrap_or_default();
            let holds = match test {
                Test::Is(wanted) => value == wanted,
                // Of several types, each must be one that is allowed.
                Test::StartsWith(start) if name == "content-type" => {
                    value.split(',').all(|value| value.trim_start().starts_with(start.as_str()))
                }
                Test::StartsWith(start) => value.starts_with(start.as_str()),
            };
            if !holds {
                return Err(refused(&format!("Policy Condition failed: the field {name}")));
            }
        }
        let covered = |name: &str| self.conditions.iter().any(|(known, _)| known == name);
        match fields.names().find(|name| !is_exempt(name) && !covered(name)) {
            Some(name) => Err(refused(&format!("Extra input fields: {name}"))),
            None => Ok(()),
        }
    }
}

fn is_exempt(name: &str) -> bool {
    matches!(name, "awsaccesskeyid" | "policy" | "signature" | "x-amz-signature")
        || name.starts_with("x-ignore-")
        || name.starts_with("x-amz-checksum-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: &str = "2026-01-01T00:00:00Z";

    fn parse(json: &str) -> S3Result<Policy> {
        Policy::parse(&STANDARD.encode(json))
    }

    fn with(conditions: &str) -> S3Result<Policy> {
        parse(&format!("{{\"expiration\": \"{FAR}\", \"conditions\": [{conditions}]}}"))
    }

    fn code(conditions: &str, fields: &[(&str, &str)]) -> String {
        let mut form = Fields::default();
        for (name, value) in fields {
            form.set(name, value);
        }
        let checked = with(conditions).and_then(|policy| policy.check(Timestamp(0), &form));
        checked.map_or_else(|error| error.code().as_str().to_owned(), |()| "ok".to_owned())
    }

    #[test]
    fn every_field_must_be_as_a_condition_says() {
        let fields = [("Key", "a/b"), ("acl", "private")];
        assert_eq!(code(r#"["starts-with", "$key", "a/"], {"ACL": "private"}"#, &fields), "ok");
        assert_eq!(code(r#"["Eq", "$kEy", "a/b"], ["starts-with", "$acl", ""]"#, &fields), "ok");
        assert_eq!(code(r#"["starts-with", "$key", "b"], {"acl": "private"}"#, &fields), "AccessDenied");
        assert_eq!(code(r#"{"key": "a/b"}"#, &fields), "AccessDenied", "acl is not covered");
        let more =
            [("key", "a/b"), ("x-ignore-me", "1"), ("x-amz-checksum-crc32", "AAAAAA=="), ("policy", "x")];
        assert_eq!(code(r#"{"key": "a/b"}"#, &more), "ok");
        assert_eq!(
            code(r#"{"key": "a/b"}, {"x-amz-meta-a": "1"}"#, &more),
            "AccessDenied",
            "a field is missing"
        );
    }

    #[test]
    fn each_of_several_content_types_must_be_allowed() {
        let image = r#"["starts-with", "$Content-Type", "image/"]"#;
        assert_eq!(code(image, &[("content-type", "image/png, image/gif")]), "ok");
        assert_eq!(code(image, &[("content-type", "image/png, text/html")]), "AccessDenied");
    }

    #[test]
    fn a_policy_holds_until_it_expires() {
        let policy = with("").unwrap();
        let at = OffsetDateTime::parse(FAR, &Rfc3339).unwrap().unix_timestamp().cast_unsigned() * 1000;
        assert!(policy.check(Timestamp(at - 1), &Fields::default()).is_ok());
        assert_eq!(
            policy.check(Timestamp(at), &Fields::default()).unwrap_err().code().as_str(),
            "AccessDenied"
        );
    }

    #[test]
    fn a_policy_that_cannot_be_meant_is_refused() {
        for json in [
            "",
            "{}",
            r#"{"expiration": "2026-01-01T00:00:00Z"}"#,
            r#"{"conditions": []}"#,
            r#"{"EXPIRATION": "2026-01-01T00:00:00Z", "conditions": []}"#,
            r#"{"expiration": "2026-01-01 00:00:00Z", "conditions": []}"#,
        ] {
            assert_eq!(parse(json).unwrap_err().code().as_str(), "InvalidPolicyDocument", "{json}");
        }
        for condition in [
            "{}",
            "1",
            "[]",
            r#"["eq", "key", "a"]"#,
            r#"["ends-with", "$key", "a"]"#,
            r#"["content-length-range", 0]"#,
            r#"["content-length-range", -1, 0]"#,
            r#"["content-length-range", 2, 1]"#,
        ] {
            assert_eq!(with(condition).unwrap_err().code().as_str(), "InvalidPolicyDocument", "{condition}");
        }
        assert_eq!(with(r#"["content-length-range", 1, "20"]"#).unwrap().length(), Some((1, 20)));
    }
}
