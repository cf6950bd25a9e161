//! Query parameters: which of them count as headers, and which an operation accepts.
//!
//! * Presigners move `x-amz-` headers into the query. Those that say what is to be done count as headers again. Those
//!   that describe how the body is sent do not: a presigner has no body, so what it says about one is about an empty
//!   one. Sources: `@aws-sdk/s3-request-presigner` and `@smithy/signature-v4` move every `x-amz-` header except
//!   `x-amz-server-side-encryption*`; `aws-sdk-go-v2` leaves the ones below in the headers and moves the rest; S3 itself
//!   does not compare a checksum that is in the query (aws-sdk#480, aws-sdk-go-v2#2610). Decision 0075.
//! * Other parameters that begin with `x-` are for the caller's own logs. Source: S3 user guide, "Amazon S3 server access
//!   log format", "Custom access log information".
//! * A sub-resource belongs to the operations that have it. s3s chooses the operation by the first that it knows, and
//!   ignores others; S3 refuses them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use s3s::{S3Result, s3_error};

use super::encoding::{decode_url, query_pairs};
use super::errors::{invalid_argument, invalid_request, not_implemented};

/// Parameters that count as the header of the same name. Some are unsupported: they count as headers so that they are
/// refused like those.
const AS_HEADERS: [&str; 22] = [
    "x-amz-acl",
    "x-amz-api-version",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-mode",
    "x-amz-checksum-type",
    "x-amz-expected-bucket-owner",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mfa",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-object-ownership",
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    "x-amz-request-payer",
    "x-amz-source-expected-bucket-owner",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-website-redirect-location",
];

/// The same, for families of headers.
const AS_HEADERS_BEGIN: [&str; 8] = [
    "x-amz-copy-source",
    "x-amz-grant-",
    "x-amz-if-",
    "x-amz-meta-",
    "x-amz-object-lock-",
    "x-amz-rename-source",
    "x-amz-server-side-encryption",
    "x-amz-write-offset",
];

/// Parameters of presigned URLs of Signature Version 2. botocore repeats in the query the two headers that it signs.
const OF_SIGNATURE_V2: [&str; 5] = ["awsaccesskeyid", "content-md5", "content-type", "expires", "signature"];

fn is_as_header(name: &str) -> bool {
    AS_HEADERS.contains(&name) || AS_HEADERS_BEGIN.iter().any(|begin| name.starts_with(begin))
}

/// The URI by which the operation is chosen: this path, without the parameters of the signature and those for the caller's
/// logs. Parameters that count as headers are moved to the headers; a header that was sent as such stays as it is.
pub(super) fn take_headers(path: &str, sent: &Uri, headers: &mut HeaderMap) -> S3Result<Uri> {
    let malformed = || s3_error!(InvalidURI, "Couldn't parse the specified URI.");
    if sent.query().is_none() && sent.authority().is_none() && sent.path() == path {
        return Ok(sent.clone());
    }
    let mut kept = Vec::new();
    for pair in sent.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode_url(name).ok_or_else(malformed)?.to_ascii_lowercase();
        if is_as_header(&name) {
            let name = HeaderName::try_from(name).map_err(|_| malformed())?;
            let value = value.replace('+', " ");
            let value = decode_url(&value).ok_or_else(malformed)?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| malformed())?;
            headers.entry(name).or_insert(value);
        } else if name == X_ID || !(name.starts_with("x-") || OF_SIGNATURE_V2.contains(&name.as_str())) {
            kept.push(pair);
        }
    }
    let text = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    text.parse().map_err(|_| malformed())
}

/// The operation's name, as some SDKs write it; s3s chooses `ListDirectoryBuckets` by it.
const X_ID: &str = "x-id";

/// Sub-resources and the operations that have them. Source: S3 API reference.
const SUB_RESOURCES: [(&str, &[&str]); 49] = [
    ("abac", &[]),
    ("accelerate", &["GetBucketAccelerateConfiguration"]),
    ("acl", &["GetBucketAcl", "GetObjectAcl", "PutBucketAcl", "PutObjectAcl"]),
    ("analytics", &[]),
    ("append", &[]),
    ("attributes", &["GetObjectAttributes"]),
    ("cors", &["DeleteBucketCors", "GetBucketCors", "PutBucketCors"]),
    ("delete", &["DeleteObjects"]),
    ("encryption", &["DeleteBucketEncryption", "GetBucketEncryption"]),
    ("intelligent-tiering", &[]),
    ("inventory", &[]),
    ("legal-hold", &["GetObjectLegalHold", "PutObjectLegalHold"]),
    (
        "lifecycle",
        &["DeleteBucketLifecycle", "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration"],
    ),
    ("location", &["GetBucketLocation"]),
    ("logging", &["GetBucketLogging"]),
    ("metadataConfiguration", &[]),
    ("metadataInventoryTable", &[]),
    ("metadataJournalTable", &[]),
    ("metadataTable", &[]),
    ("metrics", &[]),
    ("notification", &["GetBucketNotificationConfiguration"]),
    ("object-lock", &["GetObjectLockConfiguration", "PutObjectLockConfiguration"]),
    ("ownershipControls", &["GetBucketOwnershipControls", "PutBucketOwnershipControls"]),
    ("partNumber", &["GetObject", "HeadObject", "UploadPart", "UploadPartCopy"]),
    ("policy", &["DeleteBucketPolicy", "GetBucketPolicy"]),
    ("policyStatus", &["GetBucketPolicyStatus"]),
    ("publicAccessBlock", &["DeletePublicAccessBlock", "GetPublicAccessBlock", "PutPublicAccessBlock"]),
    ("renameObject", &[]),
    ("replication", &["DeleteBucketReplication", "GetBucketReplication"]),
    ("requestPayment", &["GetBucketRequestPayment", "PutBucketRequestPayment"]),
    ("restore", &[]),
    ("retention", &["GetObjectRetention", "PutObjectRetention"]),
    ("select", &[]),
    ("select-type", &[]),
    ("session", &[]),
    (
        "tagging",
        &[
            "DeleteBucketTagging",
            "DeleteObjectTagging",
            "GetBucketTagging",
            "GetObjectTagging",
            "PutBucketTagging",
            "PutObjectTagging",
        ],
    ),
    ("torrent", &[]),
    (
        "uploadId",
        &["AbortMultipartUpload", "CompleteMultipartUpload", "ListParts", "UploadPart", "UploadPartCopy"],
    ),
    ("uploads", &["CreateMultipartUpload", "ListMultipartUploads"]),
    ("versionId", &VERSIONED),
    ("versioning", &["GetBucketVersioning", "PutBucketVersioning"]),
    ("versions", &["ListObjectVersions"]),
    ("website", &["DeleteBucketWebsite", "GetBucketWebsite"]),
    ("response-cache-control", &READS),
    ("response-content-disposition", &READS),
    ("response-content-encoding", &READS),
    ("response-content-language", &READS),
    ("response-content-type", &READS),
    ("response-expires", &READS),
];

/// Operations on one version of an object.
const VERSIONED: [&str; 13] = [
    "DeleteObject",
    "DeleteObjectTagging",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTagging",
    "HeadObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
];

/// Operations whose answer's headers may be overridden.
const READS: [&str; 2] = ["GetObject", "HeadObject"];

/// Operations that s3s also takes a request for whose sub-resource it does not know, and that change what they are sent
/// to: what they do not have is refused, whatever it is.
const PLAIN_WRITES: [&str; 5] = ["CopyObject", "CreateBucket", "DeleteBucket", "DeleteObject", "PutObject"];

/// The value of a parameter that may be given once.
pub(super) fn single<'p>(parameters: &'p [(String, String)], name: &str) -> S3Result<Option<&'p str>> {
    let mut values = parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(invalid_request(format!("The parameter {name} can be given once."))),
        (value, None) => Ok(value),
    }
}

/// Refuses sub-resources of other operations, and unknown parameters of operations that write.
pub(super) fn check(operation: &str, uri: &Uri) -> S3Result<()> {
    let is_plain_write = PLAIN_WRITES.contains(&operation);
    for (name, _) in query_pairs(uri.query()) {
        match SUB_RESOURCES.iter().find(|(known, _)| *known == name) {
            Some((_, operations)) if operations.contains(&operation) => {}
            Some(_) => {
                return Err(invalid_argument(format!(
                    "The parameter {name} does not belong to {operation}."
                )));
            }
            None if is_plain_write && name != X_ID => {
                return Err(not_implemented(&format!("The parameter {name} of {operation}")));
            }
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::authorize::OPERATIONS;
    use super::*;

    fn taken(query: &str) -> (Uri, HeaderMap) {
        let mut headers = HeaderMap::new();
        let sent = format!("/b/k?{query}").parse().unwrap();
        let uri = take_headers("/b/k", &sent, &mut headers).unwrap();
        (uri, headers)
    }

    #[test]
    fn parameters_that_were_headers_are_headers_again() {
        let query =
            "X-Amz-Signature=00&x-amz-meta-a=b%20c&versionId=null&X-Amz-Acl=public-read&x-id=GetObject";
        let (uri, headers) = taken(query);
        assert_eq!(uri, "/b/k?versionId=null&x-id=GetObject");
        assert_eq!(headers["x-amz-meta-a"], "b c");
        assert_eq!(headers["x-amz-acl"], "public-read");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn what_a_presigner_says_about_an_empty_body_does_not_apply_to_the_real_body() {
        for name in [
            "x-amz-checksum-crc32",
            "X-Amz-Checksum-Crc64nvme",
            "x-amz-checksum-sha256",
            "x-amz-checksum-not-yet-invented",
            "x-amz-sdk-checksum-algorithm",
            "x-amz-content-sha256",
            "x-amz-decoded-content-length",
            "x-amz-trailer",
            "x-amz-user-agent",
        ] {
            let (uri, headers) = taken(&format!("{name}=AAAAAA%3D%3D"));
            assert_eq!((uri.to_string().as_str(), headers.len()), ("/b/k", 0), "{name}");
        }
    }

    #[test]
    fn parameters_for_unsupported_headers_are_kept_to_be_refused() {
        for name in [
            "x-amz-server-side-encryption",
            "x-amz-object-lock-mode",
            "x-amz-grant-read",
            "x-amz-if-match-size",
            "x-amz-write-offset-bytes",
        ] {
            assert_eq!(taken(&format!("{name}=1")).1.len(), 1, "{name}");
        }
    }

    #[test]
    fn parameters_for_the_callers_logs_are_ignored() {
        let (uri, headers) = taken("x-request-of=me&X-Foo&x-amz-not-yet-invented=1");
        assert_eq!((uri.to_string().as_str(), headers.len()), ("/b/k", 0));
    }

    fn code(operation: &str, uri: &str) -> String {
        let checked = check(operation, &uri.parse().unwrap());
        checked.map_or_else(|error| error.code().as_str().to_owned(), |()| "ok".to_owned())
    }

    #[test]
    fn a_sub_resource_belongs_to_the_operations_that_have_it() {
        for (operation, uri) in [
            ("CopyObject", "/b/k?uploadId=x"),
            ("CopyObject", "/b/k?partNumber=1"),
            ("PutObject", "/b/k?uploads"),
            ("PutObject", "/b/k?versionId=null"),
            ("PutBucketAcl", "/b?acl&cors"),
            ("DeleteObject", "/b/k?retention"),
            ("GetObject", "/b/k?uploads"),
            ("GetObject", "/b/k?versions"),
            ("HeadBucket", "/b?acl"),
            ("HeadObject", "/b/k?uploadId=x"),
            ("CompleteMultipartUpload", "/b/k?uploadId=x&partNumber=1"),
        ] {
            assert_eq!(code(operation, uri), "InvalidArgument", "{operation} {uri}");
        }
        for (operation, uri) in [
            ("UploadPart", "/b/k?partNumber=1&uploadId=x&x-id=UploadPart"),
            ("GetObject", "/b/k?partNumber=1&versionId=null&response-expires=0"),
            ("ListObjectsV2", "/b?list-type=2&prefix=acl&anything=1"),
            ("PutObject", "/b/k?x-id=PutObject"),
        ] {
            assert_eq!(code(operation, uri), "ok", "{operation} {uri}");
        }
    }

    #[test]
    fn an_unknown_sub_resource_is_not_taken_for_the_bucket_itself() {
        assert_eq!(code("DeleteBucket", "/b?notYetInvented"), "NotImplemented");
        assert_eq!(code("CopyObject", "/b/k?notYetInvented"), "NotImplemented");
        assert_eq!(code("ListObjects", "/b?notYetInvented"), "ok");
    }

    #[test]
    fn the_table_names_operations_that_there_are() {
        let mut named = SUB_RESOURCES.iter().flat_map(|(_, operations)| *operations);
        assert!(named.all(|operation| OPERATIONS.contains(operation)));
        assert!(VERSIONED.iter().all(|operation| OPERATIONS.contains(operation)));
    }
}
