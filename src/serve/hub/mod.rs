//! The Hub's door: its bucket API over [`BucketApi`], such that the published `huggingface_hub` works unchanged.
//!
//! A request passes [`route`], which knows all paths; each handler asks [`access`] whether the caller may, reads its
//! body only then, and answers in the Hub's words; refusals are dressed by [`error`]. A path that is not known is 404
//! whatever the method: clients take it for "not offered" and fall back. Bytes of files come and go by the CAS door,
//! which this one hands out tokens for.

use std::sync::Arc;

use axum::Router;

use crate::auth::Directory;
use crate::auth::cas_token::CasSigner;
use crate::bucket::{BucketApi, Visibility};
use crate::serve::http::Api;
use crate::serve::http::routes::Routed;

mod access;
mod batch;
mod body;
mod buckets;
mod dates;
mod error;
mod manage;
mod paths;
mod paths_info;
mod resolve;
mod route;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod visibility;
mod whoami;

/// The Hub's listener. Its clients print the id with an error.
pub const API: Api = Api { name: "hub", id_header: "x-request-id", busy: error::busy };

/// What the door opens to.
pub struct HubDoor {
    /// The buckets.
    pub buckets: Arc<dyn BucketApi>,
    /// Who may come in.
    pub directory: Arc<Directory>,
    /// Signs the tokens of the CAS door.
    pub signer: CasSigner,
    /// Who may read a bucket whose creator does not say, in accounts that do not say either.
    pub visibility: Visibility,
}

/// `/api` and `/buckets`. The caller puts it at the root; it answers 404 to every other path. Every request must carry
/// its [`Origin`](crate::serve::http::origin::Origin).
pub fn router(door: HubDoor) -> Routed {
    let router = Router::new().fallback(route::handle).with_state(Arc::new(door));
    let table = route::table();
    Routed::new(router, table.iter().map(|row| (row.method.as_str(), row.pattern)))
}
