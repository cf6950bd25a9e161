//! Verifying a frame to its last byte.

use super::frame::{HEAD, decode_trailer, trailer_bytes};
use crate::store::rows::XorbRow;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::{ChunkTable, decode_record_borrowed};

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameDamage {
    /// The frame could not be read whole.
    #[error("the frame is cut off")]
    CutOff,
    /// Its first bytes are others; no data is hit.
    #[error("the frame's head is not one")]
    Head,
    /// A chunk of it; data is hit.
    #[error("chunk {index}: {reason}")]
    Chunk {
        /// Which.
        index: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// Its trailer is others'; no data is hit.
    #[error("the frame's trailer is not the xorb's")]
    Trailer,
}

impl FrameDamage {
    /// Whether some chunk cannot be read any more.
    pub fn hits_data(&self) -> bool {
        matches!(self, Self::CutOff | Self::Chunk { .. })
    }

    /// Whether the chunk cannot be read any more.
    pub fn hits(&self, chunk: u32) -> bool {
        match self {
            Self::CutOff => true,
            Self::Chunk { index, .. } => *index == chunk,
            Self::Head | Self::Trailer => false,
        }
    }
}

/// Checks a record and the chunk in it.
pub fn check_record(record: &[u8], hash: &ChunkHash) -> Result<(), String> {
    let (_, raw, taken) = decode_record_borrowed(record).map_err(|error| error.to_string())?;
    if taken != record.len() {
        return Err("the record has another length".to_owned());
    }
    if ChunkHash::of(&raw) != *hash {
        return Err("the bytes do not have the chunk's hash".to_owned());
    }
    Ok(())
}

/// Everything that is wrong with the frame of a xorb.
pub fn frame_damages(frame: &[u8], xorb: &XorbHash, row: &XorbRow) -> Vec<FrameDamage> {
    let records_end = HEAD.len() + row.table.record_bytes() as usize;
    let expected = records_end + trailer_bytes(row.table.len());
    if frame.len() != expected || frame.len() as u64 != row.frame_bytes() {
        return vec![FrameDamage::CutOff];
    }
    let mut damages = Vec::new();
    if frame[..HEAD.len()] != HEAD {
        damages.push(FrameDamage::Head);
    }
    let records = &frame[HEAD.len()..records_end];
    damages.extend(record_damages(records, &row.table));
    if !is_trailer(&frame[records_end..], xorb, &row.table) {
        damages.push(FrameDamage::Trailer);
    }
    damages
}

fn record_damages(records: &[u8], table: &ChunkTable) -> Vec<FrameDamage> {
    let mut damages = Vec::new();
    let mut start = 0;
    for (index, entry) in (0..).zip(table.entries()) {
        let record = &records[start..entry.record_end as usize];
        if let Err(reason) = check_record(record, &entry.hash) {
            damages.push(FrameDamage::Chunk { index, reason });
        }
        start = entry.record_end as usize;
    }
    damages
}

fn is_trailer(bytes: &[u8], xorb: &XorbHash, table: &ChunkTable) -> bool {
    decode_trailer(bytes).is_some_and(|trailer| {
        trailer.xorb == *xorb
            && trailer.record_bytes == u64::from(table.record_bytes())
            && trailer.chunks.iter().eq(table.entries().iter().map(|entry| &entry.hash))
    })
}
