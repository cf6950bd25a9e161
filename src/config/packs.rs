//! Where packs lie, if not in the data folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::store::pack::object::ObjectAddress;

/// Packs in an object store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PacksConfig {
    /// The bucket or folder, and the prefix in it; `None` for files in the data folder.
    pub url: Option<String>,
    /// Options of the object store.
    pub options: BTreeMap<String, OptionValue>,
}

/// What an option is set to: text, or what TOML writes without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(i64),
    /// Anything else.
    Text(String),
}

impl PacksConfig {
    /// The address of the object store, if there is one, with the options that the environment holds for it.
    pub fn address(&self, vars: &[(String, String)]) -> Option<ObjectAddress> {
        let url = self.url.clone()?;
        let text = |value: &OptionValue| match value {
            OptionValue::Bool(is_true) => is_true.to_string(),
            OptionValue::Number(number) => number.to_string(),
            OptionValue::Text(text) => text.clone(),
        };
        let options = self.options.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        Some(ObjectAddress { url, options, environment: vars.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn options_are_text_however_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        let text = "[packs]\nurl = \"s3://b/p\"\n[packs.options]\nskip_signature = true\nregion = \"eu-1\"\n";
        std::fs::write(&path, text).unwrap();
        let vars = [("XETGATE__PACKS__OPTIONS__SECRET_ACCESS_KEY", "0012"), ("AWS_ACCESS_KEY_ID", "AK")];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let address = Config::load(Some(&path), &vars).unwrap().packs.address(&vars).unwrap();
        let options: Vec<_> = address.options.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(options, [("region", "eu-1"), ("secret_access_key", "0012"), ("skip_signature", "true")]);
        assert_eq!((address.url.as_str(), address.environment.len()), ("s3://b/p", 2));
        assert_eq!(Config::default().packs.address(&vars), None);
    }
}
