//! `xetgate health` and `xetgate version`: for programs that watch a gateway on the same machine.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::banner::endpoint;
use super::place::PlaceArgs;
use crate::config::{ConfigError, Mode};

/// How long an answer may take: less than what container engines give a health check.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `health` takes.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Address and port to ask [default: where the configuration has the gateway listen].
    #[arg(long, value_name = "ADDR")]
    address: Option<SocketAddr>,
}

/// Why a gateway is not well.
#[derive(Debug, thiserror::Error)]
pub(super) enum HealthError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("no answer from {url}: {error}")]
    Silent { url: String, error: reqwest::Error },
    #[error("{url} answers {status}: {text}")]
    Ill { url: String, status: u16, text: String },
    #[error("cannot start: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Asks the gateway that the configuration describes whether it can serve.
pub(super) fn run(args: &HealthArgs, vars: &[(String, String)]) -> Result<(), HealthError> {
    let config = args.place.configuration(vars)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(HealthError::Runtime)?;
    // In hub mode there is only the S3 listener, and any answer of it shows that it lives.
    let (listen, path) = match config.mode {
        Mode::Standalone | Mode::Cluster => (config.hub.listen, "/health/ready"),
        Mode::Hub => (config.s3.listen, "/"),
    };
    let url = format!("{}{path}", endpoint(args.address.unwrap_or(listen), config.tls.cert_file.is_some()));
    let silent = |error| HealthError::Silent { url: url.clone(), error };
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            // It is asked for where it listens, not by the name that its certificate is for.
            .danger_accept_invalid_certs(true)
            .build()
            .map_err(silent)?;
        let answer = client.get(&url).send().await.map_err(silent)?;
        let status = answer.status();
        if status.is_success() || config.mode == Mode::Hub {
            return Ok(());
        }
        let text = answer.text().await.map_err(silent)?;
        Err(HealthError::Ill { url: url.clone(), status: status.as_u16(), text: text.trim().to_owned() })
    })
}

/// What this build is, a line each.
pub(super) fn version() -> String {
    // Set by builds for release (scripts/release, docker/Dockerfile).
    let commit = option_env!("XETGATE_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    format!(
        "xetgate {}\ncommit   {commit}\ntarget   {}-{}\nmodes    standalone, cluster, hub\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}
