//! Buckets on a Hub: huggingface.co, another xetgate, or whatever else speaks the Hub's bucket API.

mod api;
mod buckets;
mod client;
mod error;
mod keys;
mod listing;
mod multipart;
mod parts;
#[cfg(test)]
mod tests;
mod trail;
pub mod upkeep;
mod wire;

pub use buckets::{HubBuckets, HubShared};
pub use client::{BucketAccess, DEFAULT_ENDPOINT, HubClient, ITEMS_MAX, Page, PageLink, TreeQuery};
pub use error::HubError;
pub use wire::{
    BatchOp, BatchOutcome, BucketInfo, CreatedBucket, DirectoryEntry, FailedOp, FileEntry, NewBucket,
    OrgName, TreeEntry, WhoAmI,
};
