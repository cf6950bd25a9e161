//! Hub mode: the S3 API over buckets on a remote Hub.
//!
//! Each access key uses the token of its own credential for the Hub, so the Hub decides what the key may do; the credential's
//! own permission and list of buckets are checked as well. The root credential's token is `HF_TOKEN`, and its account is the
//! one that the Hub says the token belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::{Backend, Resources, instance};
use crate::auth::root::RootGiven;
use crate::auth::{Credential, Directory, Secret};
use crate::bucket::hub::{DEFAULT_ENDPOINT, HubBuckets, HubClient, HubShared, upkeep};
use crate::bucket::{BucketApi, Namespace};
use crate::cas::cache::ChunkCache;
use crate::cas::destinations::Destinations;
use crate::cas::http::{BearerToken, HttpClient, RetryPolicy};
use crate::cas::remote::RemoteShared;
use crate::config::HubGiven;
use crate::gateway::background::Background;
use crate::gateway::error::HubModeError;
use crate::serve::http::metrics::Metrics;
use crate::store::meta::EmbeddedMeta;

/// The Hub that the configuration and the environment name.
pub(super) fn client(resources: &Resources<'_>, given: &HubGiven) -> Result<HubClient, HubModeError> {
    let Resources { config, ambient, .. } = resources;
    if let Some(name) = given.offline {
        return Err(HubModeError::Offline(name));
    }
    let endpoint = config.hub_mode.endpoint.clone().or_else(|| given.endpoint.clone());
    let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    let hosts = if config.hub_mode.hosts.is_empty() { &given.hosts } else { &config.hub_mode.hosts };
    let destinations = Destinations::of(&endpoint, hosts);
    let http =
        HttpClient::new(RetryPolicy::default(), destinations)?.with_jitter(Arc::clone(&ambient.entropy));
    Ok(HubClient::new(http, &endpoint, None)?)
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

/// Opens what is kept in the data folder, makes a client for each credential, and starts the upkeep. Blocks.
pub(super) fn open(
    resources: &Resources<'_>,
    client: &HubClient,
    directory: Directory,
    background: &mut Background,
) -> Result<Backend, HubModeError> {
    let config = resources.config;
    let cache = resources.cache().map_err(HubModeError::Cache)?;
    let shared = open_shared(resources, client, cache.clone())?;
    background.start(|stop| upkeep::run(shared.clone(), config.uploads_expire(), stop));
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
    // Anonymous callers learn whether a bucket exists, as on AWS, so the existence check uses a token of the bucket's own
    // namespace. The read itself stays anonymous.
    let place = |name: &Namespace| {
        let host = host(&directory, name).map(|credential| client_of(client, &credential)).transpose()?;
        Ok((name.clone(), host.unwrap_or_else(|| client.clone())))
    };
    let places = namespaces.iter().map(place).collect::<Result<_, HubModeError>>()?;
    let public = HubBuckets::new(client.clone(), shared.clone()).looking_in(places);
    Ok(Backend {
        buckets: Arc::new(public),
        buckets_of_keys: own,
        directory: Arc::new(directory),
        native: None,
        metrics: Arc::new(Metrics::of_cache(&instance(resources.config), cache)),
    })
}

/// Opens the metadata and the parts of running uploads, which all clients share.
fn open_shared(
    resources: &Resources<'_>,
    client: &HubClient,
    cache: Option<Arc<ChunkCache>>,
) -> Result<HubShared, HubModeError> {
    let ambient = resources.ambient;
    let meta = Arc::new(EmbeddedMeta::open(&resources.path("hub-meta.redb"))?);
    let remote = RemoteShared::new(client.http().clone(), cache, Arc::clone(&ambient.clock));
    HubShared::open(meta, resources.path("hub-uploads"), remote, ambient.clone()).map_err(HubModeError::Parts)
}

/// A client that uses a credential's token.
fn client_of(client: &HubClient, credential: &Credential) -> Result<HubClient, HubModeError> {
    let id = &credential.access_key_id;
    let bearer = |token: &Secret| {
        let wrong = || HubModeError::Token(format!("the token of access key {id}"));
        BearerToken::new(token.expose()).ok_or_else(wrong)
    };
    let token = credential.token.as_ref().map(bearer).transpose()?;
    Ok(client.with_token(token))
}

/// A credential whose token may list a namespace: one of its own account, or else a member's.
fn host(directory: &Directory, namespace: &Namespace) -> Option<Arc<Credential>> {
    let account = directory.account(namespace)?;
    let credentials = directory.credentials();
    let of = |name: &Namespace| {
        let mut own = credentials.iter().filter(|credential| credential.account == *name);
        own.find(|credential| credential.token.is_some()).cloned()
    };
    std::iter::once(&account.name).chain(&account.members).find_map(of)
}
