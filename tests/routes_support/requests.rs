//! A request for each route.

use super::{House, KEY};

/// A request to the S3 listener, to be signed.
pub(crate) struct S3Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// How each operation is asked for: method, whether of the object, query.
fn operation(name: &str) -> Option<(&'static str, bool, &'static str)> {
    let of_bucket = |method, query| Some((method, false, query));
    let of_object = |method, query| Some((method, true, query));
    match name {
        "CreateBucket" => of_bucket("PUT", ""),
        "DeleteBucket" => of_bucket("DELETE", ""),
        "DeleteBucketCors" => of_bucket("DELETE", "cors"),
        "DeleteBucketEncryption" => of_bucket("DELETE", "encryption"),
        "DeleteBucketLifecycle" => of_bucket("DELETE", "lifecycle"),
        "DeleteBucketPolicy" => of_bucket("DELETE", "policy"),
        "DeleteBucketReplication" => of_bucket("DELETE", "replication"),
        "DeleteBucketTagging" => of_bucket("DELETE", "tagging"),
        "DeleteBucketWebsite" => of_bucket("DELETE", "website"),
        "DeletePublicAccessBlock" => of_bucket("DELETE", "publicAccessBlock"),
        "PutBucketAcl" => of_bucket("PUT", "acl"),
        "PutBucketCors" => of_bucket("PUT", "cors"),
        "PutBucketLifecycleConfiguration" => of_bucket("PUT", "lifecycle"),
        "PutBucketOwnershipControls" => of_bucket("PUT", "ownershipControls"),
        "PutBucketRequestPayment" => of_bucket("PUT", "requestPayment"),
        "PutBucketTagging" => of_bucket("PUT", "tagging"),
        "PutBucketVersioning" => of_bucket("PUT", "versioning"),
        "PutObjectLockConfiguration" => of_bucket("PUT", "object-lock"),
        "PutPublicAccessBlock" => of_bucket("PUT", "publicAccessBlock"),
        "HeadBucket" => of_bucket("HEAD", ""),
        "GetBucketAccelerateConfiguration" => of_bucket("GET", "accelerate"),
        "GetBucketAcl" => of_bucket("GET", "acl"),
        "GetBucketCors" => of_bucket("GET", "cors"),
        "GetBucketEncryption" => of_bucket("GET", "encryption"),
        "GetBucketLifecycleConfiguration" => of_bucket("GET", "lifecycle"),
        "GetBucketLocation" => of_bucket("GET", "location"),
        "GetBucketLogging" => of_bucket("GET", "logging"),
        "GetBucketNotificationConfiguration" => of_bucket("GET", "notification"),
        "GetBucketOwnershipControls" => of_bucket("GET", "ownershipControls"),
        "GetBucketPolicy" => of_bucket("GET", "policy"),
        "GetBucketPolicyStatus" => of_bucket("GET", "policyStatus"),
        "GetBucketReplication" => of_bucket("GET", "replication"),
        "GetBucketRequestPayment" => of_bucket("GET", "requestPayment"),
        "GetBucketTagging" => of_bucket("GET", "tagging"),
        "GetBucketVersioning" => of_bucket("GET", "versioning"),
        "GetBucketWebsite" => of_bucket("GET", "website"),
        "GetObjectLockConfiguration" => of_bucket("GET", "object-lock"),
        "GetPublicAccessBlock" => of_bucket("GET", "publicAccessBlock"),
        "ListObjects" | "Preflight" => of_bucket("GET", ""),
        "ListObjectsV2" => of_bucket("GET", "list-type=2"),
        "ListObjectVersions" => of_bucket("GET", "versions"),
        "ListMultipartUploads" => of_bucket("GET", "uploads"),
        "DeleteObjects" => of_bucket("POST", "delete"),
        "PostObject" => of_bucket("POST", ""),
        "GetObjectAcl" => of_object("GET", "acl"),
        "GetObjectLegalHold" => of_object("GET", "legal-hold"),
        "GetObjectRetention" => of_object("GET", "retention"),
        "GetObjectTagging" => of_object("GET", "tagging"),
        "GetObjectAttributes" => of_object("GET", "attributes"),
        "ListParts" => of_object("GET", "uploadId=none"),
        "GetObject" => of_object("GET", ""),
        "HeadObject" => of_object("HEAD", ""),
        "PutObject" => of_object("PUT", ""),
        "CopyObject" => of_object("PUT", "x-id=CopyObject"),
        "PutObjectAcl" => of_object("PUT", "acl"),
        "PutObjectLegalHold" => of_object("PUT", "legal-hold"),
        "PutObjectRetention" => of_object("PUT", "retention"),
        "PutObjectTagging" => of_object("PUT", "tagging"),
        "DeleteObjectTagging" => of_object("DELETE", "tagging"),
        "DeleteObject" => of_object("DELETE", ""),
        "CreateMultipartUpload" => of_object("POST", "uploads"),
        "UploadPart" => of_object("PUT", "partNumber=1&uploadId=none"),
        "UploadPartCopy" => of_object("PUT", "partNumber=1&uploadId=none&x-id=UploadPartCopy"),
        "CompleteMultipartUpload" => of_object("POST", "uploadId=none"),
        "AbortMultipartUpload" => of_object("DELETE", "uploadId=none"),
        _ => None,
    }
}

/// The request for an operation on a bucket.
pub(crate) fn s3_request(name: &str, bucket: &str) -> S3Request {
    if name == "ListBuckets" {
        return S3Request { method: "GET", target: "/".to_owned(), headers: Vec::new() };
    }
    let (method, of_object, query) =
        operation(name).unwrap_or_else(|| panic!("no request for operation {name}"));
    let method = if name == "Preflight" { "OPTIONS" } else { method };
    let key = if of_object { format!("/{KEY}") } else { String::new() };
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let headers = match name {
        "GetObjectAttributes" => vec![("x-amz-object-attributes", "ETag".to_owned())],
        "CopyObject" | "UploadPartCopy" => vec![("x-amz-copy-source", format!("/{bucket}/{KEY}"))],
        "PutBucketAcl" | "PutObjectAcl" => vec![("x-amz-acl", "public-read".to_owned())],
        "PostObject" => vec![("content-type", "multipart/form-data; boundary=b".to_owned())],
        "Preflight" => vec![
            ("origin", "http://page.test".to_owned()),
            ("access-control-request-method", "GET".to_owned()),
        ],
        _ => Vec::new(),
    };
    S3Request { method, target: format!("/{bucket}{key}{query}"), headers }
}

/// The path and query for a route of the Hub's listener.
pub(crate) fn hub_request(house: &House, route: &str, bucket: &str) -> String {
    let mut target = route.to_owned();
    for (part, value) in [
        ("{namespace}/{name}", format!("ada/{bucket}").as_str()),
        ("{namespace}", "ada"),
        ("{*path}", KEY),
        ("/{*prefix}", ""),
        ("{file}", &house.file),
        ("{xorb}", &house.xorb),
        ("{chunk}", &house.xorb),
        ("{prefix}", "default"),
        ("{id}", "AKREAD"),
        ("{name}", "ada"),
    ] {
        target = target.replace(part, value);
    }
    assert!(!target.contains('{'), "no value for what varies in {route}");
    match route {
        "/cas/v1/reconstructions" => format!("{target}?file_id={}", house.file),
        _ => target,
    }
}
