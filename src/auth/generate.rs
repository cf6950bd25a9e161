//! Making credentials, in the shapes that clients know: `AK` and 18 letters or digits, 40 for the secret, and `hf_` and
//! 34 for the token.

use super::{AccessKeyId, AuthError, Secret};
use crate::model::clock::Ambient;

const UPPER: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// 64 letters so that a byte gives one exactly; that two of them are met twice as often costs less than a bit of the
/// 240.
const MIXED: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";

/// The public half of a key pair.
pub(super) fn access_key_id(ambient: &Ambient) -> Result<AccessKeyId, AuthError> {
    AccessKeyId::new(&format!("AK{}", spell(&ambient.random::<18>(), UPPER)))
}

/// The secret half.
pub(super) fn secret_access_key(ambient: &Ambient) -> Result<Secret, AuthError> {
    Secret::new(&spell(&ambient.random::<40>(), MIXED))
}

/// The Hub face.
pub(super) fn token(ambient: &Ambient) -> Result<Secret, AuthError> {
    Secret::new(&format!("hf_{}", spell(&ambient.random::<34>(), MIXED)))
}

/// Spells random bytes in an alphabet whose size divides 256, so that every byte gives one letter.
fn spell<const N: usize>(random: &[u8], alphabet: &[u8; N]) -> String {
    random.iter().map(|byte| char::from(alphabet[usize::from(*byte) % N])).collect()
}
