//! The history of an object: its versions, and what each takes of the store.
//!
//! Versions share chunks. For each xorb, the runs of chunks that versions name are laid beside each other; in every stretch
//! between two of their ends, the same versions share the same chunks. So the work grows with the terms of the versions, not
//! with their bytes.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::NativeBuckets;
use crate::bucket::error::{bucket_error, engine_error, meta_failed};
use crate::bucket::limits::{HISTORY_TERMS_MAX, HISTORY_VERSIONS_MAX};
use crate::bucket::{
    BucketError, BucketId, ObjectHistory, ObjectKey, PastVersion, Version, VersionCost, VersionEntry,
    VersionQuery,
};
use crate::cas::XorbReader as _;
use crate::store::file_terms::FileTerms;
use crate::xet::hash::XorbHash;

impl NativeBuckets {
    /// See [`Objects::history`](crate::bucket::Objects::history).
    pub(super) async fn history_of(
        &self,
        id: &BucketId,
        key: &ObjectKey,
    ) -> Result<ObjectHistory, BucketError> {
        // What the records name stays while this is held.
        let _reading = self.reading();
        let bucket = self.must_bucket(id).await?;
        // Of all keys that begin with this one, it comes first.
        let query = VersionQuery {
            prefix: key.as_str().to_owned(),
            limit: HISTORY_VERSIONS_MAX,
            ..VersionQuery::default()
        };
        let page =
            self.meta.list_versions(bucket.uid, &query).await.map_err(|error| bucket_error(error, id))?;
        let is_whole = page.next.is_none_or(|(next, _)| next != key.as_str());
        let entries: Vec<_> = page.versions.into_iter().take_while(|entry| entry.key == *key).collect();
        if entries.is_empty() {
            return Err(BucketError::NoSuchKey(key.clone()));
        }
        let mut costs = self.costs(&entries).await?.into_iter();
        let versions = entries.into_iter().map(|VersionEntry { version, is_latest, .. }| {
            let cost = match &version {
                Version::Object(_) => costs.next(),
                Version::Marker(_) => Some(VersionCost::default()),
            };
            PastVersion { version, is_latest, cost }
        });
        Ok(ObjectHistory { versions: versions.collect(), is_whole })
    }

    /// What each object takes, the newest first; fewer, if their terms are more than may be looked at.
    async fn costs(&self, entries: &[VersionEntry]) -> Result<Vec<VersionCost>, BucketError> {
        let objects = entries.iter().filter_map(|entry| match &entry.version {
            Version::Object(object) => Some(object.file),
            Version::Marker(_) => None,
        });
        let hashes: Vec<_> = objects.collect();
        let files = self.meta.files_terms(&hashes, HISTORY_TERMS_MAX).await.map_err(meta_failed)?;
        let count = files.len();
        let work = tokio::task::spawn_blocking(move || stretches(&files));
        let shared = work.await.map_err(|panic| BucketError::Storage(panic.into()))?;
        let mut costs = vec![VersionCost::default(); count];
        for (xorb, stretches) in shared {
            let table = self.chunks.table(&xorb).await.map_err(|error| engine_error(error.into()))?;
            for Stretch { chunks, oldest, is_alone } in stretches {
                let records = table.record_range(chunks).unwrap_or_default();
                let bytes = u64::from(records.end - records.start);
                costs[oldest].added += bytes;
                costs[oldest].own += if is_alone { bytes } else { 0 };
            }
        }
        Ok(costs)
    }
}

/// Neighbouring chunks of a xorb that are in the same versions.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    chunks: Range<u32>,
    /// The oldest of the versions.
    oldest: usize,
    /// Whether it is the only one.
    is_alone: bool,
}

/// All chunks that these files hold, the newest file first, each chunk once.
fn stretches(files: &[Option<FileTerms>]) -> Vec<(XorbHash, Vec<Stretch>)> {
    let mut edges: HashMap<XorbHash, Vec<(u32, usize, bool)>> = HashMap::new();
    for (version, terms) in files.iter().enumerate() {
        for term in terms.iter().flat_map(FileTerms::iter).filter(|term| term.start < term.end) {
            let run = [(term.start, version, true), (term.end, version, false)];
            edges.entry(term.xorb).or_default().extend(run);
        }
    }
    edges.into_iter().map(|(xorb, edges)| (xorb, stretches_of(edges))).collect()
}

/// The same of one xorb, by where runs of chunks begin (`true`) and end in which file.
fn stretches_of(mut edges: Vec<(u32, usize, bool)>) -> Vec<Stretch> {
    edges.sort_unstable();
    // How often each file has the chunks here: a file may name a chunk more than once.
    let mut inside: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut found, mut start) = (Vec::new(), 0);
    for (at, version, begins) in edges {
        if at > start
            && let Some((oldest, _)) = inside.last_key_value()
        {
            found.push(Stretch { chunks: start..at, oldest: *oldest, is_alone: inside.len() == 1 });
        }
        start = at;
        let times = inside.entry(version).or_default();
        if begins {
            *times += 1;
        } else if *times > 1 {
            *times -= 1;
        } else {
            inside.remove(&version);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(edges: &[(usize, Range<u32>)]) -> Vec<(Range<u32>, usize, bool)> {
        let edges =
            edges.iter().flat_map(|(version, run)| [(run.start, *version, true), (run.end, *version, false)]);
        let found = stretches_of(edges.collect()).into_iter();
        found.map(|Stretch { chunks, oldest, is_alone }| (chunks, oldest, is_alone)).collect()
    }

    #[test]
    fn each_chunk_is_the_oldest_version_s() {
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[(0, 2..5)]), [(2..5, 0, true)]);
        // The newest, 0, shares its middle with 1 and its end with 2.
        let found = of(&[(0, 0..10), (1, 3..6), (2, 5..12)]);
        let expected =
            [(0..3, 0, true), (3..5, 1, false), (5..6, 2, false), (6..10, 2, false), (10..12, 2, true)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_gap_is_nobody_s_and_a_repetition_counts_once() {
        assert_eq!(of(&[(0, 0..2), (0, 4..6)]), [(0..2, 0, true), (4..6, 0, true)]);
        let twice = of(&[(1, 0..4), (1, 0..4), (1, 2..3)]);
        assert_eq!(twice.iter().map(|(run, ..)| run.len()).sum::<usize>(), 4);
        assert!(twice.iter().all(|(_, oldest, is_alone)| (*oldest, *is_alone) == (1, true)));
        // One run ends where the next begins.
        assert_eq!(of(&[(0, 0..2), (1, 2..4)]), [(0..2, 0, true), (2..4, 1, true)]);
    }
}
