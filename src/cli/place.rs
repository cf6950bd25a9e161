//! Where a command works: the configuration, and the data folder that it names.

use std::path::PathBuf;

use crate::config::{Config, ConfigError};

/// What every command that works on a data folder takes, before its sub-command or after it. Flags win over the
/// environment, the environment over the file.
#[derive(Debug, clap::Args)]
pub(super) struct PlaceArgs {
    /// Configuration file (every key is documented in config/xetgate.toml).
    #[arg(long, value_name = "FILE", env = "XETGATE_CONFIG", global = true)]
    pub(super) config: Option<PathBuf>,
    // Not a doc comment: clap would show its backticks.
    #[arg(help = "Data folder [default: $XDG_DATA_HOME/xetgate or ~/.local/share/xetgate]")]
    #[arg(long, value_name = "DIR", env = "XETGATE_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl PlaceArgs {
    /// The configuration, with the flags that are taken here.
    pub(super) fn configuration(&self, vars: &[(String, String)]) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.config.as_deref(), vars)?;
        if let Some(data_dir) = &self.data_dir {
            config.data_dir = Some(data_dir.clone());
        }
        Ok(config)
    }
}
