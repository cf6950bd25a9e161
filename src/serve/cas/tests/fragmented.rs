//! Files of very many terms: what is taken, what is answered, and that nobody else waits for it.

use super::*;
use crate::bucket::ObjectRef;

/// A file of `terms` terms of `chunks` chunks each, no two of which are neighbours in the one xorb that has them all.
async fn fragmented(house: &House, terms: usize, chunks: u32) -> (Xorb, Shard) {
    let xorb = xorb(9, &vec![100; 2 * chunks as usize + 1]);
    assert_eq!(house.upload(&xorb).await.status, StatusCode::OK);
    let behind_a_gap = (&xorb, chunks + 1, 2 * chunks + 1);
    let term = |at: usize| if at.is_multiple_of(2) { behind_a_gap } else { (&xorb, 0, chunks) };
    let file = file_of(&(0..terms).map(term).collect::<Vec<_>>());
    let shard = Shard { files: vec![file], xorbs: Vec::new(), footer: None };
    (xorb, shard)
}

#[tokio::test]
async fn a_file_that_is_nothing_but_fragments_is_refused() {
    let house = house().await;
    let (_, shard) = fragmented(&house, 9000, 1).await;
    for path in ["/v1/shards", "/v2/shards"] {
        let refused = house.ask(&house.mine, Method::POST, path, shard.encode_upload()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let message = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(message.contains("9000 terms for 9000 chunks"), "{message}");
    }
    let (_, shard) = fragmented(&house, 8000, 1).await;
    assert_eq!(
        house.register(&house.mine, &shard).await.status,
        StatusCode::OK,
        "what clients make is taken"
    );
}

#[tokio::test]
async fn a_file_of_many_terms_is_answered_range_by_range() {
    const TERMS: usize = 70_000;
    const TERM_BYTES: u64 = 200;
    let house = house().await;
    let (xorb, shard) = fragmented(&house, TERMS, 2).await;
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::OK);
    let (file, token) = (shard.files[0].hash, house.token(&house.mine, CasScope::Write));
    let ask = async |version: u8, range: Option<&str>| {
        let path = format!("/v{version}/reconstructions/{file}");
        house.ask_with(&token, Method::GET, &path, Body::empty(), range).await
    };
    for version in [1, 2] {
        let all = ask(version, None).await;
        assert_eq!(all.status, StatusCode::BAD_REQUEST);
        assert!(all.json()["error"].as_str().unwrap().contains("ask for shorter ranges"));
        // Within a run of terms, over the seam of two, at the end, and as much as is answered at once.
        for (first, last) in [(10_050, 10_050), (204_700, 204_900), (13_999_999, 13_999_999), (1, 13_000_000)]
        {
            let answer = ask(version, Some(&format!("bytes={first}-{last}"))).await;
            assert_eq!(answer.status, StatusCode::OK, "{first}-{last}");
            let answer = answer.json();
            let skipped = answer["offset_into_first_range"].as_u64().unwrap();
            let terms = answer["terms"].as_array().unwrap();
            let bytes: u64 = terms.iter().map(|term| term["unpacked_length"].as_u64().unwrap()).sum();
            assert!(bytes > skipped + last - first && skipped < TERM_BYTES, "{first}-{last}: {skipped}");
            assert_eq!(terms.len() as u64, last / TERM_BYTES - first / TERM_BYTES + 1);
            // The chunk that the range begins in, as the file has it.
            let index = first / TERM_BYTES;
            let chunk = if index.is_multiple_of(2) { 3 } else { 0 } + first % TERM_BYTES / 100;
            assert_eq!(terms[0]["range"]["start"], chunk);
            assert_eq!(skipped, first % 100);
            let fetches = answer[if version == 1 { "fetch_info" } else { "xorbs" }].as_object().unwrap();
            assert_eq!(fetches.keys().collect::<Vec<_>>(), [&xorb.hash.to_string()]);
        }
    }
    let twice = house.get(&format!("/v1/reconstructions?file_id={file}&file_id={file}")).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    let listed = house.get(&format!("/v1/reconstructions?file_id={file}")).await;
    assert!(listed.json()["error"].as_str().unwrap().contains("too fragmented"));
}

#[tokio::test]
async fn any_range_of_a_file_of_many_terms_reads_back() {
    let house = house().await;
    let (xorb, shard) = fragmented(&house, 5000, 2).await;
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::OK);
    house.add("long", shard.files[0].hash).await;
    let (front, back) = (&xorb.raw[..200], &xorb.raw[300..]);
    let whole = [back, front].concat().repeat(2500);
    let key = ObjectKey::new("long").unwrap();
    for (first, last) in [(0, 999_999), (204_799, 204_801), (409_601, 700_000), (999_999, 999_999)] {
        let range = crate::bucket::ByteRange::Bounded(first, last);
        let read = house.buckets.read(&house.mine.id, ObjectRef::current(&key), Some(range)).await.unwrap();
        let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(read.body).await.unwrap();
        assert_eq!(pieces.concat(), &whole[first as usize..=last as usize], "{first}-{last}");
    }
    let outside = crate::bucket::ByteRange::From(1_000_000);
    assert!(house.buckets.read(&house.mine.id, ObjectRef::current(&key), Some(outside)).await.is_err());
}
