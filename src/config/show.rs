//! What is configured, value by value, and where each came from. Secrets are not shown.

use std::path::Path;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use figment::value::Value;

use super::environment::Environment;
use super::{Config, ConfigError, is_secret};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its key, with its section.
    pub key: String,
    /// As TOML writes it, or `***` for a secret, or `-` for none.
    pub value: String,
    /// `default`, the file, or the environment variable.
    pub source: String,
}

/// Shows every value of a configuration that was loaded from this file and these variables.
pub fn show(
    config: &Config,
    file: Option<&Path>,
    vars: &[(String, String)],
) -> Result<Vec<Shown>, ConfigError> {
    let environment = Environment::of(vars);
    let in_file = match file {
        None => Figment::new(),
        Some(path) => {
            let read = |error| ConfigError::Read { path: path.to_owned(), error };
            Figment::from(Toml::string(&std::fs::read_to_string(path).map_err(read)?))
        }
    };
    let source = |key: &str| match (environment.about(key), file) {
        (Some(variable), _) => format!("environment variable {variable}"),
        (None, Some(file)) if in_file.find_value(key).is_ok() => file.display().to_string(),
        _ => "default".to_owned(),
    };
    let mut shown = Vec::new();
    if let Ok(all) = Value::serialize(config) {
        flatten(String::new(), &all, &mut shown);
    }
    Ok(shown
        .into_iter()
        .map(|(key, value)| {
            // What is in a list came with the list.
            let list = key.split('.').take_while(|part| part.parse::<usize>().is_err());
            let source = source(&list.collect::<Vec<_>>().join("."));
            Shown { key, value, source }
        })
        .collect())
}

fn flatten(key: String, value: &Value, into: &mut Vec<(String, String)>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Dict(_, dict) => dict.iter().for_each(|(name, value)| flatten(below(name), value, into)),
        Value::Array(_, items) if items.iter().any(|item| item.as_dict().is_some()) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(below(&at.to_string()), item, into));
        }
        leaf => {
            let is_given = !matches!(leaf, Value::Empty(..));
            let text = if is_given && is_secret(&key) { "***".to_owned() } else { toml(leaf) };
            into.push((key, text));
        }
    }
}

fn toml(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, one) => format!("{:?}", one.to_string()),
        Value::Bool(_, yes) => yes.to_string(),
        Value::Num(_, number) => number
            .to_u128()
            .map(|number| number.to_string())
            .or_else(|| number.to_i128().map(|number| number.to_string()))
            .or_else(|| number.to_f64().map(|number| number.to_string()))
            .unwrap_or_default(),
        Value::Array(_, items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Empty(..) | Value::Dict(..) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_tells_where_it_came_from_and_no_secret_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        let text = "[s3]\nregion = \"eu-1\"\n[[accounts]]\nname = \"ada\"\n[[accounts.credentials]]\n\
                    access_key_id = \"AK\"\nsecret_access_key = \"not-for-eyes\"\ntoken = \"hf_not-for-eyes\"\n\
                    permission = \"read\"\n";
        std::fs::write(&path, text).unwrap();
        let vars = [("XETGATE__HUB__LISTEN".to_owned(), "127.0.0.1:1".to_owned())];
        let config = Config::load(Some(&path), &vars).unwrap();
        let shown = show(&config, Some(&path), &vars).unwrap();
        let of = |key: &str| {
            let found = shown.iter().find(|shown| shown.key == key).unwrap_or_else(|| panic!("{key}"));
            (found.value.as_str(), found.source.clone())
        };
        let file = path.display().to_string();
        assert_eq!(of("s3.region"), ("\"eu-1\"", file.clone()));
        assert_eq!(of("s3.listen"), ("\"127.0.0.1:9000\"", "default".to_owned()));
        assert_eq!(
            of("hub.listen"),
            ("\"127.0.0.1:1\"", "environment variable XETGATE__HUB__LISTEN".to_owned())
        );
        assert_eq!(of("gc.interval_secs"), ("600", "default".to_owned()));
        assert_eq!(of("tls.cert_file"), ("-", "default".to_owned()));
        assert_eq!(of("accounts.0.credentials.0.access_key_id"), ("\"AK\"", file.clone()));
        assert_eq!(of("accounts.0.credentials.0.secret_access_key"), ("***", file));
        assert!(!format!("{shown:?}").contains("not-for-eyes"));
    }
}
