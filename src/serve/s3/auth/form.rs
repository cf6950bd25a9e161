//! The signature of a form, which is that of its policy.

use hmac::Mac as _;
use s3s::{S3Result, s3_error};

use super::keys::is_signature;
use super::{SigningKeys, known, mismatch, v2, v4};
use crate::auth::Caller;
use crate::bucket::Timestamp;
use crate::serve::s3::S3Api;
use crate::serve::s3::errors::{invalid_argument, not_implemented, signature_v2};

/// A field of a form, by its name in lower case.
type Field<'f> = dyn Fn(&str) -> Option<&'f str> + 'f;

/// The caller that the signature proves; nobody if there is neither policy nor signature.
pub(in crate::serve::s3) fn prove(api: &S3Api, keys: &SigningKeys, field: &Field<'_>) -> S3Result<Caller> {
    let (v4, v2) = (field("x-amz-signature"), field("signature"));
    if field("x-amz-security-token").is_some_and(|token| !token.is_empty()) {
        return Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."));
    }
    let Some(policy) = field("policy") else {
        if v4.is_some() || v2.is_some() {
            return Err(invalid_argument("Bucket POST must contain a field named 'policy'."));
        }
        return Ok(Caller::Anonymous);
    };
    let missing = |name: &str| invalid_argument(format!("Bucket POST must contain a field named '{name}'."));
    match (v4, v2) {
        (Some(signature), None) => version_4(api, keys, field, policy, signature),
        (None, Some(_)) if !api.signature_v2 => Err(signature_v2()),
        (None, Some(signature)) => {
            let id = field("awsaccesskeyid").ok_or_else(|| missing("AWSAccessKeyId"))?;
            let credential = known(&api.directory, id)?;
            let is_right = v2::is_signature(&credential, policy, signature);
            if is_right { Ok(Caller::Known(credential)) } else { Err(mismatch()) }
        }
        (Some(_), Some(_)) => Err(invalid_argument("Only one auth mechanism allowed.")),
        (None, None) => Err(missing("X-Amz-Signature")),
    }
}

fn version_4(
    api: &S3Api,
    keys: &SigningKeys,
    field: &Field<'_>,
    policy: &str,
    signature: &str,
) -> S3Result<Caller> {
    if field("x-amz-algorithm") != Some("AWS4-HMAC-SHA256") {
        return Err(not_implemented("Signing a form with another algorithm than AWS4-HMAC-SHA256"));
    }
    let credential = field("x-amz-credential").unwrap_or_default();
    v4::check_scope(credential, &api.region)
        .map_err(|wrong| invalid_argument(format!("Error parsing the X-Amz-Credential field; {wrong}")))?;
    let mut scope = credential.rsplitn(5, '/').skip(3);
    let (date, id) = (scope.next().unwrap_or_default(), scope.next().unwrap_or_default());
    if !field("x-amz-date").is_some_and(|at| at.starts_with(date)) {
        return Err(invalid_argument("The X-Amz-Date field does not fit the credential's date."));
    }
    let credential = known(&api.directory, id)?;
    let mac = keys.mac(&credential, date, &api.region).ok_or_else(mismatch)?;
    let is_right = is_signature(mac.chain_update(policy), signature.to_ascii_lowercase().as_bytes());
    if is_right { Ok(Caller::Known(credential)) } else { Err(mismatch()) }
}

/// A policy signed by Version 2 must end within a week.
pub(in crate::serve::s3) fn check_life_v2(expires_at_secs: i64, now: Timestamp) -> S3Result<()> {
    v2::check_life(expires_at_secs, now)
}
