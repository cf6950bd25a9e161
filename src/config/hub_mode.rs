//! What hub mode needs to know: which Hub, and how much of it to keep here.

use serde::{Deserialize, Serialize};

use super::HubEnvironment;

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
    /// `HF_TOKEN`: for the root credential. `None` where `HF_HUB_DISABLE_IMPLICIT_TOKEN` forbids to use it.
    pub token: Option<String>,
    /// `XETGATE_HUB_HOSTS`, separated by commas: see [`HubModeConfig::hosts`].
    pub hosts: Vec<String>,
    /// The name of the variable that forbids all requests to the Hub, if one is set.
    pub offline: Option<&'static str>,
}

/// Reads what the environment says of the Hub, under the names that the Hub's own clients read.
pub fn hub_given(vars: &[(String, String)]) -> HubGiven {
    let hub = HubEnvironment::of(vars);
    let token = hub.token().filter(|_| !hub.forbids_implicit_token());
    HubGiven {
        endpoint: hub.endpoint().map(str::to_owned),
        token: token.map(|(_, token)| token),
        hosts: hub.hosts(),
        offline: hub.offline(),
    }
}
