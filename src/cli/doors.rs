//! Which door stands on which listener.

use std::sync::Arc;

use crate::auth::Accounts;
use crate::auth::cas_token::CasSigner;
use crate::bucket::NativeBuckets;
use crate::config::{AddressingStyle, Config};
use crate::serve::admin::{self, AdminDoor, Backups};
use crate::serve::cas::{self, CasDoor};
use crate::serve::health::{self, HealthApi};
use crate::serve::http::observe::{Observability, observed};
use crate::serve::http::origin::with_origin;
use crate::serve::http::routes::Routed;
use crate::serve::hub::{self, HubDoor};
use crate::serve::s3::{self, Addressing, ByAccessKey, S3Api};

/// What stands behind the doors.
pub struct Behind {
    /// The buckets.
    pub buckets: Arc<NativeBuckets>,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// Where backups go, if they are kept.
    pub backups: Option<Backups>,
    /// Signs the tokens of the CAS door.
    pub signer: CasSigner,
    /// Time and randomness, limits, and what is kept of requests.
    pub watch: Observability,
}

/// What stands on each listener.
pub struct Doors {
    /// On the S3 listener.
    pub s3: Routed,
    /// On the Hub's.
    pub hub: Routed,
    /// On a listener for metrics alone.
    pub metrics: Routed,
}

/// Puts the doors of a gateway that stores by itself in their places.
pub fn doors(config: &Config, behind: Behind) -> Doors {
    let Behind { buckets, accounts, backups, signer, watch } = behind;
    let ambient = &watch.ambient;
    let directory = accounts.directory();
    let s3 = s3::router(S3Api {
        buckets: Arc::clone(&buckets) as _,
        directory: Arc::clone(directory),
        clock: ambient.clone(),
        region: config.s3.region.clone(),
        addressing: addressing(config),
        signature_v2: config.s3.signature_v2,
        by_access_key: ByAccessKey::default(),
    });
    let cas = CasDoor {
        xet: buckets.xet(config.cas_grace()),
        signer: signer.clone(),
        directory: Arc::clone(directory),
        ambient: ambient.clone(),
    };
    let ops = |directory| {
        let (buckets, metrics) = (Arc::clone(&buckets) as _, Arc::clone(&watch.metrics));
        health::router(HealthApi { buckets, metrics, directory })
    };
    let (metrics, ops) = (ops(None), ops(Some(Arc::clone(directory))));
    let hub = hub::router(HubDoor {
        buckets,
        directory: Arc::clone(directory),
        signer,
        visibility: config.hub.new_buckets,
    });
    let hub = hub
        .nest("/admin", admin::router(AdminDoor { accounts: Arc::clone(&accounts), backups }))
        .nest("/cas", cas::router(cas))
        .merge(cas::telemetry_router())
        .merge(ops)
        .over(|router| with_origin(router, config.server.trusted_proxies.clone()));
    Doors {
        s3: s3.over(|router| observed(router, s3::API, watch.clone())),
        hub: hub.over(|router| observed(router, hub::API, watch.clone())),
        metrics,
    }
}

/// How the S3 endpoint's requests name buckets.
pub(super) fn addressing(config: &Config) -> Addressing {
    let namespaced = config.s3.addressing == AddressingStyle::Namespaced;
    let domains = config.s3.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
    Addressing {
        namespaced,
        domains,
        aliases: config.s3.aliases.0.clone(),
        foreign_names: config.s3.foreign_names,
        trusted_proxies: config.server.trusted_proxies.clone(),
    }
}
