//! `xetgate admin`: accounts and credentials of a running gateway, over its admin API.
//!
//! The gateway is that of `--endpoint`, with the admin token of `--token`; without them, the one whose data folder and
//! configuration would be used here. Secrets are printed once, when they are made.

use std::io::Write as _;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::place::PlaceArgs;
use crate::auth::AuthError;
use crate::auth::root;
use crate::config::{self, ConfigError};

mod client;
mod table;

use client::Client;

/// What `admin` takes.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The gateway's Hub endpoint [default: where the configuration has it listen].
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT")]
    endpoint: Option<String>,
    /// An admin token [default: the root token of the data folder].
    #[arg(long, value_name = "TOKEN", env = "HF_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Users.
    #[command(subcommand)]
    Users(UserCommand),
    /// Organisations.
    #[command(subcommand)]
    Orgs(OrgCommand),
    /// Have the gateway copy its store, as it is at one moment, to a folder of this name in [backup] folder.
    Backup { name: String },
    /// Credentials: each is an S3 key pair and a Hub token.
    #[command(subcommand)]
    Keys(KeyCommand),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a user.
    Create {
        name: String,
        /// Who may read buckets created through the Hub's API without saying [default: as the server's].
        #[arg(long, value_name = "VISIBILITY")]
        new_buckets: Option<NewBuckets>,
    },
    /// Change a user's settings.
    Set {
        name: String,
        /// Who may read buckets created through the Hub's API without saying; those that are there stay as they are.
        #[arg(long, value_name = "VISIBILITY")]
        new_buckets: NewBuckets,
    },
    /// List users.
    List,
    /// Show a user.
    Show { name: String },
    /// Remove a user who has no buckets and no keys.
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
enum OrgCommand {
    /// Make an organisation.
    Create {
        name: String,
        /// A user whose keys reach its buckets; may be given again.
        #[arg(long = "member", value_name = "USER")]
        members: Vec<String>,
        /// Who may read buckets created through the Hub's API without saying [default: as the server's].
        #[arg(long, value_name = "VISIBILITY")]
        new_buckets: Option<NewBuckets>,
    },
    /// Change an organisation's settings.
    Set {
        name: String,
        /// Who may read buckets created through the Hub's API without saying; those that are there stay as they are.
        #[arg(long, value_name = "VISIBILITY")]
        new_buckets: NewBuckets,
    },
    /// List organisations.
    List,
    /// Show an organisation.
    Show { name: String },
    /// Give an organisation these members in place of those it has.
    Members { name: String, members: Vec<String> },
    /// Remove an organisation that has no buckets and no keys.
    Remove { name: String },
}

/// What new buckets of an account are.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum NewBuckets {
    /// Only those whose key allows it read them.
    Private,
    /// Everyone reads them.
    Public,
    /// What the configuration says for the server.
    Default,
}

impl NewBuckets {
    /// As the admin API has it.
    fn json(self) -> Value {
        match self {
            Self::Private => "private".into(),
            Self::Public => "public".into(),
            Self::Default => Value::Null,
        }
    }
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print its secrets, this once.
    Create {
        /// The account it is to belong to.
        account: String,
        /// How far it reaches: read, write or admin.
        #[arg(long, default_value = "write")]
        permission: String,
        /// A bucket it reaches, and no others but those given; may be given again.
        #[arg(long = "bucket", value_name = "NAME")]
        buckets: Vec<String>,
        /// From when on it is worth nothing, such as 2027-01-31T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List keys.
    List {
        /// Only those of this account.
        account: Option<String>,
    },
    /// Show a key, without its secrets.
    Show { id: String },
    /// Give a key new secrets and print them, this once.
    Rotate { id: String },
    /// End a key.
    Revoke { id: String },
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("no admin token: give --token, or name the data folder whose root token to use ({0})")]
    NoToken(AuthError),
    #[error("no admin token: give --token, or name the data folder whose root token to use")]
    NoRoot,
    #[error("cannot reach {url}: {error}")]
    Unreachable { url: String, error: reqwest::Error },
    #[error("{0}")]
    Refused(String),
    #[error("{0} does not exist")]
    NotFound(String),
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    #[error("cannot print: {0}")]
    Print(std::io::Error),
}

/// Runs one command.
pub(super) fn run(args: &AdminArgs, vars: &[(String, String)]) -> Result<(), AdminError> {
    let config = args.place.configuration(vars)?;
    let tls = config.tls.cert_file.is_some();
    let endpoint = args.endpoint.clone().unwrap_or_else(|| super::banner::endpoint(config.hub.listen, tls));
    let token = if let Some(token) = &args.token {
        token.clone()
    } else {
        let data_dir = config.data_dir.clone().map_or_else(|| config::default_data_dir(vars), Ok)?;
        root_token(&data_dir, vars)?
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    let client = Client::new(endpoint, token, args.endpoint.is_none())?;
    let answer = runtime.map_err(AdminError::Runtime)?.block_on(ask(&client, &args.what))?;
    let text = if args.json { format!("{answer:#}\n") } else { table::text(&answer) };
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(AdminError::Print)
}

/// The root token as the environment gives it, or as the data folder keeps it.
fn root_token(data_dir: &Path, vars: &[(String, String)]) -> Result<String, AdminError> {
    if let Some(token) = config::root_given(vars)?.token {
        return Ok(token);
    }
    let token = root::kept_token(data_dir).map_err(AdminError::NoToken)?.ok_or(AdminError::NoRoot)?;
    Ok(token.expose().to_owned())
}

async fn ask(client: &Client, what: &What) -> Result<Value, AdminError> {
    let account = |kind: &str, name: &str, members: &[String], new_buckets: Option<NewBuckets>| {
        let mut account = json!({ "name": name, "kind": kind, "members": members });
        if let Some(new_buckets) = new_buckets {
            account["new_buckets"] = new_buckets.json();
        }
        account
    };
    match what {
        What::Users(UserCommand::Create { name, new_buckets }) => {
            client.post("/admin/accounts", &account("user", name, &[], *new_buckets)).await
        }
        What::Orgs(OrgCommand::Create { name, members, new_buckets }) => {
            client.post("/admin/accounts", &account("org", name, members, *new_buckets)).await
        }
        What::Users(UserCommand::Set { name, new_buckets })
        | What::Orgs(OrgCommand::Set { name, new_buckets }) => {
            let settings = json!({ "new_buckets": new_buckets.json() });
            client.put(&format!("/admin/accounts/{name}/settings"), &settings).await
        }
        What::Users(UserCommand::List) => accounts(client, "user", None).await,
        What::Orgs(OrgCommand::List) => accounts(client, "org", None).await,
        What::Users(UserCommand::Show { name }) => accounts(client, "user", Some(name)).await,
        What::Orgs(OrgCommand::Show { name }) => accounts(client, "org", Some(name)).await,
        What::Orgs(OrgCommand::Members { name, members }) => {
            client.put(&format!("/admin/accounts/{name}/members"), &json!({ "members": members })).await
        }
        What::Users(UserCommand::Remove { name }) | What::Orgs(OrgCommand::Remove { name }) => {
            client.delete(&format!("/admin/accounts/{name}")).await
        }
        What::Backup { name } => client.post_patiently("/admin/backups", &json!({ "name": name })).await,
        What::Keys(command) => keys(client, command).await,
    }
}

/// The accounts of a kind, or the one of a name.
async fn accounts(client: &Client, kind: &str, name: Option<&str>) -> Result<Value, AdminError> {
    let all = client.get("/admin/accounts").await?;
    pick(&all, |account| account["kind"] == kind && name.is_none_or(|name| account["name"] == name), name)
}

async fn keys(client: &Client, command: &KeyCommand) -> Result<Value, AdminError> {
    match command {
        KeyCommand::Create { account, permission, buckets, expires } => {
            let buckets = (!buckets.is_empty()).then_some(buckets);
            let body = json!({
                "account": account, "permission": permission, "buckets": buckets, "expires_at": expires,
            });
            client.post("/admin/keys", &body).await
        }
        KeyCommand::List { account } => {
            let is_asked = |key: &Value| account.as_ref().is_none_or(|account| key["account"] == **account);
            pick(&client.get("/admin/keys").await?, is_asked, None)
        }
        KeyCommand::Show { id } => {
            pick(&client.get("/admin/keys").await?, |key| key["access_key_id"] == **id, Some(id))
        }
        KeyCommand::Rotate { id } => client.post(&format!("/admin/keys/{id}/rotate"), &json!({})).await,
        KeyCommand::Revoke { id } => client.delete(&format!("/admin/keys/{id}")).await,
    }
}

/// Those that are asked for; the one, if it was asked for by its name.
fn pick(all: &Value, is_asked: impl Fn(&Value) -> bool, name: Option<&str>) -> Result<Value, AdminError> {
    let found = all.as_array().into_iter().flatten().filter(|one| is_asked(one)).cloned();
    let mut found: Vec<_> = found.collect();
    match name {
        None => Ok(Value::Array(found)),
        Some(name) => found.pop().ok_or_else(|| AdminError::NotFound(name.to_owned())),
    }
}
