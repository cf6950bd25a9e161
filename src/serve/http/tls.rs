//! TLS for listeners: one certificate, read again when its files change.
//!
//! A new certificate is good for the connections that come after it; those that are there keep theirs. Files that cannot
//! be read, or do not belong together (half of a renewal), leave the old certificate in place and a line in the log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is offered to clients, best first. Source: RFC 7301 and its registry.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key are not right.
    #[error("certificate {cert} and key {key}: {error}")]
    Pair {
        /// The certificates' file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
}

/// When the files were changed last.
type Changed = (Option<SystemTime>, Option<SystemTime>);

/// A certificate and its key, kept up to date.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Changed>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("cert", &self.cert).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads a chain of certificates and the key of the first, both PEM. Blocks.
    pub fn load(cert: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let seen = Mutex::new((changed(&cert), changed(&key)));
        let current = RwLock::new(Arc::new(read(&cert, &key)?));
        Ok(Self { cert, key, current, seen })
    }

    /// What the next connection is accepted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Reads the files again. Blocks.
    pub fn reload(&self) {
        let now = (changed(&self.cert), changed(&self.key));
        match read(&self.cert, &self.key) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(cert = %self.cert.display(), "the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the old certificate stays in use"),
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Reads the files again whenever one has changed. Never ends.
    pub async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let tls = Arc::clone(&self);
            // Nothing that can be done about a panic is not done by looking again.
            let _ = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await;
        }
    }

    fn reload_if_changed(&self) {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen != (changed(&self.cert), changed(&self.key)) {
            self.reload();
        }
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn read(cert: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let file = |path: &Path| {
        fs::read(path)
            .map_err(|error: io::Error| TlsError::File { path: path.to_owned(), reason: error.to_string() })
    };
    let not_pem = |path: &Path, error: &dyn std::fmt::Display| TlsError::File {
        path: path.to_owned(),
        reason: format!("it is not PEM of the right kind: {error}"),
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file(cert)?).collect();
    let chain = chain.map_err(|error| not_pem(cert, &error))?;
    let private = PrivateKeyDer::from_pem_slice(&file(key)?).map_err(|error| not_pem(key, &error))?;
    let pair = |error| TlsError::Pair { cert: cert.to_owned(), key: key.to_owned(), error };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pairs of a certificate for `localhost` and its key, good for a hundred years.
    const PAIRS: [(&str, &str); 2] = [
        (include_str!("tls/one.pem"), include_str!("tls/one.key")),
        (include_str!("tls/two.pem"), include_str!("tls/two.key")),
    ];

    #[test]
    fn a_changed_certificate_is_taken_and_half_of_a_renewal_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        let put = |path: &Path, text: &str, secs: u64| {
            fs::write(path, text).unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(secs)).unwrap();
        };
        put(&cert, PAIRS[0].0, 1);
        put(&key, PAIRS[0].1, 1);
        let tls = Tls::load(cert.clone(), key.clone()).unwrap();
        let current = || Arc::as_ptr(&tls.current.read().unwrap());
        let first = current();
        tls.reload_if_changed();
        assert_eq!(current(), first, "nothing has changed");
        put(&cert, PAIRS[1].0, 2);
        tls.reload_if_changed();
        assert_eq!(current(), first, "the key is still that of the old one");
        put(&key, PAIRS[1].1, 3);
        tls.reload_if_changed();
        assert_ne!(current(), first);
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        let refusal = || Tls::load(cert.clone(), key.clone()).err().unwrap().to_string();
        assert!(refusal().starts_with(&format!("cannot read {}: No such file", cert.display())));
        fs::write(&cert, PAIRS[0].0).unwrap();
        fs::write(&key, "no key").unwrap();
        assert!(refusal().starts_with(&format!("cannot read {}: it is not PEM", key.display())));
        fs::write(&key, PAIRS[1].1).unwrap();
        assert!(refusal().starts_with("certificate "), "{}", refusal());
    }
}
