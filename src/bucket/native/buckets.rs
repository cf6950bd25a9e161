//! Buckets on this machine.

use std::sync::Arc;

use async_trait::async_trait;

use super::NativeBuckets;
use crate::bucket::error::{bucket_error, meta_failed};
use crate::bucket::{
    Bucket, BucketChange, BucketError, BucketId, BucketName, BucketSettings, BucketStats, Buckets,
    DeleteBucket, Namespace, VersionStats, Visibility,
};
use crate::model::bucket::BucketUid;
use crate::store::meta::MetaError;

#[async_trait]
impl Buckets for NativeBuckets {
    async fn create_bucket(&self, id: &BucketId, visibility: Visibility) -> Result<Bucket, BucketError> {
        let created = self.meta.create_bucket(id, visibility, self.ambient.clock.now()).await;
        created.map_err(|error| bucket_error(error, id))
    }

    async fn create_locked_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
    ) -> Result<Bucket, BucketError> {
        let created = self.meta.create_locked_bucket(id, visibility, self.ambient.clock.now()).await;
        created.map_err(|error| bucket_error(error, id))
    }

    async fn bucket(&self, id: &BucketId) -> Result<Bucket, BucketError> {
        self.must_bucket(id).await
    }

    async fn list_buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, BucketError> {
        self.meta.buckets(namespace).await.map_err(meta_failed)
    }

    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, BucketError> {
        self.meta.buckets_named(name).await.map_err(meta_failed)
    }

    async fn bucket_settings(&self, id: &BucketId) -> Result<BucketSettings, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.bucket_settings(bucket.uid).await.map_err(meta_failed)
    }

    async fn change_bucket(&self, id: &BucketId, change: BucketChange) -> Result<(), BucketError> {
        let changed = self.meta.change_bucket(id, change).await;
        changed.map_err(|error| bucket_error(error, id))
    }

    async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), BucketError> {
        self.meta.move_bucket(from, to).await.map_err(|error| match error {
            MetaError::BucketExists => BucketError::BucketExists(to.clone()),
            error => bucket_error(error, from),
        })
    }

    async fn set_visibility(&self, id: &BucketId, visibility: Visibility) -> Result<(), BucketError> {
        if visibility == Visibility::Public {
            let bucket = self.must_bucket(id).await?;
            let settings = self.meta.bucket_settings(bucket.uid).await.map_err(meta_failed)?;
            let block = settings.public_access_block.unwrap_or_default();
            if block.block_public_acls || block.ignore_public_acls {
                return Err(BucketError::PublicAccessBlocked(id.clone()));
            }
        }
        let set = self.meta.set_visibility(id, visibility).await;
        set.map_err(|error| bucket_error(error, id))
    }

    async fn bucket_stats(&self, id: &BucketId) -> Result<BucketStats, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.bucket_stats(bucket.uid).await.map_err(meta_failed)
    }

    async fn version_stats(&self, id: &BucketId) -> Result<VersionStats, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.version_stats(bucket.uid).await.map_err(meta_failed)
    }

    async fn reach(&self) -> Result<(), BucketError> {
        let packs = Arc::clone(&self.store.packs);
        let reached = tokio::task::spawn_blocking(move || packs.reach());
        self.meta.bucket_of(BucketUid(0)).await.map_err(meta_failed)?;
        let reached = reached.await.map_err(|error| BucketError::Storage(error.into()))?;
        reached.map_err(|error| BucketError::Unavailable(error.into()))
    }

    async fn delete_bucket(&self, id: &BucketId, mode: DeleteBucket) -> Result<(), BucketError> {
        let with_contents = mode == DeleteBucket::WithContents;
        let deleted = self.meta.delete_bucket(id, with_contents, self.ambient.clock.now()).await;
        deleted.map_err(|error| bucket_error(error, id))
    }
}
