//! Signing keys of Signature Version 4, kept for as long as they hold: deriving one takes five times as long as a signature.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit as _, Mac as _};
use lru::LruCache;
use sha2::Sha256;

use crate::auth::{Credential, Secret};

/// A keyed hash.
pub(super) type HmacSha256 = Hmac<Sha256>;

/// Signing keys kept: far more than the credentials that are in use at a time, at some 400 bytes each.
const KEYS_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// A credential's signing key of one day.
struct SigningKey {
    secret: Secret,
    date: [u8; 8],
    /// Keyed, so that a signature costs no more than what is signed.
    mac: HmacSha256,
}

/// The signing keys used last, by access key id; of one region, for S3.
pub(in crate::serve::s3) struct SigningKeys(Mutex<LruCache<String, SigningKey>>);

impl Default for SigningKeys {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEYS_MAX)))
    }
}

impl SigningKeys {
    /// A credential's keyed hash of a day (`YYYYMMDD`); `None` if that is no day.
    pub(super) fn mac(&self, credential: &Credential, date: &str, region: &str) -> Option<HmacSha256> {
        let (id, secret) = (credential.access_key_id.as_str(), &credential.secret_access_key);
        if let Some(key) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id)
            && key.date == date.as_bytes()
            && key.secret == *secret
        {
            return Some(key.mac.clone());
        }
        let key_date = date.as_bytes().try_into().ok()?;
        let mac = |key: &[u8]| HmacSha256::new_from_slice(key).ok();
        let mut derived = mac(format!("AWS4{}", secret.expose()).as_bytes())?;
        for step in [date, region, "s3", "aws4_request"] {
            derived.update(step.as_bytes());
            derived = mac(&derived.finalize().into_bytes())?;
        }
        let key = SigningKey { secret: secret.clone(), date: key_date, mac: derived.clone() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(id.to_owned(), key);
        Some(derived)
    }
}

/// Whether `signature`, in lower-case hexadecimal digits, is that of what `mac` was fed. Takes the same time for all
/// wrong ones.
pub(super) fn is_signature(mac: HmacSha256, signature: &[u8]) -> bool {
    let mut bytes = [0; 32];
    let is_lower = !signature.iter().any(u8::is_ascii_uppercase);
    is_lower && hex::decode_to_slice(signature, &mut bytes).is_ok() && mac.verify_slice(&bytes).is_ok()
}
