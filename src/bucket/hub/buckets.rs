//! Buckets on a Hub.

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::client;
use super::error::HubError;
use super::hub_buckets::{HubBuckets, NO_LOCKS};
use super::wire::NewBucket;
use crate::bucket::error::meta_failed;
use crate::bucket::{
    Bucket, BucketChange, BucketError, BucketId, BucketName, BucketSettings, BucketStats, Buckets,
    DeleteBucket, Namespace, VersionStats, Visibility,
};
use crate::store::meta::MetaError;

/// Namespaces that are asked at once for a bucket that is named without one: they are few, and the Hub is one.
const LOOKS_MAX: usize = 8;

#[async_trait]
impl Buckets for HubBuckets {
    async fn create_bucket(&self, id: &BucketId, visibility: Visibility) -> Result<Bucket, BucketError> {
        let new = NewBucket::of(visibility);
        let created = self.client.create_bucket(Some(id.namespace.as_str()), id.name.as_str(), &new).await;
        created.map_err(|error| error.of_bucket(id, None))?;
        self.local_bucket(id.clone(), visibility, self.shared.ambient.clock.now()).await
    }

    async fn create_locked_bucket(&self, _: &BucketId, _: Visibility) -> Result<Bucket, BucketError> {
        Err(NO_LOCKS)
    }

    async fn bucket(&self, id: &BucketId) -> Result<Bucket, BucketError> {
        let info = self.client.bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        self.local_bucket(id.clone(), info.visibility(), info.created_at).await
    }

    async fn list_buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, BucketError> {
        let listed = self.client.list_buckets(Some(namespace.as_str()), None).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(HubError::NoSuchBucket(_) | HubError::Refused { status: 404, .. }) => Vec::new(),
            Err(error @ (HubError::Unauthorized(_) | HubError::Forbidden(_))) => {
                return Err(BucketError::AccessDenied(error.to_string()));
            }
            Err(error) => return Err(BucketError::Unavailable(error.into())),
        };
        let mut buckets = Vec::with_capacity(listed.len());
        for info in listed {
            let visibility = info.visibility();
            buckets.push(self.local_bucket(info.id, visibility, info.created_at).await?);
        }
        buckets.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(buckets)
    }

    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, BucketError> {
        let ids = self.places.clone().into_iter().map(|(namespace, client)| {
            let id = BucketId { namespace, name: name.clone() };
            async move {
                match client.bucket(&id).await.map_err(|error| error.of_bucket(&id, None)) {
                    Ok(info) => Ok(Some((id, info))),
                    Err(BucketError::NoSuchBucket(_) | BucketError::AccessDenied(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        let answers: Vec<_> = stream::iter(ids).buffered(LOOKS_MAX).try_collect().await?;
        let mut found = Vec::new();
        for (id, info) in answers.into_iter().flatten() {
            found.push(self.local_bucket(id, info.visibility(), info.created_at).await?);
        }
        found.sort_by_key(|bucket| bucket.created_at);
        Ok(found)
    }

    async fn bucket_settings(&self, id: &BucketId) -> Result<BucketSettings, BucketError> {
        self.shared.meta.bucket_settings(self.rows_of(id).await?).await.map_err(meta_failed)
    }

    async fn change_bucket(&self, id: &BucketId, change: BucketChange) -> Result<(), BucketError> {
        match change {
            BucketChange::Versioning(_) => {
                return Err(BucketError::NotImplemented("The versioning of a bucket on a Hub"));
            }
            BucketChange::ObjectLock(_) => return Err(NO_LOCKS),
            BucketChange::Lifecycle(_) => {
                return Err(BucketError::NotImplemented("The lifecycle of a bucket on a Hub"));
            }
            BucketChange::Tags(_) | BucketChange::Cors(_) | BucketChange::PublicAccessBlock(_) => {}
        }
        self.rows_of(id).await?;
        self.shared.meta.change_bucket(id, change).await.map_err(meta_failed)
    }

    async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), BucketError> {
        let moved = self.client.move_bucket(from, to).await;
        moved.map_err(|error| match error {
            HubError::BucketExists { .. } => BucketError::BucketExists(to.clone()),
            error => error.of_bucket(from, None),
        })?;
        match self.shared.meta.move_bucket(from, to).await {
            Ok(()) | Err(MetaError::NoSuchBucket) => Ok(()),
            Err(error) => Err(meta_failed(error)),
        }
    }

    async fn set_visibility(&self, id: &BucketId, visibility: Visibility) -> Result<(), BucketError> {
        let set = self.client.set_private(id, visibility == Visibility::Private).await;
        set.map_err(|error| error.of_bucket(id, None))
    }

    async fn bucket_stats(&self, id: &BucketId) -> Result<BucketStats, BucketError> {
        let info = self.client.bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        Ok(BucketStats { bytes: info.size, objects: info.total_files })
    }

    async fn version_stats(&self, _: &BucketId) -> Result<VersionStats, BucketError> {
        Ok(VersionStats::default())
    }

    /// Asks for something that need not be there.
    async fn reach(&self) -> Result<(), BucketError> {
        let (Ok(namespace), Ok(name)) = (Namespace::new("root"), BucketName::new("health")) else {
            return Ok(());
        };
        match self.bucket(&BucketId { namespace, name }).await {
            Ok(_) | Err(BucketError::NoSuchBucket(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn delete_bucket(&self, id: &BucketId, mode: DeleteBucket) -> Result<(), BucketError> {
        if mode == DeleteBucket::IfEmpty {
            let first = self.client.tree(id, &client::TreeQuery { prefix: None, recursive: false }).await;
            let first = first.map_err(|error| error.of_bucket(id, None))?;
            if !first.entries.is_empty() {
                return Err(BucketError::BucketNotEmpty(id.clone()));
            }
        }
        self.client.delete_bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        self.forget_bucket(id).await
    }
}

impl HubBuckets {
    async fn forget_bucket(&self, id: &BucketId) -> Result<(), BucketError> {
        match self.shared.meta.delete_bucket(id, true, self.shared.ambient.clock.now()).await {
            Ok(()) | Err(MetaError::NoSuchBucket) => Ok(()),
            Err(error) => Err(meta_failed(error)),
        }
    }
}
