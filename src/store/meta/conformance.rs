//! What every [`MetaStore`] must do; each implementation's tests call [`all`].

use std::sync::Arc;

use super::{
    Completion, Deletion, EmbeddedMeta, MetaError, MetaStore, NewFile, ObjectChange, PackRow, RelyOnPart,
};
use crate::model::bucket::{Bucket, Visibility};
use crate::model::clock::Timestamp;
use crate::model::conditions::{ETagCondition, WriteCondition};
use crate::model::file::{FileRecord, Term};
use crate::model::listing::{After, ListPage, ListQuery};
use crate::model::lock::ObjectLock;
use crate::model::names::{BucketId, BucketName, Namespace, ObjectKey, UploadId};
use crate::model::object::{Attributes, ETag, Object};
use crate::model::upload::{Part, Upload};
use crate::store::rows::{PackId, StoredXorb, XorbRow};
use crate::xet::hash::{ChunkHash, FileHash};
use crate::xet::merkle::file_hash;
use crate::xet::xorb::ChunkTable;

mod accounts;
mod buckets;
mod holdings;
mod leases;
mod lifecycle;
mod nodes;
mod registry;
mod sharing;
mod tree;
mod versions;
mod xorbs;

type Store = Arc<dyn MetaStore>;

/// Runs the whole suite; `open` gives an empty store.
pub async fn all(open: impl AsyncFn() -> Store) {
    buckets_are_created_once_and_listed_by_name(open().await).await;
    a_bucket_with_objects_stays_unless_contents_go_too(open().await).await;
    objects_are_put_replaced_and_deleted(open().await).await;
    conditions_are_judged_on_the_present_object(open().await).await;
    one_of_many_creators_wins(open().await).await;
    a_file_lives_as_long_as_something_uses_it(open().await).await;
    a_file_must_come_along_or_be_there(open().await).await;
    listings_roll_up_and_page(open().await).await;
    listings_by_folder_show_what_is_there(open().await).await;
    parts_are_replaced_listed_and_forgotten(open().await).await;
    completing_relies_on_the_parts_that_were_read(open().await).await;
    packs_remember_their_committed_end(open().await).await;
    buckets::all(&open).await;
    holdings::all(&open).await;
    tree::all(&open).await;
    versions::all(&open).await;
    lifecycle::all(&open).await;
    accounts::all(&open).await;
    xorbs::all(&open).await;
    leases::all(&open).await;
    nodes::all(&open).await;
    registry::all(&open).await;
    sharing::all(&open).await;
}

fn id(name: &str) -> BucketId {
    BucketId { namespace: Namespace::new("ada").unwrap(), name: BucketName::new(name).unwrap() }
}

fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

pub(super) async fn bucket(store: &Store) -> Bucket {
    store.create_bucket(&id("bucket"), Visibility::Private, Timestamp(1)).await.unwrap()
}

/// A file of one chunk with this content, in a xorb of its own.
pub(super) fn file(content: &str) -> NewFile {
    let mut table = ChunkTable::default();
    let chunk = ChunkHash::of(content.as_bytes());
    let bytes = content.len() as u32;
    table.push(chunk, bytes + 8, bytes);
    let xorb = table.xorb_hash();
    // No two lie in the same place.
    let offset = 8 + 100 * u64::from(xorb.as_bytes()[0]);
    let row = XorbRow { pack: PackId(1), offset, frame_end: offset + 92, table };
    let terms = vec![Term { xorb, start: 0, end: 1, raw_bytes: bytes }];
    let record = FileRecord { hash: file_hash([(chunk, bytes.into())]), size: bytes.into(), terms };
    NewFile { record, xorbs: vec![StoredXorb { hash: xorb, row }] }
}

pub(super) fn object(file: &NewFile) -> Object {
    Object {
        file: file.record.hash,
        size: file.record.size,
        etag: ETag::Xet(file.record.hash),
        modified_at: Timestamp(2),
        attributes: Attributes::default(),
        checksums: Vec::new(),
        parts: Vec::new(),
        upload: None,
        version: None,
        lock: ObjectLock::default(),
    }
}

pub(super) fn put(content: &str) -> ObjectChange {
    let file = file(content);
    ObjectChange::Put(Box::new(object(&file)), Some(Box::new(file)))
}

pub(super) fn deletion() -> ObjectChange {
    ObjectChange::Delete(Deletion::of_current(Timestamp(9), [9; 8]))
}

pub(super) async fn change(
    store: &Store,
    bucket: &Bucket,
    name: &str,
    change: ObjectChange,
) -> Result<(), MetaError> {
    store.change(bucket.uid, &key(name), &WriteCondition::default(), change).await.map(drop)
}

async fn buckets_are_created_once_and_listed_by_name(store: Store) {
    for name in ["b", "a"] {
        store.create_bucket(&id(name), Visibility::Public, Timestamp(1)).await.unwrap();
    }
    let again = store.create_bucket(&id("a"), Visibility::Private, Timestamp(2)).await;
    assert!(matches!(again, Err(MetaError::BucketExists)));
    let other = BucketId { namespace: Namespace::new("adam").unwrap(), ..id("c") };
    store.create_bucket(&other, Visibility::Private, Timestamp(1)).await.unwrap();
    let listed = store.buckets(&id("a").namespace).await.unwrap();
    assert_eq!(listed.iter().map(|bucket| bucket.id.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_ne!(listed[0].uid, listed[1].uid);
    assert_eq!(store.bucket(&id("a")).await.unwrap().as_ref(), Some(&listed[0]));
    store.delete_bucket(&id("a"), false, Timestamp(0)).await.unwrap();
    assert_eq!(store.bucket(&id("a")).await.unwrap(), None);
    assert!(matches!(store.delete_bucket(&id("a"), false, Timestamp(0)).await, Err(MetaError::NoSuchBucket)));
}

async fn a_bucket_with_objects_stays_unless_contents_go_too(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "k", put("x")).await.unwrap();
    assert!(matches!(
        store.delete_bucket(&bucket.id, false, Timestamp(0)).await,
        Err(MetaError::BucketNotEmpty)
    ));
    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    assert_eq!(store.file(&file("x").record.hash).await.unwrap(), None);
    assert!(matches!(change(&store, &bucket, "k", put("x")).await, Err(MetaError::NoSuchBucket)));
}

async fn objects_are_put_replaced_and_deleted(store: Store) {
    let bucket = bucket(&store).await;
    for content in ["one", "two"] {
        change(&store, &bucket, "k", put(content)).await.unwrap();
        assert_eq!(store.object(bucket.uid, &key("k")).await.unwrap(), Some(object(&file(content))));
    }
    for _ in 0..2 {
        change(&store, &bucket, "k", deletion()).await.unwrap();
        assert_eq!(store.object(bucket.uid, &key("k")).await.unwrap(), None);
    }
}

async fn conditions_are_judged_on_the_present_object(store: Store) {
    let bucket = bucket(&store).await;
    let etag = |content: &str| ETagCondition::OneOf(vec![object(&file(content)).etag.to_string()]);
    let if_match = |etag| WriteCondition { if_match: Some(etag), ..WriteCondition::default() };
    let if_none = |etag| WriteCondition { if_none_match: Some(etag), ..WriteCondition::default() };
    let attempt = async |condition: WriteCondition, content: &str| {
        store.change(bucket.uid, &key("k"), &condition, put(content)).await
    };
    assert!(matches!(attempt(if_match(ETagCondition::Any), "x").await, Err(MetaError::NoSuchObject)));
    attempt(if_none(ETagCondition::Any), "one").await.unwrap();
    assert!(matches!(attempt(if_none(ETagCondition::Any), "x").await, Err(MetaError::ConditionFailed)));
    assert!(matches!(attempt(if_match(etag("x")), "x").await, Err(MetaError::ConditionFailed)));
    assert!(matches!(attempt(if_none(etag("one")), "x").await, Err(MetaError::ConditionFailed)));
    assert_eq!(store.file(&file("x").record.hash).await.unwrap(), None, "a refusal leaves no trace");
    attempt(if_match(etag("one")), "two").await.unwrap();
    attempt(if_none(etag("one")), "three").await.unwrap();
}

async fn one_of_many_creators_wins(store: Store) {
    let bucket = bucket(&store).await;
    let condition = WriteCondition { if_none_match: Some(ETagCondition::Any), ..WriteCondition::default() };
    let (name, condition) = (key("k"), &condition);
    let tries = (0..20).map(|i| store.change(bucket.uid, &name, condition, put(&i.to_string())));
    let results = futures::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

async fn a_file_lives_as_long_as_something_uses_it(store: Store) {
    let bucket = bucket(&store).await;
    let file = file("x");
    change(&store, &bucket, "a", put("x")).await.unwrap();
    change(&store, &bucket, "b", ObjectChange::Put(Box::new(object(&file)), None)).await.unwrap();
    change(&store, &bucket, "a", put("x")).await.unwrap();
    change(&store, &bucket, "a", put("y")).await.unwrap();
    assert_eq!(store.file(&file.record.hash).await.unwrap(), Some(file.record.clone()));
    change(&store, &bucket, "b", deletion()).await.unwrap();
    assert_eq!(store.file(&file.record.hash).await.unwrap(), None);
    assert_eq!(store.xorb(&file.xorbs[0].hash).await.unwrap(), Some(file.xorbs[0].row.clone()));
}

async fn a_file_must_come_along_or_be_there(store: Store) {
    let bucket = bucket(&store).await;
    let whole = file("x");
    let absent = ObjectChange::Put(Box::new(object(&whole)), None);
    let refused = change(&store, &bucket, "k", absent).await;
    assert!(matches!(refused, Err(MetaError::MissingFile(hash)) if hash == whole.record.hash));
    let without_xorbs = NewFile { xorbs: Vec::new(), ..whole.clone() };
    let incomplete = ObjectChange::Put(Box::new(object(&whole)), Some(Box::new(without_xorbs.clone())));
    let refused = change(&store, &bucket, "k", incomplete.clone()).await;
    assert!(matches!(refused, Err(MetaError::MissingXorb(hash)) if hash == whole.xorbs[0].hash));
    change(&store, &bucket, "other", put("x")).await.unwrap();
    change(&store, &bucket, "other", deletion()).await.unwrap();
    change(&store, &bucket, "k", incomplete).await.unwrap();
}

/// Everything that a listing by `/` shows, page by page.
async fn by_folder(store: &Store, bucket: &Bucket, prefix: &str, limit: usize) -> Vec<String> {
    let (mut shown, mut after) = (Vec::new(), None);
    loop {
        let (prefix, delimiter) = (prefix.to_owned(), Some("/".to_owned()));
        let query = ListQuery { prefix, delimiter, after, limit };
        let ListPage { objects, common_prefixes, next } = store.list(bucket.uid, &query).await.unwrap();
        assert!(objects.len() + common_prefixes.len() <= limit);
        shown.extend(objects.into_iter().map(|(key, _)| key.as_str().to_owned()));
        shown.extend(common_prefixes);
        after = next;
        if after.is_none() {
            shown.sort();
            return shown;
        }
    }
}

async fn listings_by_folder_show_what_is_there(store: Store) {
    let bucket = bucket(&store).await;
    let mut keys = std::collections::BTreeSet::<String>::new();
    for round in 0_usize..400 {
        // Keys of up to eleven steps, some of them empty; each comes and goes several times.
        let steps = (0..round * 7 % 12).map(|step| ["a", "", "b", "a"][(round * 5 + step * step) % 4]);
        let name = steps.chain([["x", "", "a"][round % 3]]).collect::<Vec<_>>().join("/");
        if name.is_empty() {
            continue;
        }
        if round % 5 < 2 || !keys.insert(name.clone()) {
            keys.remove(&name);
            change(&store, &bucket, &name, deletion()).await.unwrap();
        } else {
            change(&store, &bucket, &name, put("x")).await.unwrap();
        }
        if round % 8 > 0 {
            continue;
        }
        for prefix in ["", "a/", "a", "/", "b/a/", "a/a/a/a/a/a/a/a/", "a//", "none/"] {
            let roll = |key: &String| match key[prefix.len()..].find('/') {
                Some(slash) => key[..=prefix.len() + slash].to_owned(),
                None => key.clone(),
            };
            let under = keys.iter().filter(|key| key.starts_with(prefix));
            let expected: std::collections::BTreeSet<_> = under.map(roll).collect();
            for limit in [1, 3, 1000] {
                let shown = by_folder(&store, &bucket, prefix, limit).await;
                assert!(shown.iter().eq(&expected), "{prefix:?} by {limit}: {shown:?}, not {expected:?}");
            }
        }
    }
    let view = store.view().await.unwrap();
    assert!(view.counts().await.unwrap().folders.is_none_or(|folders| folders > 10));
    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    assert_eq!(store.view().await.unwrap().counts().await.unwrap().folders.unwrap_or(0), 0);
}

async fn listings_roll_up_and_page(store: Store) {
    let bucket = bucket(&store).await;
    let keys = ["a", "d/1", "d/2", "d0", "e/é/1", "e/é/2", "e/ü", "z/"];
    for name in keys.into_iter().rev() {
        change(&store, &bucket, name, put(name)).await.unwrap();
    }
    let list = async |prefix: &str, delimiter: Option<&str>, after: Option<After>, limit: usize| {
        let query =
            ListQuery { prefix: prefix.to_owned(), delimiter: delimiter.map(str::to_owned), after, limit };
        let ListPage { objects, common_prefixes, next } = store.list(bucket.uid, &query).await.unwrap();
        let objects: Vec<_> = objects.into_iter().map(|(key, _)| key.as_str().to_owned()).collect();
        (objects.join(" "), common_prefixes.join(" "), next)
    };
    let is = |objects: &str, prefixes: &str, next| (objects.to_owned(), prefixes.to_owned(), next);
    let key = |key: &str| Some(After::Key(key.to_owned()));
    let rolled = |prefix: &str| Some(After::Prefix(prefix.to_owned()));
    assert_eq!(list("", None, None, 100).await, is(&keys.join(" "), "", None));
    assert_eq!(list("", Some("/"), None, 100).await, is("a d0", "d/ e/ z/", None));
    assert_eq!(list("e/", Some("/"), None, 100).await, is("e/ü", "e/é/", None));
    assert_eq!(list("e/", Some("é"), None, 100).await, is("e/ü", "e/é", None));
    assert_eq!(list("d", None, None, 2).await, is("d/1 d/2", "", key("d/2")));
    assert_eq!(list("d", None, key("d/2"), 2).await, is("d0", "", None));
    assert_eq!(list("", Some("/"), None, 2).await, is("a", "d/", rolled("d/")));
    assert_eq!(list("", Some("/"), rolled("d/"), 2).await, is("d0", "e/", rolled("e/")));
    assert_eq!(list("", Some("/"), rolled("e/"), 1).await, is("", "z/", None));
    assert_eq!(list("", Some("/"), key("d/1"), 1).await, is("", "d/", rolled("d/")));
    assert_eq!(list("d", None, key("zz"), 5).await, is("", "", None));
    assert_eq!(list("d", Some("/"), rolled("z/"), 5).await, is("", "", None));
    assert_eq!(list("d", Some("/"), key("e"), 5).await, is("", "", None));
    assert_eq!(list("", None, None, 0).await, is("", "", None));
    assert_eq!(list("nothing", Some("/"), None, 5).await, is("", "", None));
}

fn upload(name: &str, millis: u64) -> Upload {
    Upload {
        id: UploadId::new(millis, [7; 8]),
        key: key(name),
        created_at: Timestamp(millis),
        attributes: Attributes::default(),
        checksum: None,
        lock: crate::model::lock::ObjectLock::default(),
    }
}

async fn put_part(store: &Store, bucket: &Bucket, upload: &Upload, number: u16, content: &str) -> Part {
    let file = file(content);
    let part = Part {
        number,
        file: file.record.hash,
        size: file.record.size,
        md5: [1; 16],
        modified_at: Timestamp(3),
        checksum: None,
    };
    store.put_part(bucket.uid, &upload.key, &upload.id, part.clone(), Some(file)).await.unwrap();
    part
}

async fn parts_are_replaced_listed_and_forgotten(store: Store) {
    let bucket = bucket(&store).await;
    let (first, second) = (upload("k", 1), upload("k", 2));
    for upload in [&second, &first] {
        store.create_upload(bucket.uid, upload).await.unwrap();
    }
    assert_eq!(store.uploads(bucket.uid, ("", ""), 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(
        store.uploads(bucket.uid, ("k", first.id.as_str()), 10).await.unwrap(),
        std::slice::from_ref(&second)
    );
    let lost = put_part(&store, &bucket, &first, 2, "lost").await;
    let two = put_part(&store, &bucket, &first, 2, "two").await;
    let one = put_part(&store, &bucket, &first, 1, "one").await;
    assert_eq!(store.file(&lost.file).await.unwrap(), None, "the last write of a part wins");
    assert_eq!(store.parts(&first.id, 0, 10).await.unwrap(), [one.clone(), two.clone()]);
    assert_eq!(store.parts(&first.id, 1, 10).await.unwrap(), [two]);
    assert_eq!(store.parts(&second.id, 0, 10).await.unwrap(), []);
    store.abort_upload(bucket.uid, &first.key, &first.id).await.unwrap();
    assert_eq!(store.file(&one.file).await.unwrap(), None);
    assert_eq!(store.upload(bucket.uid, &first.key, &first.id).await.unwrap(), None);
    let again = store.abort_upload(bucket.uid, &first.key, &first.id).await;
    assert!(matches!(again, Err(MetaError::NoSuchUpload)));
    let late = store.put_part(bucket.uid, &first.key, &first.id, one, Some(file("one"))).await;
    assert!(matches!(late, Err(MetaError::NoSuchUpload)));
}

async fn completing_relies_on_the_parts_that_were_read(store: Store) {
    let bucket = bucket(&store).await;
    let upload = upload("k", 1);
    store.create_upload(bucket.uid, &upload).await.unwrap();
    let read = put_part(&store, &bucket, &upload, 1, "read").await;
    let newer = put_part(&store, &bucket, &upload, 1, "newer").await;
    let complete = async |file: FileHash, whole: &str| {
        let new = self::file(whole);
        let completion = Completion {
            condition: WriteCondition::default(),
            parts: vec![RelyOnPart { number: 1, file }],
            object: object(&new),
            file: Some(new),
        };
        let (name, id) = (&upload.key, &upload.id);
        store.complete_upload(bucket.uid, name, id, completion).await
    };
    assert!(matches!(complete(read.file, "read").await, Err(MetaError::PartChanged(1))));
    assert_eq!(store.object(bucket.uid, &upload.key).await.unwrap(), None);
    complete(newer.file, "whole").await.unwrap();
    assert_eq!(store.object(bucket.uid, &upload.key).await.unwrap(), Some(object(&file("whole"))));
    assert_eq!(store.file(&newer.file).await.unwrap(), None);
    assert!(matches!(complete(newer.file, "whole").await, Err(MetaError::NoSuchUpload)));
}

async fn packs_remember_their_committed_end(store: Store) {
    let bucket = bucket(&store).await;
    for (name, pack, offset, frame_end) in [("a", 1, 208, 500), ("b", 1, 8, 200), ("c", 5, 8, 10)] {
        let mut file = file(name);
        file.xorbs[0].row = XorbRow { pack: PackId(pack), offset, frame_end, ..file.xorbs[0].row.clone() };
        let put = ObjectChange::Put(Box::new(object(&file)), Some(Box::new(file)));
        change(&store, &bucket, name, put).await.unwrap();
    }
    let row = |id, committed_end, live_bytes| PackRow { id: PackId(id), committed_end, live_bytes };
    assert_eq!(store.packs().await.unwrap(), [row(1, 500, 500), row(5, 10, 10)]);
}

#[tokio::test]
async fn the_embedded_store_conforms_in_memory() {
    all(async || Arc::new(EmbeddedMeta::in_memory().unwrap()) as Store).await;
}

#[tokio::test]
async fn the_embedded_store_conforms_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    all(async || {
        count.set(count.get() + 1);
        Arc::new(EmbeddedMeta::open(&folder.path().join(count.get().to_string())).unwrap()) as Store
    })
    .await;
}

#[tokio::test]
async fn the_embedded_store_stays_when_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.redb");
    let open = || -> Store { Arc::new(EmbeddedMeta::open(&path).unwrap()) };
    let store = open();
    let bucket = bucket(&store).await;
    change(&store, &bucket, "k", put("x")).await.unwrap();
    drop(store);
    // The writer thread lets go of the file when it has seen that nobody can ask it any more.
    let again = loop {
        match EmbeddedMeta::open(&path) {
            Ok(store) => break store,
            Err(_) => std::thread::yield_now(),
        }
    };
    assert_eq!(again.object(bucket.uid, &key("k")).await.unwrap(), Some(object(&file("x"))));
}
