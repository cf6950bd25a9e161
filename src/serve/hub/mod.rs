//! The Hub API: its buckets over [`BucketApi`], such that the published `huggingface_hub` works unchanged.
//!
//! [`routes`] lists all paths. A handler is given a [`call`], asks [`authorize`] whether the caller may, reads the body only
//! then, and answers as the Hub does; [`error`] makes the answers that are errors. An unknown path is 404 whatever the
//! method: clients take it for "not offered" and fall back. Bytes of files pass through the CAS API, whose tokens this API
//! gives out.

use std::sync::Arc;

use crate::auth::Directory;
use crate::auth::cas_token::CasSigner;
use crate::bucket::{BucketApi, Visibility};
use crate::serve::http::Api;

mod authorize;
mod batch;
mod body;
mod buckets;
mod call;
mod dates;
mod error;
mod manage;
mod paths;
mod paths_info;
mod resolve;
mod routes;
#[cfg(test)]
mod tests;
mod tokens;
mod tree;
mod versions;
mod visibility;
mod whoami;

pub use routes::router;

/// The Hub's listener. Its clients print the id with an error.
pub const API: Api = Api { name: "hub", id_header: "x-request-id", busy: error::busy, failed: error::failed };

/// What the API works on.
pub struct HubApi {
    /// The buckets.
    pub buckets: Arc<dyn BucketApi>,
    /// Accounts and credentials.
    pub directory: Arc<Directory>,
    /// Signs the tokens of the CAS API.
    pub signer: CasSigner,
    /// Who may read a bucket whose creator does not say, in accounts that do not say either.
    pub visibility: Visibility,
}
