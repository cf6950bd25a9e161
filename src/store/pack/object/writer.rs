//! Writing a pack that is an object.
//!
//! | the pack is | its bytes are | `sync` |
//! |---|---|---|
//! | short, up to a part | in memory | puts them, if there is no object of the name |
//! | longer | in parts that are sent as they are filled, the last one in memory | sends that, and completes the upload |
//! | finished | an object | does nothing |
//!
//! No two processes use one name (see [`super::claim`]), and none uses a name twice. So an object that is there already
//! when it is to be made can only come from an attempt whose answer was lost: it counts as made if its bytes are the same.
//! A completed upload whose answer was lost counts as completed if the object has its length.

use std::io;
use std::sync::{Arc, mpsc as answers};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMultipartOptions};
use tokio::sync::mpsc;
use tracing::debug;

use super::error::to_io;
use super::remote::{Charge, Remote, answer, put_new};
use crate::store::pack::{PackId, PackWriter};

/// Bytes of a part, all but the last: some object stores want parts of one size, and S3 at least 5 MiB.
pub(super) const PART_BYTES: usize = 8 << 20;

/// Beyond this, memory for a whole part is taken at once.
const SMALL_BYTES: usize = 1 << 20;

/// Parts of one pack on their way at once.
const PARTS_AT_ONCE: usize = 4;

/// Attempts at putting a whole pack; each is several requests, if the object store answers that it is busy.
const PUT_ATTEMPTS: u32 = 2;

/// What is to be done next with an upload. One that ends without [`Step::Complete`] is aborted.
enum Step {
    Part(Bytes, Charge),
    Complete,
}

/// A pack on its way.
struct Upload {
    /// `None` when all was said.
    steps: Option<mpsc::UnboundedSender<Step>>,
    ended: answers::Receiver<io::Result<()>>,
}

/// Writes one pack.
pub(super) struct ObjectWriter {
    remote: Arc<Remote>,
    id: PackId,
    len: u64,
    buffer: Vec<u8>,
    upload: Option<Upload>,
    is_finished: bool,
}

impl ObjectWriter {
    pub(super) fn new(remote: Arc<Remote>, id: PackId) -> Self {
        Self { remote, id, len: 0, buffer: Vec::new(), upload: None, is_finished: false }
    }

    /// Sends what is in memory as the next part.
    fn send_part(&mut self) -> io::Result<()> {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let charge = self.remote.budget.charge(bytes.len());
        let upload = self.upload.get_or_insert_with(|| {
            let (steps, next) = mpsc::unbounded_channel();
            let (store, path) = (Arc::clone(&self.remote.store), self.remote.layout.pack(self.id));
            let ended = self.remote.begin(async move { upload(&*store, &path, next).await });
            Upload { steps: Some(steps), ended }
        });
        upload.say(Step::Part(bytes, charge))
    }
}

impl Upload {
    /// Fails with what the upload has failed with.
    fn say(&self, step: Step) -> io::Result<()> {
        let steps = self.steps.as_ref().ok_or_else(|| io::Error::other("the pack takes nothing more"))?;
        if steps.send(step).is_ok() {
            return Ok(());
        }
        answer(&self.ended)?;
        Err(io::Error::other("an upload has ended early"))
    }
}

impl PackWriter for ObjectWriter {
    fn id(&self) -> PackId {
        self.id
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.is_finished {
            return Err(io::Error::other("the pack takes nothing more"));
        }
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(PART_BYTES - self.buffer.len()));
            if self.buffer.len() + now.len() > SMALL_BYTES {
                self.buffer.reserve_exact(PART_BYTES - self.buffer.len());
            }
            self.buffer.extend_from_slice(now);
            self.len += now.len() as u64;
            bytes = rest;
            if self.buffer.len() == PART_BYTES {
                self.send_part()?;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_finished || self.len == 0 {
            return Ok(());
        }
        self.finish()?;
        if let Some(upload) = self.upload.take() {
            answer(&upload.ended)?;
        }
        self.is_finished = true;
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn finish(&mut self) -> io::Result<bool> {
        if self.is_finished || self.len == 0 {
            return Ok(true);
        }
        if self.upload.is_none() {
            let bytes = Bytes::from(std::mem::take(&mut self.buffer));
            let charge = self.remote.budget.charge(bytes.len());
            let (store, path) = (Arc::clone(&self.remote.store), self.remote.layout.pack(self.id));
            let ended = self.remote.begin(async move {
                let _charge = charge;
                put_pack(&*store, &path, bytes).await
            });
            self.upload = Some(Upload { steps: None, ended });
        }
        if !self.buffer.is_empty() {
            self.send_part()?;
        }
        if let Some(upload) = self.upload.as_mut().filter(|upload| upload.steps.is_some()) {
            upload.say(Step::Complete)?;
            upload.steps = None;
        }
        Ok(false)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if len == self.len {
            return Ok(());
        }
        // One that is on its way might arrive after what is written next.
        let is_ended = self.upload.as_ref().is_some_and(|upload| upload.steps.is_none());
        if len > 0 || self.is_finished || is_ended {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "an object cannot be cut"));
        }
        (self.len, self.buffer, self.upload) = (0, Vec::new(), None);
        Ok(())
    }
}

/// Puts a whole pack.
async fn put_pack(store: &dyn ObjectStore, path: &Path, bytes: Bytes) -> io::Result<()> {
    let mut attempt = 1;
    loop {
        let Err(error) = put_new(store, path, bytes.clone()).await else {
            return Ok(());
        };
        if matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. })
            && holds(store, path, &bytes).await
        {
            debug!(%path, "an object was made by an attempt whose answer was lost");
            return Ok(());
        }
        let error = to_io(error);
        if error.kind() != io::ErrorKind::ResourceBusy || attempt == PUT_ATTEMPTS {
            return Err(error);
        }
        attempt += 1;
    }
}

/// Whether an object has these bytes.
async fn holds(store: &dyn ObjectStore, path: &Path, bytes: &Bytes) -> bool {
    let found = async { store.get(path).await?.bytes().await };
    found.await.is_ok_and(|found| found == *bytes)
}

/// Sends parts as they come, and completes the upload when it is told to. Whatever else happens, it is aborted.
async fn upload(
    store: &dyn ObjectStore,
    path: &Path,
    mut steps: mpsc::UnboundedReceiver<Step>,
) -> io::Result<()> {
    let begun = store.put_multipart_opts(path, PutMultipartOptions::default()).await;
    let mut upload = begun.map_err(to_io)?;
    let ended = match send_parts(&mut *upload, &mut steps).await {
        Ok(Some(len)) => match upload.complete().await {
            Ok(_) => return Ok(()),
            Err(error) if store.head(path).await.is_ok_and(|object| object.size == len) => {
                debug!(%path, %error, "an upload was completed by an attempt whose answer was lost");
                return Ok(());
            }
            Err(error) => Err(to_io(error)),
        },
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = upload.abort().await {
        debug!(%path, %error, "parts of a pack that was given up stay until the object store expires them");
    }
    ended
}

/// Sends all parts; answers how many bytes they have, or `None` if the pack was given up.
async fn send_parts(
    upload: &mut dyn MultipartUpload,
    steps: &mut mpsc::UnboundedReceiver<Step>,
) -> io::Result<Option<u64>> {
    let (mut sending, mut len) = (FuturesUnordered::new(), 0);
    loop {
        tokio::select! {
            Some(sent) = sending.next() => {
                let sent: object_store::Result<()> = sent;
                sent.map_err(to_io)?;
            }
            step = steps.recv(), if sending.len() < PARTS_AT_ONCE => match step {
                Some(Step::Part(bytes, charge)) => {
                    len += bytes.len() as u64;
                    let part = upload.put_part(bytes.into());
                    sending.push(async move {
                        let _charge = charge;
                        part.await
                    });
                }
                Some(Step::Complete) => break,
                None => return Ok(None),
            },
        }
    }
    while let Some(sent) = sending.next().await {
        sent.map_err(to_io)?;
    }
    Ok(Some(len))
}
