//! What can be wrong with a credential; no text here ever holds a secret.

use std::io;
use std::path::PathBuf;

use super::AccessKeyId;
use crate::model::names::Namespace;
use crate::store::meta::MetaError;

/// An error about credentials.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A master key was given that is none.
    #[error("XETGATE_MASTER_KEY does not hold 64 hexadecimal digits")]
    GivenMasterKey,
    /// The text cannot be an access key id.
    #[error("access key id {0:?} must have 1 to 128 letters, digits, '_' and '-'")]
    AccessKeyId(String),
    /// The text cannot be a secret (and is not repeated here).
    #[error("a secret must have 8 to 256 visible ASCII characters")]
    Secret,
    /// Two credentials have one access key id.
    #[error("access key id {0} is given twice")]
    DuplicateAccessKeyId(AccessKeyId),
    /// Two credentials have one token.
    #[error("the token of access key id {0} is another's too")]
    DuplicateToken(AccessKeyId),
    /// The account's name is taken.
    #[error("account {0} exists already")]
    AccountExists(Namespace),
    /// There is no such account.
    #[error("account {0} does not exist")]
    NoSuchAccount(Namespace),
    /// There is no such credential.
    #[error("access key id {0} does not exist")]
    NoSuchCredential(AccessKeyId),
    /// It was declared in the configuration.
    #[error("{0} is declared in the configuration: change it there")]
    Declared(String),
    /// Only organisations have members.
    #[error("account {0} is a user's, and only organisations have members")]
    NotAnOrganisation(Namespace),
    /// The account has buckets or credentials.
    #[error("account {0} still has buckets or credentials")]
    AccountInUse(Namespace),
    /// Accounts cannot be read or written.
    #[error("cannot reach the stored accounts: {0}")]
    Store(#[source] MetaError),
    /// A stored credential cannot be opened.
    #[error(
        "the secrets of access key id {0} cannot be unsealed: the master key is not the one they were sealed with"
    )]
    Unseal(String),
    /// The master key cannot be had.
    #[error("cannot use the master key {path}: {reason}")]
    MasterKey {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Buckets or credentials of an account of this name are there, although no such account is.
    #[error(
        "an earlier account {0} has left buckets or credentials, which must not pass to another: remove them first, or \
         declare the account in the configuration to have them back"
    )]
    NameLeft(Namespace),
    /// An account is a member of an organisation that cannot be changed.
    #[error(
        "account {name} is a member of organisation {organisation}, which the configuration declares: take it out there \
         first, or the next account of this name would be a member"
    )]
    DeclaredMember {
        /// The account.
        name: Namespace,
        /// The organisation.
        organisation: Namespace,
    },
    /// Only one half of the root key pair is given.
    #[error("{given} is set but {missing} is not: set both, or neither")]
    HalfARootKeyPair {
        /// The variable that is set.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A variable of the root credential holds something else.
    #[error("{variable}: {reason}")]
    RootVariable {
        /// Its name.
        variable: &'static str,
        /// The rule it breaks.
        reason: String,
    },
    /// The root credential's file belongs to another account than the one asked for.
    #[error(
        "the root credential in {path} belongs to account {kept:?}, but XETGATE_ROOT_USER asks for {asked:?}: \
         unset it, or edit the file"
    )]
    OtherRootUser {
        /// The file.
        path: PathBuf,
        /// The account in it.
        kept: String,
        /// The account asked for.
        asked: String,
    },
    /// The root credential's file cannot be read.
    #[error("cannot read the root credential {path}: {error}")]
    ReadRoot {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The root credential's file holds something else.
    #[error("the root credential {path} is damaged ({reason}): mend it, or remove it to get a new one")]
    DamagedRoot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The root credential's file cannot be written.
    #[error("cannot write the root credential {path}: {error}")]
    WriteRoot {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file of the CAS API's secret cannot be read, written or used.
    #[error("the key of CAS tokens {path}: {reason}")]
    CasKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
