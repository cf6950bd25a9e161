//! What can be wrong with an object store, and what its errors mean to those who store or read.

use std::io;

/// Why packs in an object store cannot be used. Each names the configuration key and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ObjectPacksError {
    /// The URL is none, or none that is known.
    #[error("`packs.url` {url:?}: {reason}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An option that the object store does not have.
    #[error("`packs.options.{key}` is not an option of {scheme}://")]
    Option {
        /// The option.
        key: String,
        /// The scheme of the URL.
        scheme: String,
    },
    /// The object store does not answer, or refuses.
    #[error("`packs.url` {url}: {doing}: {}", explained(.error))]
    Store {
        /// The place.
        url: String,
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        error: Box<object_store::Error>,
    },
    /// Objects would be overwritten.
    #[error(
        "`packs.url` {url}: the object store overwrites an object that it was told to create only (If-None-Match: *): use one that has conditional writes, or set `packs.options.conditional_put` = \"disabled\" if no other process will ever write there"
    )]
    Unconditional {
        /// The place.
        url: String,
    },
    /// The place belongs to other metadata.
    #[error(
        "`packs.url` {url}: the packs there belong to other metadata: name the data folder or the database (`metadata.url`) that goes with them, or give each deployment a prefix of its own"
    )]
    OtherStore {
        /// The place.
        url: String,
    },
    /// There are packs, but nothing says whose.
    #[error(
        "`packs.url` {url}: there are packs but no object STORE that says whose they are: choose an empty prefix, or put STORE back"
    )]
    Unmarked {
        /// The place.
        url: String,
    },
    /// The metadata names packs, but there are none.
    #[error(
        "`packs.url` {url}: the metadata has its packs elsewhere, none were ever written there: name the place that they are in"
    )]
    Empty {
        /// The place.
        url: String,
    },
    /// Another copy of the metadata has been at work.
    #[error(
        "`packs.url` {url}: another copy of this data folder or database has written there since (epoch {epoch}): start that one; if it is gone for good and what it wrote may be lost, docs/object-store.md says how to go on"
    )]
    Superseded {
        /// The place.
        url: String,
        /// The latest epoch.
        epoch: String,
    },
    /// A file that is kept in the data folder, or the runtime.
    #[error("{doing}: {error}")]
    Local {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        error: io::Error,
    },
}

/// Longest text of an object store's error that is passed on: some answer with a page of HTML.
const TEXT_CHARS_MAX: usize = 400;

/// What went wrong and what to do, in one line.
fn explained(error: &object_store::Error) -> String {
    let text: String = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    let advice = match error {
        _ if is_no_bucket(error) => "there is no such bucket: create it, or name another",
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            "access is denied: check the credentials in `packs.options`, or in the environment, and what they may do"
        }
        _ if text.contains(CREDENTIALS_OF_THE_MACHINE) => {
            "there are no credentials: set them in `packs.options`, or in the environment"
        }
        _ => "the object store cannot be used: check that it runs, and `packs.options.endpoint`",
    };
    format!("{advice} ({text})")
}

/// Where virtual machines of the clouds get credentials, if nothing else has any.
const CREDENTIALS_OF_THE_MACHINE: &str = "169.254.169.254";

/// Whether a bucket or a container is missing, and not an object.
pub(super) fn is_no_bucket(error: &object_store::Error) -> bool {
    let names = ["NoSuchBucket", "ContainerNotFound", "specified bucket does not exist"];
    let object_store::Error::NotFound { source, .. } = error else {
        return false;
    };
    let text = source.to_string();
    names.iter().any(|name| text.contains(name))
}

/// What an object store's error means: that something is not there, is there already, may not be done, or else that the
/// object store cannot be used now.
pub(super) fn to_io(error: object_store::Error) -> io::Error {
    use object_store::Error;
    let kind = match &error {
        // That says nothing of the object.
        error if is_no_bucket(error) => io::ErrorKind::ResourceBusy,
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } | Error::Precondition { .. } => io::ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        Error::NotImplemented { .. } | Error::NotSupported { .. } => io::ErrorKind::Unsupported,
        _ => io::ErrorKind::ResourceBusy,
    };
    io::Error::new(kind, error)
}
