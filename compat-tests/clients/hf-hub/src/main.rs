//! The crate `hf-hub`, driven line by line (`support/offers/driven.py`): reads calls, does them, answers.
//!
//! Endpoint and token come from `HF_ENDPOINT` and `HF_TOKEN`, as the crate reads them itself.

use std::error::Error;
use std::io::BufRead;
use std::path::PathBuf;

use hf_hub::buckets::{BucketDownload, BucketTreeEntry, BucketUpload};
use hf_hub::{HFBucketSync, HFClientSync};
use serde_json::{Value, json};

type Answer = Result<Value, Box<dyn Error>>;

fn main() {
    let client = HFClientSync::new().expect("a client by the environment");
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line.expect("a line")).expect("a call");
        let answer = match call(&client, asked["call"].as_str().unwrap_or_default(), &asked["with"]) {
            Ok(got) => json!({ "got": got }),
            Err(why) => json!({ "failed": format!("{why}: {why:?}") }),
        };
        println!("{answer}");
    }
}

fn text<'a>(given: &'a Value, name: &str) -> Result<&'a str, String> {
    given[name].as_str().ok_or_else(|| format!("no {name}"))
}

fn call(client: &HFClientSync, name: &str, given: &Value) -> Answer {
    let (owner, bucket) = text(given, "bucket")?.split_once('/').ok_or("no namespace")?;
    if name == "make_private" {
        client.create_bucket().namespace(owner).name(bucket).private(true).send()?;
        return Ok(Value::Null);
    }
    let bucket = client.bucket(owner, bucket);
    match name {
        "names" => names(&bucket, text(given, "prefix")?),
        "size" => size(&bucket, text(given, "path")?),
        "upload" => {
            let upload = BucketUpload::new(PathBuf::from(text(given, "local")?), text(given, "path")?);
            bucket.upload_files().files(vec![upload]).send()?;
            Ok(Value::Null)
        }
        "download" => {
            let download = BucketDownload::new(text(given, "path")?, PathBuf::from(text(given, "local")?));
            bucket.download_files().files(vec![download]).send()?;
            Ok(Value::Null)
        }
        "delete" => {
            let paths: Vec<String> = serde_json::from_value(given["paths"].clone())?;
            bucket.delete_files().paths(paths).send()?;
            Ok(Value::Null)
        }
        other => Err(format!("no call {other}").into()),
    }
}

fn names(bucket: &HFBucketSync, prefix: &str) -> Answer {
    // It drops a slash at the end, and the Hub takes a prefix as letters: `p` brings `p.bin` too.
    let folder = format!("{prefix}/");
    let entries = bucket.list_tree().prefix(&folder).recursive(true).send()?;
    let files = entries.into_iter().filter_map(|entry| match entry {
        BucketTreeEntry::File { path, .. } if path.starts_with(&folder) => Some(Value::String(path)),
        _ => None,
    });
    Ok(files.collect())
}

fn size(bucket: &HFBucketSync, path: &str) -> Answer {
    let found = bucket.get_paths_info().paths(vec![path.to_owned()]).send()?;
    Ok(found
        .into_iter()
        .find_map(|entry| match entry {
            BucketTreeEntry::File { size, .. } => Some(json!(size)),
            BucketTreeEntry::Directory { .. } => None,
        })
        .unwrap_or(Value::Null))
}
