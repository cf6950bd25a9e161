//! Whose bucket a bare name means: the one resolver for paths, copy sources, forms, presigned URLs and CORS.
//!
//! * A caller with a key: its own account's bucket, then those of its organisations, then the alias that the
//!   configuration declares. Another account's bucket only if `s3.foreign_names` says so.
//! * An anonymous caller: the alias, then the bucket that has had the name for longest, be it public or not.
//!
//! So nobody outside can change what a name means to a caller: a bucket that is created, renamed or made public later
//! never comes before one that has the name already. See docs/decisions/0065.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Uri};
use s3s::{S3ErrorCode, S3Result};

use crate::auth::{Action, Caller, Credential};
use crate::bucket::{Bucket, BucketError, BucketId, BucketName, Namespace};

use super::S3Api;
use super::encoding::query_pairs;
use super::errors::no_such_bucket;

/// The bucket that a name means, as it was when the request came.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// It exists.
    Found(Bucket),
    /// It does not exist, or not yet.
    Missing(BucketId),
}

impl Target {
    /// Its name.
    pub(super) fn id(&self) -> &BucketId {
        match self {
            Self::Found(bucket) => &bucket.id,
            Self::Missing(id) => id,
        }
    }

    /// The bucket. `NoSuchBucket` if it does not exist.
    pub(super) fn bucket(&self) -> S3Result<&Bucket> {
        match self {
            Self::Found(bucket) => Ok(bucket),
            Self::Missing(_) => Err(no_such_bucket()),
        }
    }
}

impl S3Api {
    /// The bucket that a caller means by a name, looked up. It need not exist.
    pub(super) async fn resolve(
        &self,
        caller: &Caller,
        namespace: Option<&Namespace>,
        name: &BucketName,
    ) -> S3Result<Target> {
        match (namespace, caller) {
            (Some(namespace), _) => self.look_up(in_namespace(namespace, name)).await,
            (None, Caller::Known(credential)) => self.resolve_for_key(caller, credential, name).await,
            (None, Caller::Anonymous) => self.resolve_for_anonymous(name).await,
        }
    }

    async fn resolve_for_key(
        &self,
        caller: &Caller,
        credential: &Credential,
        name: &BucketName,
    ) -> S3Result<Target> {
        let own = self.look_up(in_namespace(&credential.account, name)).await?;
        if let Target::Found(_) = own {
            return Ok(own);
        }
        if let Some(found) = self.in_organisations_of(credential, name).await? {
            return Ok(Target::Found(found));
        }
        if let Some(alias) = self.addressing.aliases.get(name) {
            return self.look_up(alias.clone()).await;
        }
        if self.addressing.foreign_names
            && let Some(first) = self.buckets.buckets_named(name).await?.into_iter().next()
            && self.directory.may(caller, Action::ReadBucket, &first.id, first.visibility)
        {
            return self.look_up(first.id).await;
        }
        // The answer says only that the caller's own namespace has no such bucket.
        Ok(own)
    }

    /// A bucket of the organisations that a key reaches; of several, the one that has the name for longest, so that a
    /// fellow member of one organisation cannot come before another.
    async fn in_organisations_of(
        &self,
        credential: &Credential,
        name: &BucketName,
    ) -> S3Result<Option<Bucket>> {
        if credential.buckets.is_some() {
            return Ok(None); // a key that is limited to buckets reaches its own account's alone
        }
        let mut found = Vec::new();
        for organisation in self.directory.organisations_of(&credential.account) {
            if let Target::Found(bucket) = self.look_up(in_namespace(&organisation, name)).await? {
                found.push(bucket);
            }
        }
        if found.len() < 2 {
            return Ok(found.pop());
        }
        let by_age = self.buckets.buckets_named(name).await?;
        let place = by_age.iter().find_map(|oldest| found.iter().position(|bucket| bucket.id == oldest.id));
        Ok(place.map(|place| found.swap_remove(place)))
    }

    /// Anonymous callers learn that a private bucket exists, as on AWS.
    async fn resolve_for_anonymous(&self, name: &BucketName) -> S3Result<Target> {
        if let Some(alias) = self.addressing.aliases.get(name) {
            return self.look_up(alias.clone()).await;
        }
        // The search may find buckets that this caller may not see: a Hub is searched with the tokens of all accounts.
        let first = self.buckets.buckets_named(name).await?.into_iter().next();
        self.look_up(first.ok_or_else(no_such_bucket)?.id).await
    }

    /// Looks a bucket up. Only `NoSuchBucket` counts as missing: after any other error the name could mean another bucket.
    async fn look_up(&self, id: BucketId) -> S3Result<Target> {
        match self.buckets.bucket(&id).await {
            Ok(bucket) => Ok(Target::Found(bucket)),
            Err(BucketError::NoSuchBucket(_)) => Ok(Target::Missing(id)),
            Err(error) => Err(error.into()),
        }
    }

    /// The bucket whose CORS rules apply to a request, if it exists, and the API as its caller reaches it. `proved` is the
    /// caller, if it is known. Otherwise (a preflight is never signed) the access key that the request names counts, without
    /// a proof: the rules only say what a browser may let a page do.
    pub(super) async fn cors_bucket(
        self: &Arc<Self>,
        headers: &HeaderMap,
        uri: &Uri,
        proved: Option<Caller>,
    ) -> S3Result<(&Arc<Self>, Option<BucketId>)> {
        let named = || claimed_key(headers, uri).and_then(|id| self.directory.credential(&id));
        let caller = proved.or_else(|| named().map(Caller::Known)).unwrap_or(Caller::Anonymous);
        let api = self.for_caller(&caller);
        let Ok(located) = self.addressing.locate(headers, uri) else { return Ok((api, None)) };
        let name = located.bucket().and_then(|name| BucketName::new(name).ok());
        let Some(name) = name else { return Ok((api, None)) };
        match api.resolve(&caller, located.namespace.as_ref(), &name).await {
            Ok(target) => Ok((api, Some(target.id().clone()))),
            Err(error) if *error.code() == S3ErrorCode::NoSuchBucket => Ok((api, None)),
            Err(error) => Err(error),
        }
    }
}

fn in_namespace(namespace: &Namespace, name: &BucketName) -> BucketId {
    BucketId { namespace: namespace.clone(), name: name.clone() }
}

/// The access key that a request names, in its header or its URL, by either version of signatures.
fn claimed_key(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let first = |text: &str, end: char| text.split(end).next().map(ToOwned::to_owned);
    if let Some(header) = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()) {
        let (_, scope) = header.split_once("Credential=")?;
        return first(scope, '/');
    }
    let pairs = query_pairs(uri.query());
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (value("X-Amz-Credential"), value("AWSAccessKeyId")) {
        (Some(scope), _) => first(scope, '/'),
        (None, id) => id.map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_access_key_is_found_wherever_a_request_names_it() {
        let of_query = |uri: &'static str| claimed_key(&HeaderMap::new(), &Uri::from_static(uri));
        assert_eq!(
            of_query("/b/k?X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Fs3%2Faws4_request").as_deref(),
            Some("AK")
        );
        assert_eq!(of_query("/b/k?AWSAccessKeyId=AK&Expires=1&Signature=x").as_deref(), Some("AK"));
        assert_eq!(of_query("/b/k?uploads"), None);
        let header = "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host";
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(header))]);
        assert_eq!(claimed_key(&headers, &Uri::from_static("/b")).as_deref(), Some("AK"));
    }
}
