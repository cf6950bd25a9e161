//! From a prepared request to the answer of its operation: checks that the caller may do it, and calls it.
//!
//! `GetObject` and `HeadObject` are called directly ([`read`]). For all other operations, s3s finds out which one it is,
//! asks [`Access`], parses the input, calls [`Operations`] and writes the answer. s3s sees neither signatures nor the
//! caller: both are known before ([`super::auth`]), and are in the [`Context`].

use std::sync::Arc;

use axum::response::Response;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{HttpRequest, S3Result};

use crate::bucket::BucketName;

use super::authorize::authorize;
use super::context::Context;
use super::errors::{access_denied, internal_error};
use super::ops::{Operations, read};
use super::request::XML_LIST_BYTES_MAX;
use super::response::from_s3s;

/// The s3s service of all operations but two.
pub(super) fn service() -> S3Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = XML_LIST_BYTES_MAX;
    let mut builder = S3ServiceBuilder::new(Operations);
    builder.set_auth(NoKeys);
    builder.set_access(Access);
    builder.set_validation(AnyBucketName);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.build()
}

/// Calls the operation of a request.
pub(super) async fn call(
    service: &S3Service,
    context: &Arc<Context>,
    mut request: HttpRequest,
) -> S3Result<Response> {
    if let Some(operation) = read::operation(context, &request) {
        authorize(context, operation, request.uri(), request.headers()).await?;
        return match operation {
            "HeadObject" => read::head(context, &request).await,
            _ => read::get(context, &request).await,
        };
    }
    request.extensions_mut().insert(Arc::clone(context));
    let response = Box::pin(service.call(request)).await.map_err(|error| {
        // Only an answer that cannot be written as headers or XML ends here.
        let (error, request_id) = (s3s::StdError::from(error), &context.request_id);
        tracing::error!(%request_id, error, "an answer could not be written");
        internal_error()
    })?;
    from_s3s(response).await
}

/// Asks [`authorize`] for s3s.
struct Access;

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let context = request.extensions_mut().get::<Arc<Context>>().cloned().ok_or_else(access_denied)?;
        let checked = authorize(&context, request.s3_op().name(), request.uri(), request.headers()).await;
        checked.inspect_err(|error| context.log(error))
    }
}

/// The service sees no signatures; but only a service with an authentication asks [`Access`].
struct NoKeys;

#[async_trait::async_trait]
impl S3Auth for NoKeys {
    async fn get_secret_key(&self, _: &str) -> S3Result<SecretKey> {
        Err(access_denied())
    }
}

/// Buckets made on the Hub are addressed by the names they have; creation checks S3's own rules.
struct AnyBucketName;

impl NameValidation for AnyBucketName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        BucketName::new(name).is_ok()
    }
}
