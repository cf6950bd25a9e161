//! `xetgate serve`: puts the house together and runs it until told to stop.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::banner::Banner;
use super::data_folder::{BESIDE_STORE, DataFolder};
use super::doors::{Behind, addressing, doors};
use super::hub_mode::{self, HubModeError};
use super::place::{PlaceArgs, PlaceError, take_folder};
use super::watch::{WatchError, tls, watch};
use crate::auth::cas_token::CasSigner;
use crate::auth::root::{self, Root, RootSource};
use crate::auth::seal::MasterKey;
use crate::auth::{Accounts, AuthError, Directory};
use crate::bucket::hub::{HubClient, upkeep as hub_upkeep};
use crate::bucket::{BucketError, NativeBuckets};
use crate::config::{self, Config, ConfigError, Mode};
use crate::model::clock::Ambient;
use crate::serve::admin::Backups;
use crate::serve::health::{self, HealthApi};
use crate::serve::http::audit::AuditLog;
use crate::serve::http::listener::{Limits, ListenError, Listener, Slowness};
use crate::serve::http::metrics::Metrics;
use crate::serve::http::observe::observed;
use crate::serve::http::tls::{Tls, TlsError};
use crate::serve::http::traces::Traces;
use crate::serve::s3::{self, ByAccessKey, S3Api};
use crate::store::upkeep;
use crate::telemetry::{self, LogFormat, TelemetryError};

/// How long work on blocking threads may take to end once nothing is served any more.
const BLOCKING_GRACE: Duration = Duration::from_secs(10);

/// Connections to the listener for metrics: a few who watch.
const METRICS_CONNECTIONS_MAX: usize = 32;

/// What `serve` takes. Flags win over the environment, the environment over the file.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Address and port of the S3 endpoint [default: 127.0.0.1:9000].
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address and port of the Hub's API [default: 127.0.0.1:9001].
    #[arg(long, value_name = "ADDR")]
    hub_listen: Option<SocketAddr>,
    /// Where metadata and chunks live: standalone or hub [default: standalone].
    #[arg(long, value_name = "MODE", value_parser = |text: &str| Mode::try_from(text.to_owned()))]
    mode: Option<Mode>,
    /// Form of the log lines on standard error [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error("{error}{}", advice(.error, .flag))]
    Listen { error: ListenError, flag: &'static str },
    #[error("cannot open the store in {path}: {}", chain(.error))]
    Store { path: PathBuf, error: BucketError },
    #[error(transparent)]
    Observability(#[from] WatchError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("hub mode: {0}")]
    HubMode(#[from] HubModeError),
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

/// What to do about it, if that is known.
fn advice(error: &ListenError, flag: &str) -> String {
    if error.is_address_in_use() { format!(": choose another address with {flag}") } else { String::new() }
}

/// An error and what it came from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| error.to_string().replace('\n', " ")).collect::<Vec<_>>().join(": ")
}

/// Runs the gateway; returns when it was told to stop.
pub(super) fn run(args: &ServeArgs, vars: &[(String, String)]) -> Result<(), ServeError> {
    let config = configure(args, vars)?;
    let declared = (config.declared_accounts()?, config.credentials(args.place.config.as_deref())?);
    let _log = telemetry::init(config.log.format, &config.log.filter)?;
    let folder = take_folder(&config, vars)?;
    allow_open_files();
    let ambient = Ambient::system();

    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    // Before anything can be reached: whoever can connect may also tell us to stop, and expects a clean end.
    let told = runtime.block_on(async { Told::new() }).map_err(ServeError::Runtime)?;
    let hub = config::hub_given(vars);
    let client = (config.mode == Mode::Hub).then(|| hub_mode::client(&config, &hub)).transpose()?;

    let mut given = config::root_given(vars)?;
    let wants_root = config.accounts.is_empty() || !given.is_empty();
    if let Some(client) = client.as_ref().filter(|_| wants_root) {
        given = hub_mode::complete_root(&runtime, client, &hub, given)?;
    }
    let root = wants_root.then(|| root::load_or_create(folder.path(), &given, &ambient)).transpose()?;
    let credentials = declared.1.into_iter().chain(root.iter().map(|root| root.credential.clone()));
    let directory =
        Directory::declared(declared.0, credentials, config.token_use(), Arc::clone(&ambient.clock))?;
    if let Some(client) = &client {
        let place = HubModePlace { config: &config, folder: &folder, client, ambient };
        return run_hub_mode(&place, runtime, told, directory);
    }
    let directory = Arc::new(directory);
    let signer = CasSigner::load_or_create(folder.path(), Arc::clone(&directory), &ambient)?;
    let master_key = match config::master_key_given(vars)? {
        Some(text) => MasterKey::of_text(&text)?,
        None => MasterKey::load_or_create(folder.path(), &ambient)?,
    };

    let tls = tls(&config, &runtime)?;
    let s3 = bind(&runtime, config.s3.listen, limits(&config, config.s3.max_connections), "--listen")?;
    let hub = bind(&runtime, config.hub.listen, limits(&config, config.hub.max_connections), "--hub-listen")?;
    let metrics = bind_metrics(&runtime, &config)?;
    let buckets = open_store(&runtime, &folder, &ambient)?;
    let accounts = Arc::clone(&buckets.store().meta);
    let accounts = Accounts::open(accounts, directory, master_key, ambient.clone());
    let accounts = runtime.block_on(accounts)?;
    let upkeep = start_upkeep(&runtime, &config, &folder, &buckets, &ambient);
    announce(&config, &folder, (s3.address(), hub.address()), root.as_ref());
    let metrics_of_store = Metrics::of_store(Arc::clone(buckets.store()));
    let watch = watch(&config, &runtime, &ambient, metrics_of_store)?;
    let (audit, traces) = (watch.audit.clone(), watch.traces.clone());
    let backups = config.backup.folder.clone().map(|to| Backups {
        store: Arc::clone(buckets.store()),
        data_dir: folder.path().to_owned(),
        folder: to,
        beside: &BESIDE_STORE,
    });
    let behind = Behind { buckets: Arc::new(buckets), accounts: Arc::new(accounts), backups, signer, watch };
    let doors = doors(&config, behind);
    let (s3, hub) = (s3.with_tls(tls.clone()), hub.with_tls(tls.clone()));
    let mut listeners = vec![(s3, doors.s3.router), (hub, doors.hub.router)];
    listeners.extend(metrics.map(|listener| (listener, doors.metrics.router)));
    runtime.block_on(serve(listeners, told, || reload(audit.as_deref(), tls.as_deref())));
    end(runtime, &upkeep, traces.as_deref());
    Ok(())
}

/// Where a gateway in hub mode stands.
struct HubModePlace<'a> {
    config: &'a Config,
    folder: &'a DataFolder,
    client: &'a HubClient,
    ambient: Ambient,
}

/// Serves S3 over buckets on a Hub.
fn run_hub_mode(
    place: &HubModePlace<'_>,
    runtime: Runtime,
    told: Told,
    directory: Directory,
) -> Result<(), ServeError> {
    let HubModePlace { config, folder, client, ambient } = place;
    let tls = tls(config, &runtime)?;
    let s3 = bind(&runtime, config.s3.listen, limits(config, config.s3.max_connections), "--listen")?;
    let s3 = s3.with_tls(tls.clone());
    let behind = hub_mode::open(config, folder, client, &directory, ambient)?;
    let upkeep = CancellationToken::new();
    runtime.spawn(hub_upkeep::run(behind.shared, config.uploads_expire(), upkeep.clone()));
    let watch = watch(config, &runtime, ambient, Metrics::of_cache(behind.cache))?;
    let ops = HealthApi {
        buckets: Arc::clone(&behind.public),
        metrics: Arc::clone(&watch.metrics),
        directory: None,
    };
    let metrics = bind_metrics(&runtime, config)?.map(|listener| (listener, health::router(ops).router));
    let door = S3Api {
        buckets: behind.public,
        directory: Arc::new(directory),
        clock: ambient.clone(),
        region: config.s3.region.clone(),
        addressing: addressing(config),
        signature_v2: config.s3.signature_v2,
        by_access_key: ByAccessKey::default(),
    };
    let (audit, traces) = (watch.audit.clone(), watch.traces.clone());
    let router = observed(s3::router(door.with_buckets_of(behind.own)).router, s3::API, watch);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        s3 = %s3.address(),
        hub = client.endpoint(),
        data_dir = %folder.path().display(),
        "listening, in front of a hub"
    );
    let listeners = std::iter::once((s3, router)).chain(metrics).collect();
    runtime.block_on(serve(listeners, told, || reload(audit.as_deref(), tls.as_deref())));
    end(runtime, &upkeep, traces.as_deref());
    Ok(())
}

fn bind(
    runtime: &Runtime,
    address: SocketAddr,
    limits: Limits,
    flag: &'static str,
) -> Result<Listener, ServeError> {
    runtime.block_on(Listener::bind(address, limits)).map_err(|error| ServeError::Listen { error, flag })
}

/// The listener for metrics, if they are to have one.
fn bind_metrics(runtime: &Runtime, config: &Config) -> Result<Option<Listener>, ServeError> {
    let bind = |listen| bind(runtime, listen, limits(config, METRICS_CONNECTIONS_MAX), "metrics.listen");
    config.metrics.listen.map(bind).transpose()
}

/// Ends what runs beside serving, once nothing is served any more.
fn end(runtime: Runtime, upkeep: &CancellationToken, traces: Option<&Traces>) {
    upkeep.cancel();
    if let Some(traces) = traces {
        traces.end();
    }
    runtime.shutdown_timeout(BLOCKING_GRACE);
}

/// What SIGHUP asks for.
fn reload(audit: Option<&AuditLog>, tls: Option<&Tls>) {
    if let Some(tls) = tls {
        tls.reload();
    }
    if let Some(audit) = audit {
        audit.reopen();
    }
}

/// Raises the soft limit of open files to the hard one. The soft one is usually 1,024, for the sake of programs that
/// use `select`; connections and packs together may need more.
fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, soft = limit.current, "the limit of open files stays as it is");
    }
}

/// The configuration, flags included.
fn configure(args: &ServeArgs, vars: &[(String, String)]) -> Result<Config, ConfigError> {
    let mut config = args.place.configuration(vars)?;
    if let Some(listen) = args.listen {
        config.s3.listen = listen;
    }
    if let Some(listen) = args.hub_listen {
        config.hub.listen = listen;
    }
    if let Some(mode) = args.mode {
        config.mode = mode;
    }
    if let Some(format) = args.log_format {
        config.log.format = format;
    }
    Ok(config)
}

fn limits(config: &Config, connections_max: usize) -> Limits {
    Limits {
        connections_max,
        header_timeout: Duration::from_secs(config.server.header_timeout_secs),
        slowness: Slowness {
            stall_timeout: Duration::from_secs(config.server.stall_timeout_secs),
            bytes_per_sec_min: config.server.min_bytes_per_sec,
        },
        shutdown_grace: Duration::from_secs(config.server.shutdown_grace_secs),
    }
}

/// Opens the store. It blocks, and may start tasks on the runtime.
fn open_store(
    runtime: &Runtime,
    folder: &DataFolder,
    ambient: &Ambient,
) -> Result<NativeBuckets, ServeError> {
    let _inside = runtime.enter();
    NativeBuckets::open(folder.path(), ambient.clone())
        .map_err(|error| ServeError::Store { path: folder.path().to_owned(), error })
}

/// Starts collecting and scrubbing in the background, until the token is cancelled.
fn start_upkeep(
    runtime: &Runtime,
    config: &Config,
    folder: &DataFolder,
    buckets: &NativeBuckets,
    ambient: &Ambient,
) -> CancellationToken {
    let stop = CancellationToken::new();
    let options = config.upkeep(&folder.path().join("scrub-cursor"));
    let (store, clock) = (Arc::clone(buckets.store()), Arc::clone(&ambient.clock));
    runtime.spawn(upkeep::run(store, clock, options, stop.clone()));
    stop
}

/// Tells people (in text) and machines (in the log) that the gateway is there.
fn announce(config: &Config, folder: &DataFolder, (s3, hub): (SocketAddr, SocketAddr), root: Option<&Root>) {
    if config.log.format == LogFormat::Text {
        let mut stdout = io::stdout().lock();
        let terminal = stdout.is_terminal();
        let (region, tls) = (&config.s3.region, config.tls.cert_file.is_some());
        let banner = Banner { data_dir: folder.path(), s3, hub, tls, region, root, terminal };
        // Nobody has to be looking.
        let _ = stdout.write_all(banner.text().as_bytes()).and_then(|()| stdout.flush());
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        s3 = %s3,
        hub = %hub,
        data_dir = %folder.path().display(),
        "listening"
    );
    if config.tls.cert_file.is_none() && !(s3.ip().is_loopback() && hub.ip().is_loopback()) {
        tracing::warn!(
            "a listener without TLS can be reached from outside: anyone on the way reads what passes"
        );
    }
    if let Some(RootSource::Kept { path, exposed: true }) = root.map(|root| &root.source) {
        tracing::warn!(path = %path.display(), "others may read the root credential: chmod 600 it");
    }
}

/// The signals that end the process. From the moment this exists they no longer end it by themselves.
struct Told {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Told {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next of them that ends something; on SIGHUP, reloads.
    async fn next(&mut self, reload: &impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}

/// Serves until told to stop, and then until running requests are done, or the grace time is over, or told again.
async fn serve(listeners: Vec<(Listener, axum::Router)>, mut told: Told, reload: impl Fn()) {
    let stop = CancellationToken::new();
    let running = listeners.into_iter().map(|(listener, router)| {
        let stopped = stop.clone();
        listener.run(router, async move { stopped.cancelled().await })
    });
    let running: Vec<_> = running.collect();
    let running = async { futures::future::join_all(running).await.into_iter().sum::<usize>() };
    let ending = async {
        told.next(&reload).await;
        tracing::info!("stopping: running requests may finish");
        stop.cancel();
        told.next(&reload).await;
    };
    tokio::select! {
        cut_off = running => match cut_off {
            0 => tracing::info!("stopped"),
            connections => tracing::warn!(connections, "stopped; the grace time was over"),
        },
        () = ending => tracing::warn!("stopped at once: told twice"),
    }
}
