//! Whose form it is: the policy is what is signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use s3s::{S3Result, s3_error};
use sha1::Sha1;
use sha2::Sha256;

use crate::auth::Caller;

use super::fields::Fields;
use crate::serve::s3::errors::{invalid_argument, not_implemented};
use crate::serve::s3::{S3Door, preauth};

/// The caller that the signature proves; nobody if there is neither policy nor signature.
pub(super) fn caller(door: &S3Door, fields: &Fields) -> S3Result<Caller> {
    let v4 = fields.get("x-amz-signature");
    let v2 = fields.get("signature");
    if fields.get("x-amz-security-token").is_some_and(|token| !token.is_empty()) {
        return Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."));
    }
    let Some(policy) = fields.get("policy") else {
        if v4.is_some() || v2.is_some() {
            return Err(invalid_argument("Bucket POST must contain a field named 'policy'."));
        }
        return Ok(Caller::Anonymous);
    };
    let missing = |name: &str| invalid_argument(format!("Bucket POST must contain a field named '{name}'."));
    match (v4, v2) {
        (Some(signature), None) => version_4(door, fields, policy, signature),
        (None, Some(_)) if !door.signature_v2 => Err(preauth::signature_v2()),
        (None, Some(signature)) => {
            let id = fields.get("awsaccesskeyid").ok_or_else(|| missing("AWSAccessKeyId"))?;
            let caller = known(door, id)?;
            let mut mac = hmac_sha1(secret(&caller))?;
            mac.update(policy.as_bytes());
            let given = STANDARD.decode(signature).map_err(|_| mismatch())?;
            mac.verify_slice(&given).map_err(|_| mismatch())?;
            Ok(caller)
        }
        (Some(_), Some(_)) => Err(invalid_argument("Only one auth mechanism allowed.")),
        (None, None) => Err(missing("X-Amz-Signature")),
    }
}

fn version_4(door: &S3Door, fields: &Fields, policy: &str, signature: &str) -> S3Result<Caller> {
    if fields.get("x-amz-algorithm") != Some("AWS4-HMAC-SHA256") {
        return Err(not_implemented("Signing a form with another algorithm than AWS4-HMAC-SHA256"));
    }
    let credential = fields.get("x-amz-credential").unwrap_or_default();
    preauth::check_scope(credential, &door.region)
        .map_err(|wrong| invalid_argument(format!("Error parsing the X-Amz-Credential field; {wrong}")))?;
    let mut scope = credential.rsplitn(5, '/');
    let (end, service, region) = (scope.next(), scope.next(), scope.next());
    let (date, id) = (scope.next().unwrap_or_default(), scope.next().unwrap_or_default());
    if !fields.get("x-amz-date").is_some_and(|at| at.starts_with(date)) {
        return Err(invalid_argument("The X-Amz-Date field does not fit the credential's date."));
    }
    let caller = known(door, id)?;
    let mut key = sha256(format!("AWS4{}", secret(&caller)).as_bytes(), date.as_bytes())?;
    for part in [region, service, end] {
        key = sha256(&key, part.unwrap_or_default().as_bytes())?;
    }
    let mut mac = hmac_sha256(&key)?;
    mac.update(policy.as_bytes());
    let given = hex::decode(signature).map_err(|_| mismatch())?;
    mac.verify_slice(&given).map_err(|_| mismatch())?;
    Ok(caller)
}

fn known(door: &S3Door, id: &str) -> S3Result<Caller> {
    let unknown =
        || s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.");
    door.directory.credential(id).map(Caller::Known).ok_or_else(unknown)
}

fn secret(caller: &Caller) -> &str {
    caller.credential().map_or("", |credential| credential.secret_access_key.expose())
}

fn mismatch() -> s3s::S3Error {
    s3_error!(
        SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided."
    )
}

fn hmac_sha1(key: &str) -> S3Result<Hmac<Sha1>> {
    Hmac::new_from_slice(key.as_bytes()).map_err(|_| s3_error!(InternalError))
}

fn hmac_sha256(key: &[u8]) -> S3Result<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| s3_error!(InternalError))
}

fn sha256(key: &[u8], data: &[u8]) -> S3Result<Vec<u8>> {
    let mut mac = hmac_sha256(key)?;
    mac.update(data);
    Ok(mac.finalize().into_bytes().to_vec())
}
