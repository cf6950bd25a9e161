//! Packs as objects of an object store.
//!
//! A pack holds what one lease has written, and is finished by the sync that makes it durable: acknowledged means that the
//! object store has acknowledged the whole object. A finished pack never changes; gc copies what lives in it to another.
//!
//! Invariants: a name is used once, by one process ([`layout`], [`claim`]); an object is there whole or not at all; what
//! the metadata does not know is deleted only if this process made it, or a day after it was written.

use std::io;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use tracing::info;

use super::{PackId, PackMedium, PackStore, PackWriter};
use crate::model::clock::{Ambient, Clock};
use crate::store::disk::replace_file;
use crate::store::meta::Epochs;

mod address;
mod claim;
mod connector;
mod error;
mod layout;
mod remote;
#[cfg(test)]
mod tests;
mod writer;

pub use address::{ObjectAddress, ObjectPlace};
pub use connector::Connector;
pub use error::ObjectPacksError;

use claim::Claimant;
use error::to_io;
use layout::{Epoch, Layout, pack_named};
use remote::Remote;
use writer::ObjectWriter;

/// The file of the data folder that says where its packs are.
pub const ELSEWHERE: &str = "ELSEWHERE";

/// What no row names is deleted when it is so old: the upload that has written it is over, and so is any that another
/// process has made from a copy of the metadata without being noticed at once.
const ORPHAN_AGE_SECS: u64 = 24 * 3600;

/// Attempts at a read; each is several requests, if the object store answers that it is busy.
const READ_ATTEMPTS: u32 = 2;

/// How long an object store may take to say how long an object is that could not be read.
const LENGTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Packs in an object store.
pub struct ObjectPacks {
    remote: Arc<Remote>,
    epoch: Epoch,
    clock: Arc<dyn Clock>,
}

/// The metadata that packs belong to.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// Its id.
    pub store_id: u64,
    /// Whether it names any packs.
    pub has_packs: bool,
}

impl ObjectPacks {
    /// Takes the place for this metadata, or refuses without having changed anything there. `folder` is where the data
    /// folder's pack files would be: it remembers there which epoch it has taken. Blocks.
    pub fn open(
        ObjectPlace { store, prefix, url }: ObjectPlace,
        folder: &FilePath,
        Owner { store_id, has_packs }: Owner,
        ambient: &Ambient,
    ) -> Result<Self, ObjectPacksError> {
        let local = |doing| move |error| ObjectPacksError::Local { doing, error };
        let remote = Remote::new(store, Layout::new(prefix)).map_err(local("starting threads"))?;
        let path = folder.join(ELSEWHERE);
        let known = remembered(&path).map_err(local("reading packs/ELSEWHERE"))?;
        let token = hex::encode(ambient.random::<16>());
        let (store, layout) = (Arc::clone(&remote.store), remote.layout.clone());
        let taking = remote.begin(async move {
            let after = Epoch(0);
            let claimant = Claimant { url: &url, store_id, has_packs, known: &known, token: &token, after };
            let is_marked = claimant.look(&*store, &layout).await?;
            let latest = claimant.latest(&*store, &layout, is_marked).await?;
            // Noted before it is done: after a crash in between, either token is known.
            let both: Vec<_> = known.iter().chain([&token]).map(String::as_str).collect();
            remember(&path, &url, &both).map_err(local("writing packs/ELSEWHERE"))?;
            let epoch = claimant.take(&*store, &layout, is_marked, latest).await?;
            remember(&path, &url, &[&token]).map_err(local("writing packs/ELSEWHERE"))?;
            Ok(epoch)
        });
        let epoch = taking.recv().map_err(io::Error::other).map_err(local("starting threads"))?;
        Ok(Self { remote: Arc::new(remote), epoch: epoch?, clock: Arc::clone(&ambient.clock) })
    }

    /// Takes an epoch of a place that nodes share, after those that they have taken; `token` is this one's.
    /// [`ObjectPacksError::Superseded`] also if another node was faster. Blocks.
    pub fn join(
        ObjectPlace { store, prefix, url }: ObjectPlace,
        store_id: u64,
        Epochs { tokens, last }: Epochs,
        token: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ObjectPacksError> {
        let local = |doing| move |error| ObjectPacksError::Local { doing, error };
        let remote = Remote::new(store, Layout::new(prefix)).map_err(local("starting threads"))?;
        let (store, layout) = (Arc::clone(&remote.store), remote.layout.clone());
        let taking = remote.begin(async move {
            // Where others have been there is a mark, whether they have written packs or not.
            let (known, token, after, has_packs) = (&tokens[..], &token[..], Epoch(last), last > 0);
            let claimant = Claimant { url: &url, store_id, has_packs, known, token, after };
            let is_marked = claimant.look(&*store, &layout).await?;
            let latest = claimant.latest(&*store, &layout, is_marked).await?;
            claimant.take(&*store, &layout, is_marked, latest).await
        });
        let epoch = taking.recv().map_err(io::Error::other).map_err(local("starting threads"))?;
        Ok(Self { remote: Arc::new(remote), epoch: epoch?, clock })
    }

    /// Refuses a place that some metadata has taken, or that has packs. Blocks.
    pub fn must_be_free(ObjectPlace { store, prefix, url }: ObjectPlace) -> Result<(), ObjectPacksError> {
        let local = |doing| move |error| ObjectPacksError::Local { doing, error };
        let remote = Remote::new(store, Layout::new(prefix)).map_err(local("starting threads"))?;
        let (store, layout) = (Arc::clone(&remote.store), remote.layout.clone());
        let looking = remote.begin(async move { claim::must_be_free(&*store, &layout, &url).await });
        looking.recv().map_err(io::Error::other).map_err(local("starting threads"))?
    }

    /// The epoch that its packs are numbered in.
    pub fn epoch(&self) -> u32 {
        self.epoch.0
    }

    /// Packs that end with the process, for tests.
    #[cfg(test)]
    pub(crate) fn over(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        let remote = Remote::new(store, Layout::new(Path::default())).unwrap();
        Self { remote: Arc::new(remote), epoch: Epoch(1), clock }
    }

    /// All packs, as the object store lists them.
    fn objects(&self) -> io::Result<Vec<(PackId, ObjectMeta)>> {
        let (store, prefix) = (Arc::clone(&self.remote.store), self.remote.layout.packs());
        self.remote.wait(async move {
            let named = |object: ObjectMeta| Some((pack_named(&object.location)?, object));
            let found: Vec<_> = store.list(Some(&prefix)).try_collect().await.map_err(to_io)?;
            let mut found: Vec<_> = found.into_iter().filter_map(named).collect();
            found.sort_unstable_by_key(|(id, _)| *id);
            Ok(found)
        })
    }
}

impl PackStore for ObjectPacks {
    fn medium(&self) -> PackMedium {
        PackMedium::Object
    }

    fn last_id(&self) -> Option<PackId> {
        Some(self.epoch.before_first())
    }

    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>> {
        Ok(Box::new(ObjectWriter::new(Arc::clone(&self.remote), id)))
    }

    fn reopen(&self, _id: PackId, _len: u64) -> io::Result<Box<dyn PackWriter>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "an object cannot be appended to"))
    }

    fn room(&self) -> Option<BoxFuture<'static, ()>> {
        self.remote.budget.room()
    }

    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        let (store, path) = (Arc::clone(&self.remote.store), self.remote.layout.pack(id));
        self.remote.wait(async move { read(&*store, &path, offset..end).await })
    }

    /// Looks for the mark of the place.
    fn reach(&self) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.remote.store), self.remote.layout.store());
        self.remote.wait(async move { store.head(&path).await.map(drop).map_err(to_io) })
    }

    fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        Ok(self.objects()?.into_iter().map(|(id, object)| (id, object.size)).collect())
    }

    fn delete(&self, id: PackId) -> io::Result<()> {
        let (store, path) = (Arc::clone(&self.remote.store), self.remote.layout.pack(id));
        self.remote.wait(async move { store.delete(&path).await.map_err(to_io) })
    }

    fn discard(&self, unknown: &[PackId]) -> io::Result<()> {
        if unknown.is_empty() {
            return Ok(());
        }
        let now_secs = self.clock.now().secs();
        for (id, object) in self.objects()? {
            let written_secs = u64::try_from(object.last_modified.timestamp()).unwrap_or(0);
            let is_old = written_secs.saturating_add(ORPHAN_AGE_SECS) <= now_secs;
            if is_old && !self.is_own(id) && unknown.contains(&id) {
                info!(pack = %id, bytes = object.size, "deleting a pack that was left by a write that never ended");
                self.delete(id)?;
            }
        }
        Ok(())
    }

    fn is_own(&self, id: PackId) -> bool {
        Epoch::of(id) == self.epoch
    }
}

/// Reads a range of an object.
async fn read(store: &dyn ObjectStore, path: &Path, range: Range<u64>) -> io::Result<Bytes> {
    if range.is_empty() {
        return store.head(path).await.map(|_| Bytes::new()).map_err(to_io);
    }
    let mut attempt = 1;
    loop {
        match store.get_range(path, range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => return Ok(bytes),
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error @ Error::NotFound { .. }) => return Err(to_io(error)),
            Err(error) => {
                // That the range is none of the object's is said in as many ways as there are object stores.
                let object = tokio::time::timeout(LENGTH_TIMEOUT, store.head(path)).await;
                if object.is_ok_and(|object| object.is_ok_and(|object| object.size < range.end)) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let error = to_io(error);
                if error.kind() != io::ErrorKind::ResourceBusy || attempt == READ_ATTEMPTS {
                    return Err(error);
                }
                attempt += 1;
            }
        }
    }
}

/// The tokens of epochs that this data folder has taken, or was about to.
fn remembered(path: &FilePath) -> io::Result<Vec<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().skip(1).map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remember(path: &FilePath, url: &str, tokens: &[&str]) -> io::Result<()> {
    replace_file(path, format!("{url}\n{}\n", tokens.join("\n")).as_bytes())
}

/// The URL at which a data folder's packs are, if they are not in it; `folder` is where they would be.
pub fn elsewhere(folder: &FilePath) -> io::Result<Option<String>> {
    match std::fs::read_to_string(folder.join(ELSEWHERE)) {
        Ok(text) => Ok(Some(text.lines().next().unwrap_or_default().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
