//! What hub mode needs to know: which Hub, and how much of it to keep here.

use serde::{Deserialize, Serialize};

/// The Hub behind a gateway in hub mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubModeConfig {
    /// Its address; `None` for `HF_ENDPOINT`, or <https://huggingface.co>.
    pub endpoint: Option<String>,
    /// Hosts beside its own to which it may send the gateway: of its CAS, or of a CDN. With none, those of
    /// `XETGATE_HUB_HOSTS`.
    pub hosts: Vec<String>,
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
    /// `XETGATE_HUB_HOSTS`, separated by commas: see [`HubModeConfig::hosts`].
    pub hosts: Vec<String>,
}

/// Reads what the environment says of the Hub, under the names that the Hub's own clients read.
pub fn hub_given(vars: &[(String, String)]) -> HubGiven {
    let var = |name: &str| {
        let found = vars.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let hosts = var("XETGATE_HUB_HOSTS").unwrap_or_default();
    let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    HubGiven { endpoint: var("HF_ENDPOINT"), token: var("HF_TOKEN"), hosts }
}
