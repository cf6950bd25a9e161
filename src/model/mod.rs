//! The words that every layer shares: what a bucket, an object and an upload are, as plain data, and where time and
//! randomness come in.
//!
//! Beside them stands what the layers need to be fair to each other's callers: [`tenant`] names for whom work is done, and
//! [`turns`] divides threads, memory and connections among tenants.
//!
//! Nothing here reads a disk, speaks a protocol or knows how it is stored. Rules that need only the data itself (is this
//! name allowed, does this condition hold, which bytes does this range mean) are here, so that every layer applies the
//! same one.

pub mod accounts;
pub mod bucket;
pub mod causes;
pub mod checksums;
pub mod clock;
pub mod conditions;
pub mod file;
pub mod lifecycle;
pub mod listing;
pub mod lock;
pub mod names;
pub mod object;
pub mod range;
pub mod settings;
pub mod tenant;
pub mod turns;
pub mod upload;
pub mod version;
