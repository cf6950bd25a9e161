//! Accounts and credentials made at run time. What they allow is decided in `auth`, which also seals the secrets: here
//! they are bytes that nobody can read.

use serde::{Deserialize, Serialize};

use super::bucket::Visibility;
use super::clock::Timestamp;
use super::names::{BucketName, Namespace};

/// Whose an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// One person's, or one program's.
    #[default]
    User,
    /// Its members'.
    Org,
}

/// An account, which is a namespace. How its row is written is the metadata store's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: Namespace,
    /// Whose it is.
    pub kind: AccountKind,
    /// The users whose credentials reach it too; of organisations only.
    pub members: Vec<Namespace>,
    /// Who may read a bucket that is created in it through the Hub's API without that being said; if it is not said here
    /// either, the deployment's setting holds.
    pub new_buckets: Option<Visibility>,
}

/// How far a credential reaches; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Lists buckets and reads objects.
    Read,
    /// Also writes and deletes objects, and creates and deletes buckets.
    Write,
    /// Also looks after the accounts of the whole deployment.
    Admin,
}

/// A credential whose secrets are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCredential {
    /// The public half of its S3 face.
    pub access_key_id: String,
    /// The account it belongs to.
    pub account: Namespace,
    /// How far it reaches.
    pub permission: Permission,
    /// The only buckets it reaches, if it does not reach all.
    pub buckets: Option<Vec<BucketName>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Option<Timestamp>,
    /// Its secrets, as `auth` has sealed them.
    pub sealed: Vec<u8>,
}
