//! Walking a pack's frames from its bytes alone.
//!
//! A frame that is not whole and true is passed over, and the walk goes on at the next head: after damage, and also
//! at the torn end of a pack. The payloads of chunks are not looked at: that is scrub's work.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::frame::{HEAD, TRAILER_MAGIC, decode_trailer, trailer_bytes};
use super::log::PackLog;
use super::{PackId, PackMedium};
use crate::store::rows::FramePlace;
use crate::xet::hash::XorbHash;
use crate::xet::limits::{XORB_CHUNKS_MAX, XORB_RECORD_HEADER_BYTES};
use crate::xet::xorb::{ChunkTable, RecordHeader};

/// Bytes read at a time; most of a frame is payload, but reading on is cheaper than seeking.
const WINDOW_BYTES: u64 = 1 << 20;

/// The same for objects, where a request costs as much as some megabytes.
const OBJECT_WINDOW_BYTES: u64 = 8 << 20;

/// What the walk meets.
#[derive(Debug, PartialEq, Eq)]
pub enum Scanned {
    /// A frame that says true things of itself.
    Frame {
        /// Its xorb.
        xorb: XorbHash,
        /// Where it lies.
        place: FramePlace,
        /// Its chunks.
        table: ChunkTable,
    },
    /// Bytes that are no frame.
    Gap(Range<u64>),
}

/// A walk over one pack. Blocks.
pub struct PackScan<'p> {
    packs: &'p PackLog,
    id: PackId,
    len: u64,
    at: u64,
    window_start: u64,
    window: Bytes,
    window_bytes: u64,
}

impl<'p> PackScan<'p> {
    /// Walks the first `len` bytes of a pack.
    pub fn new(packs: &'p PackLog, id: PackId, len: u64) -> Self {
        let window_bytes = match packs.medium() {
            PackMedium::File => WINDOW_BYTES,
            PackMedium::Object => OBJECT_WINDOW_BYTES,
        };
        Self { packs, id, len, at: 0, window_start: 0, window: Bytes::new(), window_bytes }
    }

    /// The next frame or gap; `None` at the end.
    pub fn step(&mut self) -> io::Result<Option<Scanned>> {
        let start = self.at;
        if start >= self.len {
            return Ok(None);
        }
        if let Some((xorb, place, table)) = self.frame_at(start)? {
            self.at = place.frame_end;
            return Ok(Some(Scanned::Frame { xorb, place, table }));
        }
        self.at = self.next_head(start + 1)?;
        Ok(Some(Scanned::Gap(start..self.at)))
    }

    /// `len` bytes at `at`; `None` if the pack ends before.
    fn peek(&mut self, at: u64, len: usize) -> io::Result<Option<Bytes>> {
        let end = at + len as u64;
        if end > self.len {
            return Ok(None);
        }
        let window_end = self.window_start + self.window.len() as u64;
        if at < self.window_start || end > window_end {
            let read = self.window_bytes.max(len as u64).min(self.len - at);
            self.window = self.packs.read(self.id, at, read as usize)?;
            self.window_start = at;
        }
        let start = (at - self.window_start) as usize;
        Ok(Some(self.window.slice(start..start + len)))
    }

    /// The frame that begins here, if one does.
    fn frame_at(&mut self, start: u64) -> io::Result<Option<(XorbHash, FramePlace, ChunkTable)>> {
        if self.peek(start, HEAD.len())?.is_none_or(|head| head[..] != HEAD) {
            return Ok(None);
        }
        let offset = start + HEAD.len() as u64;
        let mut at = offset;
        let mut lengths = Vec::new();
        while let Some(bytes) = self.peek(at, XORB_RECORD_HEADER_BYTES)? {
            if bytes.starts_with(&TRAILER_MAGIC) {
                break;
            }
            let header = bytes.first_chunk().and_then(|bytes| RecordHeader::decode(bytes).ok());
            let Some(header) = header.filter(|_| lengths.len() < XORB_CHUNKS_MAX) else {
                return Ok(None);
            };
            at += u64::from(header.record_len());
            lengths.push((header.record_len(), header.raw_len));
        }
        let trailer = self.peek(at, trailer_bytes(lengths.len()))?;
        let Some(trailer) = trailer.and_then(|bytes| decode_trailer(&bytes)) else {
            return Ok(None);
        };
        let mut table = ChunkTable::default();
        for (hash, (record_len, raw_len)) in trailer.chunks.iter().zip(&lengths) {
            table.push(*hash, *record_len, *raw_len);
        }
        let is_true = trailer.chunks.len() == lengths.len()
            && trailer.record_bytes == at - offset
            && table.xorb_hash() == trailer.xorb;
        let frame_end = at + trailer_bytes(lengths.len()) as u64;
        let place = FramePlace { pack: self.id, offset, frame_end };
        Ok(is_true.then_some((trailer.xorb, place, table)))
    }

    /// Where the next head begins, from `at` on; the pack's end if there is none.
    fn next_head(&mut self, mut at: u64) -> io::Result<u64> {
        while at + HEAD.len() as u64 <= self.len {
            let len = self.window_bytes.min(self.len - at) as usize;
            let Some(bytes) = self.peek(at, len)? else {
                break;
            };
            if let Some(found) = bytes.windows(HEAD.len()).position(|window| window == HEAD) {
                return Ok(at + found as u64);
            }
            // A head may lie across the edge of the windows.
            at += (len - HEAD.len() + 1) as u64;
        }
        Ok(self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{MemoryPacks, PackStore, frame};
    use super::*;
    use crate::xet::compression::Compressor;
    use crate::xet::hash::ChunkHash;
    use crate::xet::xorb::encode_record;

    fn frame(name: u8, chunks: u8) -> (Vec<u8>, ChunkTable) {
        let (mut bytes, mut table) = (frame::HEAD.to_vec(), ChunkTable::default());
        for chunk in 0..chunks {
            let raw = vec![name ^ chunk; 5000 + usize::from(chunk)];
            let header = encode_record(&mut Compressor::new(), &raw, &mut bytes);
            table.push(ChunkHash::of(&raw), header.record_len(), header.raw_len);
        }
        bytes.extend(frame::encode_trailer(&table.xorb_hash(), &table));
        (bytes, table)
    }

    fn scan(bytes: &[u8]) -> Vec<Scanned> {
        let packs = MemoryPacks::default();
        let log = PackLog::open(Arc::new(packs.clone()), &[], 1 << 30).unwrap();
        packs.create(PackId(1)).unwrap().append(bytes).unwrap();
        let mut scan = PackScan::new(&log, PackId(1), bytes.len() as u64);
        std::iter::from_fn(|| scan.step().unwrap()).collect()
    }

    #[test]
    fn a_walk_meets_every_whole_frame() {
        let frames = [frame(1, 1), frame(2, 9), frame(3, 200)];
        let pack = frames.iter().map(|(bytes, _)| &bytes[..]).collect::<Vec<_>>().concat();
        let mut start = 0;
        for (scanned, (bytes, table)) in scan(&pack).into_iter().zip(&frames) {
            let end = start + bytes.len() as u64;
            let place = FramePlace { pack: PackId(1), offset: start + 8, frame_end: end };
            let table = table.clone();
            assert_eq!(scanned, Scanned::Frame { xorb: table.xorb_hash(), place, table });
            start = end;
        }
        assert_eq!(scan(&pack).len(), 3);
        for torn in [1, 30, frames[2].0.len() - 1] {
            let scanned = scan(&pack[..pack.len() - torn]);
            let last_start = (frames[0].0.len() + frames[1].0.len()) as u64;
            assert_eq!(scanned[2..], [Scanned::Gap(last_start..(pack.len() - torn) as u64)]);
        }
    }

    #[test]
    fn the_walk_goes_on_behind_damage() {
        let frames = [frame(1, 3), frame(2, 3), frame(3, 3)];
        let pack = frames.iter().map(|(bytes, _)| &bytes[..]).collect::<Vec<_>>().concat();
        let (start, end) = (frames[0].0.len(), frames[0].0.len() + frames[1].0.len());
        for at in start..end {
            let mut damaged = pack.clone();
            damaged[at] ^= 0x10;
            let scanned = scan(&damaged);
            let whole = scanned.iter().filter(|scanned| matches!(scanned, Scanned::Frame { .. })).count();
            // A flip inside a payload is not seen here.
            assert!(whole >= 2, "flip at {at}: {scanned:?}");
            assert!(whole == 3 || scanned.contains(&Scanned::Gap(start as u64..end as u64)), "flip at {at}");
        }
    }
}
