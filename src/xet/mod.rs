//! The Xet formats, sans-IO: no async, no HTTP, no files.
//!
//! Everything here is a pure function or a small state machine over bytes, built to the byte after the public
//! Xet specification and checked against its vectors (`tests/vectors`). Decoders take bytes from untrusted senders: each
//! checks a length against its limit, or against the bytes that remain, before it allocates for it.

pub mod chunker;
pub mod compression;
pub mod hash;
pub mod limits;
pub mod merkle;
pub mod shard;
pub mod stream;
pub mod subtree;
pub mod xorb;
