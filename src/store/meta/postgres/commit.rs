//! Committing: what was read is checked and what was written is sent, in statements that follow each other without waiting.

use bytes::Bytes;
use deadpool_postgres::Object;
use futures::future::{BoxFuture, join_all};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::error::{in_time, is_changed, meta_error};
use crate::store::meta::MetaError;
use crate::store::meta::kv::{Changes, TableChanges};
use crate::store::meta::remote::Committed;

type Parameter<'c> = Box<dyn ToSql + Sync + Send + 'c>;

/// A statement's text, and what goes into it.
type Step<'c> = (String, Vec<Parameter<'c>>);

fn has_checks(changes: &TableChanges) -> bool {
    !changes.points.is_empty() || !changes.spans.is_empty()
}

/// One statement that fails with a division by zero if anything that was read is not as it was.
fn check(changes: &Changes) -> Option<Step<'_>> {
    let (mut parts, mut parameters) = (Vec::new(), Vec::<Parameter<'_>>::new());
    for (table, changes) in changes.iter().filter(|(_, changes)| has_checks(changes)) {
        if !changes.points.is_empty() {
            let at = parameters.len();
            let revisions = changes.points.iter().map(|(_, revision)| revision.map(u64::cast_signed));
            parameters
                .push(Box::new(changes.points.iter().map(|(key, _)| key.as_slice()).collect::<Vec<_>>()));
            parameters.push(Box::new(revisions.collect::<Vec<_>>()));
            parts.push(format!(
                "EXISTS (SELECT FROM unnest(${}::bytea[], ${}::int8[]) AS w(k, rev) LEFT JOIN {table} r ON r.k = w.k WHERE r.rev \
                 IS DISTINCT FROM w.rev)",
                at + 1,
                at + 2
            ));
        }
        if !changes.spans.is_empty() {
            let at = parameters.len();
            let spans = &changes.spans;
            parameters.push(Box::new(spans.iter().map(|span| span.from.as_slice()).collect::<Vec<_>>()));
            parameters.push(Box::new(spans.iter().map(|span| span.end.as_slice()).collect::<Vec<_>>()));
            parameters.push(Box::new(spans.iter().map(|span| span.rows.cast_signed()).collect::<Vec<_>>()));
            parameters
                .push(Box::new(spans.iter().map(|span| span.revisions.to_string()).collect::<Vec<_>>()));
            parts.push(format!(
                "EXISTS (SELECT FROM unnest(${}::bytea[], ${}::bytea[], ${}::int8[], ${}::text[]) AS w(f, e, n, s), LATERAL \
                 (SELECT count(*) AS n, coalesce(sum(rev), 0)::text AS s FROM {table} WHERE k >= w.f AND k < w.e) r WHERE r.n <> \
                 w.n OR r.s <> w.s)",
                at + 1,
                at + 2,
                at + 3,
                at + 4
            ));
        }
    }
    if parts.is_empty() {
        return None;
    }
    Some((format!("SELECT 1 / (CASE WHEN {} THEN 0 ELSE 1 END)", parts.join(" OR ")), parameters))
}

fn rows(rows: &[(Vec<u8>, Bytes)], revision: u64) -> Vec<Parameter<'_>> {
    let keys: Vec<&[u8]> = rows.iter().map(|(key, _)| key.as_slice()).collect();
    let values: Vec<&[u8]> = rows.iter().map(|(_, value)| value.as_ref()).collect();
    vec![Box::new(revision.cast_signed()), Box::new(keys), Box::new(values)]
}

/// The statements that write.
fn writes(changes: &Changes, revision: u64) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for (table, changes) in changes {
        let TableChanges { removed, inserts, upserts, deletes, .. } = changes;
        if !removed.is_empty() {
            let (from, end): (Vec<_>, Vec<_>) =
                removed.iter().map(|(from, end)| (from.as_slice(), end.as_slice())).unzip();
            let text = format!(
                "DELETE FROM {table} r USING unnest($1::bytea[], $2::bytea[]) AS w(f, e) WHERE r.k >= w.f AND r.k < w.e"
            );
            steps.push((text, vec![Box::new(from) as Parameter<'_>, Box::new(end)]));
        }
        let insert = format!(
            "INSERT INTO {table} (k, rev, v) SELECT k, $1::int8, v FROM unnest($2::bytea[], $3::bytea[]) AS w(k, v)"
        );
        if !upserts.is_empty() {
            let text = format!("{insert} ON CONFLICT (k) DO UPDATE SET rev = excluded.rev, v = excluded.v");
            steps.push((text, rows(upserts, revision)));
        }
        if !inserts.is_empty() {
            steps.push((insert, rows(inserts, revision)));
        }
        if !deletes.is_empty() {
            let keys: Vec<&[u8]> = deletes.iter().map(Vec::as_slice).collect();
            let text = format!("DELETE FROM {table} WHERE k = ANY ($1::bytea[])");
            steps.push((text, vec![Box::new(keys) as Parameter<'_>]));
        }
    }
    steps
}

/// Checks and writes, all or nothing.
pub(super) async fn commit(
    client: &Object,
    changes: &Changes,
    revision: u64,
) -> Result<Committed, MetaError> {
    let writes = writes(changes, revision);
    // One statement sees one moment by itself.
    let is_alone = writes.is_empty();
    let steps: Vec<Step<'_>> = check(changes).into_iter().chain(writes).collect();
    if steps.is_empty() {
        return Ok(Committed::Yes);
    }
    let mut statements = Vec::with_capacity(steps.len());
    for (text, _) in &steps {
        statements.push(in_time(client.prepare_cached(text)).await?);
    }
    in_time(async { Ok(send(client, &steps, &statements, is_alone).await) }).await?
}

/// Sends all statements at once, and waits for all answers.
async fn send(
    client: &Object,
    steps: &[Step<'_>],
    statements: &[Statement],
    is_alone: bool,
) -> Result<Committed, MetaError> {
    let mut sent: Vec<BoxFuture<'_, Result<(), tokio_postgres::Error>>> = Vec::with_capacity(steps.len() + 2);
    if !is_alone {
        sent.push(Box::pin(client.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE")));
    }
    for (statement, (_, parameters)) in statements.iter().zip(steps) {
        sent.push(Box::pin(async move {
            let parameters: Vec<_> =
                parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect();
            client.execute(statement, &parameters).await.map(drop)
        }));
    }
    if !is_alone {
        // After an error the database makes a rollback of it.
        sent.push(Box::pin(client.batch_execute("COMMIT")));
    }
    // The first error is the reason; those after it are only consequences.
    match join_all(sent).await.into_iter().find_map(Result::err) {
        None => Ok(Committed::Yes),
        Some(error) if is_changed(&error) => Ok(Committed::Changed),
        Some(error) => Err(meta_error(&error)),
    }
}
