//! `[s3.aliases]`: names of buckets that hold for everybody who has no bucket of the name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::names::{BucketId, BucketName, Namespace};

/// What each name means: `name = "namespace/bucket"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Aliases(pub BTreeMap<BucketName, BucketId>);

impl TryFrom<BTreeMap<String, String>> for Aliases {
    type Error = String;

    fn try_from(written: BTreeMap<String, String>) -> Result<Self, String> {
        let alias = |(name, target): (String, String)| {
            let wrong = |why: &dyn std::fmt::Display| format!("alias {name} = {target:?}: {why}");
            let form = || wrong(&"write \"namespace/bucket\"");
            let (namespace, bucket) = target.split_once('/').ok_or_else(form)?;
            let namespace = Namespace::new(namespace).map_err(|error| wrong(&error))?;
            let bucket = BucketName::new(bucket).map_err(|error| wrong(&error))?;
            let alias = BucketName::new(&name).map_err(|error| wrong(&error))?;
            Ok::<_, String>((alias, BucketId { namespace, name: bucket }))
        };
        written.into_iter().map(alias).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Aliases> for BTreeMap<String, String> {
    fn from(Aliases(aliases): Aliases) -> Self {
        aliases.into_iter().map(|(name, id)| (name.as_str().to_owned(), id.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_names_a_bucket_with_its_namespace() {
        let read = |name: &str, target: &str| {
            Aliases::try_from(BTreeMap::from([(name.to_owned(), target.to_owned())]))
        };
        let aliases = read("data", "team/fresh").unwrap();
        assert_eq!(aliases.0.values().next().unwrap().to_string(), "team/fresh");
        assert_eq!(BTreeMap::from(aliases)["data"], "team/fresh");
        for (name, target) in [("data", "fresh"), ("data", "/fresh"), ("data", "a/b/c"), ("-", "a/b")] {
            let refused = read(name, target).unwrap_err();
            assert!(refused.contains(target), "{refused}");
        }
    }
}
