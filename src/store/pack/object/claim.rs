//! Taking a place in an object store for one store's packs, and an epoch of it for one process.
//!
//! `STORE` says whose packs they are, as the file of that name does beside pack files. An epoch is an object too, made on
//! condition that it is not there yet, so that no two processes number packs in the same one. That the condition holds is
//! tried out with the epoch itself: to make it a second time must fail.
//!
//! The data folder remembers the token of the epoch that it took last, and notes the next one before it takes it. If the
//! latest epoch has another token, a copy of the data folder has been at work: its packs would be unknown here, and those
//! that it has collected would be missed.

use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};
use tracing::warn;

use super::error::{ObjectPacksError, is_no_bucket};
use super::layout::{Epoch, Layout, epoch_named, pack_named};
use super::remote::put_new;

/// Epochs that are left to be looked at by people.
const EPOCHS_KEPT: usize = 8;

/// Who takes a place.
pub(super) struct Claimant<'a> {
    /// The place, for messages.
    pub(super) url: &'a str,
    /// The id of the metadata.
    pub(super) store_id: u64,
    /// Whether the metadata names packs.
    pub(super) has_packs: bool,
    /// Tokens of epochs that the data folder may have taken.
    pub(super) known: &'a [String],
    /// The token of the epoch that is taken now.
    pub(super) token: &'a str,
    /// It comes after this one, whatever is left of those before.
    pub(super) after: Epoch,
}

impl Claimant<'_> {
    fn failed(&self, doing: &'static str) -> impl FnOnce(Error) -> ObjectPacksError + use<> {
        let url = self.url.to_owned();
        move |error| ObjectPacksError::Store { url, doing, error: Box::new(error) }
    }

    fn mark(&self) -> String {
        format!("{:016x}\n", self.store_id)
    }

    /// Whether the place is marked as this store's; an error if it is not for it.
    pub(super) async fn look(
        &self,
        store: &dyn ObjectStore,
        layout: &Layout,
    ) -> Result<bool, ObjectPacksError> {
        let url = || self.url.to_owned();
        match text(store, &layout.store()).await.map_err(self.failed("reading STORE"))? {
            Some(mark) if mark == self.mark() => Ok(true),
            Some(_) => Err(ObjectPacksError::OtherStore { url: url() }),
            None if self.has_packs => Err(ObjectPacksError::Empty { url: url() }),
            None => {
                let packs = layout.packs();
                let first = store.list(Some(&packs)).try_next().await;
                match first.map_err(self.failed("listing packs"))? {
                    Some(_) => Err(ObjectPacksError::Unmarked { url: url() }),
                    None => Ok(false),
                }
            }
        }
    }

    /// The latest epoch, and those that are older than the ones that are kept; an error if the latest was not taken from
    /// this data folder.
    pub(super) async fn latest(
        &self,
        store: &dyn ObjectStore,
        layout: &Layout,
        is_marked: bool,
    ) -> Result<(Epoch, Vec<Path>), ObjectPacksError> {
        let prefix = layout.epochs();
        let found: Vec<_> = store
            .list(Some(&prefix))
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(self.failed("listing epochs"))?;
        let mut epochs: Vec<_> =
            found.into_iter().filter_map(|name| Some((epoch_named(&name)?, name))).collect();
        epochs.sort_unstable_by_key(|(epoch, _)| *epoch);
        let Some((latest, name)) = epochs.last().cloned() else {
            // There are none yet, or somebody has deleted them: their numbers are not given out again.
            let packs = layout.packs();
            let packs = store.list(Some(&packs)).try_fold(Epoch(0), async |latest, pack| {
                Ok(pack_named(&pack.location).map_or(latest, |id| latest.max(Epoch::of(id))))
            });
            return Ok((packs.await.map_err(self.failed("listing packs"))?, Vec::new()));
        };
        let token = text(store, &name).await.map_err(self.failed("reading an epoch"))?;
        let is_known = token.is_some_and(|token| self.known.iter().any(|known| *known == token.trim()));
        if is_marked && !is_known {
            let epoch = name.filename().unwrap_or_default().to_owned();
            return Err(ObjectPacksError::Superseded { url: self.url.to_owned(), epoch });
        }
        let old = epochs.len().saturating_sub(EPOCHS_KEPT);
        Ok((latest, epochs.into_iter().take(old).map(|(_, name)| name).collect()))
    }

    /// Takes an epoch, and the place itself if nobody has. What was made is removed again if that does not go.
    pub(super) async fn take(
        &self,
        store: &dyn ObjectStore,
        layout: &Layout,
        is_marked: bool,
        (latest, old): (Epoch, Vec<Path>),
    ) -> Result<Epoch, ObjectPacksError> {
        let (epoch, url) = (Epoch(latest.max(self.after).0 + 1), || self.url.to_owned());
        let name = layout.epoch(epoch);
        let content = format!("{}\n", self.token);
        let taken = create(store, &name, content.clone()).await;
        let taken = taken.map_err(self.failed("creating an object on condition that it is not there"))?;
        if !taken {
            // By another process just now, or by an attempt of ours whose answer was lost.
            let found = text(store, &name).await.map_err(self.failed("reading an epoch"))?;
            if found.as_ref() != Some(&content) {
                let epoch = name.filename().unwrap_or_default().to_owned();
                return Err(ObjectPacksError::Superseded { url: url(), epoch });
            }
        }
        let finished = async {
            let again = create(store, &name, content).await;
            if again.map_err(self.failed("creating an object a second time"))? {
                return Err(ObjectPacksError::Unconditional { url: url() });
            }
            if !is_marked {
                let marked = create(store, &layout.store(), self.mark()).await;
                // Another deployment may have marked it meanwhile.
                if !marked.map_err(self.failed("creating STORE"))? && !self.look(store, layout).await? {
                    return Err(ObjectPacksError::OtherStore { url: url() });
                }
            }
            Ok(epoch)
        };
        let finished = finished.await;
        let unneeded = if finished.is_ok() { old } else { vec![name.clone()] };
        for name in unneeded {
            if let Err(error) = store.delete(&name).await {
                warn!(%error, %name, "an object that is not needed could not be deleted");
            }
        }
        finished
    }
}

/// Refuses a place that some metadata has taken, or that has packs.
pub(super) async fn must_be_free(
    store: &dyn ObjectStore,
    layout: &Layout,
    url: &str,
) -> Result<(), ObjectPacksError> {
    // No metadata has this id and no packs: whatever mark there is, it is another's.
    let nobody = Claimant { url, store_id: 0, has_packs: false, known: &[], token: "", after: Epoch(0) };
    nobody.look(store, layout).await.map(drop)
}

/// The content of a small object; `None` if it is not there.
async fn text(store: &dyn ObjectStore, name: &Path) -> Result<Option<String>, Error> {
    match store.get(name).await {
        Ok(found) => Ok(Some(String::from_utf8_lossy(&found.bytes().await?).into_owned())),
        Err(error @ Error::NotFound { .. }) if !is_no_bucket(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes an object; answers whether it was not there.
async fn create(store: &dyn ObjectStore, name: &Path, content: String) -> Result<bool, Error> {
    match put_new(store, name, content.into()).await {
        Ok(()) => Ok(true),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
