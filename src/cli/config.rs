//! `xetgate config`: what is configured, where it comes from, and whether a gateway could start with it.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::{Args, Subcommand};

use super::place::PlaceArgs;
use crate::auth::seal::MasterKey;
use crate::auth::{AuthError, Directory};
use crate::config::{self, ConfigError, Mode};
use crate::model::clock::Ambient;
use crate::serve::http::tls::{Tls, TlsError};
use crate::telemetry::{self, TelemetryError};

/// What `config` takes.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say what is wrong, without starting anything: exit code 0 if nothing is.
    Check,
    /// Print every value and where it came from; no secrets.
    Show,
}

/// Why the configuration is not right.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    #[error("cannot print: {0}")]
    Print(io::Error),
}

/// Runs one command.
pub(super) fn run(args: &ConfigArgs, vars: &[(String, String)]) -> Result<(), CheckError> {
    let config = args.place.configuration(vars)?;
    let file = args.place.config.as_deref();
    let text = match args.what {
        What::Check => {
            let credentials = config.credentials(file)?;
            let clock = Ambient::system().clock;
            Directory::declared(config.declared_accounts()?, credentials, config.token_use(), clock)?;
            telemetry::check_filter(&config.log.filter)?;
            config::root_given(vars)?;
            if config.mode == Mode::Cluster {
                MasterKey::of_text(&config.cluster_given(vars)?.master_key)?;
            }
            if let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) {
                Tls::load(cert.clone(), key.clone())?;
            }
            "The configuration is right.\n".to_owned()
        }
        What::Show => {
            let shown = config::show(&config, file, vars)?;
            let width = shown.iter().map(|shown| shown.key.len() + shown.value.len() + 3).max().unwrap_or(0);
            let mut lines = String::new();
            for shown in shown {
                let left = format!("{} = {}", shown.key, shown.value);
                let source =
                    if shown.key == "data_dir" && shown.source == "default" && config.data_dir.is_some() {
                        "--data-dir or XETGATE_DATA_DIR"
                    } else {
                        &shown.source
                    };
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "{left:width$}  # {source}");
            }
            lines
        }
    };
    io::stdout().lock().write_all(text.as_bytes()).map_err(CheckError::Print)
}
