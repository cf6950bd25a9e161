//! Which API is mounted on which listener.

use std::sync::Arc;

use super::backend::{Backend, Native, instance};
use crate::config::{AddressingStyle, Config};
use crate::serve::admin::{self, AdminApi};
use crate::serve::cas::{self, CasApi};
use crate::serve::health::{self, HealthApi};
use crate::serve::http::Observability;
use crate::serve::http::observe::observed;
use crate::serve::http::origin::with_origin;
use crate::serve::http::routes::Routed;
use crate::serve::hub::{self, HubApi};
use crate::serve::s3::{self, Addressing, ByAccessKey, S3Api};

/// What each listener serves.
pub struct Apis {
    /// The S3 listener: S3 and nothing else, because any other path could be a bucket.
    pub s3: Routed,
    /// The Hub listener: Hub, CAS, admin, health and metrics. `None` on a backend that has none.
    pub hub: Option<Routed>,
    /// A listener for metrics and health alone.
    pub metrics: Routed,
}

impl Apis {
    /// Mounts the APIs over a backend. A new API gets its line here.
    pub fn compose(config: &Config, backend: Backend, observability: &Observability) -> Self {
        let Backend { buckets, buckets_of_keys, directory, native, .. } = backend;
        let s3 = S3Api {
            buckets: Arc::clone(&buckets),
            directory: Arc::clone(&directory),
            clock: observability.ambient.clone(),
            region: config.s3.region.clone(),
            addressing: addressing(config),
            signature_v2: config.s3.signature_v2,
            by_access_key: ByAccessKey::default(),
        };
        let s3 = s3::router(s3.with_buckets_of(buckets_of_keys));
        let health = |directory| {
            let (buckets, metrics) = (Arc::clone(&buckets), Arc::clone(&observability.metrics));
            health::router(HealthApi::new(instance(config), buckets, metrics, directory))
        };
        let metrics = health(None);
        let hub = native.map(|native| {
            let health = health(Some(Arc::clone(&directory)));
            let hub = HubApi {
                buckets: Arc::clone(&buckets),
                directory,
                signer: native.signer.clone(),
                visibility: config.hub.new_buckets,
            };
            hub_listener(config, hub::router(hub), health, native, observability)
        });
        Self {
            s3: s3.over(|router| observed(router, s3::API, observability.clone())),
            hub: hub.map(|hub| hub.over(|router| observed(router, hub::API, observability.clone()))),
            metrics,
        }
    }
}

/// Everything on the Hub listener.
fn hub_listener(
    config: &Config,
    hub: Routed,
    health: Routed,
    Native { store: _, leases: _, xet, accounts, signer, backups }: Native,
    observability: &Observability,
) -> Routed {
    let directory = Arc::clone(accounts.directory());
    let cas = CasApi { xet, signer, directory, ambient: observability.ambient.clone() };
    hub.nest("/admin", admin::router(AdminApi { accounts, backups }))
        .nest("/cas", cas::router(cas))
        .merge(cas::telemetry_router())
        .merge(health)
        .over(|router| with_origin(router, config.server.trusted_proxies.clone()))
}

/// How the S3 endpoint's requests name buckets.
fn addressing(config: &Config) -> Addressing {
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::{Request, StatusCode, header};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::model::clock::Ambient;

    #[tokio::test]
    async fn a_panic_is_answered_in_the_form_of_each_api() {
        for (api, content_type, error) in [
            (s3::API, "application/xml", "<Code>InternalError</Code>"),
            (hub::API, "application/json", r#"{"error":"Internal Server Error"}"#),
        ] {
            let router = Router::new().fallback(async || -> StatusCode { panic!("for this test") });
            let router = observed(router, api, Observability::plain(Ambient::system()));
            let request = Request::builder().uri("/b/k").body(Body::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers()[header::CONTENT_TYPE], content_type);
            assert_eq!(response.headers()[api.id_header].len(), 16);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body = std::str::from_utf8(&body).unwrap();
            assert!(body.contains(error), "{body}");
        }
    }
}
