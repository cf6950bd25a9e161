//! Where bytes and rows live.
//!
//! [`meta`] holds the truth in rows, [`pack`] holds the bytes, [`index`] remembers where chunks are (a cache of the
//! packs); [`local`] puts them together. Nothing here knows what an upload or a request is: what those rely on they say with
//! a [`hold`], made of [`pins`], [`readers`] and packs.
//!
//! Upkeep: [`gc`] gives space back, [`check`] compares rows with what they point at, [`scrub`] reads every byte,
//! [`stats`] counts, [`rebuild`] rebuilds the chunk index, [`backup`] copies; each as fast as its [`throttle`] allows. [`upkeep`] does the
//! first and the third again and again.

pub mod backup;
pub mod check;
pub mod cluster;
pub mod company;
mod damage;
pub mod disk;
pub mod duplicates;
pub mod file_terms;
pub mod gc;
pub mod hold;
pub mod index;
pub mod joining;
pub mod lifecycle;
pub mod local;
pub mod located;
pub mod meta;
pub mod metrics;
pub mod migrate;
pub mod pack;
pub mod peers;
pub mod pins;
pub mod readers;
pub mod rebuild;
pub mod report;
pub mod rows;
pub mod scrub;
#[cfg(test)]
pub(crate) mod simulated;
pub mod stats;
pub mod throttle;
pub mod upkeep;
pub mod versioned;
