//! Accounts and credentials: one answer to "may this caller do that?".
//!
//! An account is a namespace. A credential belongs to one account and has two faces, an S3 key pair and a Hub token;
//! it carries a permission and, if wished, a list of buckets. It never reaches beyond its own namespace, whatever
//! its permission.
//!
//! Front doors prove *who* calls (a signature, a token) and then ask [`Credential::allows`]; nobody else decides.
//! Nothing in this module prints a secret: [`Secret`] has no `Display`, and its `Debug` is blind.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::store::names::{BucketId, BucketName, Namespace};

pub mod cas_token;
mod error;
pub mod root;

pub use error::AuthError;

/// Longest access key id, in bytes. Source: AWS IAM API reference, `AccessKey`.
pub const ACCESS_KEY_ID_BYTES_MAX: usize = 128;

/// The public half of an S3 key pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessKeyId(String);

impl AccessKeyId {
    /// Takes 1 to 128 letters, digits, `_` and `-`: what fits into a credential scope and a URL unescaped.
    pub fn new(id: &str) -> Result<Self, AuthError> {
        let well_formed = (1..=ACCESS_KEY_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if well_formed {
            Ok(Self(id.to_owned()))
        } else {
            Err(AuthError::AccessKeyId(id.chars().take(ACCESS_KEY_ID_BYTES_MAX).collect()))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes 8 to 256 visible ASCII characters; a shorter one is a mistake rather than a secret.
    pub fn new(text: &str) -> Result<Self, AuthError> {
        let well_formed = (8..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if well_formed { Ok(Self(text.to_owned())) } else { Err(AuthError::Secret) }
    }

    /// The text itself, for computing signatures and comparing tokens.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// How far a credential reaches inside its namespace; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Lists buckets and reads objects.
    Read,
    /// Also writes and deletes objects, and creates and deletes buckets.
    Write,
    /// Also looks after accounts; as `Write` until that can be done.
    Admin,
}

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// List the namespace's buckets. A door shows only those that the credential may read.
    ListBuckets,
    /// List and read objects of a bucket, and look at its settings.
    ReadBucket,
    /// Write and delete objects of a bucket.
    WriteBucket,
    /// Create or delete a bucket, or change its settings.
    ManageBucket,
}

impl Action {
    /// The least permission that includes it.
    const fn needs(self) -> Permission {
        match self {
            Self::ListBuckets | Self::ReadBucket => Permission::Read,
            // As on the Hub, whose write tokens create and delete buckets.
            Self::WriteBucket | Self::ManageBucket => Permission::Write,
        }
    }
}

/// A credential of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The account it belongs to, and the only namespace it reaches.
    pub account: Namespace,
    /// Public half of the S3 face.
    pub access_key_id: AccessKeyId,
    /// Secret half of the S3 face.
    pub secret_access_key: Secret,
    /// The Hub face.
    pub token: Option<Secret>,
    /// How far it reaches.
    pub permission: Permission,
    /// The only buckets it reaches; `None` for all of its namespace.
    pub buckets: Option<Vec<BucketName>>,
}

impl Credential {
    /// Whether its bearer may do this to this bucket.
    ///
    /// Every action but [`Action::ListBuckets`] is done to a bucket, and is refused without one.
    pub fn allows(&self, action: Action, bucket: Option<&BucketId>) -> bool {
        let in_reach = match bucket {
            None => action == Action::ListBuckets,
            Some(bucket) => {
                bucket.namespace == self.account
                    && self.buckets.as_ref().is_none_or(|names| names.contains(&bucket.name))
            }
        };
        in_reach && self.permission >= action.needs()
    }
}

/// All credentials of a deployment.
#[derive(Debug, Default)]
pub struct Directory {
    by_access_key_id: HashMap<String, Arc<Credential>>,
}

impl Directory {
    /// Makes a directory; two credentials with one access key id are refused, because a signature would not tell
    /// them apart.
    pub fn new(credentials: impl IntoIterator<Item = Credential>) -> Result<Self, AuthError> {
        let mut by_access_key_id = HashMap::new();
        for credential in credentials {
            let id = credential.access_key_id.clone();
            if by_access_key_id.insert(id.as_str().to_owned(), Arc::new(credential)).is_some() {
                return Err(AuthError::DuplicateAccessKeyId(id));
            }
        }
        Ok(Self { by_access_key_id })
    }

    /// The credential with this access key id.
    pub fn credential(&self, id: &str) -> Option<Arc<Credential>> {
        self.by_access_key_id.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(permission: Permission, buckets: Option<&[&str]>) -> Credential {
        Credential {
            account: Namespace::new("ada").unwrap(),
            access_key_id: AccessKeyId::new("AKADA").unwrap(),
            secret_access_key: Secret::new("not-for-eyes").unwrap(),
            token: None,
            permission,
            buckets: buckets.map(|names| names.iter().map(|name| BucketName::new(name).unwrap()).collect()),
        }
    }

    fn bucket(namespace: &str, name: &str) -> BucketId {
        BucketId { namespace: Namespace::new(namespace).unwrap(), name: BucketName::new(name).unwrap() }
    }

    #[test]
    fn permission_bucket_list_and_namespace_decide_together() {
        use Action::{ListBuckets, ManageBucket, ReadBucket, WriteBucket};
        use Permission::{Admin, Read, Write};

        let mine = bucket("ada", "mine");
        let other = bucket("ada", "other");
        let foreign = bucket("bob", "mine");
        let only_mine: Option<&[&str]> = Some(&["mine"]);
        // permission, bucket list, bucket, and whether list, read, write, manage are allowed
        let table = [
            (Read, None, Some(&mine), [true, true, false, false]),
            (Write, None, Some(&mine), [true, true, true, true]),
            (Admin, None, Some(&mine), [true, true, true, true]),
            (Read, only_mine, Some(&mine), [true, true, false, false]),
            (Write, only_mine, Some(&mine), [true, true, true, true]),
            (Admin, only_mine, Some(&mine), [true, true, true, true]),
            (Write, only_mine, Some(&other), [false; 4]),
            (Admin, only_mine, Some(&other), [false; 4]),
            (Admin, Some(&[][..]), Some(&mine), [false; 4]),
            (Read, None, Some(&foreign), [false; 4]),
            (Admin, None, Some(&foreign), [false; 4]),
            (Admin, only_mine, Some(&foreign), [false; 4]),
            (Read, None, None, [true, false, false, false]),
            (Admin, only_mine, None, [true, false, false, false]),
        ];
        for (permission, buckets, bucket, allowed) in table {
            let credential = credential(permission, buckets);
            let answers = [ListBuckets, ReadBucket, WriteBucket, ManageBucket]
                .map(|action| credential.allows(action, bucket));
            assert_eq!(answers, allowed, "{permission:?}, only {buckets:?}, on {bucket:?}");
        }
    }

    #[test]
    fn two_credentials_with_one_access_key_id_are_refused() {
        let one = credential(Permission::Read, None);
        let error = Directory::new([one.clone(), one.clone()]).unwrap_err();
        assert_eq!(error.to_string(), "access key id AKADA is given twice");

        let directory = Directory::new([one.clone()]).unwrap();
        assert_eq!(directory.credential("AKADA").as_deref(), Some(&one));
        assert_eq!(directory.credential("akada"), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let directory = Directory::new([credential(Permission::Read, None)]).unwrap();
        assert!(!format!("{directory:?}").contains("not-for-eyes"));
    }

    #[test]
    fn access_key_ids_and_secrets_keep_their_rules() {
        for bad in ["", "a/b", "a b", "a+b", "ü", &"x".repeat(129)] {
            assert!(AccessKeyId::new(bad).is_err(), "{bad:?}");
        }
        assert!(AccessKeyId::new("AKIAIOSFODNN7EXAMPLE").is_ok());
        for bad in ["", "short", "with space", "line\nbreak"] {
            assert_eq!(Secret::new(bad).unwrap_err().to_string().find(bad).filter(|_| !bad.is_empty()), None);
        }
        assert!(Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").is_ok());
    }
}
