//! The id of a request, shown in its answer and in every log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::clock::Entropy;

/// A request's id: 16 upper-case hexadecimal digits, as AWS's are. A request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Gives out ids that no two requests of a process share. They tell requests apart and protect nothing, so only the first
/// is read from the system: a read for each would take longer than everything else that is done for an id.
pub(super) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let mut first = [0; 8];
        entropy.fill(&mut first);
        Self(AtomicU64::new(u64::from_be_bytes(first)))
    }

    pub(super) fn next(&self) -> RequestId {
        // Each step can be undone, so that different numbers stay different; the multipliers are those of SplitMix64.
        let mut number = self.0.fetch_add(1, Ordering::Relaxed);
        for multiplier in [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB] {
            number = (number ^ (number >> 30)).wrapping_mul(multiplier);
        }
        RequestId(hex::encode_upper((number ^ (number >> 31)).to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Ambient;

    #[test]
    fn no_two_requests_have_one_id() {
        let ids = RequestIds::new(&*Ambient::system().entropy);
        let given: std::collections::BTreeSet<_> =
            (0..1000).map(|_| ids.next().as_str().to_owned()).collect();
        assert_eq!(given.len(), 1000);
    }
}
