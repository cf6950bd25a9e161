//! [`Rows`](super::rows) against a map: whatever work does, it sees what it would see of the database itself, and what it has
//! written is what the database is told to change.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::rows::RowTable;
use super::{Found, Need, SharedRows, TableChanges};

type Map = BTreeMap<Vec<u8>, Bytes>;

const TABLE: &str = "table";

#[derive(Debug, Clone)]
enum Step {
    Get(Vec<u8>),
    Next(Vec<u8>, Vec<u8>, usize),
    Last(Vec<u8>, Vec<u8>),
    Write(Vec<u8>, Option<u8>),
    RemoveIn(Vec<u8>, Vec<u8>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..3_u8, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        key().prop_map(Step::Get),
        (key(), key(), prop_oneof![Just(1), Just(2), Just(256)])
            .prop_map(|(from, end, rows)| Step::Next(from, end, rows)),
        (key(), key()).prop_map(|(from, end)| Step::Last(from, end)),
        (key(), prop::option::of(0..3_u8)).prop_map(|(key, value)| Step::Write(key, value)),
        (key(), key()).prop_map(|(from, end)| Step::RemoveIn(from, end)),
    ]
}

/// What is seen, step by step; all rows of a range for `Next`.
type Seen = Vec<Vec<(Vec<u8>, Bytes)>>;

fn value(value: Option<u8>) -> Option<Bytes> {
    value.map(|byte| Bytes::copy_from_slice(&[byte]))
}

fn on_rows(table: &RowTable, steps: &[Step]) -> Seen {
    let mut seen = Seen::new();
    for step in steps {
        match step {
            Step::Get(key) => {
                seen.push(table.get(key).map(|value| (key.clone(), value)).into_iter().collect());
            }
            Step::Next(from, end, rows) => {
                let (mut at, mut all) = (from.clone(), Vec::new());
                while let Some((key, value)) = table.next(&at, end, *rows) {
                    at.clone_from(&key);
                    at.push(0);
                    all.push((key, value));
                }
                seen.push(all);
            }
            Step::Last(from, end) => seen.push(table.last(from, end).into_iter().collect()),
            Step::Write(key, byte) => table.write(key.clone(), value(*byte)),
            Step::RemoveIn(from, end) => table.remove_in((from.clone(), end.clone())),
        }
    }
    seen
}

fn within(map: &Map, from: &[u8], end: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
    let inside = map.iter().filter(|(key, _)| from <= key.as_slice() && key.as_slice() < end);
    inside.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn on_map(map: &mut Map, steps: &[Step]) -> Seen {
    let mut seen = Seen::new();
    for step in steps {
        match step {
            Step::Get(key) => seen.push(
                map.get_key_value(key).map(|(key, value)| (key.clone(), value.clone())).into_iter().collect(),
            ),
            Step::Next(from, end, _) => seen.push(within(map, from, end)),
            Step::Last(from, end) => seen.push(within(map, from, end).pop().into_iter().collect()),
            Step::Write(key, Some(byte)) => drop(map.insert(key.clone(), Bytes::copy_from_slice(&[*byte]))),
            Step::Write(key, None) => drop(map.remove(key)),
            Step::RemoveIn(from, end) => map.retain(|key, _| !(from <= key && key < end)),
        }
    }
    seen
}

fn answer(database: &Map, need: &Need) -> Vec<(Vec<u8>, Found)> {
    let found = |(key, value): (Vec<u8>, Bytes)| (key, Found { revision: 7, value });
    match need {
        Need::Point(key) => {
            within(database, key, &[key.as_slice(), &[0]].concat()).into_iter().map(found).collect()
        }
        Need::First(from, end, rows) => {
            within(database, from, end).into_iter().take(*rows).map(found).collect()
        }
        Need::Last(from, end) => within(database, from, end).pop().into_iter().map(found).collect(),
        Need::Walk(_) | Need::Count => Vec::new(),
    }
}

fn apply(database: &mut Map, changes: TableChanges) {
    for (key, revision) in &changes.points {
        assert_eq!(database.contains_key(key), revision.is_some(), "a check that does not hold");
    }
    for span in &changes.spans {
        assert_eq!(
            within(database, &span.from, &span.end).len() as u64,
            span.rows,
            "a span that does not hold"
        );
    }
    for (from, end) in &changes.removed {
        database.retain(|key, _| !(from <= key && key < end));
    }
    for (key, value) in changes.inserts {
        assert_eq!(database.insert(key, value), None, "an insert over a row");
    }
    database.extend(changes.upserts);
    for key in changes.deletes {
        database.remove(&key);
    }
}

proptest! {
    #[test]
    fn work_sees_the_database_and_what_it_has_written(
        database in prop::collection::btree_map(key(), (0..3_u8).prop_map(|byte| Bytes::copy_from_slice(&[byte])), 0..12),
        steps in prop::collection::vec(step(), 0..12),
    ) {
        let rows = SharedRows::default();
        let table = rows.table(TABLE);
        let mut rounds = 0;
        let seen = loop {
            rows.lock().begin();
            let seen = on_rows(&table, &steps);
            let needs = rows.lock().take_needs();
            if needs.is_empty() {
                break seen;
            }
            rounds += 1;
            prop_assert!(rounds < 200, "it never has enough: {needs:?}");
            for (table, need) in needs {
                let found = answer(&database, &need);
                rows.lock().learn(table, &need, found);
            }
        };
        let mut expected = database.clone();
        prop_assert_eq!(seen, on_map(&mut expected, &steps));
        let mut changed = database;
        for (_, changes) in rows.lock().changes() {
            apply(&mut changed, changes);
        }
        prop_assert_eq!(changed, expected);
    }
}
