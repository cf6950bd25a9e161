//! The Xet CAS API over [`NativeXet`], for clients that cut, hash and deduplicate themselves.
//!
//! A request shows a token of [`CasSigner`], which the Hub API gave out for one bucket; only the addresses of xorb ranges,
//! which are signed themselves, need none. Both count to the limits of the access key that asked for them.
//!
//! Unknown paths are 404 whatever the method: clients that try an extension of the protocol (xorb grants, say) take any other
//! status for support of it.
//!
//! [`reconstructions`] says how files are put together, [`ranges`] gives the bytes, [`xorbs`], [`shards`] and [`chunks`]
//! are the way in, [`windows`] helps to change a part of a file. Source: Xet specification, "CAS HTTP API".

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};

use crate::auth::cas_token::{CasGrant, CasScope, CasSigner};
use crate::auth::{Action, Caller, Directory};
use crate::bucket::{NativeXet, Reach};
use crate::model::bucket::BucketUid;
use crate::model::clock::Ambient;
use crate::model::turns::Turns;
use crate::serve::http::rate_limit::Busy;
use crate::serve::http::routes::{GET, HEAD, POST, Routed, Routes};
use crate::serve::http::{RequestContext, bearer_token};

mod answers;
mod chunks;
mod errors;
mod names;
mod ranges;
mod reconstructions;
mod shards;
#[cfg(test)]
mod tests;
mod windows;
mod xorbs;

use errors::CasRefusal;

/// Memory for shards on their way in, in KiB: four of the longest that may be, of which two may be one tenant's. Taken as
/// their bytes come.
const SHARD_MEMORY_KIB: (usize, usize) = (512 << 10, 256 << 10);

/// Terms of the reconstructions that are on their way to clients, in all and for one tenant: some 100 bytes each.
const ANSWER_TERMS: (usize, usize) = (1 << 20, 1 << 18);

/// What the API works on.
pub struct CasApi {
    /// The buckets.
    pub xet: NativeXet,
    /// Checks what callers show.
    pub signer: CasSigner,
    /// Says what they may reach.
    pub directory: Arc<Directory>,
    /// For the boundaries of answers in parts.
    pub ambient: Ambient,
}

/// The state of the API.
struct Cas {
    xet: NativeXet,
    signer: CasSigner,
    directory: Arc<Directory>,
    ambient: Ambient,
    shard_memory: Turns,
    answer_terms: Turns,
}

/// The CAS API, to be mounted at any path; its requests need an [`Origin`](crate::serve::http::origin::Origin).
pub fn router(api: CasApi) -> Routed {
    let CasApi { xet, signer, directory, ambient } = api;
    let shard_memory = Turns::new(SHARD_MEMORY_KIB.0, SHARD_MEMORY_KIB.1);
    let answer_terms = Turns::new(ANSWER_TERMS.0, ANSWER_TERMS.1);
    let cas = Arc::new(Cas { xet, signer, directory, ambient, shard_memory, answer_terms });
    let nothing = || async { CasRefusal::NotFound("there is nothing here".to_owned()) };
    Routes::new()
        .on(GET, "/v1/reconstructions/{file}", reconstructions::version_1)
        .on(GET, "/v2/reconstructions/{file}", reconstructions::version_2)
        .on(GET, "/v1/reconstructions", reconstructions::batch_of_query)
        .on(POST, "/v1/reconstructions", reconstructions::batch_of_body)
        .on(GET, "/v1/chunks/{prefix}/{chunk}", chunks::query)
        .on(POST, "/v1/xorbs/{prefix}/{xorb}", xorbs::upload)
        // As hf_xet up to 1.5.1 has them.
        .on(POST, "/xorbs/{prefix}/{xorb}", xorbs::upload)
        .on(POST, "/shards", shards::version_1)
        .on(HEAD, "/v1/xorbs/{prefix}/{xorb}", xorbs::size)
        .on(GET, "/v1/ranges/{xorb}", ranges::fetch)
        .on(POST, "/v1/shards", shards::version_1)
        .on(POST, "/v2/shards", shards::version_2)
        .on(HEAD, "/v1/files/{file}", reconstructions::file_size)
        .on(GET, "/v2/file-chunk-hashes/{file}", windows::of_file)
        .routed(|router| router.method_not_allowed_fallback(nothing).fallback(nothing).with_state(cas))
}

/// Where clients send metrics about themselves: at the root of the listener, whatever path the CAS API is mounted at. They
/// are dropped.
pub fn telemetry_router() -> Routed {
    Routes::new().on(POST, "/v1/telemetry", async || StatusCode::OK).routed(|router: Router| router)
}

/// A caller who may read a bucket.
#[derive(Clone)]
struct Reader {
    bucket: BucketUid,
    caller: Caller,
    /// The access key whose proofs count: of those who may write.
    proved_by: Option<String>,
}

impl Reader {
    fn reach(&self) -> Reach<'_> {
        (self.bucket, self.proved_by.as_deref())
    }
}

/// A caller who may write to a bucket.
struct Writer {
    bucket: BucketUid,
    key: String,
}

impl Cas {
    /// Whether a caller may do this to a bucket now, whatever was true when a token or an address was given out: buckets
    /// are made private, members leave, keys are limited.
    async fn may(&self, caller: &Caller, action: Action, bucket: BucketUid) -> Result<bool, CasRefusal> {
        let bucket = self.xet.bucket(bucket).await?;
        Ok(bucket.is_some_and(|bucket| self.directory.may(caller, action, &bucket.id, bucket.visibility)))
    }
}

/// The reason for refusing a token or an address whose bucket is gone, or not open to its caller any more.
const OUT_OF_REACH: &str = "its bucket is gone, or no longer open to whom it was given";

/// Takes the permit of the access key that a token or an address was given to.
fn admit(caller: &Caller, extensions: &Extensions) -> Result<(), CasRefusal> {
    let Some(credential) = caller.credential() else { return Ok(()) };
    RequestContext::of(extensions).admit(credential).map_err(|Busy| CasRefusal::Busy)
}

fn key_of(caller: &Caller) -> Option<String> {
    caller.credential().map(|credential| credential.access_key_id.as_str().to_owned())
}

/// What the caller's token says, if it still holds.
async fn grant(parts: &Parts, cas: &Cas) -> Result<CasGrant, CasRefusal> {
    let refused = |why: String| CasRefusal::Unauthorized(why);
    let token = bearer_token(&parts.headers).ok().flatten();
    let token = token.ok_or_else(|| refused("a token is needed".to_owned()))?;
    let grant = cas.signer.grant(token).map_err(|error| refused(format!("the token is no good: {error}")))?;
    admit(&grant.caller, &parts.extensions)?;
    let action = match grant.scope {
        CasScope::Read => Action::ReadBucket,
        CasScope::Write => Action::WriteBucket,
    };
    if !cas.may(&grant.caller, action, grant.bucket).await? {
        return Err(refused(format!("the token is no good: {OUT_OF_REACH}")));
    }
    Ok(grant)
}

impl FromRequestParts<Arc<Cas>> for Reader {
    type Rejection = CasRefusal;

    async fn from_request_parts(parts: &mut Parts, cas: &Arc<Cas>) -> Result<Self, CasRefusal> {
        let CasGrant { bucket, caller, scope, .. } = grant(parts, cas).await?;
        let proved_by = key_of(&caller).filter(|_| scope == CasScope::Write);
        Ok(Self { bucket, caller, proved_by })
    }
}

impl FromRequestParts<Arc<Cas>> for Writer {
    type Rejection = CasRefusal;

    async fn from_request_parts(parts: &mut Parts, cas: &Arc<Cas>) -> Result<Self, CasRefusal> {
        let grant = grant(parts, cas).await?;
        match (grant.scope, key_of(&grant.caller)) {
            (CasScope::Write, Some(key)) => Ok(Self { bucket: grant.bucket, key }),
            _ => Err(CasRefusal::Forbidden("the token is for reading".to_owned())),
        }
    }
}
