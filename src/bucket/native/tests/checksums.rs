//! Checksums of what is put together or copied, and conditions that race.

use super::*;

const WHOLE: ChecksumType = ChecksumType::FullObject;

fn with_checksum(data: &Bytes, algorithm: ChecksumAlgorithm) -> Payload {
    let checksum = Some(DeclaredChecksum { algorithm, value: DeclaredValue::Computed });
    Payload { digests: DeclaredDigests { checksum, ..DeclaredDigests::default() }, ..payload(data) }
}

fn of(algorithm: ChecksumAlgorithm, data: &[u8]) -> Checksum {
    Checksum { algorithm, value: checksum(algorithm, data), over: WHOLE }
}

fn copy(checksum: Option<ChecksumAlgorithm>) -> ObjectCopy {
    let (changes, condition) = (AttributeChanges::default(), WriteCondition::default());
    ObjectCopy {
        source: source("k"),
        key: key("copy"),
        changes,
        checksum,
        condition,
        lock: ObjectLock::default(),
    }
}

#[tokio::test]
async fn a_copy_has_its_sources_checksum_or_the_one_asked_for() {
    let buckets = buckets().await;
    let data = noise(1, 300_000);
    let write = write("k", with_checksum(&data, ChecksumAlgorithm::Crc32));
    buckets.write(&bucket_id(), write).await.unwrap();
    let kept = buckets.copy(&bucket_id(), copy(None)).await.unwrap().made;
    assert_eq!(kept.checksums, [of(ChecksumAlgorithm::Crc32, &data)]);
    let asked = buckets.copy(&bucket_id(), copy(Some(ChecksumAlgorithm::Sha256))).await.unwrap().made;
    assert_eq!(asked.checksums, [of(ChecksumAlgorithm::Sha256, &data)]);
}

#[tokio::test]
async fn what_is_expected_of_an_upload_holds_or_there_is_no_object() {
    let buckets = buckets().await;
    let algorithm = ChecksumAlgorithm::Crc64Nvme;
    let new = NewUpload {
        key: key("k"),
        attributes: Attributes::default(),
        checksum: Some((algorithm, WHOLE)),
        lock: ObjectLock::default(),
    };
    let upload = buckets.create_upload(&bucket_id(), new).await.unwrap();
    let upload = UploadRef { key: upload.key, id: upload.id };
    let (first, second) = (noise(1, 5 << 20), noise(2, 1000));
    let mut parts = Vec::new();
    for (number, data) in [(1, &first), (2, &second)] {
        let part = with_checksum(data, algorithm);
        let part = buckets.write_part(&bucket_id(), &upload, number, part).await.unwrap();
        parts.push(CompletedPart { number, etag: hex::encode(part.md5), checksum: None });
    }
    let whole: Bytes = [first, second].concat().into();
    let complete = async |expected: ExpectedObject| {
        let completion = UploadCompletion { parts: parts.clone(), expected, ..UploadCompletion::default() };
        buckets.complete_upload(&bucket_id(), &upload, completion).await
    };
    let size = ExpectedObject { size: Some(1), ..ExpectedObject::default() };
    assert!(matches!(complete(size).await, Err(BucketError::SizeMismatch { declared: 1, .. })));
    let over = ExpectedObject { over: Some(ChecksumType::Composite), ..ExpectedObject::default() };
    assert!(matches!(complete(over).await, Err(BucketError::OtherChecksum)));
    let wrong = ExpectedObject { checksum: Some((algorithm, vec![0; 8])), ..ExpectedObject::default() };
    assert!(matches!(complete(wrong).await, Err(BucketError::ChecksumMismatch(_))));

    let right = of(algorithm, &whole);
    let object = complete(ExpectedObject {
        size: Some(whole.len() as u64),
        over: Some(WHOLE),
        checksum: Some((algorithm, right.value.clone())),
    });
    assert_eq!(object.await.unwrap().checksums, [right]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writes_that_race_to_create_a_key_one_wins() {
    let buckets = Arc::new(buckets().await);
    let tasks = (0..16).map(|seed| {
        let buckets = Arc::clone(&buckets);
        tokio::spawn(async move {
            let condition =
                WriteCondition { if_none_match: Some(ETagCondition::Any), ..WriteCondition::default() };
            let write = ObjectWrite { condition, ..write("k", payload(&noise(seed, 10_000))) };
            buckets.write(&bucket_id(), write).await
        })
    });
    let mut won = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, BucketError::PreconditionFailed)),
        }
    }
    assert_eq!(won, 1);
}
