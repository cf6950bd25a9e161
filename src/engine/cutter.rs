//! From a stream of pieces to whole chunks, copying only chunks that span pieces.

use crate::xet::chunker::Chunker;

/// Cuts pieces, as they come, into chunks.
#[derive(Default)]
pub(super) struct Cutter {
    chunker: Chunker,
    /// The beginning of a chunk whose end has not come yet; or a whole one, that was handed out last.
    partial: Vec<u8>,
    /// Whether `partial` was handed out.
    is_out: bool,
}

impl Cutter {
    /// The next chunk that ends in `piece`, which is moved after it. `None` when the piece is used up.
    pub(super) fn next<'s, 'p: 's>(&'s mut self, piece: &mut &'p [u8]) -> Option<&'s [u8]> {
        if std::mem::take(&mut self.is_out) {
            self.partial.clear();
        }
        if piece.is_empty() {
            return None;
        }
        let Some(end) = self.chunker.next_boundary(piece) else {
            self.partial.extend_from_slice(piece);
            *piece = &[];
            return None;
        };
        let (chunk, rest) = piece.split_at(end);
        *piece = rest;
        if self.partial.is_empty() {
            return Some(chunk);
        }
        self.partial.extend_from_slice(chunk);
        self.is_out = true;
        Some(&self.partial)
    }

    /// Whether the last byte fed ended a chunk (or nothing was fed).
    pub(super) fn is_at_boundary(&self) -> bool {
        self.partial.is_empty() || self.is_out
    }

    /// The file ends here: the last chunk, if any.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.is_at_boundary()).then_some(self.partial)
    }
}
