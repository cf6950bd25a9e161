//! `GET /v2/file-chunk-hashes/{file}`: what a client needs that changes ranges of a file without reading the rest.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use serde::Serialize;

use super::errors::{CasRefusal, json};
use super::{Cas, Reader, names};
use crate::bucket::{ByteRange, FileHash};
use crate::engine::FileWindows;
use crate::xet::subtree::HashSubtree;

/// The ranges that the client is going to change, written like those of `Range`, from which it differs: the answer is
/// about the whole file.
const RANGE_DIRTY: HeaderName = HeaderName::from_static("x-range-dirty");

/// Most ranges at once. The head of a request holds few more.
const RANGES_MAX: usize = 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    total_chunks: u64,
    file_size: u64,
    windows: Vec<WindowJson>,
    hash_ranges: Vec<Option<SubtreeJson>>,
    gap_verification: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WindowJson {
    /// First byte, and one past the last.
    dirty_byte_range: [u64; 2],
}

/// A subtree, whose fields are not in camel case.
#[derive(Serialize)]
struct SubtreeJson {
    nodes: Vec<NodeJson>,
    levels: Vec<(usize, usize)>,
    at_start: bool,
    at_end: bool,
}

#[derive(Serialize)]
struct NodeJson {
    hash: String,
    size: u64,
}

impl From<&HashSubtree> for SubtreeJson {
    fn from(subtree: &HashSubtree) -> Self {
        let (at_start, at_end) = subtree.is_at_ends();
        let nodes = subtree.nodes().map(|(hash, size)| NodeJson { hash: hash.to_string(), size: *size });
        Self { nodes: nodes.collect(), levels: subtree.shape().collect(), at_start, at_end }
    }
}

/// Serves one request. Who may reconstruct the file may ask.
pub(super) async fn of_file(
    State(cas): State<Arc<Cas>>,
    reader: Reader,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, CasRefusal> {
    let file: FileHash = names::hash(&file)?;
    let asked = names::ranges_of(&headers, &RANGE_DIRTY, RANGES_MAX)?;
    let asked = asked.ok_or_else(|| CasRefusal::Bad("the X-Range-Dirty header is missing".to_owned()))?;
    let size = cas.xet.file_size(reader.reach(), &file).await?;
    let changed = within(&asked, size);
    if changed.is_empty() {
        let message = format!("X-Range-Dirty names no byte of the file's {size}");
        return Err(CasRefusal::Bad(message));
    }
    let found = cas.xet.windows(reader.reach(), &file, changed).await?;
    let FileWindows { total_chunks, size, windows, gaps, proofs } = found;
    let windows =
        windows.into_iter().map(|window| WindowJson { dirty_byte_range: [window.start, window.end] });
    Ok(json(&Answer {
        total_chunks,
        file_size: size,
        windows: windows.collect(),
        hash_ranges: gaps.iter().map(|gap| gap.as_ref().map(SubtreeJson::from)).collect(),
        gap_verification: proofs.iter().map(ToString::to_string).collect(),
    }))
}

/// The bytes meant in a file of this size: in order, and apart from each other.
fn within(asked: &[ByteRange], size: u64) -> Vec<Range<u64>> {
    let meant = asked.iter().filter_map(|range| range.resolve(size));
    // The last bytes of an empty file are none.
    let mut ranges: Vec<_> = meant.filter(|range| !range.is_empty()).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_put_in_order_and_joined() {
        let asked = [
            ByteRange::Bounded(50, 59),
            ByteRange::Bounded(0, 9),
            ByteRange::Bounded(5, 19),
            ByteRange::Bounded(20, 20),
            ByteRange::Suffix(5),
            ByteRange::From(100),
        ];
        assert_eq!(within(&asked, 100), [0..21, 50..60, 95..100]);
        assert_eq!(within(&asked, 0), []);
    }
}
