//! Between S3's checksum headers and trailers and the contract's declared digests.
//!
//! Nothing is computed here but for XML bodies, which are in memory; all other bodies are checked below, as they
//! stream.

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::S3Result;
use s3s::dto;

use crate::bucket::{
    BucketError, Checksum, ChecksumAlgorithm, ChecksumType, DeclaredChecksum, DeclaredDigests, DeclaredValue,
    checksum,
};

use super::auth::Trailers;
use super::errors::{algorithm_name, invalid_request};
use super::object_headers::add;

const CHECKSUM_TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");

/// All algorithms, with the headers and trailers that carry them.
const HEADERS: [(ChecksumAlgorithm, &str); 5] = [
    (ChecksumAlgorithm::Crc32, "x-amz-checksum-crc32"),
    (ChecksumAlgorithm::Crc32c, "x-amz-checksum-crc32c"),
    (ChecksumAlgorithm::Crc64Nvme, "x-amz-checksum-crc64nvme"),
    (ChecksumAlgorithm::Sha1, "x-amz-checksum-sha1"),
    (ChecksumAlgorithm::Sha256, "x-amz-checksum-sha256"),
];

/// Sets the field of an s3s output that goes with each checksum.
macro_rules! set_checksums {
    ($output:expr, $checksums:expr, $parts:expr) => {
        for checksum in $checksums {
            let text = $crate::serve::s3::checksums::to_text(checksum, $parts);
            match checksum.algorithm {
                $crate::bucket::ChecksumAlgorithm::Crc32 => $output.checksum_crc32 = Some(text),
                $crate::bucket::ChecksumAlgorithm::Crc32c => $output.checksum_crc32c = Some(text),
                $crate::bucket::ChecksumAlgorithm::Crc64Nvme => $output.checksum_crc64nvme = Some(text),
                $crate::bucket::ChecksumAlgorithm::Sha1 => $output.checksum_sha1 = Some(text),
                $crate::bucket::ChecksumAlgorithm::Sha256 => $output.checksum_sha256 = Some(text),
            }
        }
    };
}
pub(super) use set_checksums;

/// A checksum as S3 writes it; an object's composite one says over how many parts (0: it is a part's own).
pub(super) fn to_text(checksum: &Checksum, parts: usize) -> String {
    let text = STANDARD.encode(&checksum.value);
    match checksum.over {
        ChecksumType::Composite if parts > 0 => format!("{text}-{parts}"),
        _ => text,
    }
}

/// The type of an object's checksums, if it has any.
pub(super) fn type_of(checksums: &[Checksum]) -> Option<dto::ChecksumType> {
    checksums.first().map(|checksum| type_to_s3(checksum.over))
}

/// Adds checksums to the headers of an answer; `parts` as for [`to_text`], `over` is the type of the object's.
pub(super) fn add_headers(
    checksums: &[Checksum],
    over: Option<ChecksumType>,
    parts: usize,
    headers: &mut HeaderMap,
) {
    for checksum in checksums {
        if let Some((_, name)) = HEADERS.into_iter().find(|(known, _)| *known == checksum.algorithm) {
            add(headers, HeaderName::from_static(name), &to_text(checksum, parts));
        }
    }
    if let Some(over) = over.filter(|_| !checksums.is_empty()) {
        add(headers, CHECKSUM_TYPE, type_to_s3(over).as_str());
    }
}

/// A checksum type as s3s names it.
pub(super) fn type_to_s3(over: ChecksumType) -> dto::ChecksumType {
    dto::ChecksumType::from_static(match over {
        ChecksumType::FullObject => dto::ChecksumType::FULL_OBJECT,
        ChecksumType::Composite => dto::ChecksumType::COMPOSITE,
    })
}

/// Reads a checksum type.
pub(super) fn parse_type(over: &dto::ChecksumType) -> S3Result<ChecksumType> {
    match over.as_str() {
        dto::ChecksumType::FULL_OBJECT => Ok(ChecksumType::FullObject),
        dto::ChecksumType::COMPOSITE => Ok(ChecksumType::Composite),
        _ => Err(invalid_request("Value for x-amz-checksum-type header is invalid.")),
    }
}

/// An algorithm as s3s names it.
pub(super) fn algorithm_to_s3(algorithm: ChecksumAlgorithm) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(algorithm_name(algorithm))
}

fn value_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

fn parse_algorithm(name: &str) -> S3Result<ChecksumAlgorithm> {
    let known =
        HEADERS.into_iter().find(|(algorithm, _)| algorithm_name(*algorithm).eq_ignore_ascii_case(name));
    known.map(|(algorithm, _)| algorithm).ok_or_else(|| {
        invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                         [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

/// Reads a checksum's base64 text.
fn parse_value(algorithm: ChecksumAlgorithm, text: &str) -> S3Result<Vec<u8>> {
    let value = STANDARD.decode(text).ok().filter(|value| value.len() == value_bytes(algorithm));
    // A malformed checksum is reported as a mismatch, as AWS does.
    value.ok_or_else(|| BucketError::ChecksumMismatch(algorithm).into())
}

/// The same, with its algorithm.
pub(super) fn parse_named(
    algorithm: ChecksumAlgorithm,
    text: &str,
) -> S3Result<(ChecksumAlgorithm, Vec<u8>)> {
    Ok((algorithm, parse_value(algorithm, text)?))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}

/// The algorithm that a request names without a value.
pub(super) fn requested_algorithm(headers: &HeaderMap) -> S3Result<Option<ChecksumAlgorithm>> {
    let name =
        header(headers, "x-amz-sdk-checksum-algorithm").or(header(headers, "x-amz-checksum-algorithm"));
    name.map(parse_algorithm).transpose()
}

/// The one checksum that a request's headers carry, if any.
pub(super) fn in_headers(headers: &HeaderMap) -> S3Result<Option<(ChecksumAlgorithm, Vec<u8>)>> {
    let mut carried =
        HEADERS.into_iter().filter_map(|(algorithm, name)| Some((algorithm, header(headers, name)?)));
    let Some((algorithm, text)) = carried.next() else {
        return Ok(None);
    };
    if carried.next().is_some() {
        return Err(several());
    }
    parse_named(algorithm, text).map(Some)
}

fn several() -> s3s::S3Error {
    invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

/// The checksum that a trailer is to carry, if one is announced.
fn in_trailer(headers: &HeaderMap) -> S3Result<Option<ChecksumAlgorithm>> {
    let Some(announced) = header(headers, "x-amz-trailer") else {
        return Ok(None);
    };
    let mut found = None;
    for name in announced.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = HEADERS.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        let (algorithm, _) = known.ok_or_else(|| {
            invalid_request(format!(
                "The value specified in the x-amz-trailer header is not supported: {name}"
            ))
        })?;
        if found.replace(algorithm).is_some() {
            return Err(several());
        }
    }
    Ok(found)
}

/// `Content-MD5`.
pub(super) fn content_md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(text) = headers.get("content-md5") else {
        return Ok(None);
    };
    let md5 = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    md5.map(Some).ok_or_else(|| s3s::s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))
}

/// What a request with a body declares about it. `wanted` is a checksum to compute if it declares none.
///
/// The payload's SHA-256 is left out: it is compared with the signed one as the body streams ([`super::auth::body`]).
pub(super) fn declared(
    headers: &HeaderMap,
    trailers: Option<Trailers>,
    wanted: Option<ChecksumAlgorithm>,
) -> S3Result<DeclaredDigests> {
    let requested = requested_algorithm(headers)?;
    let checksum = match (in_headers(headers)?, in_trailer(headers)?) {
        (Some(_), Some(_)) => return Err(several()),
        (Some((algorithm, value)), None) => Some((algorithm, DeclaredValue::Given(value))),
        (None, Some(algorithm)) => Some((algorithm, trailing(algorithm, trailers))),
        (None, None) => requested.or(wanted).map(|algorithm| (algorithm, DeclaredValue::Computed)),
    };
    if let (Some(requested), Some((algorithm, _))) = (requested, &checksum)
        && requested != *algorithm
    {
        return Err(invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid."));
    }
    let checksum = checksum.map(|(algorithm, value)| DeclaredChecksum { algorithm, value });
    Ok(DeclaredDigests { md5: content_md5(headers)?, payload_sha256: None, checksum })
}

/// A value that will have come when the body has ended; one that is malformed has not come.
fn trailing(algorithm: ChecksumAlgorithm, trailers: Option<Trailers>) -> DeclaredValue {
    DeclaredValue::Trailing(Box::new(move || {
        let (_, name) = HEADERS.into_iter().find(|(known, _)| *known == algorithm)?;
        let text = trailers?.read(|headers| header(headers, name).map(ToOwned::to_owned))??;
        parse_value(algorithm, &text).ok()
    }))
}

/// Which checksum an upload's parts are to carry, and over what the object's will be.
pub(super) fn of_upload(headers: &HeaderMap) -> S3Result<Option<(ChecksumAlgorithm, ChecksumType)>> {
    let requested_type = header(headers, "x-amz-checksum-type").map(str::to_ascii_uppercase);
    let Some(algorithm) = requested_algorithm(headers)? else {
        return match requested_type {
            None => Ok(None),
            Some(_) => Err(invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let is_crc64 = algorithm == ChecksumAlgorithm::Crc64Nvme;
    let is_sha = matches!(algorithm, ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256);
    let over = match requested_type.as_deref() {
        None if is_crc64 => ChecksumType::FullObject,
        None => ChecksumType::Composite,
        Some("FULL_OBJECT") if !is_sha => ChecksumType::FullObject,
        Some("COMPOSITE") if !is_crc64 => ChecksumType::Composite,
        Some(other) => {
            let name = algorithm_name(algorithm).to_ascii_lowercase();
            return Err(invalid_request(format!(
                "The {other} checksum type cannot be used with the {name} checksum algorithm."
            )));
        }
    };
    Ok(Some((algorithm, over)))
}

/// Checks the digests declared for a body that is in memory.
pub(super) fn check_in_memory(declared: DeclaredDigests, body: &[u8]) -> S3Result<()> {
    if declared.md5.is_some_and(|md5| md5 != fast_md5::digest(body)) {
        return Err(BucketError::Md5Mismatch { received: body.len() as u64 }.into());
    }
    let Some(DeclaredChecksum { algorithm, value }) = declared.checksum else {
        return Ok(());
    };
    let value = match value {
        DeclaredValue::Given(value) => value,
        DeclaredValue::Trailing(value) => value().ok_or(BucketError::MissingTrailer(algorithm))?,
        DeclaredValue::Computed => return Ok(()),
    };
    if value == checksum(algorithm, body) {
        Ok(())
    } else {
        Err(BucketError::ChecksumMismatch(algorithm).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn declared_code(pairs: &[(&'static str, &str)]) -> String {
        declared(&headers(pairs), None, None)
            .map_or_else(|e| e.code().as_str().to_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn one_checksum_at_most_and_well_formed() {
        assert_eq!(declared_code(&[("x-amz-checksum-crc32", "AAAAAA==")]), "ok");
        let two = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32c", "AAAAAA==")];
        assert_eq!(declared_code(&two), "InvalidRequest");
        let both = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-trailer", "x-amz-checksum-crc32")];
        assert_eq!(declared_code(&both), "InvalidRequest");
        for bad in ["bad", "AAAA", "AAAAAAA="] {
            assert_eq!(declared_code(&[("x-amz-checksum-crc32", bad)]), "BadDigest", "{bad}");
        }
        assert_eq!(declared_code(&[("content-md5", "bad")]), "InvalidDigest");
        assert_eq!(declared_code(&[("x-amz-trailer", "x-amz-meta-late")]), "InvalidRequest");
    }

    #[test]
    fn a_named_algorithm_without_a_value_is_computed() {
        let digests = declared(&headers(&[("x-amz-sdk-checksum-algorithm", "crc32c")]), None, None).unwrap();
        let checksum = digests.checksum.unwrap();
        assert_eq!(checksum.algorithm, ChecksumAlgorithm::Crc32c);
        assert!(matches!(checksum.value, DeclaredValue::Computed));
        let other = [("x-amz-sdk-checksum-algorithm", "SHA1"), ("x-amz-checksum-crc32", "AAAAAA==")];
        assert_eq!(declared_code(&other), "InvalidRequest");
        assert_eq!(declared_code(&[("x-amz-sdk-checksum-algorithm", "MD4")]), "InvalidRequest");
    }

    #[test]
    fn an_uploads_checksum_type_goes_with_its_algorithm() {
        let of = |pairs: &[(&'static str, &str)]| of_upload(&headers(pairs)).ok();
        let (name, kind) = ("x-amz-checksum-algorithm", "x-amz-checksum-type");
        let (full, composite) = (ChecksumType::FullObject, ChecksumType::Composite);
        assert_eq!(of(&[]), Some(None));
        assert_eq!(of(&[(name, "CRC32")]), Some(Some((ChecksumAlgorithm::Crc32, composite))));
        assert_eq!(of(&[(name, "CRC64NVME")]), Some(Some((ChecksumAlgorithm::Crc64Nvme, full))));
        assert_eq!(
            of(&[(name, "CRC32C"), (kind, "FULL_OBJECT")]),
            Some(Some((ChecksumAlgorithm::Crc32c, full)))
        );
        assert_eq!(of(&[(name, "SHA256"), (kind, "FULL_OBJECT")]), None);
        assert_eq!(of(&[(name, "CRC64NVME"), (kind, "COMPOSITE")]), None);
        assert_eq!(of(&[(kind, "COMPOSITE")]), None);
    }

    #[test]
    fn the_digests_of_an_xml_body_must_match() {
        let md5 = STANDARD.encode(fast_md5::digest(b"123456789"));
        let declared = || declared(&headers(&[("content-md5", &md5)]), None, None).unwrap();
        assert!(check_in_memory(declared(), b"123456789").is_ok());
        assert!(check_in_memory(declared(), b"12345678").is_err());
    }

    #[test]
    fn a_composite_checksum_says_over_how_many_parts() {
        let of =
            |over| to_text(&Checksum { algorithm: ChecksumAlgorithm::Crc32, value: vec![0; 4], over }, 3);
        assert_eq!(of(ChecksumType::Composite), "AAAAAA==-3");
        assert_eq!(of(ChecksumType::FullObject), "AAAAAA==");
    }
}
