//! The way to a server: which one, with which token, and what to say when it fails.
//!
//! | | taken from, in this order |
//! |---|---|
//! | endpoint | `--endpoint`, `HF_ENDPOINT`, the local server |
//! | token | `--token`, `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, `$HF_HOME/token`, the local server's root token |
//!
//! With `HF_HUB_DISABLE_IMPLICIT_TOKEN`, `--token` is the only place that is looked at.
//! The root token is never sent anywhere but to this machine.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::args::ConnectArgs;
use super::uri::UriReader;
use crate::auth::root;
use crate::bucket::hub::{HubClient, HubError};
use crate::bucket::{BoxError, BucketId};
use crate::cas::destinations::Destinations;
use crate::cas::destinations::is_this_machine;
use crate::cas::http::{BearerToken, HttpClient, HttpError, RetryPolicy};
use crate::cli::failure::Failure;
use crate::config::{self, HubEnvironment, NO_IMPLICIT_TOKEN_VAR, clean_token};
use crate::model::clock::Ambient;

/// The local server's Hub listener, as `serve` has it by default.
const LOCAL_ENDPOINT: &str = "http://127.0.0.1:9001";

/// Where a token came from, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TokenSource {
    Option,
    Variable(&'static str),
    File(PathBuf),
    Root,
    /// None was looked for: the environment forbids to send one that is not given as an argument.
    Forbidden,
    None,
}

impl std::fmt::Display for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Option => f.write_str("from --token"),
            Self::Variable(name) => write!(f, "from {name}"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Root => f.write_str("of the local server's root account"),
            Self::Forbidden => write!(f, "none was sent, for {NO_IMPLICIT_TOKEN_VAR} is set"),
            Self::None => f.write_str("none was found"),
        }
    }
}

/// A server and who asks it.
pub(in crate::cli) struct Connection {
    /// Speaks to it.
    pub(in crate::cli) hub: HubClient,
    /// Reads arguments that name places on it.
    pub(in crate::cli) uris: UriReader,
    program: &'static str,
    token_source: TokenSource,
}

impl Connection {
    /// Finds server and token; nothing is sent yet.
    pub(in crate::cli) fn new(
        args: &ConnectArgs,
        vars: &[(String, String)],
        program: &'static str,
    ) -> Result<Self, Failure> {
        let environment = HubEnvironment::of(vars);
        let endpoint = args.endpoint.as_deref().or(environment.endpoint()).unwrap_or(LOCAL_ENDPOINT);
        let endpoint = endpoint.trim_end_matches('/');
        let (token, token_source) = token(args, vars, endpoint)?;
        let token = token.map(|token| {
            BearerToken::new(&token).ok_or_else(|| {
                Failure::Value(format!(
                    "The token ({token_source}) has characters that no token has. Give another with --token."
                ))
            })
        });
        let retry = RetryPolicy { awaits_local: false, ..RetryPolicy::default() };
        let destinations = Destinations::of(endpoint, &environment.hosts());
        let http =
            HttpClient::new(retry, destinations).map_err(|error| Failure::Message(error.to_string()))?;
        let http = http.forbidden_by(environment.offline()).with_jitter(Ambient::system().entropy);
        let hub = HubClient::new(http, endpoint, token.transpose()?)
            .map_err(|error| Failure::Value(error.to_string()))?;
        Ok(Self { hub, uris: UriReader::new(endpoint), program, token_source })
    }

    /// What a refused call means for people. `bucket` is the one that it was about.
    pub(in crate::cli) fn failure(&self, error: HubError, bucket: Option<&BucketId>) -> Failure {
        let (program, endpoint) = (self.program, self.hub.endpoint());
        if let (HubError::NoSuchBucket(_), Some(id)) = (&error, bucket) {
            return Failure::NoBucket(format!(
                "Bucket '{id}' not found. If the bucket is private, make sure you are authenticated and your token \
                 has the required permissions. If the bucket does not exist, create it with: {program} buckets \
                 create {id}"
            ));
        }
        Failure::Message(match (error, bucket) {
            (HubError::Unauthorized(message), _) => self.unauthorized(&message),
            (HubError::Http(HttpError::Offline(name)), _) => format!(
                "Cannot reach {endpoint}: offline mode is enabled. To disable it, please unset the `{name}` \
                 environment variable."
            ),
            (HubError::Forbidden(message), _) => format!(
                "403 Forbidden: {} Use a token with more rights (--token or HF_TOKEN).",
                sentence(&message)
            ),
            (HubError::Http(HttpError::Transport(why)), _) => format!(
                "Cannot reach {endpoint}: {why}. Start a server there with `xetgate serve`, or name another with \
                 --endpoint or HF_ENDPOINT."
            ),
            (HubError::BucketExists { message, .. }, _) => sentence(&message),
            (error, _) => one_line(&error.to_string()),
        })
    }

    /// What a 401 means: a token that is unknown, or none.
    fn unauthorized(&self, message: &str) -> String {
        let endpoint = self.hub.endpoint();
        match &self.token_source {
            TokenSource::Forbidden => format!(
                "{endpoint} asks for a token, and none was sent, for {NO_IMPLICIT_TOKEN_VAR} is set. Give one with \
                 --token."
            ),
            TokenSource::None => format!(
                "{endpoint} asks for a token, and none was found. Give one with --token or HF_TOKEN, or keep one with \
                 `hf auth login`."
            ),
            source => format!(
                "{endpoint} does not accept the token ({source}): {} Give another with --token or HF_TOKEN.",
                sentence(message)
            ),
        }
    }

    /// What it means that the server gives no access to a bucket's content; `why` is what it said.
    pub(in crate::cli) fn denied(&self, why: &str) -> Failure {
        Failure::Message(match &self.token_source {
            TokenSource::Forbidden | TokenSource::None => self.unauthorized(why),
            source => format!(
                "{} does not give access with the token ({source}): {} Use one with more rights (--token or HF_TOKEN).",
                self.hub.endpoint(),
                sentence(why)
            ),
        })
    }

    /// What a refused call about the buckets of a namespace means; `None` for the token's own namespace.
    pub(in crate::cli) fn about_namespace(&self, namespace: Option<&str>) -> impl Fn(HubError) -> Failure {
        move |error| match (error, namespace) {
            (HubError::NoSuchBucket(_) | HubError::Refused { status: 404, .. }, Some(name)) => {
                Failure::Message(format!(
                    "There is no user or organization '{}' on {}. To list your own buckets, run `{program} buckets \
                     list`; to list the files of a bucket, name it as namespace/bucket_name.",
                    one_line(name),
                    self.hub.endpoint(),
                    program = self.program,
                ))
            }
            (error, _) => self.failure(error, None),
        }
    }

    /// The same as a function of the error.
    pub(in crate::cli) fn about<'a>(&'a self, bucket: &'a BucketId) -> impl Fn(HubError) -> Failure + 'a {
        move |error| self.failure(error, Some(bucket))
    }
}

/// What a server says, on one line and with an end.
pub(in crate::cli) fn sentence(message: &str) -> String {
    let message = one_line(message);
    match message.chars().last() {
        None => "no reason was given.".to_owned(),
        Some('.' | '!' | '?') => message,
        Some(_) => message + ".",
    }
}

/// Other people's text, on one line and without power over the terminal.
pub(in crate::cli) fn one_line(text: &str) -> String {
    crate::cli::terminal::words::printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// An error and what it came from, in one line.
pub(in crate::cli) fn chain(error: &dyn std::error::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |error| error.source()) {
        let text = one_line(&error.to_string());
        // Wrappers repeat what they wrap.
        if !texts.iter().any(|told| told.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// The same for an error that is owned.
pub(in crate::cli) fn chained(error: impl Into<BoxError>) -> String {
    let error: BoxError = error.into();
    chain(error.as_ref())
}

/// The token to send, and where it came from.
fn token(
    args: &ConnectArgs,
    vars: &[(String, String)],
    endpoint: &str,
) -> Result<(Option<String>, TokenSource), Failure> {
    if let Some(token) = &args.token {
        return Ok((Some(token.trim().to_owned()), TokenSource::Option));
    }
    let hub = HubEnvironment::of(vars);
    if hub.forbids_implicit_token() {
        return Ok((None, TokenSource::Forbidden));
    }
    if let Some(name) = hub.wants_ci_token() {
        return Err(Failure::Value(format!(
            "{name} asks for a token of a CI system, which this program does not fetch. Give a token with --token, or \
             unset {name}."
        )));
    }
    if let Some((name, token)) = hub.token() {
        return Ok((Some(token), TokenSource::Variable(name)));
    }
    if let Some(path) = hub.token_file()
        && let Some(token) = kept_token(&path)?
    {
        return Ok((Some(token), TokenSource::File(path)));
    }
    if is_local(endpoint)
        && let Some(token) = root_token(vars)?
    {
        return Ok((Some(token), TokenSource::Root));
    }
    Ok((None, TokenSource::None))
}

/// The token in a file, if the file is there and holds one. One that cannot be read is an error: without it, the
/// command would act as someone else.
fn kept_token(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(clean_token(&text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Failure::local("read the token in", path)(error)),
    }
}

/// Whether an endpoint is on this machine.
pub(in crate::cli) fn is_local(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    is_this_machine(host)
}

/// The token of the local server's root account: as given to it, or as kept in its data folder.
fn root_token(vars: &[(String, String)]) -> Result<Option<String>, Failure> {
    let var = |name: &str| vars.iter().find(|(key, value)| key == name && !value.is_empty());
    if let Some((_, token)) = var(root::TOKEN_VAR) {
        return Ok(Some(token.to_owned()));
    }
    let data_dir = var("XETGATE_DATA_DIR").map(|(_, path)| PathBuf::from(path));
    let Some(data_dir) = data_dir.or_else(|| config::default_data_dir(vars).ok()) else { return Ok(None) };
    let kept = root::kept_token(&data_dir).map_err(|error| Failure::Message(one_line(&error.to_string())))?;
    Ok(kept.map(|token| token.expose().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(token: Option<&str>, vars: &[(&str, &str)], endpoint: &str) -> (Option<String>, TokenSource) {
        let vars: Vec<_> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let args = ConnectArgs { token: token.map(str::to_owned), endpoint: None };
        super::token(&args, &vars, endpoint).unwrap()
    }

    #[test]
    fn a_token_is_taken_from_the_first_place_that_has_one() {
        let home = tempfile::tempdir().unwrap();
        let (hf, data) = (home.path().join("hf"), home.path().join("data"));
        std::fs::create_dir_all(&hf).unwrap();
        std::fs::create_dir_all(&data).unwrap();
        let place = [("HF_HOME", hf.to_str().unwrap()), ("XETGATE_DATA_DIR", data.to_str().unwrap())];
        let local = LOCAL_ENDPOINT;
        assert_eq!(found(None, &place, local), (None, TokenSource::None));
        std::fs::write(
            data.join("root-credential.toml"),
            "account = \"root\"\naccess_key_id = \"AKROOT\"\nsecret_access_key = \"made-secret\"\ntoken = \"hf_kept_root\"\n",
        )
        .unwrap();
        assert_eq!(found(None, &place, local), (Some("hf_kept_root".to_owned()), TokenSource::Root));
        assert_eq!(
            found(None, &place, "https://huggingface.co"),
            (None, TokenSource::None),
            "root stays here"
        );
        std::fs::write(hf.join("token"), "hf_file\n").unwrap();
        assert_eq!(found(None, &place, local).0.as_deref(), Some("hf_file"));
        let with_var = [place[0], place[1], ("HF_TOKEN", "hf_var")];
        assert_eq!(found(None, &with_var, local).0.as_deref(), Some("hf_var"));
        assert_eq!(found(Some("hf_opt"), &with_var, local).0.as_deref(), Some("hf_opt"));
    }

    #[test]
    fn a_token_is_read_as_published_clients_read_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("t");
        let file = ("HF_TOKEN_PATH", path.to_str().unwrap());
        std::fs::write(&path, " hf_\r\nfile \n").unwrap();
        let of_file = (Some("hf_file".to_owned()), TokenSource::File(path.clone()));
        assert_eq!(found(None, &[file], LOCAL_ENDPOINT), of_file);
        assert_eq!(found(None, &[file, ("HF_TOKEN", " \n")], LOCAL_ENDPOINT), of_file, "a blank one is none");
        assert_eq!(found(None, &[file, ("HF_TOKEN", "\thf_v\n")], LOCAL_ENDPOINT).0.as_deref(), Some("hf_v"));
        assert_eq!(found(Some(" hf_o\n"), &[file], LOCAL_ENDPOINT).0.as_deref(), Some("hf_o"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let vars =
            [(file.0.to_owned(), file.1.to_owned()), ("XETGATE_ROOT_TOKEN".to_owned(), "hf_r".to_owned())];
        let args = ConnectArgs { token: None, endpoint: None };
        let refusal = super::token(&args, &vars, LOCAL_ENDPOINT).unwrap_err().to_string();
        assert!(refusal.starts_with("Cannot read the token in '"), "not as root instead: {refusal}");
    }

    #[test]
    fn no_token_is_sent_that_was_not_given_where_that_is_forbidden() {
        let root = ("XETGATE_ROOT_TOKEN", "hf_root");
        let (var, forbidden) = (("HF_TOKEN", "hf_v"), (NO_IMPLICIT_TOKEN_VAR, "true"));
        assert_eq!(found(None, &[root, var, forbidden], LOCAL_ENDPOINT), (None, TokenSource::Forbidden));
        let given = found(Some("hf_o"), &[root, var, forbidden], LOCAL_ENDPOINT);
        assert_eq!(given, (Some("hf_o".to_owned()), TokenSource::Option));
        assert_eq!(
            found(None, &[var, (NO_IMPLICIT_TOKEN_VAR, "0")], LOCAL_ENDPOINT).0.as_deref(),
            Some("hf_v")
        );
        let ci =
            [("HF_OIDC_RESOURCE".to_owned(), "ada/x".to_owned()), ("HF_TOKEN".to_owned(), "hf_v".to_owned())];
        let args = ConnectArgs { token: None, endpoint: None };
        let refusal = super::token(&args, &ci, LOCAL_ENDPOINT).unwrap_err().to_string();
        assert!(refusal.contains("HF_OIDC_RESOURCE") && refusal.contains("--token"), "{refusal}");
    }

    #[test]
    fn this_machine_is_known() {
        for local in ["http://127.0.0.1:9001", "http://localhost", "https://[::1]:1/x", "http://127.8.0.1/"] {
            assert!(is_local(local), "{local}");
        }
        for far in ["https://huggingface.co", "http://localhost.example.com", "http://10.0.0.1:9001"] {
            assert!(!is_local(far), "{far}");
        }
    }

    #[test]
    fn other_peoples_texts_become_one_sentence() {
        assert_eq!(sentence("You already\ncreated this bucket"), "You already created this bucket.");
        assert_eq!(sentence(""), "no reason was given.");
        assert_eq!(sentence("\u{1b}[31mred!"), "\\x1b[31mred!");
    }
}
