//! What hub mode needs to know: which Hub, and how much of it to keep here.

use serde::{Deserialize, Serialize};

/// The Hub behind a gateway in hub mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubModeConfig {
    /// Its address; `None` for `HF_ENDPOINT`, or <https://huggingface.co>.
    pub endpoint: Option<String>,
}

/// The cache of chunks that came from far away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// At most so many bytes are kept; 0 for no cache.
    pub max_bytes: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_bytes: 10 << 30 }
    }
}

/// What the environment says of the Hub.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HubGiven {
    /// `HF_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `HF_TOKEN`: for the root credential.
    pub token: Option<String>,
}

/// Reads what the environment says of the Hub, under the names that the Hub's own clients read.
pub fn hub_given(vars: &[(String, String)]) -> HubGiven {
    let var = |name: &str| {
        let found = vars.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    HubGiven { endpoint: var("HF_ENDPOINT"), token: var("HF_TOKEN") }
}
