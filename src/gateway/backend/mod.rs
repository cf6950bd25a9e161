//! The backend of each mode: what stores, and which APIs beside S3 it can offer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::background::Background;
use super::data_folder::DataFolder;
use super::error::GatewayError;
use super::lease_holder::LeaseHolder;
use crate::auth::cas_token::CasSigner;
use crate::auth::root::RootGiven;
use crate::auth::seal::MasterKey;
use crate::auth::{Accounts, Directory};
use crate::bucket::hub::HubClient;
use crate::bucket::{BucketApi, BucketError, NativeBuckets, NativeXet};
use crate::cas::cache::ChunkCache;
use crate::config::{self, ClusterGiven, Config, ConfigError, HubGiven, Mode};
use crate::model::clock::Ambient;
use crate::serve::admin::Backups;
use crate::serve::http::instance::Instance;
use crate::serve::http::metrics::Metrics;
use crate::store::local::LocalStore;
use crate::store::meta::Node;

mod cluster;
mod hub;
mod standalone;

/// Which gateway it is that this configures.
pub fn instance(config: &Config) -> Instance {
    let (version, mode) = (env!("CARGO_PKG_VERSION"), config.mode.into());
    Instance { version, mode, node: config.cluster.node_name() }
}

/// The node of a cluster that is called so; it enters now.
pub fn node(name: String, master_key: &str, ambient: &Ambient) -> Node {
    Node {
        name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        entered_at: ambient.clock.now(),
        key_mark: MasterKey::mark(master_key),
    }
}

/// What the APIs work on.
pub struct Backend {
    /// The buckets.
    pub buckets: Arc<dyn BucketApi>,
    /// The buckets of single access keys, by access key id, where a key reaches them in a way of its own: in hub mode each
    /// key has its own token for the Hub. All other callers use `buckets`.
    pub buckets_of_keys: HashMap<String, Arc<dyn BucketApi>>,
    /// Accounts and credentials.
    pub directory: Arc<Directory>,
    /// What the Hub listener needs; `None` if the mode has none.
    pub native: Option<Native>,
    /// Metrics, those of the storage included.
    pub metrics: Arc<Metrics>,
}

/// What only a backend on our own storage has.
pub struct Native {
    /// The store, for work beside requests.
    pub store: Arc<LocalStore>,
    /// Files by their hash, for the CAS API.
    pub xet: NativeXet,
    /// Accounts that can be changed, for the admin API.
    pub accounts: Arc<Accounts>,
    /// Signs the tokens of the CAS API.
    pub signer: CasSigner,
    /// Where backups go; none are made without.
    pub backups: Option<Backups>,
    /// By what one node does for all others; `None` where there are none.
    pub leases: Option<LeaseHolder>,
}

/// What every backend is opened with.
pub(super) struct Resources<'a> {
    pub(super) config: &'a Config,
    pub(super) vars: &'a [(String, String)],
    pub(super) folder: &'a DataFolder,
    pub(super) runtime: &'a Runtime,
    pub(super) ambient: &'a Ambient,
}

impl Resources<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The cache of chunks that come from far away, if there is to be one.
    fn cache(&self) -> std::io::Result<Option<Arc<ChunkCache>>> {
        match self.config.cache.max_bytes {
            0 => Ok(None),
            max => {
                let cache = ChunkCache::open(&self.path("cache"), max, Arc::clone(&self.ambient.clock));
                Ok(Some(Arc::new(cache?)))
            }
        }
    }

    /// The buckets of a store, whatever that is kept in.
    fn native_buckets(
        &self,
        store: &Arc<LocalStore>,
        cache: Option<Arc<ChunkCache>>,
    ) -> Result<Arc<NativeBuckets>, GatewayError> {
        let failed = |error| GatewayError::Store { path: self.folder.path().to_owned(), error };
        let buckets = NativeBuckets::with_cache(Arc::clone(store), cache, self.ambient.clone());
        let buckets = buckets.map_err(failed)?;
        let day_set = self.runtime.block_on(store.meta.set_lifecycle_day(self.config.lifecycle.day()));
        day_set.map_err(|error| failed(BucketError::Storage(error.into())))?;
        Ok(Arc::new(buckets))
    }
}

/// A mode, before its storage is opened.
pub(super) enum Selected {
    /// Metadata in `redb`, chunks in pack files, both in the data folder.
    Standalone,
    /// Metadata in PostgreSQL, chunks in an object store, both shared with other nodes.
    Cluster(ClusterGiven),
    /// Buckets and chunks on a remote Hub.
    Hub { client: HubClient, given: HubGiven },
}

impl Selected {
    /// The mode that the configuration names.
    pub(super) fn of(resources: &Resources<'_>) -> Result<Self, GatewayError> {
        Ok(match resources.config.mode {
            Mode::Standalone => Self::Standalone,
            Mode::Cluster => Self::Cluster(resources.config.cluster_given(resources.vars)?),
            Mode::Hub if resources.config.packs.url.is_some() => {
                let (key, reason) =
                    ("packs.url", "is of standalone mode: in hub mode, the Hub has the chunks");
                return Err(ConfigError::Wrong { key, reason }.into());
            }
            Mode::Hub => {
                let given = config::hub_given(resources.vars);
                Self::Hub { client: hub::client(resources, &given)?, given }
            }
        })
    }

    /// Completes what the environment says of the root credential.
    pub(super) fn complete_root(
        &self,
        runtime: &Runtime,
        given: RootGiven,
    ) -> Result<RootGiven, GatewayError> {
        match self {
            Self::Cluster(_) if given.access_key_id.is_none() => {
                let (key, reason) = (
                    "XETGATE_ROOT_ACCESS_KEY_ID",
                    "must be set in cluster mode, the same on all nodes, or accounts be declared",
                );
                Err(ConfigError::Wrong { key, reason }.into())
            }
            Self::Standalone | Self::Cluster(_) => Ok(given),
            Self::Hub { client, given: hub } => Ok(hub::complete_root(runtime, client, hub, given)?),
        }
    }

    /// Whether there is a Hub listener.
    pub(super) fn serves_hub(&self) -> bool {
        !matches!(self, Self::Hub { .. })
    }

    /// The address of the Hub that buckets are on; `None` if they are on our own storage.
    pub(super) fn remote_hub(&self) -> Option<&str> {
        match self {
            Self::Standalone | Self::Cluster(_) => None,
            Self::Hub { client, .. } => Some(client.endpoint()),
        }
    }

    /// Opens the storage and starts what runs beside requests.
    pub(super) fn open(
        &self,
        resources: &Resources<'_>,
        directory: Directory,
        background: &mut Background,
    ) -> Result<Backend, GatewayError> {
        match self {
            Self::Standalone => standalone::open(resources, directory, background),
            Self::Cluster(given) => cluster::open(resources, given, directory, background),
            Self::Hub { client, .. } => Ok(hub::open(resources, client, directory, background)?),
        }
    }
}
