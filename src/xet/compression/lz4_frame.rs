//! LZ4 frames (format version 1) around the block codec of `lz4_flex`.
//!
//! Own framing, because the library's frame decoder allocates by the block size the header claims (up to 12 MiB for
//! a chunk of 128 KiB) and does not mind a missing end mark, and because its encoder copies every chunk twice.
//! Blocks are decoded straight into the one output buffer, whose length bounds every write; what a linked block
//! refers back to is already there.
//!
//! Source: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>.

use lz4_flex::block::{self, CompressTable};
use twox_hash::XxHash32;

use super::DecompressError;
use crate::xet::limits::CHUNK_BYTES_MAX;

const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
/// Version 1, blocks independent, nothing optional.
const FLAGS_WRITTEN: u8 = 0b0110_0000;
const FLAG_INDEPENDENT: u8 = 0b0010_0000;
const FLAG_BLOCK_CHECKSUM: u8 = 0b0001_0000;
const FLAG_CONTENT_SIZE: u8 = 0b0000_1000;
const FLAG_CONTENT_CHECKSUM: u8 = 0b0000_0100;
const FLAG_RESERVED: u8 = 0b0000_0010;
const FLAG_DICTIONARY: u8 = 0b0000_0001;
/// In a block's length: the block is stored, not compressed.
const BLOCK_STORED: u32 = 1 << 31;
/// How far back a linked block may refer.
const WINDOW_BYTES: usize = 64 * 1024;
/// Magic, flags, block size and header checksum, then the length of the only block.
const HEAD_BYTES: usize = 7 + 4;
/// The end mark: a block of length zero.
const END_MARK: [u8; 4] = [0; 4];

/// Encodes `content` as a frame of one block in `out`, which is only ever grown. `None` when LZ4 does not make it
/// smaller, or when it is longer than a chunk can be.
pub(super) fn encode<'a>(
    content: &[u8],
    table: &mut CompressTable,
    out: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    if content.len() > CHUNK_BYTES_MAX {
        return None;
    }
    let room = HEAD_BYTES + block::get_maximum_output_size(content.len()) + END_MARK.len();
    if out.len() < room {
        out.resize(room, 0);
    }
    let block_len = block::compress_into_with_table(content, &mut out[HEAD_BYTES..], table).ok()?;
    if block_len >= content.len() {
        return None;
    }
    // 64 KiB or 256 KiB: the smallest block size that takes the chunk whole, as the reference client does.
    let descriptor = [FLAGS_WRITTEN, if content.len() <= 64 * 1024 { 0x40 } else { 0x50 }];
    out[..4].copy_from_slice(&MAGIC);
    out[4..6].copy_from_slice(&descriptor);
    out[6] = header_checksum(&descriptor);
    out[7..HEAD_BYTES].copy_from_slice(&(block_len as u32).to_le_bytes());
    let end = HEAD_BYTES + block_len;
    out[end..end + END_MARK.len()].copy_from_slice(&END_MARK);
    Some(&out[..end + END_MARK.len()])
}

/// Decodes one frame that must fill `frame`, to exactly `raw_len` bytes. The caller has bounded `raw_len`.
pub(super) fn decode(frame: &[u8], raw_len: usize) -> Result<Vec<u8>, DecompressError> {
    let mut input = Input(frame);
    let header = Header::read(&mut input)?;
    let mut out = vec![0; raw_len];
    let mut filled = 0;
    loop {
        let word = u32::from_le_bytes(input.take()?);
        if word == 0 {
            break;
        }
        let block = input.take_slice((word & !BLOCK_STORED) as usize)?;
        if block.len() > header.block_bytes_max {
            return Err(DecompressError::BadBlock);
        }
        if header.has(FLAG_BLOCK_CHECKSUM) && u32::from_le_bytes(input.take()?) != xxh32(block) {
            return Err(DecompressError::BadChecksum("block checksum"));
        }
        let is_stored = word & BLOCK_STORED != 0;
        filled += decode_block(&header, block, is_stored, &mut out, filled)?;
    }
    if header.has(FLAG_CONTENT_CHECKSUM) && u32::from_le_bytes(input.take()?) != xxh32(&out[..filled]) {
        return Err(DecompressError::BadChecksum("content checksum"));
    }
    if header.content_bytes.is_some_and(|declared| declared != filled as u64) {
        return Err(DecompressError::BadChecksum("content size"));
    }
    if !input.0.is_empty() {
        return Err(DecompressError::Trailing { bytes: input.0.len() });
    }
    if filled < raw_len {
        return Err(DecompressError::Shorter { raw_len, got: filled });
    }
    Ok(out)
}

/// xxHash32 without a seed, as the frame format has it.
fn xxh32(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

/// Decodes one block after the `filled` bytes of `out`, and returns its length.
fn decode_block(
    header: &Header,
    block: &[u8],
    is_stored: bool,
    out: &mut [u8],
    filled: usize,
) -> Result<usize, DecompressError> {
    let raw_len = out.len();
    let (done, room) = out.split_at_mut(filled);
    if is_stored {
        let target = room.get_mut(..block.len()).ok_or(DecompressError::Longer { raw_len })?;
        target.copy_from_slice(block);
        return Ok(block.len());
    }
    let is_whole = room.len() <= header.block_bytes_max;
    let room_len = room.len().min(header.block_bytes_max);
    let room = &mut room[..room_len];
    let decoded = if header.has(FLAG_INDEPENDENT) || done.is_empty() {
        block::decompress_into(block, room)
    } else {
        let window = &done[done.len().saturating_sub(WINDOW_BYTES)..];
        block::decompress_into_with_dict(block, room, window)
    };
    decoded.map_err(|error| match error {
        block::DecompressError::OutputTooSmall { .. } if is_whole => DecompressError::Longer { raw_len },
        _ => DecompressError::BadBlock,
    })
}

/// What a frame's header says.
struct Header {
    flags: u8,
    block_bytes_max: usize,
    content_bytes: Option<u64>,
}

impl Header {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecompressError> {
        if input.take()? != MAGIC {
            return Err(DecompressError::BadHeader("wrong magic number"));
        }
        let start = input.0;
        let [flags, block_size] = input.take()?;
        if flags >> 6 != 1 || flags & FLAG_RESERVED != 0 {
            return Err(DecompressError::BadHeader("unknown version or flag"));
        }
        if flags & FLAG_DICTIONARY != 0 {
            return Err(DecompressError::BadHeader("a dictionary is needed"));
        }
        let block_bytes_max = match block_size {
            0x40 => 64 << 10,
            0x50 => 256 << 10,
            0x60 => 1 << 20,
            0x70 => 4 << 20,
            _ => return Err(DecompressError::BadHeader("unknown block size")),
        };
        let content_bytes =
            if flags & FLAG_CONTENT_SIZE == 0 { None } else { Some(u64::from_le_bytes(input.take()?)) };
        let descriptor = &start[..start.len() - input.0.len()];
        if input.take()? != [header_checksum(descriptor)] {
            return Err(DecompressError::BadChecksum("header checksum"));
        }
        Ok(Self { flags, block_bytes_max, content_bytes })
    }
}

/// The second byte of the checksum of a frame descriptor.
fn header_checksum(descriptor: &[u8]) -> u8 {
    xxh32(descriptor).to_le_bytes()[1]
}

/// The bytes not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecompressError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(DecompressError::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    fn take_slice(&mut self, len: usize) -> Result<&'a [u8], DecompressError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(DecompressError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

    use super::*;

    #[test]
    fn checksums_match_published_ones() {
        assert_eq!(xxh32(b""), 0x02CC_5D05);
        assert_eq!(xxh32(b"a"), 0x550D_7456);
        assert_eq!(xxh32(b"abc"), 0x32D1_53FF);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xE229_3B2F);
    }

    /// Compressible, and not periodic within a window.
    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| ((i / 7) ^ (i * i / 1000)) as u8 & 0x3f).collect()
    }

    fn library_frame(info: FrameInfo, raw: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(raw).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn frames_of_the_library_decode_whatever_their_options() {
        let raw = sample(CHUNK_BYTES_MAX);
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
            for mode in [BlockMode::Independent, BlockMode::Linked] {
                for checks in [false, true] {
                    let info = FrameInfo::new()
                        .block_size(size)
                        .block_mode(mode)
                        .block_checksums(checks)
                        .content_checksum(checks)
                        .content_size(checks.then_some(raw.len() as u64));
                    assert_eq!(decode(&library_frame(info, &raw), raw.len()).unwrap(), raw);
                }
            }
        }
    }

    #[test]
    fn our_frames_decode_with_the_library_and_begin_as_the_client_s() {
        let (mut table, mut out) = (CompressTable::large(), Vec::new());
        for (len, descriptor) in [(200, [0x60, 0x40]), (65_536, [0x60, 0x40]), (65_537, [0x60, 0x50])] {
            let raw = sample(len);
            let frame = encode(&raw, &mut table, &mut out).unwrap();
            assert_eq!(frame[4..6], descriptor);
            let mut back = Vec::new();
            FrameDecoder::new(frame).read_to_end(&mut back).unwrap();
            assert_eq!(back, raw);
        }
    }

    #[test]
    fn a_bomb_stops_at_the_declared_length() {
        let info = || FrameInfo::new().block_size(BlockSize::Max4MB);
        let bomb = library_frame(info(), &vec![0; 64 << 20]);
        assert!(bomb.len() < 300_000);
        assert_eq!(decode(&bomb, CHUNK_BYTES_MAX), Err(DecompressError::Longer { raw_len: CHUNK_BYTES_MAX }));
        let exact = library_frame(info(), &[0; 1000]);
        assert_eq!(decode(&exact, 999), Err(DecompressError::Longer { raw_len: 999 }));
        assert_eq!(decode(&exact, 1001), Err(DecompressError::Shorter { raw_len: 1001, got: 1000 }));
    }

    #[test]
    fn a_damaged_checksum_is_noticed() {
        let raw = sample(1000);
        let info = FrameInfo::new().block_checksums(true).content_checksum(true);
        let frame = library_frame(info, &raw);
        let flip = |at: usize| {
            let mut frame = frame.clone();
            frame[at] ^= 1;
            decode(&frame, raw.len())
        };
        assert_eq!(flip(6), Err(DecompressError::BadChecksum("header checksum")));
        assert_eq!(flip(20), Err(DecompressError::BadChecksum("block checksum")));
        assert_eq!(flip(frame.len() - 1), Err(DecompressError::BadChecksum("content checksum")));
    }

    #[test]
    fn a_frame_ends_with_its_end_mark_and_nothing_after() {
        let mut frame = library_frame(FrameInfo::new(), &sample(1000));
        frame.push(0);
        assert_eq!(decode(&frame, 1000), Err(DecompressError::Trailing { bytes: 1 }));
        frame.pop();
        for cut in 0..frame.len() {
            assert_eq!(decode(&frame[..cut], 1000), Err(DecompressError::Truncated), "{cut}");
        }
    }

    #[test]
    fn damaged_blocks_never_panic_or_grow() {
        let raw = sample(CHUNK_BYTES_MAX);
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(mode);
            let frame = library_frame(info, &raw);
            for step in 0..300 {
                let mut damaged = frame.clone();
                let at = 7 + step * 7919 % (frame.len() - 7);
                damaged[at] ^= 1 << (step % 8);
                if let Ok(out) = decode(&damaged, raw.len()) {
                    assert_eq!(out.len(), raw.len());
                }
            }
        }
    }

    #[test]
    fn a_linked_block_may_refer_back_by_a_whole_window() {
        let mut random = vec![0; WINDOW_BYTES - 1];
        blake3::Hasher::new().finalize_xof().fill(&mut random);
        let raw = random.repeat(2);
        let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Linked);
        let frame = library_frame(info, &raw);
        assert!(frame.len() < raw.len() * 3 / 4, "the second half is references");
        assert_eq!(decode(&frame, raw.len()).unwrap(), raw);
    }
}
