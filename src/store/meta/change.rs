//! What a transaction is asked to change at a key, and what it answers.

use super::MetaError;
use crate::model::clock::Timestamp;
use crate::model::conditions::WriteCondition;
use crate::model::file::FileRecord;
use crate::model::lock::Retention;
use crate::model::names::ObjectKey;
use crate::model::object::Object;
use crate::model::settings::Tags;
use crate::model::version::{VersionId, VersionRef};
use crate::store::rows::StoredXorb;
use crate::xet::hash::FileHash;

/// A file that a change brings, with the xorbs stored for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// How it is put together.
    pub record: FileRecord,
    /// The xorbs that its upload has stored, synced already. Kept even if the file was known.
    pub xorbs: Vec<StoredXorb>,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectChange {
    /// Puts an object whose file comes with it.
    Put(Box<Object>, Option<Box<NewFile>>),
    /// Changes what is said of the current object, or of the version that is named, and leaves all else as it is;
    /// [`MetaError::NoSuchObject`] or [`MetaError::NoSuchVersion`] if there is none.
    Amend(Option<VersionRef>, Amendment),
    /// Deletes the object, if there is one.
    Delete(Deletion),
}

impl ObjectChange {
    /// The version that may go, or be changed, beside the current one.
    pub(super) fn going(&self) -> VersionRef {
        let named = match self {
            Self::Put(..) => None,
            Self::Amend(version, _) => *version,
            Self::Delete(deletion) => deletion.version,
        };
        named.unwrap_or(VersionRef::Null)
    }
}

/// A change of what is said of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amendment {
    /// Other tags.
    Tags(Tags),
    /// Another retention; [`MetaError::Locked`] if the present one forbids it.
    Retention {
        /// The new one.
        retention: Option<Retention>,
        /// The time now.
        now: Timestamp,
        /// Whether the caller may make a governance retention laxer, and asks for it.
        bypasses_governance: bool,
    },
    /// A legal hold, or none.
    LegalHold(bool),
}

impl Amendment {
    /// Whether it is about what keeps a version from being deleted.
    pub(super) fn is_of_lock(&self) -> bool {
        !matches!(self, Self::Tags(_))
    }

    pub(super) fn apply(&self, object: &mut Object) -> Result<(), MetaError> {
        match self {
            Self::Tags(tags) => object.attributes.tags = tags.clone(),
            Self::LegalHold(is_on) => object.lock.legal_hold = *is_on,
            Self::Retention { retention, now, bypasses_governance } => {
                if object.lock.forbids_retention(*retention, *now, *bypasses_governance) {
                    return Err(MetaError::Locked);
                }
                object.lock.retention = *retention;
            }
        }
        Ok(())
    }
}

/// A delete. Without a version, in a bucket that keeps versions, it makes a delete marker and removes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// The version to remove for good.
    pub version: Option<VersionRef>,
    /// The id of the delete marker, if one is made.
    pub marker: VersionId,
    /// The time now.
    pub at: Timestamp,
    /// Whether the caller may delete what a governance retention protects, and asks for it.
    pub bypasses_governance: bool,
}

impl Deletion {
    /// Deletes what is current.
    pub fn of_current(at: Timestamp, random: [u8; 8]) -> Self {
        Self { version: None, marker: VersionId::new(at, random), at, bypasses_governance: false }
    }
}

/// One change of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// Which key.
    pub key: ObjectKey,
    /// Under what condition.
    pub condition: WriteCondition,
    /// What.
    pub change: ObjectChange,
}

/// A part that an upload's completion relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyOnPart {
    /// Its number.
    pub number: u16,
    /// The content it must still have.
    pub file: FileHash,
}

/// What an upload is completed as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Under what condition.
    pub condition: WriteCondition,
    /// The parts that it was put together from.
    pub parts: Vec<RelyOnPart>,
    /// The object.
    pub object: Object,
    /// Its file, if it is new.
    pub file: Option<NewFile>,
}
