//! Accounts and credentials: one answer to "may this caller do that?".
//!
//! An account is a namespace: a user's, or an organisation's. A credential belongs to one account and has two faces, an
//! S3 key pair and a Hub token; it carries a permission and, if wished, a list of buckets. It reaches its own namespace
//! and those of the organisations that its account is a member of, and may read whatever bucket is public; a list of
//! buckets keeps it to these, in its own namespace.
//!
//! APIs prove *who* calls (a signature, a token, nothing) and then ask [`Directory::may`]; nobody else decides.
//! Accounts and credentials come from the configuration or are made at run time ([`Accounts`]); of the latter, the
//! secrets are sealed at rest ([`seal`]). Nothing in this module prints a secret: [`Secret`] has no `Display`, and its
//! `Debug` is blind.

use std::fmt;
use std::sync::Arc;

use crate::model::clock::Timestamp;
use crate::model::names::{BucketId, BucketName, Namespace};

mod accounts;
pub mod cas_token;
mod directory;
mod error;
mod generate;
pub mod root;
pub mod seal;

pub use accounts::{Accounts, NewKey};
pub use directory::Directory;
pub use error::AuthError;

pub use crate::model::accounts::{Account, AccountKind, Permission};

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

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// List the namespace's buckets. An API shows only those that the credential may read.
    ListBuckets,
    /// List and read objects of a bucket, and look at its settings.
    ReadBucket,
    /// Write and delete objects of a bucket.
    WriteBucket,
    /// Create or delete a bucket, or change its settings.
    ManageBucket,
    /// Delete what a retention in governance mode protects, or make the retention laxer.
    BypassGovernance,
}

impl Action {
    /// The least permission that includes it.
    const fn needs(self) -> Permission {
        match self {
            Self::ListBuckets | Self::ReadBucket => Permission::Read,
            // As on the Hub, whose write tokens create and delete buckets.
            Self::WriteBucket | Self::ManageBucket => Permission::Write,
            // A backup's own key must not be able to undo what protects the backup.
            Self::BypassGovernance => Permission::Admin,
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
    /// When it was made at run time; `None` if it was declared, and cannot be changed.
    pub created_at: Option<Timestamp>,
    /// From when on it is worth nothing.
    pub expires_at: Option<Timestamp>,
}

/// What the tokens of credentials are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenUse {
    /// Callers show them here, so each is one credential's.
    #[default]
    Shown,
    /// They are passed on to a Hub that knows them, and nobody shows them here; several credentials may have one.
    Passed,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who has shown no credential.
    Anonymous,
    /// The holder of this credential.
    Known(Arc<Credential>),
}

impl Caller {
    /// The credential, if one was shown.
    pub fn credential(&self) -> Option<&Arc<Credential>> {
        match self {
            Self::Anonymous => None,
            Self::Known(credential) => Some(credential),
        }
    }

    /// Whether the caller may look after the accounts of the deployment. A credential that is limited to buckets may
    /// not, whatever its permission: it could make itself one without limits.
    pub fn is_admin(&self) -> bool {
        self.credential()
            .is_some_and(|shown| shown.permission == Permission::Admin && shown.buckets.is_none())
    }
}

impl Credential {
    /// Whether its bearer may do this to this bucket by what the credential itself says, be the bucket public or not,
    /// and be there organisations or not.
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
            created_at: None,
            expires_at: None,
        }
    }

    fn bucket(namespace: &str, name: &str) -> BucketId {
        BucketId { namespace: Namespace::new(namespace).unwrap(), name: BucketName::new(name).unwrap() }
    }

    #[test]
    fn permission_bucket_list_and_namespace_decide_together() {
        use Action::{BypassGovernance, ListBuckets, ManageBucket, ReadBucket, WriteBucket};
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
            let bypasses = credential.allows(BypassGovernance, bucket);
            assert_eq!(bypasses, permission == Admin && allowed[3], "{buckets:?}, on {bucket:?}");
        }
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
