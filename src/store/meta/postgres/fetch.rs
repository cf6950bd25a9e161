//! Fetching rows: whatever is needed, of whichever tables, in one statement, which sees one moment.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::in_time;
use crate::store::meta::MetaError;
use crate::store::meta::kv::{Found, Need, Walk};
use crate::store::meta::remote::{Answer, Answers, NAMED_AT, Needs};
use crate::store::meta::tables::{FILES, OBJECTS};

/// What can be asked of a table, all needs of a kind at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Points,
    /// Rows of another table that those of [`Kind::Points`] name.
    Named,
    Firsts,
    Lasts,
    Walks,
    Count,
}

/// The needs of one kind of one table: a part of the statement.
type Arms<'n> = BTreeMap<(&'static str, Kind), Vec<&'n Need>>;

/// Rows, by key.
type FoundRows = Vec<(Vec<u8>, Found)>;

type Parameter<'n> = Box<dyn ToSql + Sync + Send + 'n>;

fn arms(needs: &Needs) -> Arms<'_> {
    let mut arms = Arms::new();
    for (table, need) in needs {
        let kind = match need {
            Need::Point(_) => Kind::Points,
            Need::First(..) => Kind::Firsts,
            Need::Last(..) => Kind::Lasts,
            Need::Walk(_) => Kind::Walks,
            Need::Count => Kind::Count,
        };
        arms.entry((*table, kind)).or_default().push(need);
        if kind == Kind::Points && *table == OBJECTS.name() {
            arms.entry((*table, Kind::Named)).or_default().push(need);
        }
    }
    arms
}

/// The statement; its text depends only on which kinds are asked of which tables, so few are prepared. Each row says of which
/// part it is, and of which need of it.
fn statement<'n>(arms: &Arms<'n>) -> (String, Vec<Parameter<'n>>) {
    let (mut parts, mut parameters) = (Vec::new(), Vec::<Parameter<'n>>::new());
    for (arm, ((table, kind), needs)) in arms.iter().enumerate() {
        let at = parameters.len();
        let (one, two, three) = (at + 1, at + 2, at + 3);
        let bound = |which: fn(&'n Need) -> &'n [u8]| -> Parameter<'n> {
            Box::new(needs.iter().map(|need| which(need)).collect::<Vec<_>>())
        };
        parts.push(match kind {
            Kind::Points => {
                parameters.push(bound(from));
                format!("SELECT {arm}, 0::int8, k, rev, v FROM {table} WHERE k = ANY (${one}::bytea[])")
            }
            Kind::Named => {
                parameters.push(bound(from));
                format!(
                    "SELECT {arm}, 0::int8, f.k, f.rev, f.v FROM {table} r JOIN {files} f ON f.k = substring(r.v from {at} for 32) WHERE r.k = \
                     ANY (${one}::bytea[])",
                    files = FILES.name(),
                    at = NAMED_AT + 1
                )
            }
            Kind::Firsts => {
                parameters.extend([bound(from), bound(end)]);
                parameters.push(Box::new(needs.iter().map(|need| limit(need)).collect::<Vec<i64>>()));
                format!(
                    "SELECT {arm}, w.n, r.k, r.rev, r.v FROM unnest(${one}::bytea[], ${two}::bytea[], ${three}::int8[]) WITH \
                     ORDINALITY AS w(f, e, l, n), LATERAL (SELECT k, rev, v FROM {table} WHERE k >= w.f AND k < w.e ORDER BY k \
                     LIMIT w.l) r"
                )
            }
            Kind::Lasts => {
                parameters.extend([bound(from), bound(end)]);
                format!(
                    "SELECT {arm}, w.n, r.k, r.rev, r.v FROM unnest(${one}::bytea[], ${two}::bytea[]) WITH ORDINALITY AS w(f, e, \
                     n), LATERAL (SELECT k, rev, v FROM {table} WHERE k >= w.f AND k < w.e ORDER BY k DESC LIMIT 1) r"
                )
            }
            Kind::Walks => {
                parameters.extend([bound(from), bound(end)]);
                parameters.push(Box::new(needs.iter().map(|need| limit(need)).collect::<Vec<i64>>()));
                parameters.push(Box::new(needs.iter().map(|need| prefix(need)).collect::<Vec<i32>>()));
                let delimiters = needs.iter().filter_map(|need| walk(need)).map(|walk| walk.delimiter.as_slice());
                parameters.push(Box::new(delimiters.collect::<Vec<_>>()));
                let after = needs.iter().filter_map(|need| walk(need)).map(after_delimiter);
                parameters.push(Box::new(after.collect::<Vec<_>>()));
                walks(arm, table, at)
            }
            Kind::Count => format!("SELECT {arm}, 0::int8, ''::bytea, count(*), ''::bytea FROM {table}"),
        });
    }
    (parts.join(" UNION ALL "), parameters)
}

fn from(need: &Need) -> &[u8] {
    match need {
        Need::Point(from) | Need::First(from, ..) | Need::Last(from, _) => from,
        Need::Walk(walk) => &walk.from,
        Need::Count => &[],
    }
}

fn end(need: &Need) -> &[u8] {
    match need {
        Need::First(_, end, _) | Need::Last(_, end) => end,
        Need::Walk(walk) => &walk.end,
        Need::Point(_) | Need::Count => &[],
    }
}

fn limit(need: &Need) -> i64 {
    let rows = match need {
        Need::First(_, _, rows) => *rows,
        Need::Walk(walk) => walk.rows,
        _ => 1,
    };
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn walk(need: &Need) -> Option<&Walk> {
    match need {
        Need::Walk(walk) => Some(walk),
        _ => None,
    }
}

fn prefix(need: &Need) -> i32 {
    walk(need).map_or(0, |walk| i32::try_from(walk.prefix).unwrap_or(i32::MAX))
}

/// What sorts right behind everything that begins with the delimiter.
fn after_delimiter(walk: &Walk) -> Vec<u8> {
    let mut after = walk.delimiter.clone();
    if let Some(last) = after.last_mut() {
        *last = last.saturating_add(1);
    }
    after
}

/// Walks from row to row, as [`Walk::behind`] does. The first parameter is the one behind `at`.
fn walks(arm: usize, table: &str, at: usize) -> String {
    let [from, end, rows, prefix, delimiter, after] = std::array::from_fn(|parameter| at + 1 + parameter);
    format!(
        "SELECT {arm}, w.n, r.k, r.rev, r.v FROM unnest(${from}::bytea[], ${end}::bytea[], ${rows}::int8[], ${prefix}::int4[], \
         ${delimiter}::bytea[], ${after}::bytea[]) WITH ORDINALITY AS w(f, e, l, p, d, a, n), LATERAL (WITH RECURSIVE walk AS \
         ((SELECT k, rev, v, 1::int8 AS i FROM {table} WHERE k >= w.f AND k < w.e ORDER BY k LIMIT 1) UNION ALL SELECT t.k, \
         t.rev, t.v, s.i + 1 FROM walk s, LATERAL (SELECT position(w.d in substring(s.k from w.p + 1)) AS at) x, LATERAL (SELECT \
         k, rev, v FROM {table} WHERE k >= CASE WHEN x.at > 0 THEN substring(s.k from 1 for w.p + x.at - 1) || w.a ELSE s.k || \
         '\\x00'::bytea END AND k < w.e ORDER BY k LIMIT 1) t WHERE s.i < w.l) SELECT k, rev, v FROM walk) r"
    )
}

/// Fetches all that is needed.
pub(super) async fn fetch(client: &Object, needs: &Needs) -> Result<Answers, MetaError> {
    let arms = arms(needs);
    let (text, parameters) = statement(&arms);
    let parameters: Vec<_> = parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect();
    let rows = in_time(async {
        let statement = client.prepare_cached(&text).await?;
        client.query(&statement, &parameters).await
    })
    .await?;
    answers(&arms, &rows).map_err(|error| super::error::meta_error(&error))
}

fn answers(arms: &Arms<'_>, rows: &[Row]) -> Result<Answers, tokio_postgres::Error> {
    let mut found: HashMap<(i32, i64), FoundRows> = HashMap::new();
    for row in rows {
        let (arm, need): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
        let value = Bytes::copy_from_slice(row.try_get(4)?);
        let row = (row.try_get(2)?, Found { revision: row.try_get::<_, i64>(3)?.cast_unsigned(), value });
        found.entry((arm, need)).or_default().push(row);
    }
    let mut answers = Answers::new();
    for (arm, ((table, kind), needs)) in (0..).zip(arms) {
        let answer = |need: &Need, answer| ((*table, need.clone()), answer);
        match kind {
            Kind::Points => {
                let mut rows: HashMap<_, _> =
                    found.remove(&(arm, 0)).unwrap_or_default().into_iter().collect();
                for need in needs {
                    let row = rows.remove_entry(from(need));
                    answers.push(answer(need, Answer::Rows(row.into_iter().collect())));
                }
            }
            Kind::Named => {
                for (key, row) in found.remove(&(arm, 0)).unwrap_or_default() {
                    let need = (FILES.name(), Need::Point(key.clone()));
                    answers.push((need, Answer::Rows(vec![(key, row)])));
                }
            }
            Kind::Firsts | Kind::Lasts | Kind::Walks => {
                for (number, need) in (1..).zip(needs) {
                    let mut rows = found.remove(&(arm, number)).unwrap_or_default();
                    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
                    answers.push(answer(need, Answer::Rows(rows)));
                }
            }
            Kind::Count => {
                let count = found.remove(&(arm, 0)).and_then(|rows| Some(rows.first()?.1.revision));
                answers.push(answer(&Need::Count, Answer::Count(count.unwrap_or(0))));
            }
        }
    }
    Ok(answers)
}
