//! Long answers in JSON, written as they leave: what waits for a slow client is what the answer is made of, which is a tenth
//! of its text.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream;
use serde::Serialize;

use crate::model::turns::Turn;

/// Text in pieces.
pub(super) type Pieces = Box<dyn Iterator<Item = String> + Send>;

/// Pieces are sent on when they are this long together: some 200 addresses to sign, a millisecond.
const BATCH_BYTES: usize = 64 << 10;

/// A value in JSON.
pub(super) fn text(value: &impl Serialize) -> String {
    // Plain data always can be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// A list of values.
pub(super) fn list(values: impl Iterator<Item = String> + Send + 'static) -> Pieces {
    let mut comma = "";
    let values = values.map(move |value| format!("{}{value}", std::mem::replace(&mut comma, ",")));
    Box::new(std::iter::once("[".to_owned()).chain(values).chain(std::iter::once("]".to_owned())))
}

/// A map from names, which are hexadecimal, to values.
pub(super) fn map(entries: impl Iterator<Item = (String, Pieces)> + Send + 'static) -> Pieces {
    let mut comma = "";
    let entries = entries.flat_map(move |(name, value)| {
        let name = format!(r#"{}"{name}":"#, std::mem::replace(&mut comma, ","));
        std::iter::once(name).chain(value)
    });
    Box::new(std::iter::once("{".to_owned()).chain(entries).chain(std::iter::once("}".to_owned())))
}

/// The next pieces, joined; `None` at the end.
fn next_batch(pieces: &mut Pieces) -> Option<Bytes> {
    let mut batch = pieces.next()?;
    while batch.len() < BATCH_BYTES
        && let Some(piece) = pieces.next()
    {
        batch.push_str(&piece);
    }
    Some(batch.into())
}

/// An answer of these pieces, which holds something until it has left.
pub(super) fn response(mut pieces: Pieces, held: Turn) -> Response {
    let first = next_batch(&mut pieces).unwrap_or_default();
    let body = if first.len() < BATCH_BYTES {
        Body::from(first)
    } else {
        let rest = stream::unfold((pieces, held), async |(mut pieces, held)| {
            // Others have their turn between two batches.
            tokio::task::yield_now().await;
            next_batch(&mut pieces).map(|batch| (Ok::<_, Infallible>(batch), (pieces, held)))
        });
        let first = stream::once(async move { Ok(first) });
        Body::from_stream(futures::StreamExt::chain(first, rest))
    };
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn short_and_long_answers_are_json() {
        for entries in [0, 1, 3, 5000] {
            let values = move |count: usize| list((0..count).map(|value| text(&value)));
            let pieces = map((0..entries).map(move |entry| (format!("{entry:x}"), values(entry % 7))));
            let body = response(pieces, Turn::default()).into_body();
            let bytes = body.collect().await.unwrap().to_bytes();
            let read: std::collections::BTreeMap<String, Vec<usize>> =
                serde_json::from_slice(&bytes).unwrap();
            assert_eq!(read.len(), entries);
            assert!(
                read.iter()
                    .all(|(name, values)| { values.len() == usize::from_str_radix(name, 16).unwrap() % 7 })
            );
        }
    }
}
