//! What the CAS door lets in: tokens that the Hub's door hands out, and signed addresses of xorb ranges.
//!
//! Both are short-lived and carry everything they say, so nothing is kept of them: whoever holds one may do what it
//! says until it expires. A token names one bucket (by uid, which a rename does not change and a new bucket of an old
//! name does not inherit) and whether it may write; an address names one xorb and byte ranges of it. Both are signed
//! with keyed BLAKE3, under keys derived from one secret that lies in [`FILE_NAME`] in the data folder, readable by its
//! owner only. Removing that file makes all of them invalid at the next start, and does no other harm.
//!
//! Signatures are compared in constant time, as `blake3::Hash` does.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use blake3::Hash;

use super::AuthError;
use super::files::keep;
use crate::store::ambient::{Ambient, Clock};
use crate::store::rows::BucketUid;
use crate::xet::hash::XorbHash;

/// Name of the secret's file in the data folder.
pub const FILE_NAME: &str = "cas-key";

/// How long a token is good for: clients fetch a new one half a minute before the end, as often as they need.
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(30);

/// How long the address of xorb ranges is good for: long enough for a slow client to fetch what one answer named. One
/// that is late asks for the reconstruction again.
pub const URL_LIFETIME: Duration = Duration::from_hours(1);

/// What the derived keys are for; part of them.
const TOKEN_CONTEXT: &str = "xetgate 2026 cas door: tokens";
const URL_CONTEXT: &str = "xetgate 2026 cas door: addresses of xorb ranges";

/// The first byte of a token.
const TOKEN_VERSION: u8 = 1;

/// Bytes that a token says: version, bucket, whether it may write, expiry.
const TOKEN_BODY_BYTES: usize = 1 + 8 + 1 + 8;

/// Bytes of a token.
const TOKEN_BYTES: usize = TOKEN_BODY_BYTES + 32;

/// How far a token reaches; writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CasScope {
    /// Asks for files of the bucket.
    Read,
    /// Also uploads to it.
    Write,
}

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CasGrant {
    /// The bucket.
    pub bucket: BucketUid,
    /// How far.
    pub scope: CasScope,
    /// Until when, in Unix seconds.
    pub expires_at_secs: u64,
}

/// A token as a client gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct CasToken {
    /// The text, of letters, digits, `-` and `_`.
    pub text: String,
    /// Until when it is good, in Unix seconds.
    pub expires_at_secs: u64,
}

/// Why a token or an address does not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// It was not signed here, or was changed.
    #[error("it was not issued here")]
    Foreign,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
}

/// Signs and checks.
#[derive(Clone)]
pub struct CasSigner {
    token_key: [u8; 32],
    url_key: [u8; 32],
    clock: Arc<dyn Clock>,
}

impl CasSigner {
    /// A signer with this secret.
    pub fn new(secret: &[u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self {
            token_key: blake3::derive_key(TOKEN_CONTEXT, secret),
            url_key: blake3::derive_key(URL_CONTEXT, secret),
            clock,
        }
    }

    /// A signer with the secret kept in `data_dir`, which is made if there is none. Blocks on files.
    pub fn load_or_create(data_dir: &Path, ambient: &Ambient) -> Result<Self, AuthError> {
        let path = data_dir.join(FILE_NAME);
        let failed = |error: io::Error| AuthError::CasKey { path: path.clone(), reason: error.to_string() };
        let secret = match fs::read(&path) {
            Ok(kept) => <[u8; 32]>::try_from(kept.as_slice()).map_err(|_| AuthError::CasKey {
                path: path.clone(),
                reason: format!("it has {} bytes, not 32: remove it to get a new one", kept.len()),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh = ambient.random();
                keep(&path, data_dir, &fresh).map_err(failed)?;
                fresh
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self::new(&secret, Arc::clone(&ambient.clock)))
    }

    fn now_secs(&self) -> u64 {
        self.clock.now().secs()
    }

    /// A token for a bucket. Whether its bearer may have it is for the caller to ask.
    pub fn issue(&self, bucket: BucketUid, scope: CasScope) -> CasToken {
        let expires_at_secs = self.now_secs() + TOKEN_LIFETIME.as_secs();
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(TOKEN_VERSION);
        bytes.extend(bucket.0.to_le_bytes());
        bytes.push(u8::from(scope == CasScope::Write));
        bytes.extend(expires_at_secs.to_le_bytes());
        let signature = blake3::keyed_hash(&self.token_key, &bytes);
        bytes.extend(signature.as_bytes());
        CasToken { text: BASE64_URL_SAFE_NO_PAD.encode(bytes), expires_at_secs }
    }

    /// What a token says, if it was issued here and is good still.
    pub fn grant(&self, token: &str) -> Result<CasGrant, NotGranted> {
        let mut bytes = [0; TOKEN_BYTES];
        let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut bytes);
        if decoded != Ok(TOKEN_BYTES) {
            return Err(NotGranted::Foreign);
        }
        let (body, signature) = bytes.split_at(TOKEN_BODY_BYTES);
        let signature = <[u8; 32]>::try_from(signature).map_err(|_| NotGranted::Foreign)?;
        if blake3::keyed_hash(&self.token_key, body) != Hash::from_bytes(signature) {
            return Err(NotGranted::Foreign);
        }
        let word = |at: usize| {
            body.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u64::from_le_bytes(*word))
        };
        let (Some(bucket), Some(expires_at_secs), Some(TOKEN_VERSION)) =
            (word(1), word(10), body.first().copied())
        else {
            return Err(NotGranted::Foreign);
        };
        if expires_at_secs <= self.now_secs() {
            return Err(NotGranted::Expired);
        }
        let scope = if body.get(9) == Some(&1) { CasScope::Write } else { CasScope::Read };
        Ok(CasGrant { bucket: BucketUid(bucket), scope, expires_at_secs })
    }

    /// The query of an address that lets anyone read these byte ranges of a xorb until it expires.
    pub fn sign_ranges(&self, xorb: &XorbHash, ranges: &[Range<u64>]) -> String {
        let expires_at_secs = self.now_secs() + URL_LIFETIME.as_secs();
        let ranges = ranges.iter().map(|range| format!("{}-{}", range.start, range.end)).collect::<Vec<_>>();
        let ranges = ranges.join(",");
        let signature = self.url_signature(xorb, &ranges, expires_at_secs);
        format!("r={ranges}&e={expires_at_secs}&s={}", signature.to_hex())
    }

    /// The byte ranges that an address of a xorb with this query lets read.
    pub fn granted_ranges(&self, xorb: &XorbHash, query: &str) -> Result<Vec<Range<u64>>, NotGranted> {
        let mut fields = [None; 3];
        for field in query.split('&') {
            let slot = match field.split_once('=') {
                Some(("r", value)) => (0, value),
                Some(("e", value)) => (1, value),
                Some(("s", value)) => (2, value),
                _ => return Err(NotGranted::Foreign),
            };
            fields[slot.0] = Some(slot.1);
        }
        let [Some(ranges), Some(expires_at_secs), Some(signature)] = fields else {
            return Err(NotGranted::Foreign);
        };
        let expires_at_secs = expires_at_secs.parse().map_err(|_| NotGranted::Foreign)?;
        let signature = Hash::from_hex(signature).map_err(|_| NotGranted::Foreign)?;
        if self.url_signature(xorb, ranges, expires_at_secs) != signature {
            return Err(NotGranted::Foreign);
        }
        if expires_at_secs <= self.now_secs() {
            return Err(NotGranted::Expired);
        }
        ranges.split(',').map(|range| parse_range(range).ok_or(NotGranted::Foreign)).collect()
    }

    fn url_signature(&self, xorb: &XorbHash, ranges: &str, expires_at_secs: u64) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.url_key);
        // The first two have one length each, so that no two addresses have one text.
        hasher.update(xorb.as_bytes()).update(&expires_at_secs.to_le_bytes()).update(ranges.as_bytes());
        hasher.finalize()
    }
}

fn parse_range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once('-')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::ambient::{ManualClock, Timestamp};

    fn signer() -> (CasSigner, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
        (CasSigner::new(&[7; 32], Arc::clone(&clock) as _), clock)
    }

    #[test]
    fn a_token_says_what_it_was_issued_for_until_it_expires() {
        let (signer, clock) = signer();
        for scope in [CasScope::Read, CasScope::Write] {
            let token = signer.issue(BucketUid(9), scope);
            let expires_at_secs = 1_000_000 + TOKEN_LIFETIME.as_secs();
            assert_eq!(token.expires_at_secs, expires_at_secs);
            assert_eq!(
                signer.grant(&token.text),
                Ok(CasGrant { bucket: BucketUid(9), scope, expires_at_secs })
            );
        }
        let token = signer.issue(BucketUid(9), CasScope::Read);
        clock.advance_ms(TOKEN_LIFETIME.as_millis() as u64 - 1);
        assert!(signer.grant(&token.text).is_ok());
        clock.advance_ms(1);
        assert_eq!(signer.grant(&token.text), Err(NotGranted::Expired));
    }

    #[test]
    fn a_token_that_was_changed_in_any_byte_is_foreign() {
        let (signer, _) = signer();
        let token = signer.issue(BucketUid(9), CasScope::Read).text;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(
                signer.grant(&BASE64_URL_SAFE_NO_PAD.encode(changed)),
                Err(NotGranted::Foreign),
                "{at}"
            );
        }
        for bad in ["", "hf_token", &token[1..], &format!("{token}AA"), &token.repeat(100)] {
            assert_eq!(signer.grant(bad), Err(NotGranted::Foreign));
        }
        let other = CasSigner::new(&[8; 32], Arc::new(ManualClock::at(Timestamp(1_000_000_000))));
        assert_eq!(other.grant(&token), Err(NotGranted::Foreign));
    }

    #[test]
    fn an_address_lets_read_its_ranges_of_its_xorb_until_it_expires() {
        let (signer, clock) = signer();
        let xorbs = [1, 2].map(|name| XorbHash::from_bytes([name; 32]));
        let ranges = [0..100, 250..u64::from(u32::MAX)];
        let query = signer.sign_ranges(&xorbs[0], &ranges);
        assert_eq!(signer.granted_ranges(&xorbs[0], &query), Ok(ranges.to_vec()));
        assert_eq!(signer.granted_ranges(&xorbs[1], &query), Err(NotGranted::Foreign));
        let wider = query.replace("0-100", "0-101");
        assert_eq!(signer.granted_ranges(&xorbs[0], &wider), Err(NotGranted::Foreign));
        let longer = query.replace("e=1003600", "e=1003601");
        assert_ne!(longer, query);
        for bad in [&longer, "", "r=0-1", &query.replace("r=", "x="), &format!("{query}&t=1")] {
            assert_eq!(signer.granted_ranges(&xorbs[0], bad), Err(NotGranted::Foreign), "{bad}");
        }
        clock.advance_ms(URL_LIFETIME.as_millis() as u64);
        assert_eq!(signer.granted_ranges(&xorbs[0], &query), Err(NotGranted::Expired));
    }

    #[test]
    fn tokens_and_addresses_are_signed_with_keys_of_their_own() {
        let (signer, _) = signer();
        assert_ne!(signer.token_key, signer.url_key);
    }

    #[test]
    fn the_secret_is_kept_for_its_owner_only_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = || CasSigner::load_or_create(dir.path(), &Ambient::system());
        let token = open().unwrap().issue(BucketUid(1), CasScope::Write);
        assert!(open().unwrap().grant(&token.text).is_ok());
        let path = dir.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let message = open().err().unwrap().to_string();
        assert!(message.contains("5 bytes") && !message.contains("short"), "{message}");
        fs::remove_file(&path).unwrap();
        assert_eq!(open().unwrap().grant(&token.text), Err(NotGranted::Foreign));
    }
}
