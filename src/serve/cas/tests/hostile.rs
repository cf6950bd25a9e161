//! Bad input: a status of the fours, and nothing stored.

use super::*;
use crate::auth::cas_token::TOKEN_LIFETIME;
use crate::serve::http::RequestContext;
use crate::serve::http::rate_limit::{RateLimit, RateLimiter, RateLimits};
use crate::xet::limits::{SHARD_BYTES_MAX, XORB_BYTES_MAX};

async fn xorb_is_refused(house: &House, hash: XorbHash, bytes: Vec<u8>) -> String {
    let path = format!("/v1/xorbs/default/{hash}");
    let answer = house.ask(&house.mine, Method::POST, &path, bytes).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.headers.contains_key("x-error-message"));
    let head = house.ask(&house.mine, Method::HEAD, &path, Body::empty()).await;
    assert_eq!(head.status, StatusCode::NOT_FOUND, "nothing is stored");
    answer.json()["error"].as_str().unwrap().to_owned()
}

async fn shard_is_refused(house: &House, shard: Vec<u8>) -> String {
    let files = async || {
        let view = house.buckets.store().meta.view().await.unwrap();
        view.counts().await.unwrap().files
    };
    let before = files().await;
    let mut messages = Vec::new();
    for path in ["/v1/shards", "/v2/shards"] {
        let answer = house.ask(&house.mine, Method::POST, path, shard.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        messages.push(answer.json()["error"].as_str().unwrap().to_owned());
    }
    assert_eq!(files().await, before, "nothing is stored");
    messages.remove(0)
}

#[tokio::test]
async fn without_a_good_token_nobody_comes_in() {
    let house = house().await;
    let xorb = xorb(1, &[10_000]);
    let file = house.file(&xorb).await;
    let directory = Arc::new(Directory::new([credential()]).unwrap());
    let foreign = CasSigner::new(&[8; 32], directory, Arc::clone(&house.clock) as _);
    let foreign = foreign.issue(house.mine.uid, CasScope::Write, &house.caller).text;
    let expired = house.token(&house.mine, CasScope::Write);
    house.clock.advance_ms(TOKEN_LIFETIME.as_millis() as u64);
    let routes = [
        (Method::GET, format!("/v1/reconstructions/{file}")),
        (Method::GET, format!("/v2/reconstructions/{file}")),
        (Method::GET, format!("/v1/reconstructions?file_id={file}")),
        (Method::POST, "/v1/reconstructions".to_owned()),
        (Method::GET, format!("/v1/chunks/default/{}", ChunkHash::of(b"x"))),
        (Method::HEAD, format!("/v1/xorbs/default/{}", xorb.hash)),
        (Method::POST, format!("/v1/xorbs/default/{}", xorb.hash)),
        (Method::POST, "/v1/shards".to_owned()),
        (Method::POST, "/v2/shards".to_owned()),
        (Method::HEAD, format!("/v1/files/{file}")),
    ];
    for (method, path) in routes {
        for token in [&foreign, &expired, "hf_token", ""] {
            let answer = house.ask_with(token, method.clone(), &path, Body::empty(), None).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn tokens_and_addresses_count_to_the_limits_of_the_key_that_asked_for_them() {
    let house = house().await;
    let file = house.file(&xorb(1, &[10_000])).await;
    house.add("k", file).await;
    house.buckets.set_visibility(&house.mine.id, Visibility::Public).await.unwrap();
    let address = house.address(file).await.replace("http://hub:1", "");
    let token = house.token(&house.mine, CasScope::Read);
    let strangers = house.signer.issue(house.mine.uid, CasScope::Read, &Caller::Anonymous).text;

    let key = RateLimit { requests_per_sec: 2, concurrent: 0 };
    let rate_limiter = Arc::new(RateLimiter::new(RateLimits { key, ..RateLimits::default() }));
    let ask = async |path: &str, token: &str| {
        let request = Request::builder().uri(path).header("host", "hub:1");
        let request = request.header("authorization", format!("Bearer {token}"));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(RequestContext::new(Arc::clone(&rate_limiter), false));
        house.send(request).await.status
    };
    let path = format!("/cas/v1/reconstructions/{file}");
    assert_eq!(ask(&path, &token).await, StatusCode::OK);
    assert_eq!(ask(&address, "").await, StatusCode::PARTIAL_CONTENT);
    assert_eq!(ask(&path, &token).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(&address, "").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(&path, &strangers).await, StatusCode::OK, "nobody's key is not over its limit");
}

#[tokio::test]
async fn a_token_for_reading_does_not_write() {
    let house = house().await;
    let xorb = xorb(1, &[10_000]);
    let token = house.token(&house.mine, CasScope::Read);
    for (path, body) in [
        (format!("/v1/xorbs/default/{}", xorb.hash), xorb.bytes.clone()),
        ("/v1/shards".to_owned(), xorb.shard().encode_upload()),
        ("/v2/shards".to_owned(), xorb.shard().encode_upload()),
    ] {
        let answer = house.ask_with(&token, Method::POST, &path, body, None).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn what_is_not_offered_is_not_there() {
    let house = house().await;
    let hash = xorb(1, &[10_000]).hash;
    for (method, path) in [
        (Method::POST, format!("/v1/xorb-grants/default/{hash}")),
        (Method::PUT, format!("/v1/xorbs/default/{hash}")),
        (Method::DELETE, "/v1/shards".to_owned()),
        (Method::GET, format!("/v3/file-chunk-hashes/{hash}")),
        (Method::POST, format!("/v1/xorbs/other/{hash}")),
        (Method::GET, "/".to_owned()),
    ] {
        let answer = house.ask(&house.mine, method.clone(), &path, Body::empty()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    for path in ["/v1/reconstructions/abc", "/v1/chunks/default/abc", "/v1/reconstructions?x=y"] {
        assert_eq!(house.get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    let telemetry = Request::post("/v1/telemetry").header("host", "hub:1").body(Body::from("{}")).unwrap();
    assert_eq!(house.send(telemetry).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_xorb_must_be_the_one_announced_to_its_last_byte() {
    let house = house().await;
    let (good, other) = (xorb(1, &[10_000, 20_000]), xorb(2, &[10_000]));
    assert!(xorb_is_refused(&house, good.hash, other.bytes.clone()).await.contains("xorb hash"));
    for len in [0, 1, 7, 8, 9_999, good.bytes.len() - 1] {
        xorb_is_refused(&house, good.hash, good.bytes[..len].to_vec()).await;
    }
    xorb_is_refused(&house, good.hash, [&good.bytes[..], b"x"].concat()).await;
    let mut damaged = good.bytes.clone();
    damaged[500] ^= 1;
    xorb_is_refused(&house, good.hash, damaged).await;
    house.upload(&good).await;
    let path = format!("/v1/xorbs/default/{}", good.hash);
    let known = house.ask(&house.mine, Method::POST, &path, other.bytes).await;
    assert_eq!(known.status, StatusCode::BAD_REQUEST, "also if it is here");
}

#[tokio::test]
async fn a_xorb_beyond_the_limits_is_refused_before_it_is_read_whole() {
    let house = house().await;
    let hash = xorb(1, &[10_000]).hash;
    // 64 MiB and a little, in chunks that are all the same.
    let record = xorb(1, &[131_072]).bytes;
    assert!(xorb_is_refused(&house, hash, record.repeat(513)).await.contains("uncompressed"));
    // A stored record of one byte, once too often.
    assert!(xorb_is_refused(&house, hash, [0, 1, 0, 0, 0, 1, 0, 0, 7].repeat(8193)).await.contains("8192"));
    let path = format!("/v1/xorbs/default/{hash}");
    let token = house.token(&house.mine, CasScope::Write);
    let request = Request::post(format!("/cas{path}")).header("host", "hub:1");
    let request = request.header("authorization", format!("Bearer {token}"));
    let endless = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    let request =
        request.header("content-length", XORB_BYTES_MAX + 1).body(Body::from_stream(endless)).unwrap();
    assert_eq!(house.send(request).await.status, StatusCode::BAD_REQUEST, "before a byte of it has come");
}

#[tokio::test]
async fn an_lz4_bomb_is_refused_at_the_length_it_declares() {
    use std::io::Write as _;
    let house = house().await;
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(&vec![0; 32 << 20]).unwrap();
    let payload = encoder.finish().unwrap();
    assert!(payload.len() < 200_000, "32 MiB in {}", payload.len());
    let len = (payload.len() as u32).to_le_bytes();
    // Declares the longest chunk there is.
    let header = [0, len[0], len[1], len[2], 1, 0, 0, 2];
    let hash = xorb(1, &[10_000]).hash;
    xorb_is_refused(&house, hash, [&header[..], &payload].concat()).await;
}

#[tokio::test]
async fn a_shard_must_name_xorbs_that_are_here() {
    let house = house().await;
    let (here, missing) = (xorb(1, &[10_000]), xorb(2, &[20_000]));
    house.upload(&here).await;
    assert!(shard_is_refused(&house, missing.shard().encode_upload()).await.contains("not there"));
    let both = Shard { files: vec![file_of(&[(&here, 0, 1), (&missing, 0, 1)])], ..Shard::default() };
    assert!(shard_is_refused(&house, both.encode_upload()).await.contains("not there"));
    let mut two = here.shard();
    two.files.push(file_of(&[(&missing, 0, 1)]));
    shard_is_refused(&house, two.encode_upload()).await;
}

#[tokio::test]
async fn a_shard_must_prove_every_word() {
    type Bend = fn(&mut Shard);
    let house = house().await;
    let xorb = xorb(1, &[10_000, 20_000]);
    house.upload(&xorb).await;
    let bend = |bend: Bend| {
        let mut shard = xorb.shard();
        bend(&mut shard);
        shard.encode_upload()
    };
    let cases: [(&str, Bend); 7] = [
        ("verification", |shard| {
            let others = crate::xet::hash::RangeHash::of([&ChunkHash::of(b"x")]);
            shard.files[0].terms[0].verification = Some(others);
        }),
        ("verification", |shard| shard.files[0].terms[0].verification = None),
        ("another length", |shard| shard.files[0].terms[0].raw_bytes -= 1),
        ("names chunks", |shard| shard.files[0].terms[0].chunks.end = 3),
        ("file hash", |shard| shard.files[0].hash = FileHash::from_bytes([1; 32])),
        ("file hash", |shard| shard.files[0].terms.clear()),
        ("other chunks", |shard| {
            shard.xorbs[0].chunks[0].hash = ChunkHash::of(b"x");
        }),
    ];
    for (word, change) in cases {
        let message = shard_is_refused(&house, bend(change)).await;
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[tokio::test]
async fn a_shard_that_declares_more_than_it_has_is_refused() {
    let house = house().await;
    let xorb = xorb(1, &[10_000]);
    house.upload(&xorb).await;
    let good = xorb.shard().encode_upload();
    // The counts of the first file and of the first xorb; the rows have 48 bytes.
    for count_at in [48 + 36, 48 * 5 + 36] {
        let mut shard = good.clone();
        assert_eq!(shard[count_at..count_at + 4], 1_u32.to_le_bytes());
        shard[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(shard_is_refused(&house, shard).await.contains("4294967295"));
    }
    for len in [0, 47, 48, 100, good.len() - 1] {
        shard_is_refused(&house, good[..len].to_vec()).await;
    }
    shard_is_refused(&house, vec![0; SHARD_BYTES_MAX + 1]).await;
}

#[tokio::test]
async fn a_small_shard_that_stands_for_endless_work_is_refused_in_time() {
    let house = house().await;
    let xorb = xorb(1, &vec![1; 8192]);
    house.upload(&xorb).await;
    let term = xorb.term(0, 8192);
    let file = ShardFile { hash: FileHash::from_bytes([1; 32]), terms: vec![term; 20_000], sha256: None };
    let shard = Shard { files: vec![file], ..Shard::default() };
    let message = shard_is_refused(&house, shard.encode_upload()).await;
    assert!(message.contains("too long"), "{message}");
}
