//! A stored example of every kind of row, in each version that was released: what they were written as, and what they
//! are read as. An example is only ever added; one that changes is a store that cannot be read.

use super::*;
use crate::model::accounts::{Account, AccountKind, Permission, SealedCredential};
use crate::model::bucket::{Bucket, BucketUid, Visibility};
use crate::model::checksums::{Checksum, ChecksumAlgorithm, ChecksumType};
use crate::model::clock::Timestamp;
use crate::model::file::Term;
use crate::model::lifecycle::{
    Expiration, Filter, FilterForm, Lifecycle, NoncurrentExpiration, Rule, TransitionMinimum,
};
use crate::model::lock::{
    BucketLock, DefaultRetention, ObjectLock, Retention, RetentionMode, RetentionPeriod,
};
use crate::model::names::{BucketId, BucketName, Namespace, ObjectKey, UploadId};
use crate::model::object::{Attributes, DeleteMarker, ETag, Object, ObjectPart, Version};
use crate::model::settings::{CorsRule, PublicAccessBlock, Tags};
use crate::model::upload::{Part, Upload};
use crate::model::version::{Stamp, VersionId, Versioning};
use crate::store::meta::lifecycle::{IndexWork, Place};
use crate::store::rows::{PackId, XorbRow};
use crate::xet::hash::{ChunkHash, FileHash, XorbHash};
use crate::xet::xorb::ChunkTable;

fn text(text: impl Into<Option<&'static str>>) -> Option<String> {
    text.into().map(str::to_owned)
}

fn pair(name: &str, value: &str) -> Tags {
    [(name.to_owned(), value.to_owned())].into()
}

fn names<T, E: std::fmt::Debug>(make: impl Fn(&str) -> Result<T, E>, names: &[&str]) -> Vec<T> {
    names.iter().map(|name| make(name).unwrap()).collect()
}

fn checksum() -> Checksum {
    Checksum { algorithm: ChecksumAlgorithm::Crc64Nvme, value: vec![9; 8], over: ChecksumType::Composite }
}

fn attributes() -> Attributes {
    Attributes {
        content_type: text("text/html"),
        cache_control: text("no-cache"),
        content_disposition: text("inline"),
        content_encoding: text("gzip"),
        content_language: text("de"),
        expires: text("0"),
        website_redirect_location: text("/x"),
        user_metadata: pair("mtime", "1.5"),
        tags: pair("a", "b"),
    }
}

fn small_object() -> Object {
    let content_type = text("binary/octet-stream");
    Object {
        file: FileHash::from_bytes([1; 32]),
        size: 4096,
        etag: ETag::Md5([2; 16]),
        modified_at: Timestamp(1_700_000_000_000),
        attributes: Attributes { content_type, ..Attributes::default() },
        checksums: Vec::new(),
        parts: Vec::new(),
        upload: None,
        version: None,
        lock: ObjectLock::default(),
    }
}

const VERSION_ID: VersionId = VersionId { stamp: Stamp(1), random: 2 };

fn locked_object() -> Object {
    let retention = Some(Retention { mode: RetentionMode::Compliance, until: Timestamp(3) });
    let lock = ObjectLock { retention, legal_hold: true };
    Object { version: Some(VERSION_ID), lock, ..small_object() }
}

fn whole_object() -> Object {
    Object {
        etag: ETag::Multipart { md5: [2; 16], parts: 2 },
        attributes: attributes(),
        checksums: vec![checksum()],
        parts: vec![
            ObjectPart { number: 1, size: 4000, checksum: Some(checksum()) },
            ObjectPart { number: 7, size: 96, checksum: None },
        ],
        upload: Some(UploadId::new(1, [2; 8])),
        ..small_object()
    }
}

fn term(start: u32) -> Term {
    Term { xorb: XorbHash::from_bytes([3; 32]), start, end: start + 2, raw_bytes: 70_000 }
}

fn xorb_row(chunks: u8) -> (XorbHash, XorbRow) {
    let mut table = ChunkTable::default();
    (0..chunks).for_each(|chunk| table.push(ChunkHash::from_bytes([10 + chunk; 32]), 9, 1));
    let row = XorbRow { pack: PackId(3), offset: 1 << 33, frame_end: (1 << 33) + 200, table };
    // One that has only this chunk has its hash.
    (XorbHash::from_bytes([10; 32]), row)
}

fn block() -> PublicAccessBlock {
    PublicAccessBlock {
        block_public_acls: true,
        ignore_public_acls: false,
        block_public_policy: true,
        restrict_public_buckets: false,
    }
}

fn lifecycle() -> Lifecycle {
    let filter = Filter {
        form: FilterForm::And,
        prefix: text("a/"),
        tags: pair("a", "b"),
        larger_than: Some(1),
        smaller_than: Some(300),
    };
    let whole = Rule {
        id: "r".to_owned(),
        is_enabled: true,
        filter,
        expiration: Some(Expiration::Days(30)),
        noncurrent: Some(NoncurrentExpiration { days: 7, newer_kept: 3 }),
        abort_after_days: Some(2),
    };
    let filter = Filter {
        form: FilterForm::Plain,
        prefix: None,
        tags: Tags::new(),
        larger_than: None,
        smaller_than: None,
    };
    let markers = Rule {
        id: "m".to_owned(),
        is_enabled: false,
        filter,
        expiration: Some(Expiration::LoneMarkers(true)),
        noncurrent: None,
        abort_after_days: None,
    };
    let date = Rule { expiration: Some(Expiration::Date(Timestamp(300))), ..markers.clone() };
    let transition_minimum = TransitionMinimum::VariesByStorageClass;
    Lifecycle { rules: vec![whole, markers, date], transition_minimum }
}

/// Of lifecycle rules.
fn lifecycle_examples() -> Vec<Example> {
    let fill = |place| IndexWork::Fill(BucketUid(300), place);
    vec![
        example("lifecycle", lifecycle()),
        example("index filled with keys", fill(Place::Keys(b"a/b".to_vec(), Some(Stamp(5))))),
        example(
            "index filled with uploads",
            fill(Place::Uploads(b"a/b".to_vec(), UploadId::new(1, [2; 8]).as_str().to_owned())),
        ),
        example("index to be emptied", IndexWork::Empty),
    ]
}

/// Every kind of row: its name, how it is written now, and whether a stored one is read as the same.
type Example = (&'static str, Vec<u8>, Box<dyn Fn(&[u8]) -> Result<bool, StoredError>>);

fn example<T: Stored + PartialEq + 'static>(name: &'static str, value: T) -> Example {
    (name, value.to_row().unwrap(), Box::new(move |row| Ok(T::from_row(row)? == value)))
}

fn object(name: &'static str, object: Object) -> Example {
    let row = encode_object(&object).unwrap();
    let read = move |row: &[u8]| {
        let without_parts = Object { parts: Vec::new(), ..object.clone() };
        Ok(decode_modified_at(row)? == object.modified_at
            && decode_object(row)? == without_parts
            && decode_whole_object(row)? == object)
    };
    (name, row, Box::new(read))
}

/// What came with object lock.
fn lock_examples(upload: &Upload) -> Vec<Example> {
    let years = DefaultRetention { mode: RetentionMode::Compliance, period: RetentionPeriod::Years(300) };
    vec![
        example("locked upload", Upload { lock: locked_object().lock, ..upload.clone() }),
        example("object lock", BucketLock { default_retention: Some(years) }),
        example("object lock without a default", BucketLock::default()),
    ]
}

fn examples() -> Vec<Example> {
    let mut all = other_examples();
    all.extend(lifecycle_examples());
    all
}

fn other_examples() -> Vec<Example> {
    let xorb = |name: &'static str, chunks: u8| -> Example {
        let (hash, row) = xorb_row(chunks);
        let stored = encode_xorb(&hash, &row).unwrap();
        (name, stored, Box::new(move |stored| Ok(decode_xorb(&hash, stored)? == row)))
    };
    let file = |name: &'static str, row: Result<Vec<u8>, StoredError>, size: u64, like: FileRow| -> Example {
        let read = move |row: &[u8]| Ok(decode_file(row)? == like && decode_file_size(row)? == size);
        (name, row.unwrap(), Box::new(read))
    };
    let namespace = |name: &str| Namespace::new(name).unwrap();
    let id = BucketId { namespace: namespace("root"), name: BucketName::new("my-bucket").unwrap() };
    let (visibility, created_at) = (Visibility::Public, Timestamp(1_700_000_000_000));
    let rule = CorsRule {
        id: text("rule"),
        allowed_origins: vec!["*".to_owned()],
        allowed_methods: vec!["GET".to_owned(), "PUT".to_owned()],
        allowed_headers: vec!["x-*".to_owned()],
        expose_headers: vec!["etag".to_owned()],
        max_age_secs: Some(3600),
    };
    let upload = Upload {
        id: UploadId::new(1, [2; 8]),
        key: ObjectKey::new("a/b").unwrap(),
        created_at,
        attributes: attributes(),
        checksum: Some((ChecksumAlgorithm::Sha256, ChecksumType::FullObject)),
        lock: ObjectLock::default(),
    };
    let part = Part {
        number: 3,
        file: FileHash::from_bytes([1; 32]),
        size: 5 << 20,
        md5: [2; 16],
        modified_at: created_at,
        checksum: Some(checksum()),
    };
    let account = Account {
        name: namespace("team"),
        kind: AccountKind::Org,
        members: names(Namespace::new, &["ada", "bob"]),
        new_buckets: Some(Visibility::Public),
    };
    let credential = SealedCredential {
        access_key_id: "AK".to_owned(),
        account: namespace("team"),
        permission: Permission::Write,
        buckets: Some(names(BucketName::new, &["one", "two"])),
        created_at,
        expires_at: Some(Timestamp(1_800_000_000_000)),
        sealed: vec![4; 5],
    };
    let (uid, versioning) = (BucketUid(300), Versioning::Off);
    let bucket = Bucket { uid, id, visibility, created_at, versioning, lifecycle: None };
    let (xorb_of_first, terms) = (XorbHash::from_bytes([3; 32]), vec![term(0), term(9)]);
    let runs = vec![(0, 1024), (1 << 30, 17)];
    let of_run = terms.clone();
    let mut examples = lock_examples(&upload);
    examples.extend(vec![
        example("bucket", bucket.clone()),
        example("bucket with versions", Bucket { versioning: Versioning::Suspended, ..bucket }),
        example("version", Version::Object(Box::new(locked_object()))),
        example(
            "delete marker",
            Version::Marker(DeleteMarker { version: Some(VERSION_ID), made_at: created_at }),
        ),
        object("locked object", locked_object()),
        example("tags", pair("a", "b")),
        example("cors", vec![rule]),
        example("public access block", block()),
        example("upload", upload),
        example("part", part),
        example("account", account.clone()),
        example("plain account", Account { members: Vec::new(), new_buckets: None, ..account }),
        example("credential", credential),
        object("small object", small_object()),
        object("whole object", whole_object()),
        xorb("xorb of one chunk", 1),
        xorb("xorb", 2),
        file(
            "file of one chunk",
            encode_first(70_000, &xorb_of_first),
            70_000,
            FileRow::First { raw_bytes: 70_000, xorb: xorb_of_first },
        ),
        file(
            "file",
            encode_file(140_000, &terms),
            140_000,
            FileRow::Any { size: 140_000, terms: terms.clone() },
        ),
        file(
            "long file",
            encode_split(1 << 40, 5, runs.clone()),
            1 << 40,
            FileRow::Split { size: 1 << 40, number: 5, runs },
        ),
        ("run", encode_run(&of_run).unwrap(), Box::new(move |row| Ok(decode_run(row)? == of_run))),
    ]);
    examples
}

/// Each with its name and its bytes, reckoned by hand from the rules of postcard. Version 1 of all that was there came with format 6.
const STORED: [(&str, &str); 28] = [
    ("bucket", "01ac0204726f6f74096d792d6275636b65740180d095ffbc31"),
    ("bucket with versions", "02ac0204726f6f74096d792d6275636b65740180d095ffbc3101"),
    (
        "version",
        "0100020101010101010101010101010101010101010101010101010101010101010101802000020202020202020202\
         0202020202020280d095ffbc31010000000101020101030100",
    ),
    ("delete marker", "010101010280d095ffbc31"),
    (
        "locked object",
        "020101010101010101010101010101010101010101010101010101010101010101802000020202020202020202020202\
         0202020280d095ffbc31010000000101020101030100",
    ),
    ("tags", "010101610162"),
    ("cors", "0101010472756c6501012a0203474554035055540103782d2a01046574616701a038"),
    ("public access block", "0101000100"),
    (
        "lifecycle",
        "0103017201020102612f0101610162010101ac0201001e0107030102\
         016d0001000000000102010000016d0001000000000101ac02000001",
    ),
    ("index filled with keys", "0100ac0203612f6205"),
    (
        "index filled with uploads",
        "0101ac0203612f62203030303030303030303030303030303130323032303230323032303230323032\
         ",
    ),
    ("index to be emptied", "0102"),
    (
        "upload",
        "0120303030303030303030303030303030313032303230323032303230323032303203612f6280d095ffbc3101097465\
         78742f68746d6c01086e6f2d63616368650106696e6c696e650104677a69700102646501013001022f7801056d74696d\
         6503312e350101610162010400",
    ),
    (
        "locked upload",
        "0220303030303030303030303030303030313032303230323032303230323032303203612f6280d095ffbc3101097465\
         78742f68746d6c01086e6f2d63616368650106696e6c696e650104677a69700102646501013001022f7801056d74696d\
         6503312e35010161016201040001010301",
    ),
    ("object lock", "01010101ac02"),
    ("object lock without a default", "0100"),
    (
        "part",
        "010301010101010101010101010101010101010101010101010101010101010101018080c00202020202020202020202\
         02020202020280d095ffbc31010208090909090909090901",
    ),
    ("account", "01047465616d01020361646103626f620101"),
    ("plain account", "01047465616d010000"),
    ("credential", "0102414b047465616d010102036f6e650374776f80d095ffbc310180a0f1c2b134050404040404"),
    (
        "small object",
        "010101010101010101010101010101010101010101010101010101010101010101802000020202020202020202020202\
         0202020280d095ffbc310100000000",
    ),
    (
        "whole object",
        "010101010101010101010101010101010101010101010101010101010101010101802001020202020202020202020202\
         020202020280d095ffbc31020109746578742f68746d6c01086e6f2d63616368650106696e6c696e650104677a697001\
         02646501013001022f7801056d74696d6503312e35010161016201020809090909090909090101203030303030303030\
         3030303030303031303230323032303230323032303230320201a01f010208090909090909090901076000",
    ),
    ("xorb of one chunk", "01038080808020c801000901"),
    (
        "xorb",
        "01038080808020c80101020a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a09010b0b0b\
         0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b1202",
    ),
    ("file of one chunk", "0100f0a2040303030303030303030303030303030303030303030303030303030303030303"),
    (
        "file",
        "0101e0c5080203030303030303030303030303030303030303030303030303030303030303030002f0a2040303030303\
         030303030303030303030303030303030303030303030303030303090bf0a204",
    ),
    ("long file", "01028080808080200502008008808080800411"),
    (
        "run",
        "010203030303030303030303030303030303030303030303030303030303030303030002f0a204030303030303030303\
         0303030303030303030303030303030303030303030303090bf0a204",
    ),
];

#[test]
fn rows_are_written_as_they_were_and_every_released_version_is_read() {
    let examples = examples();
    for (name, row, _) in &examples {
        let row = hex::encode(row);
        let written = STORED.iter().any(|(stored, bytes)| stored == name && *bytes == row);
        assert!(written, "{name} is written as {row}");
    }
    for (name, bytes) in STORED {
        let (_, _, reads) = examples.iter().find(|(example, ..)| *example == name).unwrap();
        assert_eq!(reads(&hex::decode(bytes).unwrap()), Ok(true), "{name}");
    }
}

#[test]
fn rows_of_a_later_version_and_damaged_ones_are_told_apart() {
    for (name, row, reads) in examples() {
        let later = reads(&[&[9], &row[1..]].concat());
        assert!(matches!(later, Err(StoredError::Newer { found: 9, .. })), "{name}: {later:?}");
        let longer = [row.as_slice(), &[0]].concat();
        for damaged in [&row[..row.len() - 1], &row[..1], &[], &longer] {
            let read = reads(damaged);
            assert!(matches!(read, Err(StoredError::Damaged { .. })), "{name}: {read:?}");
        }
    }
}

#[test]
fn a_small_object_of_a_common_type_has_a_row_of_few_bytes() {
    assert_eq!(encode_object(&small_object()).unwrap().len(), 63);
}

#[test]
fn objects_read_back_with_all_their_attributes() {
    let of_type =
        |content_type: &'static str| Attributes { content_type: text(content_type), ..Attributes::default() };
    let tagged = Attributes { tags: pair("a", "b"), ..of_type("text/plain") };
    let no_type = Attributes { content_type: None, ..tagged.clone() };
    for attributes in [
        Attributes::default(),
        of_type("text/plain"),
        of_type("text/unheard-of"),
        tagged,
        no_type,
        attributes(),
    ] {
        for etag in [ETag::Xet(FileHash::EMPTY), small_object().etag] {
            let object = Object { attributes: attributes.clone(), etag, ..small_object() };
            assert_eq!(decode_whole_object(&encode_object(&object).unwrap()).unwrap(), object);
        }
    }
}
