//! [`Rows`]: what is known of the rows of a remote database, what was written over them, and what was missed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::exchange::{Changes, Found, Need, SpanCheck, TableChanges, Walk};

/// Sorts after every key.
pub(in crate::store::meta) const PAST_ALL: [u8; 80] = [0xFF; 80];

/// Rows fetched at once of a range that goes on.
pub(in crate::store::meta) const PAGE: usize = 256;

/// Rows fetched at once, at most.
pub(super) const PAGE_MAX: usize = 8192;

/// One table.
#[derive(Default)]
struct TableRows {
    /// Rows that were fetched; `None` if they are not there.
    known: BTreeMap<Vec<u8>, Option<Found>>,
    /// Ranges of which all rows are known, by their beginning; they do not overlap.
    spans: BTreeMap<Vec<u8>, Vec<u8>>,
    count: Option<u64>,
    /// Those that were taken.
    walks: BTreeSet<Walk>,
    written: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// Ranges that were removed before what is in `written` was written.
    removed: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What is known, written and missed.
#[derive(Default)]
pub(in crate::store::meta) struct Rows {
    tables: HashMap<&'static str, TableRows>,
    needs: BTreeSet<(&'static str, Need)>,
    /// Which rows of totals this node adds to.
    shard: u8,
    /// A number that nobody has had.
    unique: u64,
}

/// What the tables of a transaction share.
#[derive(Clone, Default)]
pub(in crate::store::meta) struct SharedRows(Arc<Mutex<Rows>>);

/// One table of [`Rows`].
pub(in crate::store::meta) struct RowTable {
    name: &'static str,
    rows: SharedRows,
}

/// A row that was asked for, or not.
enum Fetched<'t> {
    Present(&'t Found),
    Absent,
    Unknown,
}

/// A row was not fetched.
struct NotKnown;

/// What comes next in a range.
enum Next {
    Row(Vec<u8>, Bytes),
    /// From here on it is not known.
    Unknown(Vec<u8>),
    End,
}

/// What lies in a range.
fn within<'m, T>(
    map: &'m BTreeMap<Vec<u8>, T>,
    from: &[u8],
    end: &[u8],
) -> impl DoubleEndedIterator<Item = (&'m Vec<u8>, &'m T)> {
    map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(end)))
}

fn up_to<'m, T>(
    map: &'m BTreeMap<Vec<u8>, T>,
    end: Bound<&[u8]>,
) -> impl DoubleEndedIterator<Item = (&'m Vec<u8>, &'m T)> {
    map.range::<[u8], _>((Bound::Unbounded, end))
}

fn is_within(key: &[u8], ranges: &[(Vec<u8>, Vec<u8>)]) -> bool {
    ranges.iter().any(|(from, end)| from.as_slice() <= key && key < end.as_slice())
}

impl TableRows {
    /// The end of the known range that a key lies in.
    fn known_until(&self, key: &[u8]) -> Option<&Vec<u8>> {
        let (_, end) = up_to(&self.spans, Bound::Included(key)).next_back()?;
        (key < end.as_slice()).then_some(end)
    }

    /// A row as it was fetched.
    fn fetched(&self, key: &[u8]) -> Fetched<'_> {
        match self.known.get(key) {
            Some(Some(found)) => Fetched::Present(found),
            Some(None) => Fetched::Absent,
            None if self.known_until(key).is_some() => Fetched::Absent,
            None => Fetched::Unknown,
        }
    }

    /// A row as it is now; or nothing, if it is not known.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, NotKnown> {
        if let Some(written) = self.written.get(key) {
            return Ok(written.clone());
        }
        if is_within(key, &self.removed) {
            return Ok(None);
        }
        match self.fetched(key) {
            Fetched::Present(found) => Ok(Some(found.value.clone())),
            Fetched::Absent => Ok(None),
            Fetched::Unknown => Err(NotKnown),
        }
    }

    /// The first row in a range that was fetched and was neither written over nor removed.
    fn next_fetched(&self, from: &[u8], end: &[u8]) -> Next {
        let mut at = from.to_vec();
        while at.as_slice() < end {
            let Some(until) = self.known_until(&at) else { return Next::Unknown(at) };
            let until = until.as_slice().min(end);
            let rows = within(&self.known, &at, until);
            for (key, found) in rows {
                if let Some(found) = found
                    && !self.written.contains_key(key)
                    && !is_within(key, &self.removed)
                {
                    return Next::Row(key.clone(), found.value.clone());
                }
            }
            at = until.to_vec();
        }
        Next::End
    }

    fn next(&self, from: &[u8], end: &[u8]) -> Next {
        if from >= end {
            return Next::End;
        }
        let written = within(&self.written, from, end);
        let mut written = written.filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let fetched = self.next_fetched(from, end);
        match (written.next(), fetched) {
            (Some((key, value)), Next::Row(at, _) | Next::Unknown(at)) if *key < at => {
                Next::Row(key.clone(), value.clone())
            }
            (Some((key, value)), Next::End) => Next::Row(key.clone(), value.clone()),
            (_, fetched) => fetched,
        }
    }

    /// The last row of a range; or up to where its last row must be asked for, if it is not known.
    fn last(&self, from: &[u8], end: &[u8]) -> Result<Option<(Vec<u8>, Bytes)>, Vec<u8>> {
        let mut at = from.to_vec();
        // From the part on that is known up to the end.
        if let Some((begin, until)) = up_to(&self.spans, Bound::Excluded(end)).next_back()
            && until.as_slice() >= end
            && begin.as_slice() > from
        {
            at.clone_from(begin);
        }
        let known_from = at.clone();
        let mut last = None;
        loop {
            match self.next(&at, end) {
                Next::Row(key, value) => {
                    at.clone_from(&key);
                    at.push(0);
                    last = Some((key, value));
                }
                Next::Unknown(_) => return Err(end.to_vec()),
                Next::End if last.is_none() && known_from != from => return Err(known_from),
                Next::End => return Ok(last),
            }
        }
    }

    fn know_span(&mut self, mut from: Vec<u8>, mut end: Vec<u8>) {
        if from >= end {
            return;
        }
        let touching: Vec<_> = up_to(&self.spans, Bound::Included(&end))
            .rev()
            .take_while(|(_, until)| until.as_slice() >= from.as_slice())
            .map(|(begin, until)| (begin.clone(), until.clone()))
            .collect();
        for (begin, until) in touching {
            self.spans.remove(&begin);
            from = from.min(begin);
            end = end.max(until);
        }
        self.spans.insert(from, end);
    }

    fn changes(&self) -> TableChanges {
        let mut changes = TableChanges { removed: self.removed.clone(), ..TableChanges::default() };
        for (from, end) in &self.spans {
            let within = within(&self.known, from, end);
            let within: Vec<_> = within.filter_map(|(_, found)| found.as_ref()).collect();
            let revisions = within.iter().map(|found| i128::from(found.revision.cast_signed())).sum();
            let (from, end) = (from.clone(), end.clone());
            changes.spans.push(SpanCheck { from, end, rows: within.len() as u64, revisions });
        }
        let mut inserted = BTreeSet::new();
        for (key, value) in &self.written {
            let fetched = if is_within(key, &self.removed) { Fetched::Unknown } else { self.fetched(key) };
            match (value, fetched) {
                (Some(value), Fetched::Absent) => {
                    inserted.insert(key);
                    changes.inserts.push((key.clone(), value.clone()));
                }
                (Some(value), Fetched::Present(found)) if found.value == *value => {}
                (Some(value), _) => changes.upserts.push((key.clone(), value.clone())),
                (None, Fetched::Absent) => {}
                (None, _) => changes.deletes.push(key.clone()),
            }
        }
        // That a row is not there is seen when it is inserted, and that those of a range are what they were by the range.
        let is_checked = |key: &Vec<u8>| inserted.contains(key) || self.known_until(key).is_some();
        let points = self.known.iter().filter(|(key, _)| !is_checked(key));
        changes.points =
            points.map(|(key, found)| (key.clone(), found.as_ref().map(|found| found.revision))).collect();
        changes
    }
}

impl Rows {
    /// Forgets what was written and missed, for work to run again.
    pub(in crate::store::meta) fn begin(&mut self) {
        self.needs.clear();
        for table in self.tables.values_mut() {
            table.written.clear();
            table.removed.clear();
        }
    }

    /// What was missed since [`Rows::begin`].
    pub(in crate::store::meta) fn take_needs(&mut self) -> BTreeSet<(&'static str, Need)> {
        std::mem::take(&mut self.needs)
    }

    /// Everything that was ever asked for, to be asked again of another moment.
    pub(in crate::store::meta) fn forget_all(&mut self) -> BTreeSet<(&'static str, Need)> {
        let mut asked = BTreeSet::new();
        for (name, table) in self.tables.drain() {
            for key in table.known.keys().filter(|key| table.known_until(key).is_none()) {
                asked.insert((name, Need::Point(key.clone())));
            }
            for (from, end) in &table.spans {
                let rows = within(&table.known, from, end);
                asked.insert((name, Need::First(from.clone(), end.clone(), rows.count() + PAGE)));
            }
        }
        self.needs.clear();
        asked
    }

    /// Takes what was fetched for a need, in order.
    pub(in crate::store::meta) fn learn(
        &mut self,
        name: &'static str,
        need: &Need,
        found: Vec<(Vec<u8>, Found)>,
    ) {
        let table = self.tables.entry(name).or_default();
        match need {
            Need::Point(key) => {
                let found = found.into_iter().next().map(|(_, found)| found);
                table.known.insert(key.clone(), found);
            }
            Need::First(from, end, limit) => {
                let mut until = end.clone();
                if found.len() >= *limit
                    && let Some((last, _)) = found.last()
                {
                    until.clone_from(last);
                    until.push(0);
                }
                table.know_span(from.clone(), until);
                table.known.extend(found.into_iter().map(|(key, found)| (key, Some(found))));
            }
            Need::Last(from, end) => {
                let from = found.first().map_or(from, |(key, _)| key).clone();
                table.know_span(from, end.clone());
                table.known.extend(found.into_iter().map(|(key, found)| (key, Some(found))));
            }
            Need::Walk(walk) => {
                let is_end = found.len() < walk.rows;
                let mut at = walk.from.clone();
                for (key, found) in found {
                    let mut until = key.clone();
                    until.push(0);
                    table.know_span(at, until);
                    at = walk.behind(&key);
                    table.known.insert(key, Some(found));
                }
                if is_end {
                    table.know_span(at, walk.end.clone());
                }
                table.walks.insert(walk.clone());
            }
            Need::Count => {}
        }
    }

    /// Takes how many rows a table has.
    pub(in crate::store::meta) fn learn_count(&mut self, name: &'static str, count: u64) {
        self.tables.entry(name).or_default().count = Some(count);
    }

    /// What the work has read and written.
    pub(in crate::store::meta) fn changes(&self) -> Changes {
        self.tables.iter().map(|(name, table)| (*name, table.changes())).collect()
    }
}

impl SharedRows {
    /// For a transaction that writes: on which rows of totals, and from which number on that nobody has had.
    pub(in crate::store::meta) fn to_write(shard: u8, unique: u64) -> Self {
        let shard = shard.min(super::totals::SHARDS - 1);
        Self(Arc::new(Mutex::new(Rows { shard, unique, ..Rows::default() })))
    }

    /// A number that nobody has had.
    pub(in crate::store::meta) fn unique(&self) -> u64 {
        let mut rows = self.lock();
        rows.unique = rows.unique.wrapping_add(1);
        rows.unique
    }

    pub(in crate::store::meta) fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn table(&self, name: &'static str) -> RowTable {
        RowTable { name, rows: self.clone() }
    }
}

impl RowTable {
    /// Answers from what is known, or notes what was missed.
    fn ask<T>(&self, answer: impl FnOnce(&TableRows) -> Result<Option<T>, Need>) -> Option<T> {
        let mut rows = self.rows.lock();
        match answer(rows.tables.entry(self.name).or_default()) {
            Ok(answer) => answer,
            Err(need) => {
                rows.needs.insert((self.name, need));
                None
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut TableRows)) {
        change(self.rows.lock().tables.entry(self.name).or_default());
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.ask(|table| table.get(key).map_err(|NotKnown| Need::Point(key.to_vec())))
    }

    /// The first row of a range; if it is not known, `rows` of it are asked for.
    pub(super) fn next(&self, from: &[u8], end: &[u8], rows: usize) -> Option<(Vec<u8>, Bytes)> {
        self.ask(|table| match table.next(from, end) {
            Next::Row(key, value) => Ok(Some((key, value))),
            // The longer it goes on the more at once: what asks runs again for each page.
            Next::Unknown(at) if rows > 1 => {
                let rows = rows.max(table.known.len()).min(PAGE_MAX);
                Err(Need::First(at, end.to_vec(), rows))
            }
            Next::Unknown(at) => Err(Need::First(at, end.to_vec(), 1)),
            Next::End => Ok(None),
        })
    }

    pub(super) fn last(&self, from: &[u8], end: &[u8]) -> Option<(Vec<u8>, Bytes)> {
        self.ask(|table| table.last(from, end).map_err(|upto| Need::Last(from.to_vec(), upto)))
    }

    /// Whether a walk was taken; if not, it is asked for.
    pub(super) fn has_walked(&self, walk: Walk) -> bool {
        self.ask(|table| if table.walks.contains(&walk) { Ok(Some(())) } else { Err(Need::Walk(walk)) })
            .is_some()
    }

    pub(super) fn shard(&self) -> u8 {
        self.rows.lock().shard
    }

    pub(super) fn len(&self) -> u64 {
        self.ask(|table| table.count.map(Some).ok_or(Need::Count)).unwrap_or_default()
    }

    pub(super) fn write(&self, key: Vec<u8>, value: Option<Bytes>) {
        self.change(|table| drop(table.written.insert(key, value)));
    }

    pub(super) fn remove_in(&self, (from, end): (Vec<u8>, Vec<u8>)) {
        self.change(|table| {
            table.written.retain(|key, _| !(from <= *key && *key < end));
            table.removed.push((from, end));
        });
    }
}
