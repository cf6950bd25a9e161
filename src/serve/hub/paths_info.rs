//! `POST /api/buckets/{ns}/{name}/paths-info`: looking at single files.
//!
//! The paths come as JSON, or as a form in which `paths` is repeated, as `OpenDAL` and the clients of repositories send them.
//! `expand` asks for what git knows of a file, which buckets do not have: it is read, and changes nothing.

use axum::Json;
use axum::body::Body;
use axum::response::IntoResponse as _;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::body;
use super::call::Call;
use super::error::{HubError, HubResult};
use super::tree::file;
use crate::auth::Action;
use crate::bucket::ObjectKey;
use crate::bucket::limits::PATHS_MAX;

/// What is asked about.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(deserialize_with = "few")]
    paths: Vec<String>,
    #[serde(default)]
    expand: Option<bool>,
}

/// Answers about those that are files; what is not there, or is a folder, is left out.
pub(super) async fn paths_info(call: Call, body: Body) -> HubResult {
    let bucket = call.bucket(Action::ReadBucket).await?;
    let Asked { paths, expand: _ } = if body::is_form(&call.headers) {
        from_form(&body::read(body, body::JSON_BYTES_MAX).await?)?
    } else {
        body::json(body).await?
    };
    let keys: Vec<_> = paths.iter().filter_map(|path| ObjectKey::new(path).ok()).collect();
    let found = call.api.buckets.paths_info(&bucket.id, &keys).await?;
    let entries = keys.iter().zip(found).filter_map(|(key, object)| Some(file(key, object?)));
    Ok(Json(entries.collect::<Vec<_>>()).into_response())
}

/// Reads a form. Booleans are written as Python and JavaScript write them.
fn from_form(bytes: &[u8]) -> HubResult<Asked> {
    let mut asked = Asked::default();
    let mut has_paths = false;
    for (name, value) in form_urlencoded::parse(bytes) {
        match (&*name, &*value) {
            ("paths", _) if asked.paths.len() == PATHS_MAX => return Err(HubError::bad_request(too_many())),
            ("paths", path) => {
                has_paths = true;
                asked.paths.push(path.to_owned());
            }
            ("expand", "True" | "true" | "1") => asked.expand = Some(true),
            ("expand", "False" | "false" | "0") => asked.expand = Some(false),
            ("expand", _) => return Err(HubError::bad_request("expand must be true or false")),
            (other, _) => {
                let shown: String = other.chars().take(50).collect();
                let message = format!("The form: unknown field {shown:?}, expected paths or expand");
                return Err(HubError::bad_request(message));
            }
        }
    }
    if has_paths { Ok(asked) } else { Err(HubError::bad_request("The form must hold paths")) }
}

fn too_many() -> String {
    format!("At most {PATHS_MAX} paths can be asked about at once")
}

/// A list of paths, refused at the first that is too many: a body of many short ones would take far more memory than it
/// has bytes.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of paths")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut paths = Vec::new();
            while let Some(path) = list.next_element()? {
                if paths.len() == PATHS_MAX {
                    return Err(A::Error::custom(too_many()));
                }
                paths.push(path);
            }
            Ok(paths)
        }
    }

    deserializer.deserialize_seq(Few)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Option<(Vec<String>, Option<bool>)> {
        from_form(text.as_bytes()).ok().map(|asked| (asked.paths, asked.expand))
    }

    #[test]
    fn a_form_repeats_its_paths() {
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(form("paths=a%2Fb%20c&expand=True"), Some((paths(&["a/b c"]), Some(true))));
        assert_eq!(form("paths=a/b&paths=c+d&paths="), Some((paths(&["a/b", "c d", ""]), None)));
        assert_eq!(form("paths=%C3%BC&expand=false"), Some((paths(&["ü"]), Some(false))));
        for bad in ["", "expand=true", "paths=a&expand=perhaps", "paths=a&revision=main", "path=a"] {
            assert_eq!(form(bad), None, "{bad}");
        }
        assert_eq!(form(&"paths=a&".repeat(PATHS_MAX)).unwrap().0.len(), PATHS_MAX);
        assert_eq!(form(&"paths=a&".repeat(PATHS_MAX + 1)), None);
    }
}
