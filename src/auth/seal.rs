//! Secrets at rest: sealed with XChaCha20-Poly1305 under a master key, so that a copy of the metadata alone opens no
//! API. Everything else that the row says is bound to the sealed text: it cannot be moved to another's row, nor can the
//! row be given another permission, other buckets or a later end.
//!
//! Earlier builds bound account and access key id alone. Such rows still open, and are sealed again at the next start.

use std::fs;
use std::io;
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::{AuthError, Credential, Secret};
use crate::model::accounts::{Permission, SealedCredential};
use crate::model::clock::{Ambient, Timestamp};
use crate::model::names::BucketName;
use crate::store::disk::replace_file;

/// Name of the master key's file in the data folder: 64 hexadecimal digits.
pub const FILE_NAME: &str = "master-key";

/// Bytes of a nonce; long enough to be drawn at random for ever.
const NONCE_BYTES: usize = 24;

/// What the mark of a key is derived for.
const MARK_CONTEXT: &str = "xetgate 2026 master key: mark";

/// The key that all secrets are sealed with.
pub struct MasterKey(XChaCha20Poly1305);

/// What is sealed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Secrets {
    secret_access_key: String,
    token: Option<String>,
}

impl MasterKey {
    /// A key of these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(bytes.into()))
    }

    /// A key given from outside as 64 hexadecimal digits.
    pub fn of_text(text: &str) -> Result<Self, AuthError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| AuthError::GivenMasterKey)?;
        Ok(Self::new(&bytes))
    }

    /// Something that two keys have in common only if they are the same.
    pub fn mark(text: &str) -> [u8; 8] {
        let derived = blake3::derive_key(MARK_CONTEXT, text.trim().as_bytes());
        std::array::from_fn(|at| derived[at])
    }

    /// The key kept in `data_dir`, made if there is none. Blocks on files.
    pub fn load_or_create(data_dir: &Path, ambient: &Ambient) -> Result<Self, AuthError> {
        let path = data_dir.join(FILE_NAME);
        let failed = |reason: String| AuthError::MasterKey { path: path.clone(), reason };
        match fs::read_to_string(&path) {
            Ok(text) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text.trim(), &mut bytes)
                    .map_err(|_| failed("it does not hold 64 hexadecimal digits".to_owned()))?;
                Ok(Self::new(&bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = ambient.random();
                let text = format!("{}\n", hex::encode(bytes));
                replace_file(&path, text.as_bytes()).map_err(|error| failed(error.to_string()))?;
                Ok(Self::new(&bytes))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// A credential as it is stored.
    pub(super) fn seal(
        &self,
        credential: &Credential,
        created_at: Timestamp,
        ambient: &Ambient,
    ) -> Result<SealedCredential, AuthError> {
        let id = credential.access_key_id.as_str();
        let secrets = Secrets {
            secret_access_key: credential.secret_access_key.expose().to_owned(),
            token: credential.token.as_ref().map(|token| token.expose().to_owned()),
        };
        let unsealable = || AuthError::Unseal(id.to_owned());
        let plain = postcard::to_stdvec(&secrets).map_err(|_| unsealable())?;
        let nonce = ambient.random::<NONCE_BYTES>();
        let row = SealedCredential {
            access_key_id: id.to_owned(),
            account: credential.account.clone(),
            permission: credential.permission,
            buckets: credential.buckets.clone(),
            created_at,
            expires_at: credential.expires_at,
            sealed: Vec::new(),
        };
        let payload = Payload { msg: &plain, aad: &bound_row(&row).ok_or_else(unsealable)? };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).map_err(|_| unsealable())?;
        Ok(SealedCredential { sealed: [nonce.as_slice(), &sealed].concat(), ..row })
    }

    /// A stored credential, opened; and whether it was sealed by an earlier build, and should be sealed again.
    pub(super) fn unseal(&self, stored: SealedCredential) -> Result<(Credential, bool), AuthError> {
        let unsealable = || AuthError::Unseal(stored.access_key_id.clone());
        let (nonce, sealed) = stored.sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(unsealable)?;
        let nonce = XNonce::from(*nonce);
        let open = |aad: &[u8]| self.0.decrypt(&nonce, Payload { msg: sealed, aad }).ok();
        let current = bound_row(&stored).and_then(|bound| open(&bound));
        let is_old = current.is_none();
        let earlier = || open(earlier_bound_text(&stored.access_key_id, stored.account.as_str()).as_bytes());
        let plain = current.or_else(earlier).ok_or_else(unsealable)?;
        let secrets: Secrets = postcard::from_bytes(&plain).map_err(|_| unsealable())?;
        let credential = Credential {
            access_key_id: super::AccessKeyId::new(&stored.access_key_id)?,
            secret_access_key: Secret::new(&secrets.secret_access_key)?,
            token: secrets.token.as_deref().map(Secret::new).transpose()?,
            account: stored.account,
            permission: stored.permission,
            buckets: stored.buckets,
            created_at: Some(stored.created_at),
            expires_at: stored.expires_at,
        };
        Ok((credential, is_old))
    }
}

/// What is bound to a sealed text: all of its row but the text itself. The serialised fields have lengths, so no two rows
/// have one; and none has that of an earlier build, which holds no zero byte. Another text for the same row would be a
/// credential that no longer opens.
fn bound_row(row: &SealedCredential) -> Option<Vec<u8>> {
    let SealedCredential { access_key_id, account, permission, buckets, created_at, expires_at, sealed: _ } =
        row;
    let permission: u8 = match permission {
        Permission::Read => 0,
        Permission::Write => 1,
        Permission::Admin => 2,
    };
    let buckets: Option<Vec<&str>> =
        buckets.as_ref().map(|buckets| buckets.iter().map(BucketName::as_str).collect());
    let times = (created_at.0, expires_at.map(|at| at.0));
    let fields = (access_key_id.as_str(), account.as_str(), permission, buckets, times);
    postcard::to_stdvec(&("xetgate credential\0", fields)).ok()
}

/// What earlier builds bound. Neither name holds a line break, so no two pairs have one text.
fn earlier_bound_text(access_key_id: &str, account: &str) -> String {
    format!("{account}\n{access_key_id}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::auth::AccessKeyId;
    use crate::model::names::Namespace;

    fn credential() -> Credential {
        Credential {
            account: Namespace::new("ada").unwrap(),
            access_key_id: AccessKeyId::new("AKADA").unwrap(),
            secret_access_key: Secret::new("not-for-eyes").unwrap(),
            token: Some(Secret::new("hf_not-for-eyes").unwrap()),
            permission: Permission::Write,
            buckets: None,
            created_at: Some(Timestamp(5)),
            expires_at: Some(Timestamp(9)),
        }
    }

    fn contains(haystack: &[u8], needle: &[u8]) -> bool {
        haystack.windows(needle.len()).any(|window| window == needle)
    }

    #[test]
    fn what_is_sealed_is_hidden_and_opens_in_its_own_row_only() {
        let key = MasterKey::new(&[7; 32]);
        let sealed = key.seal(&credential(), Timestamp(5), &Ambient::system()).unwrap();
        assert!(!contains(&sealed.sealed, b"not-for-eyes"));
        assert_eq!(key.unseal(sealed.clone()).unwrap(), (credential(), false));
        assert!(MasterKey::new(&[8; 32]).unseal(sealed.clone()).is_err());
        let row = || sealed.clone();
        for changed in [
            SealedCredential { account: Namespace::new("bob").unwrap(), ..row() },
            SealedCredential { access_key_id: "AKBOB".to_owned(), ..row() },
            SealedCredential { permission: Permission::Admin, ..row() },
            SealedCredential { buckets: Some(Vec::new()), ..row() },
            SealedCredential { created_at: Timestamp(6), ..row() },
            SealedCredential { expires_at: None, ..row() },
            SealedCredential { expires_at: Some(Timestamp(10)), ..row() },
        ] {
            assert!(key.unseal(changed.clone()).is_err(), "{changed:?}");
        }
        for cut in [0, 23, 24, sealed.sealed.len() - 1] {
            let cut = SealedCredential { sealed: sealed.sealed[..cut].to_vec(), ..sealed.clone() };
            assert!(key.unseal(cut).is_err());
        }
        let again = key.seal(&credential(), Timestamp(5), &Ambient::system()).unwrap();
        assert_ne!(again.sealed, sealed.sealed);
    }

    /// A row as the build of bb434c1 sealed it.
    #[test]
    fn what_an_earlier_build_has_sealed_opens_and_is_to_be_sealed_again() {
        let key = MasterKey::new(&[7; 32]);
        let secrets = Secrets {
            secret_access_key: "not-for-eyes".to_owned(),
            token: Some("hf_not-for-eyes".to_owned()),
        };
        let (plain, nonce) = (postcard::to_stdvec(&secrets).unwrap(), [9; NONCE_BYTES]);
        let payload = Payload { msg: &plain, aad: b"ada\nAKADA" };
        let text = key.0.encrypt(&XNonce::from(nonce), payload).unwrap();
        let now = key.seal(&credential(), Timestamp(5), &Ambient::system()).unwrap();
        let old = SealedCredential { sealed: [nonce.as_slice(), &text].concat(), ..now };
        assert_eq!(key.unseal(old.clone()).unwrap(), (credential(), true));
        let moved = SealedCredential { account: Namespace::new("bob").unwrap(), ..old };
        assert!(key.unseal(moved).is_err());
    }

    /// As the release before format 6 sealed it; see `tests/stores/format-5`.
    #[tokio::test]
    async fn what_the_previous_release_has_sealed_opens_as_it_is() {
        use crate::store::meta::{AccountStore as _, EmbeddedMeta};
        let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stores/format-5"));
        let folder = tempfile::tempdir().unwrap();
        for name in ["meta.redb", FILE_NAME] {
            fs::copy(example.join(name), folder.path().join(name)).unwrap();
        }
        let meta = EmbeddedMeta::open(&folder.path().join("meta.redb")).unwrap();
        let [stored] = meta.accounts().await.unwrap().1.try_into().unwrap();
        let key = MasterKey::load_or_create(folder.path(), &Ambient::system()).unwrap();
        let (credential, is_old) = key.unseal(stored).unwrap();
        assert!(!is_old);
        assert_eq!(credential.access_key_id.as_str(), "AKM7MQW26O3MP3RS74V4");
        assert!(credential.token.unwrap().expose().starts_with("hf_XZ238OY6"));
    }

    #[test]
    fn a_master_key_may_come_from_outside() {
        let sealed =
            MasterKey::new(&[0xAB; 32]).seal(&credential(), Timestamp(5), &Ambient::system()).unwrap();
        assert!(MasterKey::of_text(&format!("{}\n", "ab".repeat(32))).unwrap().unseal(sealed).is_ok());
        let refused = MasterKey::of_text("ab-not-for-eyes").err().unwrap().to_string();
        assert!(!refused.contains("not-for-eyes"), "{refused}");
    }

    #[test]
    fn the_master_key_is_kept_for_its_owner_only_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = || MasterKey::load_or_create(dir.path(), &Ambient::system());
        let sealed = open().unwrap().seal(&credential(), Timestamp(5), &Ambient::system()).unwrap();
        assert!(open().unwrap().unseal(sealed).is_ok());
        let path = dir.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert!(open().err().unwrap().to_string().ends_with("it does not hold 64 hexadecimal digits"));
    }
}
