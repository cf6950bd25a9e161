//! The root account and its credential: what makes a first start work with nothing configured.
//!
//! The credential is either given from outside (the `XETGATE_ROOT_*` variables, read by the code that parses the
//! configuration) or made once from random bytes and kept in [`FILE_NAME`] in the data folder, readable by its owner
//! only. The file appears whole or not at all: written beside its place, flushed, renamed, and the folder flushed.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Toml};

use super::{AccessKeyId, AuthError, Credential, Permission, Secret, generate};
use crate::model::clock::Ambient;
use crate::model::names::Namespace;
use crate::store::disk::replace_file;

/// Name of the credential's file in the data folder.
pub const FILE_NAME: &str = "root-credential.toml";

/// Variable that names the root account.
pub const USER_VAR: &str = "XETGATE_ROOT_USER";
/// Variable that gives the root access key id.
pub const ACCESS_KEY_ID_VAR: &str = "XETGATE_ROOT_ACCESS_KEY_ID";
/// Variable that gives the root secret access key.
pub const SECRET_ACCESS_KEY_VAR: &str = "XETGATE_ROOT_SECRET_ACCESS_KEY";
/// Variable that gives the root token.
pub const TOKEN_VAR: &str = "XETGATE_ROOT_TOKEN";

/// The account when nobody names one.
const DEFAULT_USER: &str = "root";

/// What was given from outside, not yet checked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RootGiven {
    /// [`USER_VAR`].
    pub user: Option<String>,
    /// [`ACCESS_KEY_ID_VAR`].
    pub access_key_id: Option<String>,
    /// [`SECRET_ACCESS_KEY_VAR`].
    pub secret_access_key: Option<String>,
    /// [`TOKEN_VAR`].
    pub token: Option<String>,
}

impl RootGiven {
    /// Whether anything was given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the root key pair came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSource {
    /// From the environment; nothing is kept.
    Given,
    /// From the file, where it was or has just been put.
    Kept {
        /// The file.
        path: PathBuf,
        /// Whether others than its owner may read it, which is worth a warning.
        exposed: bool,
    },
}

/// The root credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The credential.
    pub credential: Credential,
    /// Where it came from.
    pub source: RootSource,
}

/// The file's content.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    account: String,
    access_key_id: String,
    secret_access_key: String,
    token: String,
}

/// The root credential: as given, else as kept in `data_dir`, else made and kept there. Blocks on files.
pub fn load_or_create(data_dir: &Path, given: &RootGiven, ambient: &Ambient) -> Result<Root, AuthError> {
    let asked = given.user.as_deref().map(|user| check(USER_VAR, Namespace::new(user))).transpose()?;
    let token = given.token.as_deref().map(|token| check(TOKEN_VAR, Secret::new(token))).transpose()?;
    let half = |given, missing| Err(AuthError::HalfARootKeyPair { given, missing });
    match (&given.access_key_id, &given.secret_access_key) {
        (Some(_), None) => half(ACCESS_KEY_ID_VAR, SECRET_ACCESS_KEY_VAR),
        (None, Some(_)) => half(SECRET_ACCESS_KEY_VAR, ACCESS_KEY_ID_VAR),
        (Some(id), Some(secret)) => {
            let account = match asked {
                Some(account) => account,
                None => default_account()?,
            };
            let access_key_id = check(ACCESS_KEY_ID_VAR, AccessKeyId::new(id))?;
            let secret = check(SECRET_ACCESS_KEY_VAR, Secret::new(secret))?;
            Ok(Root { credential: admin(account, access_key_id, secret, token), source: RootSource::Given })
        }
        (None, None) => {
            let mut root = kept_or_new(data_dir, asked, ambient)?;
            if token.is_some() {
                root.credential.token = token;
            }
            Ok(root)
        }
    }
}

/// The credential that is kept in `data_dir`, if one is. Blocks on files.
pub fn kept(data_dir: &Path) -> Result<Option<Credential>, AuthError> {
    let path = data_dir.join(FILE_NAME);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuthError::ReadRoot { path, error }),
    }
}

/// The token kept in `data_dir`, if there is one: how commands on the server's own machine speak to it. Blocks on files.
pub fn kept_token(data_dir: &Path) -> Result<Option<Secret>, AuthError> {
    Ok(kept(data_dir)?.and_then(|credential| credential.token))
}

fn default_account() -> Result<Namespace, AuthError> {
    check(USER_VAR, Namespace::new(DEFAULT_USER))
}

fn admin(
    account: Namespace,
    access_key_id: AccessKeyId,
    secret: Secret,
    token: Option<Secret>,
) -> Credential {
    Credential {
        account,
        access_key_id,
        secret_access_key: secret,
        token,
        permission: Permission::Admin,
        buckets: None,
        created_at: None,
        expires_at: None,
    }
}

/// Says which variable a bad value came from.
fn check<T, E: std::fmt::Display>(variable: &'static str, value: Result<T, E>) -> Result<T, AuthError> {
    value.map_err(|error| AuthError::RootVariable { variable, reason: error.to_string() })
}

fn kept_or_new(data_dir: &Path, asked: Option<Namespace>, ambient: &Ambient) -> Result<Root, AuthError> {
    let path = data_dir.join(FILE_NAME);
    let read_error = |error| AuthError::ReadRoot { path: path.clone(), error };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let credential = parse(&path, &text)?;
            if let Some(asked) = asked.filter(|asked| *asked != credential.account) {
                let (kept, asked) = (credential.account.to_string(), asked.to_string());
                return Err(AuthError::OtherRootUser { path, kept, asked });
            }
            let exposed = fs::metadata(&path).map_err(read_error)?.permissions().mode() & 0o077 != 0;
            Ok(Root { credential, source: RootSource::Kept { path, exposed } })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let account = match asked {
                Some(account) => account,
                None => default_account()?,
            };
            let (id, secret, token) = (
                generate::access_key_id(ambient)?,
                generate::secret_access_key(ambient)?,
                generate::token(ambient)?,
            );
            let credential = admin(account, id, secret, Some(token));
            keep(&path, &credential).map_err(|error| AuthError::WriteRoot { path: path.clone(), error })?;
            Ok(Root { credential, source: RootSource::Kept { path, exposed: false } })
        }
        Err(error) => Err(read_error(error)),
    }
}

/// Reads the file's text. No message repeats any of it: a half-written line may be the secret.
fn parse(path: &Path, text: &str) -> Result<Credential, AuthError> {
    let damaged = |reason: String| AuthError::DamagedRoot { path: path.to_owned(), reason };
    let kept: Kept = Figment::from(Toml::string(text)).extract().map_err(|error| {
        damaged(match error.kind {
            figment::error::Kind::MissingField(name) => format!("it has no {name}"),
            figment::error::Kind::UnknownField(name, _) => format!("it has an unknown key {name}"),
            _ => "it is not the TOML that was written".to_owned(),
        })
    })?;
    let account = Namespace::new(&kept.account).map_err(|error| damaged(error.to_string()))?;
    let access_key_id = AccessKeyId::new(&kept.access_key_id).map_err(|error| damaged(error.to_string()))?;
    let secret = Secret::new(&kept.secret_access_key).map_err(|error| damaged(error.to_string()))?;
    let token = Secret::new(&kept.token).map_err(|error| damaged(error.to_string()))?;
    Ok(admin(account, access_key_id, secret, Some(token)))
}

fn keep(path: &Path, credential: &Credential) -> io::Result<()> {
    let text = format!(
        "# The root credential of this data folder, made at first start. Keep it to yourself.\n\
         account = \"{}\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\ntoken = \"{}\"\n",
        credential.account,
        credential.access_key_id,
        credential.secret_access_key.expose(),
        credential.token.as_ref().map_or("", Secret::expose),
    );
    replace_file(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(id: Option<&str>, secret: Option<&str>) -> RootGiven {
        RootGiven {
            access_key_id: id.map(str::to_owned),
            secret_access_key: secret.map(str::to_owned),
            ..RootGiven::default()
        }
    }

    fn load(dir: &Path, given: &RootGiven) -> Result<Root, AuthError> {
        load_or_create(dir, given, &Ambient::system())
    }

    #[test]
    fn a_made_credential_is_kept_for_its_owner_only_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path(), &RootGiven::default()).unwrap();
        let path = dir.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(first.source, RootSource::Kept { path, exposed: false });
        assert_eq!(first.credential.account.as_str(), "root");
        assert_eq!(first.credential.permission, Permission::Admin);

        assert_eq!(load(dir.path(), &RootGiven::default()).unwrap(), first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the file is left");

        let elsewhere = tempfile::tempdir().unwrap();
        let other = load(elsewhere.path(), &RootGiven::default()).unwrap();
        assert_ne!(other.credential.secret_access_key, first.credential.secret_access_key);
    }

    #[test]
    fn a_file_that_others_may_read_is_said_to_be_exposed() {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), &RootGiven::default()).unwrap();
        let path = dir.path().join(FILE_NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let root = load(dir.path(), &RootGiven::default()).unwrap();
        assert_eq!(root.source, RootSource::Kept { path, exposed: true });
    }

    #[test]
    fn what_is_given_wins_and_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = load(dir.path(), &given(Some("AKGIVEN"), Some("given-secret"))).unwrap();
        assert_eq!(root.source, RootSource::Given);
        assert_eq!(root.credential.secret_access_key.expose(), "given-secret");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn half_a_key_pair_and_bad_values_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let message = |given: RootGiven| load(dir.path(), &given).unwrap_err().to_string();
        assert_eq!(
            message(given(Some("AK"), None)),
            "XETGATE_ROOT_ACCESS_KEY_ID is set but XETGATE_ROOT_SECRET_ACCESS_KEY is not: set both, or neither"
        );
        assert!(
            message(given(None, Some("given-secret"))).starts_with("XETGATE_ROOT_SECRET_ACCESS_KEY is set")
        );
        assert_eq!(
            message(given(Some("AK"), Some("tiny"))),
            "XETGATE_ROOT_SECRET_ACCESS_KEY: a secret must have 8 to 256 visible ASCII characters"
        );
        let user = RootGiven { user: Some("a/b".to_owned()), ..RootGiven::default() };
        assert!(message(user).starts_with("XETGATE_ROOT_USER: namespace \"a/b\""));
    }

    #[test]
    fn the_kept_credential_stays_with_its_account() {
        let dir = tempfile::tempdir().unwrap();
        let user = |name: &str| RootGiven { user: Some(name.to_owned()), ..RootGiven::default() };
        load(dir.path(), &user("ada")).unwrap();
        assert_eq!(load(dir.path(), &RootGiven::default()).unwrap().credential.account.as_str(), "ada");
        let message = load(dir.path(), &user("bob")).unwrap_err().to_string();
        assert!(message.contains("belongs to account \"ada\""), "{message}");
    }

    #[test]
    fn a_damaged_file_is_one_line_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), &RootGiven::default()).unwrap();
        let path = dir.path().join(FILE_NAME);
        let whole = fs::read_to_string(&path).unwrap();
        for length in 0..whole.trim_end().len() {
            fs::write(&path, &whole[..length]).unwrap();
            let message = load(dir.path(), &RootGiven::default()).unwrap_err().to_string();
            assert!(message.contains("is damaged (") && !message.contains('\n'), "{length}: {message}");
        }
        fs::write(&path, whole.replace("secret_access_key = \"", "secret_access_key = ")).unwrap();
        assert!(load(dir.path(), &RootGiven::default()).is_err());
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(load(dir.path(), &RootGiven::default()).unwrap_err().to_string().starts_with("cannot read"));
    }

    #[test]
    fn an_unfinished_file_of_a_crash_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("root-credential.toml.new"), "half").unwrap();
        load(dir.path(), &RootGiven::default()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
