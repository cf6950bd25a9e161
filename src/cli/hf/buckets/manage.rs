//! Commands about a bucket as a whole: create, info, delete, move, settings.

use clap::ValueEnum;

use super::versions;
use crate::bucket::BucketId;
use crate::bucket::hub::{BucketInfo, HubError, NewBucket};
use crate::cli::failure::Failure;
use crate::cli::remote::args::CommonArgs;
use crate::cli::remote::uri::{BUCKET_PREFIX, bucket_id};
use crate::cli::session::Session;
use crate::cli::terminal::{Fields, Value};

/// What `buckets create` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ xetgate buckets create my-bucket
  $ xetgate buckets create user/my-bucket
  $ xetgate buckets create hf://buckets/user/my-bucket
  $ xetgate buckets create user/my-bucket --private
  $ xetgate buckets create user/my-bucket --exist-ok")]
pub(in crate::cli) struct CreateArgs {
    #[arg(
        help = "Bucket ID: bucket_name, namespace/bucket_name, or hf://buckets/namespace/bucket_name",
        value_name = "BUCKET_ID"
    )]
    bucket_id: String,
    /// Create a private bucket.
    #[arg(long)]
    private: bool,
    /// Cloud region in which to create the bucket, 'us' or 'eu', where the server has several.
    #[arg(long, value_enum, hide_possible_values = true)]
    region: Option<Region>,
    /// Do not raise an error if the bucket already exists.
    #[arg(long)]
    exist_ok: bool,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Region {
    Us,
    Eu,
}

/// What `buckets info` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ xetgate buckets info user/my-bucket
  $ xetgate buckets info hf://buckets/user/my-bucket")]
pub(in crate::cli) struct InfoArgs {
    #[arg(
        help = "Bucket ID: namespace/bucket_name or hf://buckets/namespace/bucket_name",
        value_name = "BUCKET_ID"
    )]
    bucket_id: String,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// What `buckets delete` takes.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Delete a bucket.\n\nThis deletes the entire bucket and all its contents. Use `buckets rm` to remove individual files.",
    after_help = "Examples:
  $ xetgate buckets delete user/my-bucket
  $ xetgate buckets delete hf://buckets/user/my-bucket
  $ xetgate buckets delete user/my-bucket --yes
  $ xetgate buckets delete user/my-bucket --yes --missing-ok"
)]
pub(in crate::cli) struct DeleteArgs {
    #[arg(
        help = "Bucket ID: namespace/bucket_name or hf://buckets/namespace/bucket_name",
        value_name = "BUCKET_ID"
    )]
    bucket_id: String,
    /// Skip confirmation prompt.
    #[arg(short, long)]
    yes: bool,
    /// Do not raise an error if the bucket does not exist.
    #[arg(long)]
    missing_ok: bool,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// What `buckets move` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ xetgate buckets move user/old-bucket user/new-bucket
  $ xetgate buckets move user/my-bucket my-org/my-bucket
  $ xetgate buckets move hf://buckets/user/old-bucket hf://buckets/user/new-bucket")]
pub(in crate::cli) struct MoveArgs {
    #[arg(
        help = "Source bucket ID: namespace/bucket_name or hf://buckets/namespace/bucket_name",
        value_name = "FROM_ID"
    )]
    from_id: String,
    #[arg(
        help = "Destination bucket ID: namespace/bucket_name or hf://buckets/namespace/bucket_name",
        value_name = "TO_ID"
    )]
    to_id: String,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// What `buckets settings` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  $ xetgate buckets settings user/my-bucket --private
  $ xetgate buckets settings user/my-bucket --public
  $ xetgate buckets settings hf://buckets/user/my-bucket --private
  $ xetgate buckets settings user/my-bucket --versioning on")]
pub(in crate::cli) struct SettingsArgs {
    #[arg(
        help = "Bucket ID: namespace/bucket_name or hf://buckets/namespace/bucket_name",
        value_name = "BUCKET_ID"
    )]
    bucket_id: String,
    /// Make the bucket private.
    #[arg(long)]
    private: bool,
    /// Make the bucket public.
    #[arg(long)]
    public: bool,
    /// Keep what is replaced or deleted as older versions, from now on; or stop to.
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    versioning: Option<Switch>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// A whole bucket in any spelling. A path after it is refused; `doing` is what cannot be done to a path.
fn whole_bucket(session: &Session, text: &str, doing: &str) -> Result<BucketId, Failure> {
    let place = session.connection.uris.location(text)?;
    if place.path.is_empty() {
        return Ok(place.bucket);
    }
    Err(Failure::Usage(format!(
        "Cannot specify a prefix for bucket {doing}: {text}. Use namespace/bucket_name or \
         {BUCKET_PREFIX}namespace/bucket_name."
    )))
}

/// The same where a bare name is a fault of usage.
fn named_bucket(session: &Session, text: &str, doing: &str) -> Result<BucketId, Failure> {
    if !text.contains('/') {
        return Err(Failure::Usage(format!(
            "Invalid bucket ID: {text}. Must be in format namespace/bucket_name or \
             {BUCKET_PREFIX}namespace/bucket_name."
        )));
    }
    whole_bucket(session, text, doing)
}

/// A bucket's description, in the order of JSON.
pub(super) fn description(info: &BucketInfo, size: Value) -> Fields {
    let mut fields = vec![
        ("id", Value::Text(info.id.to_string())),
        ("private", Value::Flag(info.private)),
        ("created_at", Value::Moment(info.created_at)),
        ("size", size),
        ("total_files", Value::Count(info.total_files)),
    ];
    fields.extend(info.versioning.clone().map(|versioning| ("versioning", Value::Text(versioning))));
    Fields(fields)
}

impl CreateArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let id = if self.bucket_id.contains('/') {
            Some(whole_bucket(session, &self.bucket_id, "creation")?)
        } else {
            // Refused here, before it becomes a path on the server.
            bucket_id("me", &self.bucket_id)?;
            None
        };
        let namespace = id.as_ref().map(|id| id.namespace.as_str());
        let name = id.as_ref().map_or(self.bucket_id.as_str(), |id| id.name.as_str());
        let wish = NewBucket {
            visibility: self.private.then_some("private"),
            resource_group_id: None,
            region: self.region.map(|region| match region {
                Region::Us => "us".to_owned(),
                Region::Eu => "eu".to_owned(),
            }),
        };
        let hub = &session.connection.hub;
        let url = match (hub.create_bucket(namespace, name, &wish).await, &id) {
            (Ok(created), _) => created.url,
            (Err(HubError::BucketExists { url: Some(url), .. }), _) if self.exist_ok => url,
            // Who may not create may still use what is there.
            (Err(HubError::Unauthorized(_) | HubError::Forbidden(_)), Some(id))
                if self.exist_ok && hub.bucket(id).await.is_ok() =>
            {
                format!("{}/buckets/{id}", hub.endpoint())
            }
            (Err(error), id) => return Err(session.connection.failure(error, id.as_ref())),
        };
        let handle = match url.rsplit_once("/buckets/") {
            Some((_, id)) => format!("{BUCKET_PREFIX}{}", id.trim_matches('/')),
            None => {
                return Err(Failure::Message(format!(
                    "The server answered with an address that is none: {url}"
                )));
            }
        };
        let line = format!("Bucket created: {url} (handle: {handle})");
        session.terminal.announce(&line, &Fields::texts([("uri", &handle), ("url", &url)]))
    }
}

impl InfoArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let id = session.connection.uris.location(&self.bucket_id)?.bucket;
        let info = session.connection.hub.bucket(&id).await.map_err(session.connection.about(&id))?;
        session.terminal.properties("id", &description(&info, Value::Count(info.size)))
    }
}

impl DeleteArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let id = named_bucket(session, &self.bucket_id, "deletion")?;
        session.terminal.confirm(&format!("Are you sure you want to delete bucket '{id}'?"), self.yes)?;
        match session.connection.hub.delete_bucket(&id).await {
            Err(HubError::NoSuchBucket(_)) if self.missing_ok => {}
            deleted => deleted.map_err(session.connection.about(&id))?,
        }
        session.terminal.result("Bucket deleted", &Fields::texts([("bucket_id", &id.to_string())]))
    }
}

impl MoveArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let from = whole_bucket(session, &self.from_id, "move")?;
        let to = whole_bucket(session, &self.to_id, "move")?;
        session.connection.hub.move_bucket(&from, &to).await.map_err(session.connection.about(&from))?;
        let fields = Fields::texts([("from_id", &from.to_string()), ("to_id", &to.to_string())]);
        session.terminal.result("Bucket moved", &fields)
    }
}

impl SettingsArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        if self.private == self.public && (self.private || self.versioning.is_none()) {
            return Err(Failure::Usage("Specify exactly one of --private or --public.".to_owned()));
        }
        let id = named_bucket(session, &self.bucket_id, "settings")?;
        let hub = &session.connection.hub;
        let mut fields = vec![("bucket_id", Value::Text(id.to_string()))];
        // First what a server may not have.
        if let Some(versioning) = self.versioning {
            let is_on = versioning == Switch::On;
            let set = hub.set_versioning(&id, is_on).await;
            set.map_err(|error| versions::refused(session, &id, "such bucket", error))?;
            let name = if is_on { "enabled" } else { "suspended" };
            fields.push(("versioning", Value::Text(name.to_owned())));
        }
        if self.private || self.public {
            hub.set_private(&id, self.private).await.map_err(session.connection.about(&id))?;
            fields.push(("private", Value::Flag(self.private)));
        }
        session.terminal.result("Bucket settings updated", &Fields(fields))?;
        session
            .terminal
            .hint(&format!("Run `{} buckets info {id}` to view bucket details.", session.program));
        Ok(())
    }
}
