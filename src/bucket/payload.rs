//! Taking in a body: nothing of it counts before everything declared of it has been checked.

use futures::StreamExt;

use super::error::engine_error;
use super::limits::PART_BYTES_MAX;
use super::{
    BodyIn, BucketError, Checksum, ChecksumAlgorithm, ChecksumType, DeclaredChecksum, DeclaredDigests,
    DeclaredValue, Payload,
};
use crate::cas::ChunkSink;
use crate::engine::digest::Digests;
use crate::engine::{Engine, Layout, StoredFile};

/// A body that is durable and was what it was declared to be.
pub(super) struct Taken<R> {
    /// The file it became.
    pub file: StoredFile<R>,
    /// Its MD5.
    pub md5: [u8; 16],
    /// The checksum to keep, if one was declared.
    pub checksum: Option<Checksum>,
}

/// The body ran over its length or over the largest write; ends the stream.
#[derive(Debug, thiserror::Error)]
#[error("the body has more than {0} bytes")]
struct TooLong(u64);

/// Takes in a body through any engine; when this returns, its chunks are where the engine's store keeps them.
pub(super) async fn take<C: ChunkSink>(
    engine: &Engine<C>,
    payload: Payload,
    layout: Layout,
) -> Result<Taken<C::Row>, BucketError> {
    let Payload { body, length, digests: declared } = payload;
    if length.is_some_and(|length| length > PART_BYTES_MAX) {
        return Err(BucketError::TooLarge { max: PART_BYTES_MAX });
    }
    let asked = asked(&declared);
    let ingested = engine.ingest(bounded(body, length), layout, &asked).await;
    let ingested = ingested.map_err(|error| too_long(engine_error(error), length))?;
    let received = ingested.size();
    if let Some(declared) = length.filter(|length| *length != received) {
        return Err(BucketError::IncompleteBody { declared, received });
    }
    let checksum = check(declared, &ingested.digests, received)?;
    let md5 = ingested.digests.md5;
    let stored = ingested.store().await.map_err(engine_error)?;
    Ok(Taken { file: stored, md5, checksum })
}

/// Ends a body with an error as soon as it is longer than it may be.
fn bounded(body: BodyIn, length: Option<u64>) -> BodyIn {
    let most = length.unwrap_or(PART_BYTES_MAX);
    let mut received = 0;
    Box::pin(body.map(move |piece| {
        let piece = piece?;
        received += piece.len() as u64;
        if received > most { Err(TooLong(most).into()) } else { Ok(piece) }
    }))
}

fn too_long(error: BucketError, length: Option<u64>) -> BucketError {
    match (error, length) {
        (BucketError::Body(error), length) if error.is::<TooLong>() => match length {
            Some(declared) => BucketError::IncompleteBody { declared, received: declared + 1 },
            None => BucketError::TooLarge { max: PART_BYTES_MAX },
        },
        (error, _) => error,
    }
}

/// The checksums that have to be computed.
fn asked(declared: &DeclaredDigests) -> Vec<ChecksumAlgorithm> {
    let checksum = declared.checksum.as_ref().map(|checksum| checksum.algorithm);
    checksum.into_iter().chain(declared.payload_sha256.map(|_| ChecksumAlgorithm::Sha256)).collect()
}

/// Compares what was declared with what came; the checksum to keep.
fn check(declared: DeclaredDigests, found: &Digests, received: u64) -> Result<Option<Checksum>, BucketError> {
    if declared.md5.is_some_and(|md5| md5 != found.md5) {
        return Err(BucketError::Md5Mismatch { received });
    }
    if let Some(sha256) = declared.payload_sha256
        && found.checksum(ChecksumAlgorithm::Sha256) != Some(&sha256)
    {
        return Err(BucketError::PayloadSha256Mismatch);
    }
    let Some(DeclaredChecksum { algorithm, value }) = declared.checksum else {
        return Ok(None);
    };
    let value = match value {
        DeclaredValue::Given(value) => Some(value),
        DeclaredValue::Trailing(trailer) => Some(trailer().ok_or(BucketError::MissingTrailer(algorithm))?),
        DeclaredValue::Computed => None,
    };
    let found = found.checksum(algorithm).unwrap_or_default();
    if value.is_some_and(|value| value != found) {
        return Err(BucketError::ChecksumMismatch(algorithm));
    }
    Ok(Some(Checksum { algorithm, value: found.to_vec(), over: ChecksumType::FullObject }))
}
