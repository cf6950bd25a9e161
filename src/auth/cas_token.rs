//! What the CAS API lets in: tokens that the Hub API hands out, and signed addresses of xorb ranges.
//!
//! Both are short-lived and carry everything they say, so nothing is kept of them. A token names one bucket (by uid, which
//! a rename does not change and a new bucket of an old name does not inherit) and whether it may write; an address names
//! a bucket, one xorb and byte ranges of it. Both name the access key that asked for them, to whose limits their use is
//! counted, and are worth nothing once that key is revoked, rotated or expired. What they say is not enough: the CAS API
//! asks at each use whether that caller may still reach the bucket. Both are signed with keyed BLAKE3, under keys derived from one secret that lies in [`FILE_NAME`]
//! in the data folder, readable by its owner only. Removing that file makes all of them invalid at the next start, and
//! does no other harm.
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

use super::{ACCESS_KEY_ID_BYTES_MAX, AuthError, Caller, Directory};
use crate::model::bucket::BucketUid;
use crate::model::clock::{Ambient, Clock};
use crate::store::disk::replace_file;
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
const URL_CONTEXT: &str = "xetgate 2026 cas door: addresses of xorb ranges of a bucket";

const MASTER_CONTEXT: &str = "xetgate 2026 cas door: secret of a cluster";

/// The first byte of a token.
const TOKEN_VERSION: u8 = 2;

/// Bytes that a token says before the access key id: version, bucket, whether it may write, expiry.
const TOKEN_HEAD_BYTES: usize = 1 + 8 + 1 + 8;

/// Most bytes of a token, and two that the decoder wants to have.
const TOKEN_BYTES_MAX: usize = TOKEN_HEAD_BYTES + ACCESS_KEY_ID_BYTES_MAX + blake3::OUT_LEN + 2;

/// How far a token reaches; writing includes reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CasScope {
    /// Asks for files of the bucket.
    Read,
    /// Also uploads to it.
    Write,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CasGrant {
    /// Who asked for it.
    pub caller: Caller,
    /// The bucket.
    pub bucket: BucketUid,
    /// How far.
    pub scope: CasScope,
    /// Until when, in Unix seconds.
    pub expires_at_secs: u64,
}

/// What the address of xorb ranges says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangesGrant {
    /// Who asked for it.
    pub caller: Caller,
    /// The bucket whose file they are of.
    pub bucket: BucketUid,
    /// The ranges of bytes.
    pub ranges: Vec<Range<u64>>,
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
    /// It was not signed here, or was changed, or its access key is not what it was. If these were distinguished, the
    /// answers would tell which access keys there are.
    #[error("it was not issued here, or its access key was revoked, rotated or has expired")]
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
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
}

/// What stands for a caller in what is signed: the access key id, of which nobody has the empty one.
fn id_of(caller: &Caller) -> &str {
    caller.credential().map_or("", |credential| credential.access_key_id.as_str())
}

/// Binds a signature to the secret that its caller has now, so that a rotated key does not live on in what it was given.
fn secret_digest(caller: &Caller) -> Hash {
    blake3::hash(
        caller.credential().map_or("", |credential| credential.secret_access_key.expose()).as_bytes(),
    )
}

impl CasSigner {
    /// A signer with this secret, for the callers of a directory.
    pub fn new(secret: &[u8; 32], directory: Arc<Directory>, clock: Arc<dyn Clock>) -> Self {
        Self {
            token_key: blake3::derive_key(TOKEN_CONTEXT, secret),
            url_key: blake3::derive_key(URL_CONTEXT, secret),
            directory,
            clock,
        }
    }

    /// A signer whose secret follows from the master key, as on all nodes with the same.
    pub fn of_master_key(master_key: &str, directory: Arc<Directory>, clock: Arc<dyn Clock>) -> Self {
        Self::new(&blake3::derive_key(MASTER_CONTEXT, master_key.trim().as_bytes()), directory, clock)
    }

    /// A signer with the secret kept in `data_dir`, which is made if there is none. Blocks on files.
    pub fn load_or_create(
        data_dir: &Path,
        directory: Arc<Directory>,
        ambient: &Ambient,
    ) -> Result<Self, AuthError> {
        let path = data_dir.join(FILE_NAME);
        let failed = |error: io::Error| AuthError::CasKey { path: path.clone(), reason: error.to_string() };
        let secret = match fs::read(&path) {
            Ok(kept) => <[u8; 32]>::try_from(kept.as_slice()).map_err(|_| AuthError::CasKey {
                path: path.clone(),
                reason: format!("it has {} bytes, not 32: remove it to get a new one", kept.len()),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh = ambient.random();
                replace_file(&path, &fresh).map_err(failed)?;
                fresh
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self::new(&secret, directory, Arc::clone(&ambient.clock)))
    }

    fn now_secs(&self) -> u64 {
        self.clock.now().secs()
    }

    /// Who has this access key id; the empty one is an anonymous caller's.
    fn caller(&self, id: &str) -> Result<Caller, NotGranted> {
        if id.is_empty() {
            return Ok(Caller::Anonymous);
        }
        self.directory.credential(id).map(Caller::Known).ok_or(NotGranted::Foreign)
    }

    /// A token for a bucket. Whether its bearer may have it is for the one who asks to say.
    pub fn issue(&self, bucket: BucketUid, scope: CasScope, caller: &Caller) -> CasToken {
        let expires_at_secs = self.now_secs() + TOKEN_LIFETIME.as_secs();
        let mut bytes = Vec::with_capacity(TOKEN_BYTES_MAX);
        bytes.push(TOKEN_VERSION);
        bytes.extend(bucket.0.to_le_bytes());
        bytes.push(u8::from(scope == CasScope::Write));
        bytes.extend(expires_at_secs.to_le_bytes());
        bytes.extend(id_of(caller).as_bytes());
        let signature = self.token_signature(&bytes, caller);
        bytes.extend(signature.as_bytes());
        CasToken { text: BASE64_URL_SAFE_NO_PAD.encode(bytes), expires_at_secs }
    }

    /// What a token says, if it was issued here and is good still.
    pub fn grant(&self, token: &str) -> Result<CasGrant, NotGranted> {
        let mut bytes = [0; TOKEN_BYTES_MAX];
        let len = BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).map_err(|_| NotGranted::Foreign)?;
        let decoded = bytes.get(..len).unwrap_or_default();
        let (body, signature) = decoded.split_last_chunk().ok_or(NotGranted::Foreign)?;
        let (head, id) = body.split_first_chunk::<TOKEN_HEAD_BYTES>().ok_or(NotGranted::Foreign)?;
        let caller = self.caller(std::str::from_utf8(id).map_err(|_| NotGranted::Foreign)?)?;
        if self.token_signature(body, &caller) != Hash::from_bytes(*signature) {
            return Err(NotGranted::Foreign);
        }
        let word = |at: usize| {
            head.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u64::from_le_bytes(*word))
        };
        let (Some(bucket), Some(expires_at_secs), [TOKEN_VERSION, ..]) = (word(1), word(10), head) else {
            return Err(NotGranted::Foreign);
        };
        if expires_at_secs <= self.now_secs() {
            return Err(NotGranted::Expired);
        }
        let scope = if head.get(9) == Some(&1) { CasScope::Write } else { CasScope::Read };
        Ok(CasGrant { caller, bucket: BucketUid(bucket), scope, expires_at_secs })
    }

    fn token_signature(&self, body: &[u8], caller: &Caller) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.token_key);
        hasher.update(secret_digest(caller).as_bytes()).update(body);
        hasher.finalize()
    }

    /// The query of an address that lets anyone read these byte ranges of a xorb until it expires, at the expense of
    /// the caller and as long as the caller may read the bucket.
    pub fn sign_ranges(
        &self,
        xorb: &XorbHash,
        ranges: &[Range<u64>],
        (bucket, caller): (BucketUid, &Caller),
    ) -> String {
        let expires_at_secs = self.now_secs() + URL_LIFETIME.as_secs();
        let ranges = ranges.iter().map(|range| format!("{}-{}", range.start, range.end)).collect::<Vec<_>>();
        let ranges = ranges.join(",");
        let signature = self.url_signature(xorb, &ranges, expires_at_secs, (bucket, caller));
        let (bucket, id) = (bucket.0, id_of(caller));
        format!("r={ranges}&e={expires_at_secs}&b={bucket}&k={id}&s={}", signature.to_hex())
    }

    /// What an address of a xorb with this query lets read.
    pub fn granted_ranges(&self, xorb: &XorbHash, query: &str) -> Result<RangesGrant, NotGranted> {
        let mut fields = [None; 5];
        for field in query.split('&') {
            let slot = match field.split_once('=') {
                Some(("r", value)) => (0, value),
                Some(("e", value)) => (1, value),
                Some(("k", value)) => (2, value),
                Some(("s", value)) => (3, value),
                Some(("b", value)) => (4, value),
                _ => return Err(NotGranted::Foreign),
            };
            fields[slot.0] = Some(slot.1);
        }
        let [Some(ranges), Some(expires_at_secs), Some(id), Some(signature), Some(bucket)] = fields else {
            return Err(NotGranted::Foreign);
        };
        let expires_at_secs = expires_at_secs.parse().map_err(|_| NotGranted::Foreign)?;
        let signature = Hash::from_hex(signature).map_err(|_| NotGranted::Foreign)?;
        let bucket = BucketUid(bucket.parse().map_err(|_| NotGranted::Foreign)?);
        let caller = self.caller(id)?;
        if self.url_signature(xorb, ranges, expires_at_secs, (bucket, &caller)) != signature {
            return Err(NotGranted::Foreign);
        }
        if expires_at_secs <= self.now_secs() {
            return Err(NotGranted::Expired);
        }
        let ranges = ranges.split(',').map(|range| parse_range(range).ok_or(NotGranted::Foreign));
        Ok(RangesGrant { caller, bucket, ranges: ranges.collect::<Result<_, _>>()? })
    }

    fn url_signature(
        &self,
        xorb: &XorbHash,
        ranges: &str,
        expires_at_secs: u64,
        (bucket, caller): (BucketUid, &Caller),
    ) -> Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.url_key);
        // The first four have one length each and no range has a `,` or a `&`, so no two addresses have one text.
        hasher.update(xorb.as_bytes()).update(&expires_at_secs.to_le_bytes()).update(&bucket.0.to_le_bytes());
        hasher.update(secret_digest(caller).as_bytes());
        hasher.update(ranges.as_bytes()).update(b"&").update(id_of(caller).as_bytes());
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
    use crate::auth::{AccessKeyId, Credential, Permission, Secret};
    use crate::model::clock::{ManualClock, Timestamp};
    use crate::model::names::Namespace;

    fn credential(id: &str, secret: &str) -> Credential {
        Credential {
            account: Namespace::new("ada").unwrap(),
            access_key_id: AccessKeyId::new(id).unwrap(),
            secret_access_key: Secret::new(secret).unwrap(),
            token: None,
            permission: Permission::Write,
            buckets: None,
            created_at: None,
            expires_at: None,
        }
    }

    fn directory(credentials: &[Credential]) -> Arc<Directory> {
        Arc::new(Directory::new(credentials.to_vec()).unwrap())
    }

    /// A signer, a key that it knows, and the clock.
    fn signer() -> (CasSigner, Caller, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
        let ada = credential("AKADA", "not-for-eyes");
        let signer = CasSigner::new(&[7; 32], directory(std::slice::from_ref(&ada)), Arc::clone(&clock) as _);
        (signer, Caller::Known(Arc::new(ada)), clock)
    }

    #[test]
    fn a_token_says_what_it_was_issued_for_and_to_whom_until_it_expires() {
        let (signer, ada, clock) = signer();
        for scope in [CasScope::Read, CasScope::Write] {
            for caller in [ada.clone(), Caller::Anonymous] {
                let token = signer.issue(BucketUid(9), scope, &caller);
                let expires_at_secs = 1_000_000 + TOKEN_LIFETIME.as_secs();
                assert_eq!(token.expires_at_secs, expires_at_secs);
                assert_eq!(
                    signer.grant(&token.text),
                    Ok(CasGrant { caller, bucket: BucketUid(9), scope, expires_at_secs })
                );
            }
        }
        let token = signer.issue(BucketUid(9), CasScope::Read, &ada);
        clock.advance_ms(TOKEN_LIFETIME.as_millis() as u64 - 1);
        assert!(signer.grant(&token.text).is_ok());
        clock.advance_ms(1);
        assert_eq!(signer.grant(&token.text), Err(NotGranted::Expired));
    }

    #[test]
    fn a_key_of_any_length_gets_tokens() {
        for len in 1..=ACCESS_KEY_ID_BYTES_MAX {
            let key = credential(&"K".repeat(len), "not-for-eyes");
            let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
            let signer = CasSigner::new(&[7; 32], directory(std::slice::from_ref(&key)), clock);
            let token = signer.issue(BucketUid(9), CasScope::Read, &Caller::Known(Arc::new(key))).text;
            assert!(signer.grant(&token).is_ok(), "{len}");
        }
    }

    #[test]
    fn what_a_key_was_given_ends_with_the_key_and_with_its_secret() {
        let (signer, ada, clock) = signer();
        let xorb = XorbHash::from_bytes([1; 32]);
        let token = signer.issue(BucketUid(9), CasScope::Write, &ada).text;
        let address = signer.sign_ranges(&xorb, &[0..10, 20..30], (BucketUid(9), &ada));
        let bob = credential("AKBOB", "not-for-eyes");
        for (now, is_good) in [
            (vec![credential("AKADA", "not-for-eyes"), bob.clone()], true),
            (vec![credential("AKADA", "rotated-since"), bob.clone()], false),
            (vec![bob], false),
        ] {
            let signer = CasSigner::new(&[7; 32], directory(&now), Arc::clone(&clock) as _);
            assert_eq!(signer.grant(&token).is_ok(), is_good, "{now:?}");
            assert_eq!(signer.granted_ranges(&xorb, &address).is_ok(), is_good, "{now:?}");
            let others = address.replace("AKADA", "AKBOB");
            assert_eq!(signer.granted_ranges(&xorb, &others), Err(NotGranted::Foreign));
            let nobodys = address.replace("AKADA", "");
            assert_eq!(signer.granted_ranges(&xorb, &nobodys), Err(NotGranted::Foreign));
        }
    }

    #[test]
    fn a_token_that_was_changed_in_any_byte_is_foreign() {
        let (signer, ada, _) = signer();
        let token = signer.issue(BucketUid(9), CasScope::Read, &ada).text;
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
        let cut = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..TOKEN_HEAD_BYTES + blake3::OUT_LEN]);
        for bad in ["", "hf_token", &token[1..], &cut, &format!("{token}AA"), &token.repeat(100)] {
            assert_eq!(signer.grant(bad), Err(NotGranted::Foreign));
        }
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
        let other = CasSigner::new(&[8; 32], Arc::clone(&signer.directory), clock);
        assert_eq!(other.grant(&token), Err(NotGranted::Foreign));
    }

    #[test]
    fn an_address_lets_read_its_ranges_of_its_xorb_until_it_expires() {
        let (signer, caller, clock) = signer();
        let xorbs = [1, 2].map(|name| XorbHash::from_bytes([name; 32]));
        let ranges = [0..100, 250..u64::from(u32::MAX)];
        let query = signer.sign_ranges(&xorbs[0], &ranges, (BucketUid(9), &caller));
        let granted = RangesGrant { caller, bucket: BucketUid(9), ranges: ranges.to_vec() };
        assert_eq!(signer.granted_ranges(&xorbs[0], &query), Ok(granted));
        assert_eq!(signer.granted_ranges(&xorbs[1], &query), Err(NotGranted::Foreign));
        let wider = query.replace("0-100", "0-101");
        assert_eq!(signer.granted_ranges(&xorbs[0], &wider), Err(NotGranted::Foreign));
        let elsewhere = query.replace("b=9", "b=8");
        assert_eq!(signer.granted_ranges(&xorbs[0], &elsewhere), Err(NotGranted::Foreign));
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
        let (signer, ..) = signer();
        assert_ne!(signer.token_key, signer.url_key);
    }

    #[test]
    fn the_secret_is_kept_for_its_owner_only_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = || CasSigner::load_or_create(dir.path(), directory(&[]), &Ambient::system());
        let token = open().unwrap().issue(BucketUid(1), CasScope::Write, &Caller::Anonymous);
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
