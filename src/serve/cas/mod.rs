//! The CAS door: the Xet CAS API over [`LocalXet`], for clients that cut, hash and deduplicate themselves.
//!
//! Whoever asks shows a token of [`CasSigner`], which the Hub's door gave out for one bucket; only the addresses of xorb
//! ranges, signed themselves, are fetched without. Both count to the limits of the access key that asked for them.
//!
//! What is not here is answered 404 whatever the method, for clients take any other answer to an offer that they make
//! (xorb grants, say) for an answer.
//!
//! [`reconstructions`] says how files are put together, [`ranges`] gives the bytes, [`xorbs`], [`shards`] and [`chunks`]
//! are the way in, [`windows`] helps to change a part of a file. Source: Xet specification, "CAS HTTP API".

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use tokio::sync::Semaphore;

use crate::auth::Caller;
use crate::auth::cas_token::{CasGrant, CasScope, CasSigner};
use crate::bucket::LocalXet;
use crate::serve::guard::Busy;
use crate::serve::routes::{Collecting, GET, HEAD, POST, Routed};
use crate::serve::visit::Visit;
use crate::store::ambient::Ambient;
use crate::store::rows::BucketUid;

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

/// Memory for shards on their way in, in KiB; whoever does not fit waits. Four of the longest that may be.
const SHARD_MEMORY_KIB: usize = 256 << 10;

/// What the door opens to.
pub struct CasDoor {
    /// The buckets.
    pub xet: LocalXet,
    /// Who may come in.
    pub signer: CasSigner,
    /// For the boundaries of answers in parts.
    pub ambient: Ambient,
}

/// The door, and what it is busy with.
struct Door {
    xet: LocalXet,
    signer: CasSigner,
    ambient: Ambient,
    shard_memory: Arc<Semaphore>,
}

/// The CAS API, to be mounted at any path; its requests need an [`Origin`](crate::serve::origin::Origin).
pub fn router(door: CasDoor) -> Routed {
    let CasDoor { xet, signer, ambient } = door;
    let shard_memory = Arc::new(Semaphore::new(SHARD_MEMORY_KIB));
    let door = Arc::new(Door { xet, signer, ambient, shard_memory });
    let nothing = || async { CasRefusal::NotFound("there is nothing here".to_owned()) };
    Collecting::new()
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
        .routed(|router| router.method_not_allowed_fallback(nothing).fallback(nothing).with_state(door))
}

/// Where clients send figures about themselves: at the root of the listener, whatever the path of the door. Nobody
/// reads them.
pub fn telemetry_router() -> Routed {
    Collecting::new().on(POST, "/v1/telemetry", async || StatusCode::OK).routed(|router: Router| router)
}

/// A caller who may read a bucket.
struct Reader {
    bucket: BucketUid,
    caller: Caller,
}

/// The bucket that a caller may write to.
struct Writer(BucketUid);

/// Holds whoever was given a token or an address to their limits.
fn is_let_in(caller: &Caller, extensions: &Extensions) -> Result<(), CasRefusal> {
    let Some(credential) = caller.credential() else { return Ok(()) };
    Visit::of(extensions).comes_from(credential).map_err(|Busy| CasRefusal::Busy)
}

/// What the caller's token says.
fn grant(parts: &Parts, door: &Door) -> Result<CasGrant, CasRefusal> {
    let refused = |why: String| CasRefusal::Unauthorized(why);
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        header.and_then(|text| text.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    let (_, token) = token.ok_or_else(|| refused("a token is needed".to_owned()))?;
    let grant =
        door.signer.grant(token.trim()).map_err(|error| refused(format!("the token is no good: {error}")))?;
    is_let_in(&grant.caller, &parts.extensions)?;
    Ok(grant)
}

impl FromRequestParts<Arc<Door>> for Reader {
    type Rejection = CasRefusal;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, CasRefusal> {
        let CasGrant { bucket, caller, .. } = grant(parts, door)?;
        Ok(Self { bucket, caller })
    }
}

impl FromRequestParts<Arc<Door>> for Writer {
    type Rejection = CasRefusal;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, CasRefusal> {
        let grant = grant(parts, door)?;
        match grant.scope {
            CasScope::Write => Ok(Self(grant.bucket)),
            CasScope::Read => Err(CasRefusal::Forbidden("the token is for reading".to_owned())),
        }
    }
}
