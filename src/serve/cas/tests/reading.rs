//! The way out.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_file_comes_back_through_both_versions() {
    let house = house().await;
    let xorb = xorb(1, &[10_000, 20_000, 30_000]);
    let file = house.file(&xorb).await;

    let one = house.get(&format!("/v1/reconstructions/{file}")).await.json();
    assert_eq!(one["offset_into_first_range"], 0);
    let term = json!({ "hash": xorb.hash.to_string(), "unpacked_length": 60_000, "range": { "start": 0, "end": 3 } });
    assert_eq!(one["terms"], json!([term]));
    let fetch = &one["fetch_info"][xorb.hash.to_string()][0];
    assert_eq!(fetch["range"], json!({ "start": 0, "end": 3 }));
    assert_eq!(fetch["url_range"], json!({ "start": 0, "end": xorb.bytes.len() - 1 }));
    let fetched =
        house.fetch(fetch["url"].as_str().unwrap(), Some(&format!("bytes=0-{}", xorb.bytes.len() - 1))).await;
    assert_eq!((fetched.status, &fetched.body[..]), (StatusCode::PARTIAL_CONTENT, &xorb.bytes[..]));

    let two = house.get(&format!("/v2/reconstructions/{file}")).await.json();
    assert_eq!(two["terms"], one["terms"]);
    let fetch = &two["xorbs"][xorb.hash.to_string()][0];
    assert_eq!(fetch["ranges"][0]["chunks"], json!({ "start": 0, "end": 3 }));
    assert_eq!(fetch["ranges"][0]["bytes"], json!({ "start": 0, "end": xorb.bytes.len() - 1 }));
    let fetched = house.fetch(fetch["url"].as_str().unwrap(), None).await;
    assert_eq!(&fetched.body[..], &xorb.bytes[..]);

    let head = house.ask(&house.mine, Method::HEAD, &format!("/v1/files/{file}"), Body::empty()).await;
    assert_eq!((head.status, &head.headers["content-length"]), (StatusCode::OK, &"60000".parse().unwrap()));
    let head = house
        .ask(&house.mine, Method::HEAD, &format!("/v1/xorbs/default/{}", xorb.hash), Body::empty())
        .await;
    assert_eq!(head.headers["content-length"].to_str().unwrap(), xorb.bytes.len().to_string());
}

#[tokio::test]
async fn a_range_names_only_the_chunks_that_hold_it() {
    let house = house().await;
    let file = house.file(&xorb(1, &[10_000, 20_000, 30_000])).await;
    house.add("k", file).await;
    let path = format!("/v2/reconstructions/{file}");
    let token = house.token(&house.mine, CasScope::Read);
    let of = async |range: &str| house.ask_with(&token, Method::GET, &path, Body::empty(), Some(range)).await;
    let middle = of("bytes=15000-15009").await.json();
    assert_eq!(middle["offset_into_first_range"], 5_000);
    assert_eq!(middle["terms"][0]["range"], json!({ "start": 1, "end": 2 }));
    assert_eq!(middle["terms"][0]["unpacked_length"], 20_000);
    assert_eq!(of("bytes=59999-99999").await.json()["terms"][0]["range"], json!({ "start": 2, "end": 3 }));
    let behind = of("bytes=60000-60001").await;
    assert_eq!(behind.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(behind.headers["content-range"], "bytes */60000");
    assert_eq!(of("bytes=9-0").await.status, StatusCode::BAD_REQUEST);
    let empty = format!("/v2/reconstructions/{}", FileHash::EMPTY);
    let empty = house.ask_with(&token, Method::GET, &empty, Body::empty(), Some("bytes=0-0")).await;
    assert_eq!((empty.status, empty.json()["terms"].clone()), (StatusCode::OK, json!([])));
}

#[tokio::test]
async fn terms_of_many_xorbs_are_fetched_in_merged_ranges_and_several_parts() {
    let house = house().await;
    let (a, b) = (xorb(1, &[5_000; 8]), xorb(2, &[7_000; 2]));
    house.upload(&a).await;
    house.upload(&b).await;
    let terms = [(&a, 0, 2), (&b, 0, 2), (&a, 2, 3), (&a, 5, 7), (&a, 1, 2)];
    let file = file_of(&terms);
    let shard = Shard { files: vec![file.clone()], ..Shard::default() };
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::OK);

    let answer = house.get(&format!("/v2/reconstructions/{}", file.hash)).await.json();
    assert_eq!(answer["terms"].as_array().unwrap().len(), 5);
    let fetch = &answer["xorbs"][a.hash.to_string()][0];
    let chunks: Vec<_> =
        fetch["ranges"].as_array().unwrap().iter().map(|range| range["chunks"].clone()).collect();
    assert_eq!(chunks, [json!({ "start": 0, "end": 3 }), json!({ "start": 5, "end": 7 })]);

    let ranges = [a.table.record_range(0..3).unwrap(), a.table.record_range(5..7).unwrap()];
    let header =
        format!("bytes={}-{},{}-{}", ranges[0].start, ranges[0].end - 1, ranges[1].start, ranges[1].end - 1);
    let url = fetch["url"].as_str().unwrap();
    let parts = house.fetch(url, Some(&header)).await;
    assert_eq!(parts.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(parts.headers["content-length"].to_str().unwrap(), parts.body.len().to_string());
    let kind = parts.headers["content-type"].to_str().unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for range in &ranges {
        let size = a.bytes.len();
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {}-{}/{size}\r\n\r\n",
            range.start,
            range.end - 1
        );
        expected.extend(head.into_bytes());
        expected.extend(&a.bytes[range.start as usize..range.end as usize]);
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    assert_eq!(parts.body, expected);
    let second = house.fetch(url, Some(&format!("bytes={}-{}", ranges[1].start, ranges[1].end - 1))).await;
    assert_eq!(second.body, a.bytes[ranges[1].start as usize..ranges[1].end as usize]);
    let between = house.fetch(url, Some(&format!("bytes={}-{}", ranges[0].end, ranges[0].end))).await;
    assert_eq!(between.status, StatusCode::FORBIDDEN, "a range that was not signed");
}

#[tokio::test]
async fn a_batch_answers_for_all_files_or_none() {
    let house = house().await;
    let files = [house.file(&xorb(1, &[10_000])).await, house.file(&xorb(2, &[20_000])).await];
    let query = format!("/v1/reconstructions?file_id={}&file_id={}", files[0], files[1]);
    let by_query = house.get(&query).await.json();
    assert_eq!(by_query["files"].as_object().unwrap().len(), 2);
    assert_eq!(by_query["fetch_info"].as_object().unwrap().len(), 2);
    let list: Vec<_> =
        files.iter().map(|file| json!({ "prefix": "default", "hash": file.to_string() })).collect();
    let body = json!(list).to_string();
    let by_body = house.ask(&house.mine, Method::POST, "/v1/reconstructions", body).await.json();
    assert_eq!(by_body["files"], by_query["files"]);
    let unknown = format!("{query}&file_id={}", "1".repeat(64));
    assert_eq!(house.get(&unknown).await.status, StatusCode::NOT_FOUND);
    let many = "&file_id=".to_owned() + &files[0].to_string();
    assert_eq!(house.get(&format!("{query}{}", many.repeat(200))).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn only_the_bucket_that_holds_a_file_gives_it_out() {
    let house = house().await;
    let file = house.file(&xorb(1, &[10_000])).await;
    let path = format!("/v2/reconstructions/{file}");
    assert_eq!(house.get(&path).await.status, StatusCode::OK);
    let elsewhere = house.ask(&house.other, Method::GET, &path, Body::empty()).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
    let elsewhere = house.ask(&house.other, Method::HEAD, &format!("/v1/files/{file}"), Body::empty()).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_address_expires_and_one_of_a_xorb_that_is_gone_says_to_ask_again() {
    let house = house().await;
    let file = house.file(&xorb(1, &[10_000])).await;
    let url = house.address(file).await;
    assert_eq!(house.fetch(&url, None).await.status, StatusCode::PARTIAL_CONTENT);
    house.clock.advance_ms(3_600_000);
    assert_eq!(house.fetch(&url, None).await.status, StatusCode::FORBIDDEN);
    let gone = xorb(9, &[9_000]).hash;
    let url = format!(
        "http://hub:1/cas/v1/ranges/{gone}?{}",
        house.signer.sign_ranges(&gone, std::slice::from_ref(&(0..10)), (house.mine.uid, &house.caller))
    );
    assert_eq!(house.fetch(&url, None).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_client_that_changes_a_range_learns_what_to_cut_again() {
    let house = house().await;
    let (a, b) = (xorb(1, &[40_000; 8]), xorb(2, &[40_000; 4]));
    house.upload(&a).await;
    house.upload(&b).await;
    let file = file_of(&[(&a, 0, 8), (&b, 0, 4)]);
    let shard = Shard { files: vec![file.clone()], ..Shard::default() };
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::OK);
    let ask = async |bucket: &Bucket, changed: Option<&str>| {
        let mut request = Request::builder().uri(format!("/cas/v2/file-chunk-hashes/{}", file.hash));
        request = request.header("host", "hub:1");
        request = request.header("authorization", format!("Bearer {}", house.token(bucket, CasScope::Write)));
        if let Some(changed) = changed {
            request = request.header("X-Range-Dirty", changed);
        }
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let last = ask(&house.mine, Some("bytes=470000-479999")).await.json();
    assert_eq!((&last["totalChunks"], &last["fileSize"]), (&json!(12), &json!(480_000)));
    assert_eq!(last["windows"], json!([{ "dirtyByteRange": [440_000, 480_000] }]));
    assert_eq!((last["hashRanges"].as_array().unwrap().len(), &last["hashRanges"][1]), (2, &json!(null)));
    assert_eq!(last["gapVerification"], json!([a.table.range_hash(0..8).unwrap().to_string()]));

    let second = ask(&house.mine, Some("bytes=50000-50009")).await.json();
    assert_eq!(second["windows"], json!([{ "dirtyByteRange": [40_000, 160_000] }]));
    let first = json!({ "hash": a.table.hash(0).unwrap().to_string(), "size": 40_000 });
    let before = json!({ "nodes": [first], "levels": [[1, 0]], "at_start": true, "at_end": false });
    assert_eq!((&second["hashRanges"][0], &second["hashRanges"][1]["at_end"]), (&before, &json!(true)));
    assert_eq!(second["gapVerification"], json!([b.table.range_hash(0..4).unwrap().to_string()]));

    for bad in [None, Some("bytes=480000-"), Some("bytes=9-0"), Some("lines=0-1")] {
        assert_eq!(ask(&house.mine, bad).await.status, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    assert_eq!(ask(&house.other, Some("bytes=0-0")).await.status, StatusCode::NOT_FOUND);
}
