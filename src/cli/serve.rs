//! `xetgate serve`: runs the gateway until it is stopped.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;

use super::banner::Banner;
use super::place::PlaceArgs;
use crate::config::{Config, ConfigError, Mode};
use crate::gateway::{self, GatewayError, Settings, Started};
use crate::telemetry::{self, LogFormat, TelemetryError};

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
    /// Where metadata and chunks live: standalone, cluster or hub [default: standalone].
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
    Gateway(#[from] GatewayError),
}

/// Runs the gateway; returns when it was stopped by a signal.
pub(super) fn run(args: &ServeArgs, vars: &[(String, String)]) -> Result<(), ServeError> {
    let config = configure(args, vars)?;
    let _log = telemetry::init(config.log.format, &config.log.filter)?;
    let settings = Settings { config: &config, config_file: args.place.config.as_deref(), vars };
    gateway::run(settings, |started| show_banner(&config, started))?;
    Ok(())
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

/// Shows people where the endpoints are. In hub mode there is but one, which the log names.
fn show_banner(config: &Config, started: &Started<'_>) {
    let Some(hub) = started.hub.filter(|_| config.log.format == LogFormat::Text) else { return };
    let mut stdout = io::stdout().lock();
    let terminal = stdout.is_terminal();
    let (region, tls) = (&config.s3.region, config.tls.cert_file.is_some());
    let Started { data_dir, s3, root, .. } = *started;
    let banner = Banner { data_dir, s3, hub, tls, region, root, terminal };
    // A closed standard output is no reason not to serve.
    let _ = stdout.write_all(banner.text().as_bytes()).and_then(|()| stdout.flush());
}
