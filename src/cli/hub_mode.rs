//! `xetgate serve --mode hub`: the S3 door over buckets on a Hub.
//!
//! Each access key speaks to the Hub with its own credential's token, so the Hub decides what it may do; the
//! permission and buckets of the credential hold besides. The root credential's token is `HF_TOKEN`, and its account
//! is whoever that token belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::data_folder::DataFolder;
use crate::auth::root::RootGiven;
use crate::auth::{Credential, Directory, Secret};
use crate::bucket::hub::{DEFAULT_ENDPOINT, HubBuckets, HubClient, HubError, HubShared};
use crate::bucket::{BucketApi, Namespace};
use crate::cas::cache::ChunkCache;
use crate::cas::destinations::Destinations;
use crate::cas::http::{BearerToken, HttpClient, HttpError, RetryPolicy};
use crate::cas::remote::RemoteShared;
use crate::config::{Config, HubGiven};
use crate::model::clock::Ambient;
use crate::store::meta::{EmbeddedMeta, MetaError};

/// Why hub mode could not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum HubModeError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Hub(#[from] HubError),
    #[error("cannot ask {endpoint} who HF_TOKEN belongs to: {error}; or set XETGATE_ROOT_USER")]
    WhoAmI { endpoint: String, error: HubError },
    #[error("cannot open the metadata: {0}")]
    Meta(#[from] MetaError),
    #[error("cannot open the cache: {0}")]
    Cache(std::io::Error),
    #[error("cannot open the parts of running uploads: {0}")]
    Parts(std::io::Error),
    #[error("{0} is not a token: it must be visible ASCII characters")]
    Token(String),
    #[error("{0} forbids requests to the Hub: unset it to run a gateway in front of one")]
    Offline(&'static str),
}

/// The Hub that the configuration and the environment name.
pub(super) fn client(config: &Config, given: &HubGiven) -> Result<HubClient, HubModeError> {
    if let Some(name) = given.offline {
        return Err(HubModeError::Offline(name));
    }
    let endpoint = config.hub_mode.endpoint.clone().or_else(|| given.endpoint.clone());
    let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    let hosts = if config.hub_mode.hosts.is_empty() { &given.hosts } else { &config.hub_mode.hosts };
    let destinations = Destinations::of(&endpoint, hosts);
    Ok(HubClient::new(HttpClient::new(RetryPolicy::default(), destinations)?, &endpoint, None)?)
}

/// Completes what was given of the root credential with what the Hub's own variables say.
pub(super) fn complete_root(
    runtime: &Runtime,
    client: &HubClient,
    hub: &HubGiven,
    given: RootGiven,
) -> Result<RootGiven, HubModeError> {
    let token = given.token.clone().or_else(|| hub.token.clone());
    let mut user = given.user.clone();
    if let (None, Some(token)) = (&user, &token) {
        let bearer = BearerToken::new(token).ok_or_else(|| HubModeError::Token("HF_TOKEN".to_owned()))?;
        let asked = runtime.block_on(client.with_token(Some(bearer)).who_am_i());
        let endpoint = client.endpoint().to_owned();
        user = Some(asked.map_err(|error| HubModeError::WhoAmI { endpoint, error })?.name);
    }
    Ok(RootGiven { user, token, ..given })
}

/// The buckets behind the S3 door in hub mode.
pub(super) struct HubBehind {
    /// For callers who are not known.
    pub(super) public: Arc<dyn BucketApi>,
    /// Those of each access key.
    pub(super) own: HashMap<String, Arc<dyn BucketApi>>,
    /// What they share.
    pub(super) shared: HubShared,
    /// The cache of chunks, if there is one.
    pub(super) cache: Option<Arc<ChunkCache>>,
}

/// Opens what is kept here and makes a client for each credential. Blocks.
pub(super) fn open(
    config: &Config,
    folder: &DataFolder,
    client: &HubClient,
    directory: &Directory,
    ambient: &Ambient,
) -> Result<HubBehind, HubModeError> {
    let meta = Arc::new(EmbeddedMeta::open(&folder.path().join("hub-meta.redb"))?);
    let cache = match config.cache.max_bytes {
        0 => None,
        max => {
            let path = folder.path().join("cache");
            let cache = ChunkCache::open(&path, max, Arc::clone(&ambient.clock));
            Some(Arc::new(cache.map_err(HubModeError::Cache)?))
        }
    };
    let remote = RemoteShared::new(client.http().clone(), cache.clone(), Arc::clone(&ambient.clock));
    let parts = folder.path().join("hub-uploads");
    let shared = HubShared::open(meta, parts, remote, ambient.clone()).map_err(HubModeError::Parts)?;
    let namespaces: Vec<_> = directory.accounts().into_iter().map(|account| account.name).collect();
    let credentials = directory.credentials();
    let mut own = HashMap::<String, Arc<dyn BucketApi>>::new();
    // Credentials that share a token share what is known of the Hub.
    let mut by_token = HashMap::<Option<&str>, Arc<dyn BucketApi>>::new();
    for credential in &credentials {
        let token = credential.token.as_ref().map(Secret::expose);
        let buckets = if let Some(buckets) = by_token.get(&token) {
            Arc::clone(buckets)
        } else {
            let client = client_of(client, credential)?;
            let places = namespaces.iter().map(|name| (name.clone(), client.clone())).collect();
            Arc::new(HubBuckets::new(client, shared.clone()).looking_in(places))
        };
        by_token.insert(token, Arc::clone(&buckets));
        own.insert(credential.access_key_id.as_str().to_owned(), buckets);
    }
    // Strangers are told whether a bucket is there, as on AWS, so somebody at home there asks. They read it as strangers.
    let place = |name: &Namespace| {
        let host = host(directory, name).map(|credential| client_of(client, &credential)).transpose()?;
        Ok((name.clone(), host.unwrap_or_else(|| client.clone())))
    };
    let places = namespaces.iter().map(place).collect::<Result<_, HubModeError>>()?;
    let public = HubBuckets::new(client.clone(), shared.clone()).looking_in(places);
    Ok(HubBehind { public: Arc::new(public), own, shared, cache })
}

/// Speaks to the Hub with a credential's token.
fn client_of(client: &HubClient, credential: &Credential) -> Result<HubClient, HubModeError> {
    let id = &credential.access_key_id;
    let bearer = |token: &Secret| {
        let wrong = || HubModeError::Token(format!("the token of access key {id}"));
        BearerToken::new(token.expose()).ok_or_else(wrong)
    };
    let token = credential.token.as_ref().map(bearer).transpose()?;
    Ok(client.with_token(token))
}

/// A credential by whose token the Hub tells what is in a namespace: one of its own account, or else a member's.
fn host(directory: &Directory, namespace: &Namespace) -> Option<Arc<Credential>> {
    let account = directory.account(namespace)?;
    let credentials = directory.credentials();
    let of = |name: &Namespace| {
        let mut own = credentials.iter().filter(|credential| credential.account == *name);
        own.find(|credential| credential.token.is_some()).cloned()
    };
    std::iter::once(&account.name).chain(&account.members).find_map(of)
}
