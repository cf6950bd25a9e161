//! Local files: what a folder holds, which of it is meant, and how its names and times become those of a bucket.

pub(super) mod filter;
mod fnmatch;
pub(super) mod local;
pub(super) mod mtime;
pub(super) mod names;

/// How the name of a download ends that is not complete yet: it is never taken for a file of the folder.
pub(super) const PART_SUFFIX: &str = ".xetgate-part";
