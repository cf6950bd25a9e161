//! The S3 door: S3's API over [`BucketApi`], on s3s mounted in axum.
//!
//! A request goes one way, and each step knows only its own:
//! 1. [`front`] gives it an id and authenticates it ([`auth`]); at the end it completes the answer ([`response`]:
//!    `x-amz-request-id`, `Resource` in errors, no body on HEAD).
//! 2. [`route`] finds out whose bucket is meant ([`names`]), looks it up, notes what is refused ([`refuse`]), and takes
//!    out what s3s would refuse for its form although S3 ignores it ([`asked`]).
//! 3. The s3s service finds the operation, asks [`access`] for permission, and reads the rest of the request.
//! 4. [`ops`] delegates to the operations: [`buckets`], [`objects`], [`copy`], [`listing`], [`multipart`].
//!
//! Reads that ask for nothing special go from the first step straight to the operations, by [`lane`].

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::Extensions;

use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::auth::{Caller, Directory};
use crate::bucket::{BucketApi, BucketName, ObjectKey};
use crate::model::clock::Ambient;
use crate::serve::access::Observed;
use crate::serve::routes::Routed;

mod absent;
mod access;
mod acl;
mod addressing;
mod asked;
mod attributes;
mod auth;
mod buckets;
mod checksums;
mod conditions;
mod context;
mod copy;
mod cors;
mod encoding;
mod errors;
mod form;
mod front;
mod lane;
mod listing;
mod multipart;
mod names;
mod object_attributes;
mod objects;
mod ops;
mod parameters;
mod parts;
mod ranges;
mod refuse;
mod response;
mod route;
mod settings;
mod tagging;
#[cfg(test)]
mod tests;
mod upload;
mod versions;
mod xml;

pub use addressing::Addressing;

/// The S3 listener. Source: Amazon S3 API reference, "Common response headers".
pub const OBSERVED: Observed = Observed { door: "s3", id_header: "x-amz-request-id", busy: response::busy };

/// What browsers ask before they let a page ask.
const PREFLIGHT: &str = "Preflight";
/// An upload by a form of a page.
const FORM: &str = "PostObject";

/// What the door opens to.
#[derive(Clone)]
pub struct S3Door {
    /// The buckets.
    pub buckets: Arc<dyn BucketApi>,
    /// Who may come in.
    pub directory: Arc<Directory>,
    /// For request ids.
    pub clock: Ambient,
    /// The region that requests must be signed for.
    pub region: String,
    /// How requests name buckets.
    pub addressing: Addressing,
    /// Whether requests signed with Signature Version 2 are taken.
    pub signature_v2: bool,
    /// Where each caller has a way of its own to the buckets (a Hub that knows them by tokens): the door of each
    /// access key.
    pub own: OwnDoors,
}

/// Doors of single callers, by access key id.
#[derive(Clone, Default)]
pub struct OwnDoors(HashMap<String, Arc<S3Door>>);

/// Everything on the S3 listener: the caller mounts it at the root and adds nothing beside it.
pub fn router(door: S3Door) -> Routed {
    let front = front::Front::new(Arc::new(door));
    let router = axum::Router::new().fallback(front::handle).with_state(Arc::new(front));
    let beside = [PREFLIGHT, FORM];
    Routed::new(router, access::OPERATIONS.iter().chain(&beside).map(|operation| ("S3", *operation)))
}

impl S3Door {
    /// The same door, but the callers with these access keys find other buckets behind it.
    #[must_use]
    pub fn with_own(self, own: HashMap<String, Arc<dyn BucketApi>>) -> Self {
        let door = |(id, buckets)| (id, Arc::new(Self { buckets, ..self.clone() }));
        let own = OwnDoors(own.into_iter().map(door).collect());
        Self { own, ..self }
    }

    /// The door of a caller.
    fn of(&self, caller: &Caller) -> &Self {
        let key = caller.credential().map(|credential| credential.access_key_id.as_str());
        key.and_then(|key| self.own.0.get(key)).map_or(self, |door| door)
    }

    /// The door of whoever makes this request.
    fn of_caller(&self, extensions: &Extensions) -> &Self {
        let call = extensions.get::<context::Call>();
        call.map_or(self, |call| self.of(&call.caller.caller))
    }
}

/// Takes a bucket's name from a path.
fn bucket_name(name: &str) -> S3Result<BucketName> {
    let message = "The specified bucket is not valid.";
    BucketName::new(name).map_err(|_| S3Error::with_message(S3ErrorCode::InvalidBucketName, message))
}

/// Takes a key from a path or a body.
fn object_key(key: &str) -> S3Result<ObjectKey> {
    ObjectKey::new(key).map_err(|error| match key.len() {
        0 => errors::invalid_argument("The object key must not be empty."),
        _ => S3Error::with_source(S3ErrorCode::KeyTooLongError, Box::new(error)),
    })
}
