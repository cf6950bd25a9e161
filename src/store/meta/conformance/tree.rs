//! Files and folders.

use super::{Store, bucket, change, file, key, object};
use crate::model::bucket::Bucket;
use crate::model::clock::Timestamp;
use crate::model::listing::{After, TreeEntry, TreePage, TreeQuery};
use crate::model::object::Object;
use crate::store::meta::ObjectChange;

/// The suite's share.
pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    folders_are_shown_with_the_newest_below_them(open().await).await;
    a_prefix_is_entered_and_its_siblings_are_shown(open().await).await;
    keys_that_fit_badly_are_shown_where_they_can_be_reached(open().await).await;
}

async fn fill(store: &Store, keys: &[&str]) -> Bucket {
    let bucket = bucket(store).await;
    for (at, name) in (1..).zip(keys) {
        let file = file("x");
        let object = Object { modified_at: Timestamp(at * 10), ..object(&file) };
        let put = ObjectChange::Put(Box::new(object), Some(Box::new(file)));
        change(store, &bucket, name, put).await.unwrap();
    }
    bucket
}

/// The lines of all pages of one line each, and of one page; they must be the same. A folder is written `path/@newest`.
async fn lines(store: &Store, bucket: &Bucket, prefix: &str, recursive: bool) -> Vec<String> {
    let line = |entry: TreeEntry| match entry {
        TreeEntry::File(key, _) => key.as_str().to_owned(),
        TreeEntry::Folder { path, newest } => format!("{path}/@{}", newest.0),
    };
    let query = TreeQuery { prefix: prefix.to_owned(), recursive, after: None, limit: 1000 };
    let page = store.tree(bucket.uid, &query).await.unwrap();
    assert_eq!(page.next, None);
    let at_once: Vec<_> = page.entries.into_iter().map(line).collect();

    let mut one_by_one = Vec::new();
    let mut query = TreeQuery { limit: 1, ..query };
    loop {
        let page = store.tree(bucket.uid, &query).await.unwrap();
        assert!(page.entries.len() <= 1);
        one_by_one.extend(page.entries.into_iter().map(line));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(one_by_one, at_once);
    at_once
}

async fn folders_are_shown_with_the_newest_below_them(store: Store) {
    let keys = ["sub/nested.txt", "sub/deep/file.txt", "big.bin", "file.txt", "sub/deep/a"];
    let bucket = fill(&store, &keys).await;
    assert_eq!(lines(&store, &bucket, "", false).await, ["big.bin", "file.txt", "sub/@50"]);
    let all = ["big.bin", "file.txt", "sub/deep/a", "sub/deep/file.txt", "sub/nested.txt"];
    assert_eq!(lines(&store, &bucket, "", true).await, all);
    assert_eq!(lines(&store, &bucket, "sub", false).await, ["sub/deep/@50", "sub/nested.txt"]);
    assert_eq!(lines(&store, &bucket, "none", false).await, [""; 0]);
    let put = store.object(bucket.uid, &key("file.txt")).await.unwrap().unwrap();
    let query = TreeQuery { prefix: "file".to_owned(), recursive: true, after: None, limit: 10 };
    let page = store.tree(bucket.uid, &query).await.unwrap();
    assert_eq!(page.entries, [TreeEntry::File(key("file.txt"), Box::new(put))]);
    let after = Some(After::Key("sub/nested.txt".to_owned()));
    let page = store.tree(bucket.uid, &TreeQuery { after, ..query }).await.unwrap();
    assert_eq!(page, TreePage::default(), "nothing with the prefix is behind that");
}

async fn a_prefix_is_entered_and_its_siblings_are_shown(store: Store) {
    let bucket = fill(&store, &["logs/a", "logs/b/c", "logs.json", "logs_old/d", "log"]).await;
    assert_eq!(
        lines(&store, &bucket, "logs", false).await,
        ["logs.json", "logs/a", "logs/b/@20", "logs_old/@40"]
    );
    let all = ["logs.json", "logs/a", "logs/b/c", "logs_old/d"];
    assert_eq!(lines(&store, &bucket, "logs", true).await, all);
    assert_eq!(lines(&store, &bucket, "logs/a", false).await, ["logs/a"]);
}

async fn keys_that_fit_badly_are_shown_where_they_can_be_reached(store: Store) {
    let bucket = fill(&store, &["mark/", "mark/x", "only-a-mark/", "/top", "a//b", "a/../b"]).await;
    assert_eq!(lines(&store, &bucket, "", false).await, ["/top", "a/@60", "mark/@20", "only-a-mark/@30"]);
    assert_eq!(lines(&store, &bucket, "a", false).await, ["a/../@60", "a//b"]);
    assert_eq!(lines(&store, &bucket, "mark", false).await, ["mark/x"]);
    assert_eq!(lines(&store, &bucket, "", true).await, ["/top", "a/../b", "a//b", "mark/x"]);
}
