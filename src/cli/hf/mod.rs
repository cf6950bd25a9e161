//! The commands that `hf` has too: `buckets` and everything under it, `cp` and `sync`.
//!
//! [`files`] is the local side (walking a folder, filters, names, modification times), [`transfer`] moves bytes, [`sync`]
//! plans and does a sync, and [`buckets`] is the commands.

pub(in crate::cli) mod buckets;
mod files;
pub(in crate::cli) mod sync;
mod transfer;
