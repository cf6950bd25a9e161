//! The rows of accounts and of credentials.

use serde::{Deserialize, Serialize};

use super::Stored;
use super::values::{AccountKindV1, PermissionV1, VisibilityV1, name};
use crate::model::accounts::{Account, SealedCredential};
use crate::model::clock::Timestamp;
use crate::model::names::{BucketName, Namespace};
use crate::store::versioned::{self, StoredError};

const ACCOUNT: &str = "an account";
const CREDENTIAL: &str = "a credential";

#[derive(Serialize, Deserialize)]
struct AccountV1<'r> {
    name: &'r str,
    kind: AccountKindV1,
    #[serde(borrow)]
    members: Vec<&'r str>,
    new_buckets: Option<VisibilityV1>,
}

impl Stored for Account {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { name, kind, members, new_buckets } = self;
        let row = AccountV1 {
            name: name.as_str(),
            kind: (*kind).into(),
            members: members.iter().map(Namespace::as_str).collect(),
            new_buckets: new_buckets.map(Into::into),
        };
        versioned::encode(ACCOUNT, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let stored: AccountV1<'_> = match versioned::split(ACCOUNT, row)? {
            (1, fields) => versioned::decode(ACCOUNT, fields)?,
            (version, _) => return Err(StoredError::unknown_version(ACCOUNT, version, 1)),
        };
        let members = stored.members.into_iter().map(|member| name(ACCOUNT, Namespace::new(member)));
        Ok(Self {
            name: name(ACCOUNT, Namespace::new(stored.name))?,
            kind: stored.kind.into(),
            members: members.collect::<Result<_, _>>()?,
            new_buckets: stored.new_buckets.map(Into::into),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct CredentialV1<'r> {
    access_key_id: &'r str,
    account: &'r str,
    permission: PermissionV1,
    #[serde(borrow)]
    buckets: Option<Vec<&'r str>>,
    created_at: u64,
    expires_at: Option<u64>,
    sealed: &'r [u8],
}

impl Stored for SealedCredential {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { access_key_id, account, permission, buckets, created_at, expires_at, sealed } = self;
        let row = CredentialV1 {
            access_key_id,
            account: account.as_str(),
            permission: (*permission).into(),
            buckets: buckets.as_ref().map(|buckets| buckets.iter().map(BucketName::as_str).collect()),
            created_at: created_at.0,
            expires_at: expires_at.map(|at| at.0),
            sealed,
        };
        versioned::encode(CREDENTIAL, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let stored: CredentialV1<'_> = match versioned::split(CREDENTIAL, row)? {
            (1, fields) => versioned::decode(CREDENTIAL, fields)?,
            (version, _) => return Err(StoredError::unknown_version(CREDENTIAL, version, 1)),
        };
        let buckets = stored.buckets.map(|buckets| {
            buckets.into_iter().map(|bucket| name(CREDENTIAL, BucketName::new(bucket))).collect()
        });
        Ok(Self {
            access_key_id: stored.access_key_id.to_owned(),
            account: name(CREDENTIAL, Namespace::new(stored.account))?,
            permission: stored.permission.into(),
            buckets: buckets.transpose()?,
            created_at: Timestamp(stored.created_at),
            expires_at: stored.expires_at.map(Timestamp),
            sealed: stored.sealed.to_vec(),
        })
    }
}
