//! What a cluster needs to know: where its metadata is, and what this node is called.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, master_key_given};
use crate::store::meta::{PostgresAddress, PostgresAddressError};
use crate::store::pack::object::ObjectAddress;

/// The metadata of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// The database, as `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub url: Option<String>,
    /// A file that holds the URL, in place of `url`.
    pub url_file: Option<PathBuf>,
    /// The schema in it that holds the tables.
    pub schema: String,
    /// The authorities, in PEM, that the database's certificate is held to; `None` for the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { url: None, url_file: None, schema: "xetgate".to_owned(), ca_file: None }
    }
}

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// What this node is called in logs, metrics and messages; `None` for the name of its machine.
    pub node: Option<String>,
    /// A node that has been silent for so long is taken for dead.
    pub silence_secs: u64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self { node: None, silence_secs: 30 }
    }
}

impl ClusterConfig {
    /// What this node is called.
    pub fn node_name(&self) -> String {
        let machine = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.node.clone().unwrap_or_else(machine)
    }
}

/// What a node must be given: where the others are, and the key that they share.
pub struct ClusterGiven {
    /// The metadata.
    pub database: PostgresAddress,
    /// The packs.
    pub packs: ObjectAddress,
    /// 64 hexadecimal digits.
    pub master_key: String,
}

impl Config {
    /// What a node of a cluster is given by the configuration and the environment.
    pub fn cluster_given(&self, vars: &[(String, String)]) -> Result<ClusterGiven, ConfigError> {
        let wrong = |key, reason| ConfigError::Wrong { key, reason };
        let database = self.metadata.address()?;
        let packs = self.packs.address(vars);
        let packs = packs.ok_or(wrong("packs.url", "must name the object store of the cluster"))?;
        if !packs.is_conditional() {
            let reason = "cannot be \"disabled\" in a cluster, where others write there too: use an object store that has \
                          conditional writes";
            return Err(wrong("packs.options.conditional_put", reason));
        }
        let master_key = master_key_given(vars)?.filter(|key| !key.is_empty());
        let master_key = master_key
            .ok_or(wrong("XETGATE_MASTER_KEY", "must be set, the same on all nodes of a cluster"))?;
        Ok(ClusterGiven { database, packs, master_key })
    }
}

impl MetadataConfig {
    /// The database of a cluster.
    pub fn address(&self) -> Result<PostgresAddress, ConfigError> {
        let wrong = |key, reason| ConfigError::Wrong { key, reason };
        let (key, url) = match (&self.url, &self.url_file) {
            (Some(_), Some(_)) => {
                return Err(wrong("metadata.url_file", "cannot be set together with `metadata.url`"));
            }
            (Some(url), None) => ("metadata.url", url.clone()),
            (None, Some(path)) => {
                let read = std::fs::read_to_string(path);
                let failed =
                    |error| ConfigError::ReadNamed { key: "metadata.url_file", path: path.clone(), error };
                let text = read.map_err(failed)?;
                ("metadata.url_file", text.trim().to_owned())
            }
            (None, None) => {
                return Err(wrong("metadata.url", "must name the PostgreSQL database of the cluster"));
            }
        };
        PostgresAddress::new(&url, &self.schema, self.ca_file.as_deref()).map_err(|error| {
            let is_schema = matches!(error, PostgresAddressError::Schema(_));
            ConfigError::Database { key: if is_schema { "metadata.schema" } else { key }, error }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_given_all_that_nodes_share() {
        let mut config = Config::default();
        let key = ("XETGATE_MASTER_KEY".to_owned(), "11".repeat(32));
        let refused = |config: &Config, vars: &[(String, String)]| {
            config.cluster_given(vars).map(drop).map_err(|error| error.to_string())
        };
        for missing in ["`metadata.url`", "`packs.url`", "`XETGATE_MASTER_KEY`"] {
            assert!(refused(&config, &[]).unwrap_err().contains(missing));
            match missing {
                "`metadata.url`" => config.metadata.url = Some("postgres://ada@db.example/x".to_owned()),
                _ => config.packs.url = Some("s3://bucket/prefix".to_owned()),
            }
        }
        let vars = [key.clone(), ("AWS_CONDITIONAL_PUT".to_owned(), "disabled".to_owned())];
        let told = refused(&config, &vars).unwrap_err();
        assert!(told.contains("`packs.options.conditional_put`"), "{told}");
        assert_eq!(refused(&config, &[key]), Ok(()));
    }

    #[test]
    fn an_address_is_given_once_and_a_mistake_in_it_names_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://ada:secret@db.example/x\n").unwrap();
        let url = |url: &str| Some(url.to_owned());
        let of = |url, url_file, schema: &str| {
            let config = MetadataConfig { url, url_file, schema: schema.to_owned(), ca_file: None };
            config.address().map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(of(None, Some(file.clone()), "xetgate"), Ok(()));
        assert_eq!(of(url("postgres://ada@db.example/x"), None, "xetgate"), Ok(()));
        for (given, url_file, schema, key) in [
            (None, None, "xetgate", "`metadata.url`"),
            (url("mysql://ada:secret@x/y"), None, "xetgate", "`metadata.url`"),
            (url("postgres://ada:secret@x/y"), None, "No Schema", "`metadata.schema`"),
            (url("postgres://ada:secret@x/y"), Some(file), "xetgate", "`metadata.url_file`"),
            (None, Some(folder.path().join("none")), "xetgate", "`metadata.url_file`"),
        ] {
            let error = of(given, url_file, schema).unwrap_err();
            assert!(error.contains(key) && !error.contains("secret"), "{error}");
        }
    }
}
