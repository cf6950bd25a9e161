//! `sync`: what a folder and a bucket have, what a sync would do about it, and doing it.

pub(in crate::cli) mod command;
mod execute;
pub(in crate::cli) mod filter;
mod fnmatch;
pub(in crate::cli) mod local;
pub(in crate::cli) mod mtime;
pub(in crate::cli) mod names;
pub(in crate::cli) mod plan;
pub(in crate::cli) mod plan_file;
