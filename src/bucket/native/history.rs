//! The history of an object: its versions, and what each takes of the store.
//!
//! Versions share chunks. For each xorb, the runs of chunks that versions name are laid beside each other; in every stretch
//! between two of their ends, the same versions share the same chunks. So the work grows with the terms of the versions, not
//! with their bytes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::NativeBuckets;
use crate::bucket::error::{bucket_error, engine_error, meta_failed};
use crate::bucket::limits::{HISTORY_TERMS_MAX, HISTORY_VERSIONS_MAX};
use crate::bucket::{
    BucketError, BucketId, FileHash, ObjectHistory, ObjectKey, PastVersion, Version, VersionCost,
    VersionEntry, VersionQuery,
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
        let mut seen = HashSet::new();
        let distinct: Vec<_> = hashes.iter().copied().filter(|file| seen.insert(*file)).collect();
        // Taken like that of other work: the terms of a history take memory.
        let _turn = self.engine.turns().work.take().await;
        let read = self.meta.files_terms(&distinct, HISTORY_TERMS_MAX).await.map_err(meta_failed)?;
        let files: HashMap<_, _> = distinct.into_iter().zip(fitting(read, HISTORY_TERMS_MAX)).collect();
        let count = hashes.iter().take_while(|file| files.contains_key(file)).count();
        let holders = holders(&hashes[..count]);
        let of_file = |(file, terms): (_, Option<FileTerms>)| Some((holders.get(&file)?.oldest, terms?));
        let files: Vec<_> = files.into_iter().filter_map(of_file).collect();
        let work = tokio::task::spawn_blocking(move || stretches(&files));
        let shared = work.await.map_err(|panic| BucketError::Storage(panic.into()))?;
        let mut costs = vec![VersionCost::default(); count];
        for (xorb, stretches) in shared {
            let table = self.chunks.table(&xorb).await.map_err(|error| engine_error(error.into()))?;
            for Stretch { chunks, oldest, is_alone } in stretches {
                let lacking =
                    || BucketError::Corrupt(format!("xorb {xorb} lacks chunks that a version names"));
                let records = table.record_range(chunks).ok_or_else(lacking)?;
                let bytes = u64::from(records.end - records.start);
                let is_own =
                    is_alone && holders.get(&hashes[oldest]).is_some_and(|holders| holders.count == 1);
                costs[oldest].added += bytes;
                costs[oldest].own += if is_own { bytes } else { 0 };
            }
        }
        Ok(costs)
    }
}

/// The versions that have a file as their content, by their places in a history, the newest first.
#[derive(Debug, PartialEq, Eq)]
struct Holders {
    oldest: usize,
    count: usize,
}

/// Which versions have each of these files: one that came back has that of an older one.
fn holders(files: &[FileHash]) -> HashMap<FileHash, Holders> {
    let mut found = HashMap::<_, Holders>::new();
    for (version, file) in files.iter().enumerate() {
        let holders = found.entry(*file).or_insert(Holders { oldest: version, count: 0 });
        (holders.oldest, holders.count) = (version, holders.count + 1);
    }
    found
}

/// The first of these, as many as have no more than `terms_max` terms together. A single file may have far more.
fn fitting(files: Vec<Option<FileTerms>>, terms_max: usize) -> Vec<Option<FileTerms>> {
    let mut left = Some(terms_max);
    let fits = |file: &Option<FileTerms>| {
        left = left.and_then(|left| left.checked_sub(file.as_ref().map_or(0, FileTerms::len)));
        left.is_some()
    };
    files.into_iter().take_while(fits).collect()
}

/// Neighbouring chunks of a xorb that are in the same versions.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    chunks: Range<u32>,
    /// The oldest of the versions.
    oldest: usize,
    /// Whether only versions of its content have them.
    is_alone: bool,
}

/// All chunks that these files hold, each chunk once; with each file, the oldest version that has it.
fn stretches(files: &[(usize, FileTerms)]) -> Vec<(XorbHash, Vec<Stretch>)> {
    let mut edges: HashMap<XorbHash, Vec<(u32, usize, bool)>> = HashMap::new();
    for (version, terms) in files {
        for term in terms.iter().filter(|term| term.start < term.end) {
            let run = [(term.start, *version, true), (term.end, *version, false)];
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
    use crate::model::file::{FileRecord, Term};

    fn file(name: u8) -> FileHash {
        FileHash::from_bytes([name; 32])
    }

    fn terms(count: usize) -> FileTerms {
        let term = Term { xorb: XorbHash::from_bytes([1; 32]), start: 0, end: 1, raw_bytes: 1 };
        FileRecord { hash: file(0), size: count as u64, terms: vec![term; count] }.into()
    }

    #[test]
    fn a_content_that_came_back_is_the_oldest_version_s_and_not_its_own() {
        let found = holders(&[file(1), file(2), file(1)]);
        assert_eq!(found[&file(1)], Holders { oldest: 2, count: 2 });
        assert_eq!(found[&file(2)], Holders { oldest: 1, count: 1 });
    }

    #[test]
    fn a_file_of_very_many_terms_and_those_after_it_are_not_looked_at() {
        let count = |files, terms_max| fitting(files, terms_max).len();
        assert_eq!(count(vec![Some(terms(2)), None, Some(terms(3))], 5), 3);
        assert_eq!(count(vec![Some(terms(2)), Some(terms(4)), Some(terms(1))], 5), 1);
        assert_eq!(count(vec![Some(terms(6))], 5), 0);
    }

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
