//! The part of the suite about xorbs that come and go: idleness, removal, moves, and views of everything.

use std::collections::HashMap;

use super::super::{FramePlace, IdleXorb, MovedRun, TermChange, XorbMove};
use super::*;
use crate::xet::hash::XorbHash;

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    a_xorb_is_idle_while_nothing_uses_it(open().await).await;
    only_what_stayed_idle_is_removed(open().await).await;
    a_registered_xorb_is_kept_until_its_time(open().await).await;
    what_a_known_file_brings_is_idle_at_once(open().await).await;
    a_xorb_stored_again_lies_where_it_was_stored_last(open().await).await;
    xorbs_move_between_packs(open().await).await;
    files_keep_their_hashes_when_their_terms_change(open().await).await;
    a_view_shows_everything_of_its_moment(open().await).await;
}

async fn idle(store: &Store) -> Vec<IdleXorb> {
    store.idle_xorbs(Timestamp(0), None, 100).await.unwrap()
}

async fn delete(store: &Store, bucket: &Bucket, name: &str) {
    change(store, bucket, name, deletion()).await.unwrap();
}

fn xorb_of(file: &NewFile) -> XorbHash {
    file.xorbs[0].hash
}

async fn a_xorb_is_idle_while_nothing_uses_it(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "a", put("x")).await.unwrap();
    assert_eq!(idle(&store).await, []);
    delete(&store, &bucket, "a").await;
    let first = idle(&store).await;
    assert_eq!(first.iter().map(|idle| idle.hash).collect::<Vec<_>>(), [xorb_of(&file("x"))]);
    change(&store, &bucket, "a", put("x")).await.unwrap();
    assert_eq!(idle(&store).await, []);
    delete(&store, &bucket, "a").await;
    let second = idle(&store).await;
    assert_ne!(first[0].generation, second[0].generation);
    change(&store, &bucket, "b", put("y")).await.unwrap();
    delete(&store, &bucket, "b").await;
    let both = idle(&store).await;
    assert_eq!(both.len(), 2);
    assert_eq!(store.idle_xorbs(Timestamp(0), None, 1).await.unwrap(), both[..1]);
    assert_eq!(store.idle_xorbs(Timestamp(0), Some(both[0].hash), 5).await.unwrap(), both[1..]);
}

async fn only_what_stayed_idle_is_removed(store: Store) {
    let bucket = bucket(&store).await;
    for name in ["gone", "back", "again"] {
        change(&store, &bucket, name, put(name)).await.unwrap();
        delete(&store, &bucket, name).await;
    }
    let seen = idle(&store).await;
    change(&store, &bucket, "back", put("back")).await.unwrap();
    change(&store, &bucket, "again", put("again")).await.unwrap();
    delete(&store, &bucket, "again").await;
    let removed = store.remove_xorbs(seen.clone(), Timestamp(0)).await.unwrap();
    assert_eq!(removed, file("gone").xorbs);
    assert_eq!(store.remove_xorbs(seen, Timestamp(0)).await.unwrap(), []);
    assert_eq!(store.xorb(&xorb_of(&file("gone"))).await.unwrap(), None);
    assert!(store.xorb(&xorb_of(&file("again"))).await.unwrap().is_some());
    assert_eq!(idle(&store).await.len(), 1);
    let bytes = file("gone").xorbs[0].row.frame_bytes();
    assert_eq!(store.packs().await.unwrap()[0].live_bytes, 2 * bytes);
}

async fn a_registered_xorb_is_kept_until_its_time(store: Store) {
    let bucket = bucket(&store).await;
    store.register_xorbs(file("x").xorbs, Timestamp(50)).await.unwrap();
    store.register_xorbs(file("x").xorbs, Timestamp(40)).await.unwrap();
    assert_eq!(store.idle_xorbs(Timestamp(49), None, 9).await.unwrap(), []);
    let due = store.idle_xorbs(Timestamp(50), None, 9).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(store.remove_xorbs(due.clone(), Timestamp(49)).await.unwrap(), []);
    let without_xorbs = NewFile { xorbs: Vec::new(), ..file("x") };
    let put = ObjectChange::Put(Box::new(object(&file("x"))), Some(Box::new(without_xorbs)));
    change(&store, &bucket, "k", put).await.unwrap();
    delete(&store, &bucket, "k").await;
    assert_eq!(store.remove_xorbs(due, Timestamp(50)).await.unwrap(), []);
    let due = store.idle_xorbs(Timestamp(50), None, 9).await.unwrap();
    assert_eq!(store.remove_xorbs(due, Timestamp(50)).await.unwrap().len(), 1);
}

async fn what_a_known_file_brings_is_idle_at_once(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "a", put("x")).await.unwrap();
    let again = NewFile { xorbs: file("other").xorbs, ..file("x") };
    let put = ObjectChange::Put(Box::new(object(&again)), Some(Box::new(again)));
    change(&store, &bucket, "b", put).await.unwrap();
    assert_eq!(
        idle(&store).await.iter().map(|idle| idle.hash).collect::<Vec<_>>(),
        [xorb_of(&file("other"))]
    );
}

async fn a_xorb_stored_again_lies_where_it_was_stored_last(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "a", put("x")).await.unwrap();
    let mut again = file("x");
    let row = &mut again.xorbs[0].row;
    (row.pack, row.offset, row.frame_end) = (PackId(2), row.offset + 1000, row.frame_end + 1000);
    let row = row.clone();
    let put = ObjectChange::Put(Box::new(object(&again)), Some(Box::new(again)));
    change(&store, &bucket, "b", put).await.unwrap();
    let hash = xorb_of(&file("x"));
    assert_eq!(store.xorb(&hash).await.unwrap(), Some(row.clone()));
    assert_eq!(idle(&store).await, []);
    assert_eq!(store.xorbs_in(PackId(1), None, 9).await.unwrap(), []);
    assert_eq!(store.xorbs_in(PackId(2), None, 9).await.unwrap(), [StoredXorb { hash, row: row.clone() }]);
    let live: Vec<_> = store.packs().await.unwrap().iter().map(|pack| pack.live_bytes).collect();
    assert_eq!(live, [0, row.frame_bytes()]);
}

async fn xorbs_move_between_packs(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "k", put("x")).await.unwrap();
    let (hash, row) = (xorb_of(&file("x")), file("x").xorbs[0].row.clone());
    let to = FramePlace { pack: PackId(2), offset: 508, frame_end: 600 };
    let there = XorbMove { hash, from: row.place(), to };
    assert!(!store.forget_pack(PackId(1)).await.unwrap());
    assert_eq!(store.move_xorbs(vec![there]).await.unwrap(), 1);
    assert_eq!(store.move_xorbs(vec![there]).await.unwrap(), 0, "it is no longer where it was");
    let moved = store.xorb(&hash).await.unwrap().unwrap();
    assert_eq!((moved.place(), &moved.table), (to, &row.table));
    assert_eq!(store.xorbs_in(PackId(1), None, 9).await.unwrap(), []);
    assert_eq!(store.xorbs_in(PackId(2), None, 9).await.unwrap(), [StoredXorb { hash, row: moved }]);
    assert_eq!(store.xorbs_in(PackId(2), Some(to.offset), 9).await.unwrap(), []);
    assert!(store.forget_pack(PackId(1)).await.unwrap());
    let pack = PackRow { id: PackId(2), committed_end: 600, live_bytes: 100 };
    assert_eq!(store.packs().await.unwrap(), [pack]);
}

async fn files_keep_their_hashes_when_their_terms_change(store: Store) {
    let bucket = bucket(&store).await;
    for name in ["x", "y"] {
        change(&store, &bucket, name, put(name)).await.unwrap();
    }
    let (old, new) = (xorb_of(&file("x")), file("compacted").xorbs);
    let run = MovedRun { chunks: 0..1, to: new[0].hash, to_start: 0 };
    let files = ["x", "y", "absent"].map(|name| file(name).record.hash).to_vec();
    let moved = HashMap::from([(old, vec![run])]);
    let change = TermChange { xorbs: new.clone(), files, moved, ..TermChange::default() };
    assert_eq!(store.replace_terms(change.clone()).await.unwrap(), 1);
    let record = store.file(&file("x").record.hash).await.unwrap().unwrap();
    assert_eq!(record.terms, [Term { xorb: new[0].hash, ..file("x").record.terms[0] }]);
    assert_eq!(idle(&store).await.iter().map(|idle| idle.hash).collect::<Vec<_>>(), [old]);
    assert_eq!(store.replace_terms(change.clone()).await.unwrap(), 0);
    delete(&store, &bucket, "x").await;
    assert_eq!(idle(&store).await.len(), 2);
    let unknown = TermChange { xorbs: Vec::new(), ..change };
    store.remove_xorbs(idle(&store).await, Timestamp(0)).await.unwrap();
    super::change(&store, &bucket, "x", put("x")).await.unwrap();
    assert_eq!(store.replace_terms(unknown).await.unwrap(), 0, "a xorb that is not there is never named");
}

async fn a_view_shows_everything_of_its_moment(store: Store) {
    let bucket = bucket(&store).await;
    for name in ["a", "b", "c"] {
        change(&store, &bucket, name, put(name)).await.unwrap();
    }
    delete(&store, &bucket, "c").await;
    let upload = upload("k", 1);
    store.create_upload(bucket.uid, &upload).await.unwrap();
    let part = put_part(&store, &bucket, &upload, 1, "a").await;
    let view = store.view().await.unwrap();
    delete(&store, &bucket, "a").await;
    let counts = view.counts().await.unwrap();
    assert_eq!((counts.objects, counts.uploads, counts.files, counts.xorbs), (2, 1, 2, 3));
    assert_eq!(view.buckets().await.unwrap(), std::slice::from_ref(&bucket));
    let first = view.objects(None, 1).await.unwrap();
    assert_eq!(first, [((bucket.uid, key("a")), object(&file("a")))]);
    let second = view.objects(Some(&first[0].0), 5).await.unwrap();
    assert_eq!(second, [((bucket.uid, key("b")), object(&file("b")))]);
    let uploads = view.uploads(None, 5).await.unwrap();
    assert_eq!(uploads, [(bucket.uid, upload.clone())]);
    assert_eq!(view.uploads(uploads.first(), 5).await.unwrap(), []);
    let parts = view.parts(None, 5).await.unwrap();
    assert_eq!(parts, [((upload.id, 1), part)]);
    assert_eq!(view.parts(Some(&parts[0].0), 5).await.unwrap(), []);
    let files = view.files(None, 5).await.unwrap();
    assert_eq!(view.files(Some(&files[0].hash), 5).await.unwrap(), files[1..]);
    let uses: HashMap<_, _> = view.file_uses(None, 5).await.unwrap().into_iter().collect();
    assert_eq!((uses.len(), uses[&file("a").record.hash]), (2, 2));
    assert!(view.has_file(&files[0].hash).await.unwrap());
    let xorbs = view.xorbs(None, 5).await.unwrap();
    assert!(xorbs.iter().all(|xorb| xorb.in_pack && (xorb.uses == 0) == xorb.idle.is_some()));
    assert_eq!(view.xorbs(Some(&xorbs[0].hash), 5).await.unwrap(), xorbs[1..]);
    assert_eq!(view.xorb(&xorbs[0].hash).await.unwrap().as_ref(), Some(&xorbs[0].row));
    assert_eq!(view.stray_xorbs(5).await.unwrap(), []);
    assert_eq!(view.stray_places(5).await.unwrap(), []);
    assert_eq!(view.stray_files(5).await.unwrap(), []);
    if let Some(folders) = counts.folders {
        assert_eq!((folders, view.folder(bucket.uid, 0, "").await.unwrap()), (1, Some(2)));
    }
    assert_eq!(view.packs().await.unwrap(), store.packs().await.unwrap());
}
