//! Why a gateway cannot start.

use std::io;
use std::path::PathBuf;

use super::data_folder::DataFolderError;
use super::observability::ObservabilityError;
use crate::auth::AuthError;
use crate::bucket::BucketError;
use crate::bucket::hub::HubError;
use crate::cas::http::HttpError;
use crate::config::ConfigError;
use crate::model::causes::with_causes;
use crate::serve::http::listener::ListenError;
use crate::serve::http::tls::TlsError;
use crate::store::joining::JoinError;
use crate::store::local::OpenError;
use crate::store::meta::MetaError;

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration or the environment is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// Accounts, credentials or keys are wrong.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A listener cannot be opened.
    #[error("{error}{}", advice(.error, .option))]
    Listen {
        /// Why.
        error: ListenError,
        /// The option that sets its address.
        option: &'static str,
    },
    /// The store cannot be opened.
    #[error("cannot open the store in {path}: {error}")]
    Open {
        /// The data folder.
        path: PathBuf,
        /// Why.
        error: OpenError,
    },
    /// The cluster cannot be joined.
    #[error("cannot join the cluster: {error}")]
    Join {
        /// Why.
        error: JoinError,
    },
    /// The other nodes have gone on without this one.
    #[error(
        "this node was taken for dead: for `cluster.silence_secs` it did not tell the database that it lives; start it again"
    )]
    NodeEnded,
    /// The store cannot be worked with.
    #[error("cannot open the store in {path}: {}", with_causes(.error))]
    Store {
        /// The data folder.
        path: PathBuf,
        /// Why.
        error: BucketError,
    },
    /// The cache of chunks from an object store cannot be opened.
    #[error("cannot open the cache: {0}")]
    Cache(#[source] io::Error),
    /// The audit log or the traces cannot be opened.
    #[error(transparent)]
    Observability(#[from] ObservabilityError),
    /// The certificate cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// Hub mode cannot be opened.
    #[error("hub mode: {0}")]
    HubMode(#[from] HubModeError),
    /// The runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

/// Why hub mode cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HubModeError {
    /// There is no HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The Hub cannot be used.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The Hub does not say whose token it is.
    #[error("cannot ask {endpoint} who HF_TOKEN belongs to: {error}; or set XETGATE_ROOT_USER")]
    WhoAmI {
        /// The Hub.
        endpoint: String,
        /// Why.
        error: HubError,
    },
    /// The metadata beside the Hub's cannot be opened.
    #[error("cannot open the metadata: {0}")]
    Meta(#[from] MetaError),
    /// The cache of chunks cannot be opened.
    #[error("cannot open the cache: {0}")]
    Cache(io::Error),
    /// The folder of parts cannot be opened.
    #[error("cannot open the parts of running uploads: {0}")]
    Parts(io::Error),
    /// A token cannot be sent in a header.
    #[error("{0} is not a token: it must be visible ASCII characters")]
    Token(String),
    /// The named variable is set.
    #[error("{0} forbids requests to the Hub: unset it to run a gateway in front of one")]
    Offline(&'static str),
}

/// What to do about a listener that cannot be opened, if that is known.
fn advice(error: &ListenError, option: &str) -> String {
    if error.is_address_in_use() { format!(": choose another address with {option}") } else { String::new() }
}
