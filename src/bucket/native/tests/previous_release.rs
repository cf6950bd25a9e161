//! The data folder of the release before this one: it opens, is upgraded, holds all that was put into it, and nothing is
//! found wrong with it. `tests/stores/format-5` was written by that release through the S3 API and `xetgate admin`.

use std::path::Path;

use super::*;
use crate::model::accounts::{AccountKind, Permission};
use crate::model::checksums::ChecksumAlgorithm;
use crate::model::settings::PublicAccessBlock;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions};
use crate::store::meta::AccountStore as _;
use crate::store::scrub::{ScrubCursor, scrub};
use crate::store::throttle::Throttle;

/// The lines that the objects were made of.
fn lines(seed: u64, count: u64) -> Vec<u8> {
    let line = |n: u64| format!("{seed} {}\n", n * n * 2_654_435_761 % (1 << 32));
    (0..count).map(line).collect::<String>().into()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

fn stored(name: &str) -> BucketId {
    BucketId { namespace: Namespace::new("root").unwrap(), name: BucketName::new(name).unwrap() }
}

async fn read(buckets: &NativeBuckets, bucket: &str, name: &str) -> (Object, Vec<u8>) {
    let read = buckets.read(&stored(bucket), ObjectRef::current(&key(name)), None).await.unwrap();
    let pieces: Vec<Bytes> = read.body.try_collect().await.unwrap();
    (read.object, pieces.concat())
}

async fn assert_sound(buckets: &NativeBuckets) {
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
    assert!(report.objects >= 8 && report.parts == 1, "{}", report.table());
    let report = scrub(buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
    assert_eq!((report.damages, report.cursor), (Vec::new(), None));
}

async fn assert_all_there(buckets: &NativeBuckets) {
    let contents = [
        ("small", b"a small object".to_vec()),
        ("empty", Vec::new()),
        ("lines", lines(1, 15_000)),
        ("copy", lines(1, 15_000)),
        ("more/lines", [lines(1, 12_000), lines(2, 1_000)].concat()),
        ("attributes", b"said".to_vec()),
        ("parts", [vec![0; 5 << 20], lines(3, 2_000)].concat()),
        ("long", vec![0; 130 << 20]),
    ];
    let listed =
        buckets.list(&stored("stored"), &ListQuery { limit: 100, ..ListQuery::default() }).await.unwrap();
    assert_eq!(listed.objects.len(), contents.len());
    for (name, content) in contents {
        let (object, bytes) = read(buckets, "stored", name).await;
        assert!(bytes == content, "{name}");
        assert_eq!(object.size, content.len() as u64);
        match name {
            "small" => assert_eq!(object.attributes.content_type.as_deref(), Some("text/plain")),
            "attributes" => {
                let Attributes { content_type, cache_control, user_metadata, tags, .. } = &object.attributes;
                assert_eq!(content_type.as_deref(), Some("text/html"));
                assert_eq!(cache_control.as_deref(), Some("no-cache"));
                assert_eq!(user_metadata["colour"], "red");
                assert_eq!(object.attributes.mtime().unwrap().0, 1_700_000_000_500);
                assert_eq!(tags["c"], "d");
                assert_eq!(object.checksums[0].algorithm, ChecksumAlgorithm::Sha256);
            }
            "parts" => {
                let whole = buckets.object(&stored("stored"), ObjectRef::current(&key(name))).await.unwrap();
                let numbers: Vec<_> = whole.parts.iter().map(|part| (part.number, part.size)).collect();
                assert_eq!(numbers, [(1, 5 << 20), (3, lines(3, 2_000).len() as u64)]);
                assert!(matches!(whole.etag, ETag::Multipart { parts: 2, .. }));
                assert!(whole.parts.iter().all(|part| part.checksum.is_some()));
            }
            _ => {}
        }
    }
    assert_eq!(read(buckets, "public", "seen").await.1, b"by all");
    let public = buckets.bucket(&stored("public")).await.unwrap();
    assert_eq!(public.visibility, Visibility::Public);
    let bucket = buckets.bucket(&stored("stored")).await.unwrap();
    let settings = buckets.store().meta.bucket_settings(bucket.uid).await.unwrap();
    assert_eq!(settings.tags["team"], "blue");
    assert_eq!(settings.cors[0].allowed_methods, ["GET", "PUT"]);
    let block =
        PublicAccessBlock { block_public_acls: true, block_public_policy: true, ..Default::default() };
    assert_eq!(settings.public_access_block, Some(block));
}

#[tokio::test]
async fn a_store_of_the_previous_release_is_upgraded_and_nothing_is_found_wrong() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stores/format-5")), folder.path());
    let open = || {
        let store = LocalStore::open(folder.path(), None, &Ambient::system()).unwrap();
        NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap()
    };
    let buckets = open();
    assert_sound(&buckets).await;
    assert_all_there(&buckets).await;

    // What was under way goes on.
    let query = ListUploads { limit: 10, ..ListUploads::default() };
    let upload = buckets.list_uploads(&stored("stored"), &query).await.unwrap().uploads.pop().unwrap();
    assert_eq!(upload.attributes.user_metadata["is"], "running");
    let upload = UploadRef { key: upload.key, id: upload.id };
    let part = buckets.list_parts(&stored("stored"), &upload, 0, 10).await.unwrap().parts.pop().unwrap();
    let part = CompletedPart { number: part.number, etag: hex::encode(part.md5), checksum: None };
    let completion = UploadCompletion { parts: vec![part], ..UploadCompletion::default() };
    buckets.complete_upload(&stored("stored"), &upload, completion).await.unwrap();
    assert_eq!(read(&buckets, "stored", "running").await.1, lines(4, 3_000));
    let delete = ObjectDelete::current(key("running"));
    buckets.delete(&stored("stored"), vec![delete]).await.unwrap().pop().unwrap().unwrap();
    let collector = Collector::new(Arc::clone(buckets.store()), Ambient::system().clock);
    collector.pass(&GcOptions::default(), &Throttle::default()).await.unwrap();
    assert_all_there(&buckets).await;
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
}

#[tokio::test]
async fn accounts_of_the_previous_release_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.redb");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stores/format-5/meta.redb"), &path).unwrap();
    let (accounts, credentials) = EmbeddedMeta::open(&path).unwrap().accounts().await.unwrap();
    let accounts: Vec<_> = accounts
        .iter()
        .map(|account| (account.name.as_str(), account.kind, account.members.len(), account.new_buckets))
        .collect();
    assert_eq!(
        accounts,
        [
            ("ada", AccountKind::User, 0, None),
            ("bob", AccountKind::User, 0, None),
            ("team", AccountKind::Org, 2, Some(Visibility::Public)),
        ]
    );
    let [credential] = credentials.try_into().unwrap();
    assert_eq!((credential.account.as_str(), credential.permission), ("ada", Permission::Write));
    assert_eq!(credential.buckets.unwrap()[0].as_str(), "one");
}
