//! Start, run and stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;

use super::apis::Apis;
use super::backend::{Resources, Selected};
use super::background::Background;
use super::data_folder::DataFolder;
use super::error::GatewayError;
use super::lifecycle;
use super::listeners::Listeners;
use super::observability;
use super::signals::Signals;
use crate::auth::root::{self, Root, RootSource};
use crate::auth::{Account, Credential, Directory};
use crate::config::{self, Config};
use crate::model::clock::Ambient;
use crate::serve::http::Observability;
use crate::serve::http::listener::Listener;
use crate::serve::http::tls::Tls;

/// How long work on blocking threads may take to end once nothing is served any more.
const BLOCKING_GRACE: Duration = Duration::from_secs(10);

/// What a gateway is started with.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The file that it came from: secrets in files beside it are found by it.
    pub config_file: Option<&'a Path>,
    /// The environment.
    pub vars: &'a [(String, String)],
}

/// A gateway that accepts connections.
pub struct Started<'a> {
    /// The data folder.
    pub data_dir: &'a Path,
    /// Where the S3 API listens.
    pub s3: SocketAddr,
    /// Where the Hub API listens; `None` in a mode that has none.
    pub hub: Option<SocketAddr>,
    /// The root credential, unless accounts are declared and none is given.
    pub root: Option<&'a Root>,
}

/// Runs a gateway until SIGTERM or SIGINT. `announce` is called once, when it has started.
pub fn run(settings: Settings<'_>, announce: impl FnOnce(&Started<'_>)) -> Result<(), GatewayError> {
    let Settings { config, config_file, vars } = settings;
    let declared = (config.declared_accounts()?, config.credentials(config_file)?);
    let folder = DataFolder::take(config, vars)?;
    raise_open_files_limit();
    let ambient = Ambient::system();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(GatewayError::Runtime)?;
    // Before anything can be reached: who can connect may also send a signal at once, and expects a clean end.
    let signals = runtime.block_on(async { Signals::new() }).map_err(GatewayError::Runtime)?;

    let resources = Resources { config, vars, folder: &folder, runtime: &runtime, ambient: &ambient };
    let mode = Selected::of(&resources)?;
    let (root, directory) = credentials(&resources, &mode, declared)?;
    let mut background = Background::new(runtime.handle());
    let tls = open_tls(config, &mut background)?;
    let listeners = Listeners::bind(&runtime, config, mode.serves_hub())?;
    let backend = mode.open(&resources, directory, &mut background)?;
    let observability = observability::open(config, &runtime, &ambient, Arc::clone(&backend.metrics))?;
    if let Some(native) = &backend.native {
        let (store, audit) = (Arc::clone(&native.store), observability.audit.clone());
        lifecycle::start(config, (store, native.leases.clone()), &ambient, audit, &mut background);
    }
    let apis = Apis::compose(config, backend, &observability);

    let started = Started {
        data_dir: folder.path(),
        s3: listeners.s3.address(),
        hub: listeners.hub.as_ref().map(Listener::address),
        root: root.as_ref(),
    };
    log_start(config, &started, mode.remote_hub());
    announce(&started);
    let served = listeners.with_apis(apis, tls.as_ref());
    let failed = background.failed().clone();
    runtime.block_on(serve(served, signals, || reload(&observability, tls.as_deref()), &failed));
    background.stop();
    if let Some(traces) = &observability.traces {
        traces.end();
    }
    runtime.shutdown_timeout(BLOCKING_GRACE);
    if failed.is_cancelled() { Err(GatewayError::NodeEnded) } else { Ok(()) }
}

/// The root credential, if there is to be one, and all accounts and credentials that do not come from the store.
fn credentials(
    resources: &Resources<'_>,
    mode: &Selected,
    (accounts, credentials): (Vec<Account>, Vec<Credential>),
) -> Result<(Option<Root>, Directory), GatewayError> {
    let Resources { config, vars, folder, runtime, ambient } = resources;
    let mut given = config::root_given(vars)?;
    let root = if config.accounts.is_empty() || !given.is_empty() {
        given = mode.complete_root(runtime, given)?;
        Some(root::load_or_create(folder.path(), &given, ambient)?)
    } else {
        None
    };
    let credentials = credentials.into_iter().chain(root.iter().map(|root| root.credential.clone()));
    let clock = Arc::clone(&ambient.clock);
    let directory = Directory::declared(accounts, credentials, config.token_use(), clock)?;
    Ok((root, directory))
}

/// The certificate, if there is one; it is read again whenever its files change.
fn open_tls(config: &Config, background: &mut Background) -> Result<Option<Arc<Tls>>, GatewayError> {
    let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) else {
        return Ok(None);
    };
    let tls = Arc::new(Tls::load(cert.clone(), key.clone())?);
    background.start_endless(Arc::clone(&tls).watch());
    Ok(Some(tls))
}

fn log_start(config: &Config, started: &Started<'_>, remote_hub: Option<&str>) {
    let (version, data_dir) = (env!("CARGO_PKG_VERSION"), started.data_dir.display());
    match (started.hub, remote_hub) {
        (Some(hub), _) => {
            tracing::info!(version, s3 = %started.s3, %hub, %data_dir, "listening");
        }
        (None, hub) => {
            tracing::info!(version, s3 = %started.s3, hub, %data_dir, "listening, in front of a hub");
        }
    }
    let is_local = std::iter::once(started.s3).chain(started.hub).all(|address| address.ip().is_loopback());
    if config.tls.cert_file.is_none() && !is_local {
        tracing::warn!(
            "a listener without TLS can be reached from other machines: traffic can be read on the way"
        );
    }
    if let Some(RootSource::Kept { path, exposed: true }) = started.root.map(|root| &root.source) {
        tracing::warn!(path = %path.display(), "others may read the root credential: chmod 600 it");
    }
}

/// What SIGHUP asks for.
fn reload(observability: &Observability, tls: Option<&Tls>) {
    if let Some(tls) = tls {
        tls.reload();
    }
    if let Some(audit) = &observability.audit {
        audit.reopen();
    }
}

/// Raises the soft limit of open files to the hard one. The soft one is usually 1,024, for the sake of programs that
/// use `select`; connections and packs together may need more.
fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, soft = limit.current, "the limit of open files stays as it is");
    }
}

/// Serves until a signal, or until something has failed without which it must not go on, and then until running requests are
/// done, or the grace time is over, or a second signal comes.
async fn serve(
    listeners: Vec<(Listener, Router)>,
    mut signals: Signals,
    reload: impl Fn(),
    failed: &CancellationToken,
) {
    let stop = CancellationToken::new();
    let running = listeners.into_iter().map(|(listener, router)| {
        let stopped = stop.clone();
        listener.run(router, async move { stopped.cancelled().await })
    });
    let running: Vec<_> = running.collect();
    let running = async { futures::future::join_all(running).await.into_iter().sum::<usize>() };
    let ending = async {
        tokio::select! {
            () = signals.stop(&reload) => {}
            () = failed.cancelled() => {}
        }
        tracing::info!("stopping: running requests may finish");
        stop.cancel();
        signals.stop(&reload).await;
    };
    tokio::select! {
        cut_off = running => match cut_off {
            0 => tracing::info!("stopped"),
            connections => tracing::warn!(connections, "stopped; the grace time was over"),
        },
        () = ending => tracing::warn!("stopped at once: a second signal came"),
    }
}
