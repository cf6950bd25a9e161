//! The tests that the `object_store` crate brings for its own implementations, all that it publishes, with its S3
//! client against our endpoint: what it expects of S3 is what arrow, delta-rs, lance and polars expect.
//!
//! Its options are the defaults but for those that say how S3 does it: conditional puts by `ETag`, and copies that must
//! not overwrite as multipart copies with a condition.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut, S3CopyIfNotExists};
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{Attribute, Attributes, ObjectStore as _, PutOptions, TagSet, integration};
use reqwest::Method;
use xetgate::store::pack::object::Connector;

use support::Gateway;

const KEYS: [(&str, &str); 2] = [
    ("XETGATE_ROOT_ACCESS_KEY_ID", "XGTESTROOT0000000001"),
    ("XETGATE_ROOT_SECRET_ACCESS_KEY", "compat/root+secret/only=for0the1tests2"),
];
const TOKEN: &str = "hf_objectStoreToken0001";
const URL_LIFE: Duration = Duration::from_mins(5);

/// A gateway with an empty bucket, for one test.
struct Bucket {
    gateway: Gateway,
    _hub: Option<Gateway>,
    _home: tempfile::TempDir,
}

impl Bucket {
    /// A standalone gateway's, and one's in hub mode, whose Hub is a standalone gateway.
    async fn of_each_mode() -> [Self; 2] {
        let home = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(home.path(), &[], &KEYS);
        let standalone = Self { gateway, _hub: None, _home: home };

        let home = tempfile::tempdir().unwrap();
        let root = [KEYS[0], KEYS[1], ("XETGATE_ROOT_TOKEN", TOKEN)];
        let hub = Gateway::start(home.path(), &["--data-dir", &folder(&home, "hub")], &root);
        let endpoint = format!("http://{}", hub.hub);
        let vars = [KEYS[0], KEYS[1], ("HF_TOKEN", TOKEN), ("HF_ENDPOINT", &endpoint)];
        let args = ["--mode", "hub", "--data-dir", &folder(&home, "gateway")];
        let gateway = Gateway::start(home.path(), &args, &vars);
        let in_front = Self { gateway, _hub: Some(hub), _home: home };

        for bucket in [&standalone, &in_front] {
            // The crate makes no buckets, but a URL that it signs for the bucket itself does.
            let url = bucket.store().signed_url(Method::PUT, &Path::ROOT, URL_LIFE).await.unwrap();
            let made = reqwest::Client::new().put(url).send().await.unwrap();
            assert_eq!(made.status(), 200, "{}", made.text().await.unwrap());
        }
        [standalone, in_front]
    }

    fn builder(&self) -> AmazonS3Builder {
        AmazonS3Builder::new()
            .with_http_connector(Connector)
            .with_endpoint(format!("http://{}", self.gateway.address))
            .with_allow_http(true)
            .with_bucket_name("integration")
            .with_access_key_id(KEYS[0].1)
            .with_secret_access_key(KEYS[1].1)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
    }

    fn store(&self) -> AmazonS3 {
        self.builder().build().unwrap()
    }
}

fn folder(home: &tempfile::TempDir, name: &str) -> String {
    home.path().join(name).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_put_is_got_listed_and_deleted() {
    for bucket in Bucket::of_each_mode().await {
        integration::put_get_delete_list(&bucket.store()).await;
    }
}

#[tokio::test]
async fn the_same_with_unsigned_payloads_and_with_checksums() {
    for bucket in Bucket::of_each_mode().await {
        let unsigned = bucket.builder().with_unsigned_payload(true).build().unwrap();
        integration::put_get_delete_list(&unsigned).await;
        let checked = bucket.builder().with_checksum_algorithm(Checksum::SHA256).build().unwrap();
        integration::put_get_delete_list(&checked).await;
    }
}

#[tokio::test]
async fn listings_end_where_they_should() {
    for bucket in Bucket::of_each_mode().await {
        let store = bucket.store();
        integration::list_with_offset_exclusivity(&store).await;
        integration::list_uses_directories_correctly(&store).await;
        integration::list_with_delimiter(&store).await;
        integration::list_paginated(&store, &store).await;
    }
}

#[tokio::test]
async fn conditions_and_ranges_of_reads_are_kept() {
    for bucket in Bucket::of_each_mode().await {
        integration::get_opts(&bucket.store()).await;
    }
}

#[tokio::test]
async fn conditions_of_writes_are_kept() {
    for bucket in Bucket::of_each_mode().await {
        integration::put_opts(&bucket.store(), true).await;
    }
}

#[tokio::test]
async fn attributes_come_back() {
    for bucket in Bucket::of_each_mode().await {
        integration::put_get_attributes(&bucket.store()).await;
    }
}

#[tokio::test]
async fn copies_and_renames_overwrite_only_where_they_may() {
    for bucket in Bucket::of_each_mode().await {
        let store = bucket.store();
        integration::rename_and_copy(&store).await;
        integration::copy_if_not_exists(&store).await;
        integration::copy_rename_nonexistent_object(&store).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for bucket in Bucket::of_each_mode().await {
        let error = integration::get_nonexistent_object(&bucket.store(), None).await.unwrap_err();
        assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn streams_and_parts_make_whole_objects() {
    for bucket in Bucket::of_each_mode().await {
        let store = bucket.store();
        integration::stream_get(&store).await;
        integration::multipart(&store, &store).await;
        integration::multipart_out_of_order(&store).await;
        integration::multipart_race_condition(&store, true).await;
    }
}

#[tokio::test]
async fn a_signed_url_reads_without_a_credential_and_tags_are_kept() {
    for bucket in Bucket::of_each_mode().await {
        let store = bucket.store();
        let (path, mut tags) = (Path::from("folder/ü & more.bin"), TagSet::default());
        tags.push("colour", "deep blue");
        let attributes = Attributes::from_iter([(Attribute::Metadata("note".into()), "kept")]);
        let options = PutOptions { tags, attributes, ..PutOptions::default() };
        store.put_opts(&path, "hello".into(), options).await.unwrap();
        let url = store.signed_url(Method::GET, &path, URL_LIFE).await.unwrap();
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.headers()["x-amz-tagging-count"], "1");
        assert_eq!(answer.headers()["x-amz-meta-note"], "kept");
        assert_eq!(answer.text().await.unwrap(), "hello");
    }
}
