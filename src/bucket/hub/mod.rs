//! Buckets on a Hub: huggingface.co, another xetgate, or whatever else speaks the Hub's bucket API.

mod buckets;
mod client;
mod error;
mod hub_buckets;
mod keys;
mod listing;
mod objects;
mod part_folder;
mod parts;
#[cfg(test)]
mod tests;
mod trail;
pub mod upkeep;
mod uploads;
mod versions;
mod wire;

pub use client::{BucketAccess, DEFAULT_ENDPOINT, HubClient, ITEMS_MAX, Page, PageLink, TreeQuery};
pub use error::HubError;
pub use hub_buckets::{HubBuckets, HubShared};
pub use versions::{History, Restored, RetentionInfo, VersionInfo, VersionKind};
pub use wire::{
    BatchOp, BatchOutcome, BucketInfo, CreatedBucket, DirectoryEntry, FailedOp, FileEntry, NewBucket,
    OrgName, TreeEntry, WhoAmI,
};
