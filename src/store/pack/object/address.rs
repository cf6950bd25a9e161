//! Where packs lie: a URL, what is said beside it, and the client for it.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreScheme, RetryConfig};
use reqwest::Url;

use super::connector::Connector;
use super::error::ObjectPacksError;

/// A place for packs, as it is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectAddress {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///folder`.
    pub url: String,
    /// Options of the object store, under the names that the crate `object_store` gives them; of `s3`, `region` or
    /// `secret_access_key` for instance. They override the environment.
    pub options: BTreeMap<String, String>,
    /// The environment: `AWS_*`, `GOOGLE_*` and `AZURE_*` are options too.
    pub environment: Vec<(String, String)>,
}

/// A client for a place.
#[derive(Debug)]
pub struct ObjectPlace {
    pub(super) store: Arc<dyn ObjectStore>,
    /// What all names in it begin with.
    pub(super) prefix: Path,
    /// As it is configured, for messages.
    pub(super) url: String,
}

/// A request is sent again for a few seconds and then given up, so that clients are told to slow down while the object
/// store is out, and not left to wait.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(5),
    }
}

/// Lays the environment's and the configured options over a builder of one kind.
macro_rules! configured {
    ($builder:ty, $key:ty, $vars:expr, $address:expr, $url:expr) => {{
        let mut builder = <$builder>::new().with_http_connector(Connector).with_retry(retries());
        for (name, value) in &$address.environment {
            let key = name.starts_with($vars).then(|| name.to_ascii_lowercase().parse::<$key>());
            if let Some(Ok(key)) = key {
                builder = builder.with_config(key, value);
            }
        }
        for (name, value) in &$address.options {
            let Ok(key) = name.to_ascii_lowercase().parse::<$key>() else {
                let (key, scheme) = (name.clone(), $url.scheme().to_owned());
                return Err(ObjectPacksError::Option { key, scheme });
            };
            builder = builder.with_config(key, value);
        }
        let built = builder.with_url($url.as_str()).build();
        Arc::new(built.map_err(|error| $address.refused(error.to_string()))?) as Arc<dyn ObjectStore>
    }};
}

impl ObjectAddress {
    fn refused(&self, reason: impl Into<String>) -> ObjectPacksError {
        ObjectPacksError::Url { url: self.url.clone(), reason: reason.into() }
    }

    /// Whether an object is only made if it is not there. Options override the environment.
    pub fn is_conditional(&self) -> bool {
        let named = |name: &str| name.eq_ignore_ascii_case("conditional_put");
        let option = self.options.iter().find(|(name, _)| named(name.trim_start_matches("aws_")));
        let var = || self.environment.iter().find(|(name, _)| name == "AWS_CONDITIONAL_PUT");
        let value = option.or_else(|| var().map(|(name, value)| (name, value)));
        value.is_none_or(|(_, value)| !value.eq_ignore_ascii_case("disabled"))
    }

    /// A client for the place. Nothing is sent yet.
    pub fn connect(&self) -> Result<ObjectPlace, ObjectPacksError> {
        let url: Url = self.url.parse().map_err(|error| self.refused(format!("it is not a URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(ObjectPacksError::Url {
                url: format!("{}://...", url.scheme()),
                reason: "it must name a place and nothing else; secrets belong in `packs.options`".to_owned(),
            });
        }
        let known = "it must begin with s3://, gs://, az:// or file:///";
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|_| self.refused(known))?;
        let store = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                configured!(AmazonS3Builder, object_store::aws::AmazonS3ConfigKey, "AWS_", self, url)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                configured!(
                    GoogleCloudStorageBuilder,
                    object_store::gcp::GoogleConfigKey,
                    "GOOGLE_",
                    self,
                    url
                )
            }
            ObjectStoreScheme::MicrosoftAzure => {
                configured!(MicrosoftAzureBuilder, object_store::azure::AzureConfigKey, "AZURE_", self, url)
            }
            ObjectStoreScheme::Local => return self.folder(&url),
            #[cfg(test)]
            ObjectStoreScheme::Memory => Arc::new(object_store::memory::InMemory::new()),
            _ => return Err(self.refused(known)),
        };
        Ok(ObjectPlace { store, prefix, url: self.url.clone() })
    }

    /// A folder, which is made if it is not there.
    fn folder(&self, url: &Url) -> Result<ObjectPlace, ObjectPacksError> {
        let path = url.to_file_path().map_err(|()| self.refused("it does not name a folder"))?;
        let made = std::fs::create_dir_all(&path);
        made.map_err(|error| self.refused(error.to_string()))?;
        let store = folder(&path).map_err(|error| self.refused(error.to_string()))?;
        Ok(ObjectPlace { store, prefix: Path::default(), url: self.url.clone() })
    }
}

/// Objects in a folder, durable when they are acknowledged.
pub(super) fn folder(path: &FilePath) -> object_store::Result<Arc<dyn ObjectStore>> {
    Ok(Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, options: &[(&str, &str)]) -> String {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let address = ObjectAddress { url: url.to_owned(), options, ..ObjectAddress::default() };
        address.connect().unwrap_err().to_string()
    }

    #[test]
    fn each_refusal_names_the_key_and_no_secret() {
        for (url, options, expected) in [
            ("bucket", &[][..], "`packs.url` \"bucket\": it is not a URL"),
            ("ftp://bucket", &[], "`packs.url` \"ftp://bucket\": it must begin with s3://"),
            ("https://example.com/x", &[], "it must begin with s3://"),
            ("s3://bucket/p", &[("regoin", "x")], "`packs.options.regoin` is not an option of s3://"),
            (
                "az://c/p",
                &[("access_key_id", "x")],
                "`packs.options.access_key_id` is not an option of az://",
            ),
            ("s3://id:hidden@bucket/p", &[], "secrets belong in `packs.options`"),
        ] {
            let refusal = refusal(url, options);
            assert!(refusal.contains(expected), "{refusal}");
            assert!(!refusal.contains("hidden") && !refusal.contains('\n'), "{refusal}");
        }
    }

    #[test]
    fn the_prefix_is_the_urls_path() {
        let options = [("region", "us-east-1"), ("access_key_id", "a"), ("secret_access_key", "b")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let url = "s3://bucket/some/where".to_owned();
        let place = ObjectAddress { url, options, environment: Vec::new() }.connect().unwrap();
        assert_eq!(place.prefix.as_ref(), "some/where");
    }
}
