//! The Xet formats, sans-IO: no async, no HTTP, no files.
//!
//! Everything here is a pure function or a small state machine over bytes, built to the byte after the public
//! Xet specification and checked against its vectors (`tests/vectors`).

pub mod hash;
