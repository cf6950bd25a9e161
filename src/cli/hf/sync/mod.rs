//! `sync`: what a folder and a bucket have, what a sync would do about it, and doing it.

pub(in crate::cli) mod command;
mod execute;
mod plan;
mod plan_file;
