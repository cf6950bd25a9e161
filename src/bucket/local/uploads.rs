//! Listing running uploads, rolled up at a delimiter.

use super::super::{ListUploads, UploadPage};
use crate::model::bucket::BucketUid;
use crate::store::meta::{MetaError, MetaStore};

/// Rows read at a time.
const ROWS: usize = 1000;

/// Sorts behind every upload id, which are hexadecimal.
const BEHIND_ALL_IDS: &str = "~";

fn common_prefix<'k>(key: &'k str, query: &ListUploads) -> Option<&'k str> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let behind = key.get(query.prefix.len()..)?.find(delimiter)?;
    key.get(..query.prefix.len() + behind + delimiter.len())
}

/// Where the listing begins: behind this key and upload id.
fn start(query: &ListUploads) -> (String, String) {
    let marker = query.key_marker.as_ref().map(|key| {
        let id = query.upload_marker.as_ref().map_or(BEHIND_ALL_IDS, |id| id.as_str());
        (key.clone(), id.to_owned())
    });
    let prefix = (query.prefix.clone(), String::new());
    marker.map_or(prefix.clone(), |marker| marker.max(prefix))
}

/// One page. Running uploads are few beside objects, so what is rolled up is read over.
pub(in crate::bucket) async fn page(
    meta: &dyn MetaStore,
    bucket: BucketUid,
    query: &ListUploads,
) -> Result<UploadPage, MetaError> {
    let mut page = UploadPage::default();
    let mut after = start(query);
    loop {
        // Others have their turn between two pages, and a request that was given up ends here.
        tokio::task::yield_now().await;
        let rows = meta.uploads(bucket, (&after.0, &after.1), ROWS).await?;
        let Some(last) = rows.last() else {
            return Ok(page);
        };
        after = (last.key.as_str().to_owned(), last.id.as_str().to_owned());
        for upload in rows {
            if !upload.key.as_str().starts_with(&query.prefix) {
                return Ok(page);
            }
            let rolled = common_prefix(upload.key.as_str(), query);
            let is_listed = |rolled: &str| {
                page.common_prefixes.last().is_some_and(|last| last == rolled)
                    || query.key_marker.as_deref() == Some(rolled)
            };
            if rolled.is_some_and(is_listed) {
                continue;
            }
            if page.uploads.len() + page.common_prefixes.len() >= query.limit {
                page.truncated = query.limit > 0;
                return Ok(page);
            }
            match rolled {
                Some(rolled) => page.common_prefixes.push(rolled.to_owned()),
                None => page.uploads.push(upload),
            }
        }
    }
}
