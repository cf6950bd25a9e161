//! The limits of objects and uploads, with the reason for each number.

/// Smallest part that is not the last. Source: S3 user guide, "Multipart upload limits".
pub const PART_BYTES_MIN: u64 = 5 << 20;

/// Largest part and largest single write. Source: as above.
pub const PART_BYTES_MAX: u64 = 5 << 30;

/// Most parts of an upload. Source: as above.
pub const PARTS_MAX: u16 = 10_000;

/// Largest object: S3 has raised it from 5 TiB to 50 TB; terms and counts here hold far more.
pub const OBJECT_BYTES_MAX: u64 = 50_000_000_000_000;

/// Most paths asked about at once. Source: the Hub's clients send no more.
pub const PATHS_MAX: usize = 1000;

/// Most changes of a batch. Source: as above.
pub const BATCH_CHANGES_MAX: usize = 1000;

/// Most versions of an object that its history shows: as many as a page of a listing.
pub const HISTORY_VERSIONS_MAX: usize = 1000;

/// Most terms of versions that one history looks at: some 12 MiB. A version has one and two for each place that was ever changed;
/// older versions than fit have no cost.
pub const HISTORY_TERMS_MAX: usize = 1 << 18;
