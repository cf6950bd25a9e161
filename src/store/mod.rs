//! Where bytes and rows live.
//!
//! [`meta`] holds the truth in rows, [`pack`] holds the bytes, [`index`] remembers where chunks are (a cache of the
//! packs). [`ambient`] is where time and randomness come in. Nothing here knows what an upload or a request is.

pub mod ambient;
pub mod index;
pub mod meta;
pub mod names;
pub mod pack;
pub mod rows;
