//! Compressed answers, for clients that send `Accept-Encoding: gzip`.
//!
//! Only lists in JSON are compressed. Bytes of objects are not: they are compressed in the packs already, and clients count on
//! their `Content-Length` and ranges. Answers with secrets are not either, because the length of a compressed secret tells
//! something about it (BREACH).

use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

/// Shorter answers fit into one packet anyway.
const BYTES_MIN: u16 = 1024;

/// The layer for a handler that lists.
pub(in crate::serve) fn gzip() -> CompressionLayer<SizeAbove> {
    // Lists are repetitive: the fastest level makes them 6 to 10 times as short.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(BYTES_MIN))
}
