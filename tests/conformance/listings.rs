//! Many objects at once: listings, trees, batches.

use bytes::Bytes;
use xetgate::bucket::{
    Attributes, BatchChange, BucketApi, FileHash, ListQuery, ObjectRef, TreeEntry, TreeQuery, Visibility,
};

use super::{ADA, b, get, id, key, noise, put, said, with_bucket};

/// Between two of them comes what sorts otherwise where folders are sorted as names.
const NAMES: [&str; 9] = ["a-b", "a/1", "a/2/x", "a/2/y", "a0", "b-c/q", "b.txt", "b/z", "ü/1"];

/// Prefix and delimiter, and the keys and common prefixes that they give.
type Listing = (&'static str, Option<&'static str>, &'static [&'static str], &'static [&'static str]);

async fn fill(api: &dyn BucketApi) {
    with_bucket(api).await;
    for name in NAMES {
        put(api, name, &Bytes::from_static(b"x")).await;
    }
}

/// All keys and all common prefixes, page by page.
async fn listed(
    api: &dyn BucketApi,
    prefix: &str,
    delimiter: Option<&str>,
    limit: usize,
) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut prefixes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let delimiter = delimiter.map(ToOwned::to_owned);
        let query = ListQuery { prefix: prefix.to_owned(), delimiter, after, limit };
        let page = api.list(&b(), &query).await.unwrap();
        assert!(page.objects.len() + page.common_prefixes.len() <= limit);
        keys.extend(page.objects.into_iter().map(|(key, _)| key.as_str().to_owned()));
        prefixes.extend(page.common_prefixes);
        after = page.next;
        if after.is_none() {
            return (keys, prefixes);
        }
    }
}

pub(crate) async fn listings_are_in_byte_order_whatever_the_pages(api: &dyn BucketApi) {
    fill(api).await;
    let table: [Listing; 7] = [
        ("", None, &NAMES, &[]),
        ("", Some("/"), &["a-b", "a0", "b.txt"], &["a/", "b-c/", "b/", "ü/"]),
        ("a/", Some("/"), &["a/1"], &["a/2/"]),
        ("a", Some("-"), &["a/1", "a/2/x", "a/2/y", "a0"], &["a-"]),
        ("a/2", None, &["a/2/x", "a/2/y"], &[]),
        ("a/2/x", None, &["a/2/x"], &[]),
        ("nothing/", None, &[], &[]),
    ];
    for limit in [1, 2, 3, 1000] {
        for (prefix, delimiter, keys, prefixes) in table {
            let (found, rolled_up) = listed(api, prefix, delimiter, limit).await;
            assert_eq!(found, keys, "{prefix:?} {delimiter:?} {limit}");
            assert_eq!(rolled_up, prefixes, "{prefix:?} {delimiter:?} {limit}");
        }
    }
    let page = api.list(&b(), &ListQuery { limit: 1, ..ListQuery::default() }).await.unwrap();
    assert_eq!((page.objects[0].1.size, &page.objects[0].1.attributes), (1, &said()));
}

pub(crate) async fn trees_have_files_and_folders(api: &dyn BucketApi) {
    fill(api).await;
    let shown = async |prefix: &str, recursive: bool| {
        let query = TreeQuery { prefix: prefix.to_owned(), recursive, after: None, limit: 1000 };
        let page = api.tree(&b(), &query).await.unwrap();
        assert_eq!(page.next, None);
        let mut lines: Vec<_> = page
            .entries
            .into_iter()
            .map(|entry| match entry {
                TreeEntry::File(key, _) => key.as_str().to_owned(),
                TreeEntry::Folder { path, .. } => format!("{path}/"),
            })
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(shown("", true).await, NAMES);
    assert_eq!(shown("", false).await, ["a-b", "a/", "a0", "b-c/", "b.txt", "b/", "ü/"]);
    assert_eq!(shown("a/", false).await, ["a/1", "a/2/"]);
    assert!(shown("nothing/", true).await.is_empty());

    let keys = ["b/z", "none", "a0", "b/z"].map(key);
    let found = api.paths_info(&b(), &keys).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(found[0].as_ref().map(|object| &object.attributes), Some(&said()));
}

pub(crate) async fn batches_name_content_by_its_hash(api: &dyn BucketApi) {
    with_bucket(api).await;
    let other = id(ADA, "other");
    api.create_bucket(&other, Visibility::Private).await.unwrap();
    let data = noise(1, 100_000);
    let file = put(api, "k", &data).await.file;
    let typed = || Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
    let add = |name: &str, file| BatchChange::Add {
        key: key(name),
        file,
        size: None,
        proved_by: None,
        attributes: typed(),
    };
    let unknown = FileHash::from_bytes([9; 32]);
    let changes = vec![
        add("again", file),
        add("unknown", unknown),
        add("empty", FileHash::EMPTY),
        BatchChange::Delete { key: key("never") },
    ];
    let results = api.batch(&b(), changes).await.unwrap();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(get(api, "again", None).await, data);
    assert_eq!(api.object(&b(), ObjectRef::current(&key("empty"))).await.unwrap().size, 0);
    let again = api.object(&b(), ObjectRef::current(&key("again"))).await.unwrap();
    assert_eq!(again.attributes.content_type.as_deref(), Some("text/plain"));

    let copy = |name: &str, file| BatchChange::Copy {
        key: key(name),
        file,
        size: None,
        source: b(),
        attributes: Attributes::default(),
    };
    let results = api.batch(&other, vec![add("stolen", file), copy("copy", file)]).await.unwrap();
    assert_eq!(
        results.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [false, true],
        "hashes give nobody content"
    );
    assert_eq!(api.object(&other, ObjectRef::current(&key("copy"))).await.unwrap().file, file);
    api.batch(&b(), vec![BatchChange::Delete { key: key("k") }]).await.unwrap().remove(0).unwrap();
    assert_eq!(api.paths_info(&b(), &[key("k")]).await.unwrap(), [None]);
}
