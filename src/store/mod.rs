//! Where bytes and rows live.
//!
//! [`meta`] holds the truth in rows, [`pack`] holds the bytes, [`index`] remembers where chunks are (a cache of the
//! packs); [`local`] puts them together. [`ambient`] is where time and randomness come in. Nothing here knows what an
//! upload or a request is: what those rely on they say with a [`hold`], made of [`pins`], [`readers`] and packs.

pub mod ambient;
pub mod hold;
pub mod index;
pub mod local;
pub mod located;
pub mod meta;
pub mod names;
pub mod pack;
pub mod pins;
pub mod readers;
pub mod rows;
