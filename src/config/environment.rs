//! The environment as a layer of configuration: `XETGATE__S3__LISTEN` is `s3.listen`.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// What a variable begins with to be one of ours. (`XETGATE_...` with one underscore are flags and the root
/// credential.)
const PREFIX: &str = "XETGATE__";

/// The variables that configure, in the order of their names.
pub(super) struct Environment(Vec<Variable>);

struct Variable {
    name: String,
    key: String,
    value: String,
}

impl Environment {
    /// Picks ours out of all.
    pub(super) fn of(vars: &[(String, String)]) -> Self {
        let mut ours: Vec<_> = vars
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", ".");
                Some(Variable { name: name.clone(), key, value: value.clone() })
            })
            .collect();
        ours.sort_by(|a, b| a.name.cmp(&b.name));
        Self(ours)
    }

    /// The variable that speaks of `key`: of it, of something in it, or of something it is in.
    pub(super) fn about(&self, key: &str) -> Option<&str> {
        let within = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let found = self.0.iter().find(|variable| within(&variable.key, key) || within(key, &variable.key));
        found.map(|variable| variable.name.as_str())
    }
}

impl Provider for &Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut all = Dict::new();
        for variable in &self.0 {
            // Lists, tables, numbers and `true` are read as TOML writes them; what is left is text. Options of an object
            // store are all text, and some are secrets that may look like a number.
            let value: Value = if variable.key.starts_with("packs.options.") {
                variable.value.clone().into()
            } else {
                match variable.value.parse() {
                    Ok(value) => value,
                    Err(never) => match never {},
                }
            };
            lay(&mut all, &variable.key, value);
        }
        Ok(Profile::Default.collect(all))
    }
}

/// Puts `value` at `a.b.c`.
fn lay(dict: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            dict.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = dict.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                lay(inner, rest, value);
            }
        }
    }
}
