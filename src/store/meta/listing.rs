//! Walking keys in byte order, rolled up at a delimiter, by seeking over everything that was rolled up.

use std::ops::Bound;

use redb::StorageError;

use super::kv::{OrderedKey as _, ReadTable, ReadableTable, Walk};
use super::tables::decode_object;
use crate::model::bucket::BucketUid;
use crate::model::listing::{After, ListPage, ListQuery};
use crate::model::names::ObjectKey;

/// The smallest byte string above every one that begins with `prefix`. UTF-8 never holds 0xFF, so its last byte can
/// always be raised.
pub(super) fn successor(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    bytes
}

/// A range of names of objects.
type NameRange<'k> = (Bound<(u64, &'k [u8])>, Bound<(u64, &'k [u8])>);

/// The names of a bucket's objects from there on that are before `behind`, or all if that is empty; `None` if there can be
/// none. A page looks no further than its prefix: of a remote table, what follows it would be fetched to see that it does not
/// count.
pub(super) fn range_to<'k>(
    bucket: BucketUid,
    from: &'k Bound<Vec<u8>>,
    behind: &'k [u8],
) -> Option<NameRange<'k>> {
    let end = if behind.is_empty() { (bucket.0 + 1, behind) } else { (bucket.0, behind) };
    let start = match from {
        Bound::Included(key) => Bound::Included((bucket.0, key.as_slice())),
        Bound::Excluded(key) => Bound::Excluded((bucket.0, key.as_slice())),
        Bound::Unbounded => Bound::Included((bucket.0, [].as_slice())),
    };
    let is_before_end = matches!(&start, Bound::Included(name) | Bound::Excluded(name) if *name < end);
    is_before_end.then_some((start, Bound::Excluded(end)))
}

/// Where the first key of a page may lie.
fn first_bound(query: &ListQuery) -> Bound<Vec<u8>> {
    let prefix = query.prefix.as_bytes();
    match &query.after {
        Some(After::Key(key)) if key.as_bytes() >= prefix => Bound::Excluded(key.as_bytes().to_vec()),
        Some(After::Prefix(rolled)) => Bound::Included(successor(rolled).max(prefix.to_vec())),
        _ => Bound::Included(prefix.to_vec()),
    }
}

/// The common prefix that `key` is rolled up into.
pub(super) fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let found = key.get(prefix.len()..)?.find(delimiter)?;
    key.get(..prefix.len() + found + delimiter.len())
}

/// Whether the rows of a page are at hand; if not, they are noted as missed, so that they are fetched at once.
pub(super) fn is_at_hand(
    objects: &ReadTable<(u64, &'static [u8]), &'static [u8]>,
    bucket: BucketUid,
    query: &ListQuery,
) -> bool {
    let Some(delimiter) = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) else {
        return true;
    };
    let name = |key: &[u8]| <(u64, &[u8])>::to_ordered(&(bucket.0, key));
    objects.has_walked(|| Walk {
        from: match first_bound(query) {
            Bound::Included(key) => name(&key),
            Bound::Excluded(key) => [name(&key), vec![0]].concat(),
            Bound::Unbounded => name(&[]),
        },
        end: match successor(&query.prefix) {
            end if end.is_empty() => <(u64, &[u8])>::to_ordered(&(bucket.0 + 1, &[])),
            end => name(&end),
        },
        prefix: name(query.prefix.as_bytes()).len(),
        delimiter: delimiter.as_bytes().to_vec(),
        rows: query.limit.saturating_add(1),
    })
}

/// One page of a bucket's objects.
pub(super) fn page(
    objects: &impl ReadableTable<(u64, &'static [u8]), &'static [u8]>,
    bucket: BucketUid,
    query: &ListQuery,
) -> Result<ListPage, StorageError> {
    let mut page = ListPage::default();
    let mut last = None;
    let mut from = first_bound(query);
    let behind = successor(&query.prefix);
    let corrupt = |_| StorageError::Corrupted("an object key is not UTF-8".to_owned());
    'seek: loop {
        let Some(range) = range_to(bucket, &from, &behind) else {
            return Ok(page);
        };
        let left = query.limit.saturating_add(1) - page.objects.len() - page.common_prefixes.len();
        for entry in objects.range::<(u64, &[u8])>(range)?.expecting(left) {
            let (name, row) = entry?;
            let key = std::str::from_utf8(name.value().1).map_err(corrupt)?.to_owned();
            if page.objects.len() + page.common_prefixes.len() >= query.limit {
                page.next = last;
                return Ok(page);
            }
            if let Some(rolled) = common_prefix(&key, &query.prefix, query.delimiter.as_deref()) {
                page.common_prefixes.push(rolled.to_owned());
                last = Some(After::Prefix(rolled.to_owned()));
                from = Bound::Included(successor(rolled));
                continue 'seek;
            }
            let object = decode_object(row.value())?;
            last = Some(After::Key(key.clone()));
            let key = ObjectKey::new(&key).map_err(|error| StorageError::Corrupted(error.to_string()))?;
            page.objects.push((key, object));
        }
        return Ok(page);
    }
}
