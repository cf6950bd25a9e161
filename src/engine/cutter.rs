//! From a stream of pieces to whole chunks, copying only chunks that span pieces.

use crate::xet::chunker::Chunker;

/// Cuts pieces, as they come, into chunks.
#[derive(Default)]
pub(super) struct Cutter {
    chunker: Chunker,
    /// The beginning of a chunk whose end has not come yet.
    partial: Vec<u8>,
}

impl Cutter {
    /// Takes a piece and hands every chunk that ends in it to `take`.
    pub(super) fn feed<E>(
        &mut self,
        mut piece: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !piece.is_empty() {
            let Some(end) = self.chunker.next_boundary(piece) else {
                self.partial.extend_from_slice(piece);
                break;
            };
            let (chunk, rest) = piece.split_at(end);
            if self.partial.is_empty() {
                take(chunk)?;
            } else {
                self.partial.extend_from_slice(chunk);
                take(&self.partial)?;
                self.partial.clear();
            }
            piece = rest;
        }
        Ok(())
    }

    /// Whether the last byte fed ended a chunk (or nothing was fed).
    pub(super) fn is_at_boundary(&self) -> bool {
        self.partial.is_empty()
    }

    /// The file ends here: hands over the last chunk, if any.
    pub(super) fn finish<E>(self, take: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.partial.is_empty() { Ok(()) } else { take(&self.partial) }
    }
}
