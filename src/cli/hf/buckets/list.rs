//! `buckets list`: buckets of a namespace, or files of a bucket.

use super::manage::description;
use crate::bucket::Namespace;
use crate::bucket::hub::{BucketInfo, TreeEntry};
use crate::cli::failure::Failure;
use crate::cli::remote::args::CommonArgs;
use crate::cli::remote::uri::BUCKET_PREFIX;
use crate::cli::session::Session;
use crate::cli::terminal::listing::{Entry, Form};
use crate::cli::terminal::{Align, Fields, Mode, Value, words};

/// The columns of a table of buckets.
const COLUMNS: [(&str, Align); 5] = [
    ("id", Align::Left),
    ("private", Align::Left),
    ("size", Align::Right),
    ("total_files", Align::Right),
    ("created_at", Align::Left),
];

/// What `buckets list` takes.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    long_about = "List buckets or files in a bucket.\n\nWhen called with no argument or a namespace, lists buckets. When called with a bucket ID\n(namespace/bucket_name), lists files in the bucket.",
    after_help = "Examples:
  $ xetgate buckets list
  $ xetgate buckets list huggingface
  $ xetgate buckets list --search \"my-prefix\"
  $ xetgate buckets list user/my-bucket
  $ xetgate buckets list user/my-bucket -R -h
  $ xetgate buckets list user/my-bucket --tree -h -R
  $ xetgate buckets list user/my-bucket --tree --quiet -R
  $ xetgate buckets list hf://buckets/user/my-bucket
  $ xetgate buckets list user/my-bucket/sub -R"
)]
pub(in crate::cli) struct ListArgs {
    #[arg(
        help = "Namespace (user or org) to list buckets, or bucket ID (namespace/bucket_name(/prefix) or hf://buckets/...) to list files",
        value_name = "ARGUMENT"
    )]
    argument: Option<String>,
    /// Show sizes in human readable format.
    #[arg(short = 'h', long)]
    human_readable: bool,
    /// List files in tree format (only for listing files).
    #[arg(long)]
    tree: bool,
    /// List files recursively (only for listing files).
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Search query.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Show this message and exit.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl ListArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let argument = self.argument.as_deref();
        match argument.filter(|text| text.strip_prefix(BUCKET_PREFIX).unwrap_or(text).contains('/')) {
            Some(place) => self.files(session, place).await,
            None => self.buckets(session).await,
        }
    }

    async fn buckets(&self, session: &mut Session) -> Result<(), Failure> {
        let misused =
            |option: &str| Err(Failure::Usage(format!("Cannot use {option} when listing buckets.")));
        if self.tree {
            return misused("--tree");
        }
        if self.recursive {
            return misused("--recursive");
        }
        let namespace = self.argument.as_deref().map(|text| text.strip_prefix(BUCKET_PREFIX).unwrap_or(text));
        if let Some(name) = namespace {
            Namespace::new(name)
                .map_err(|error| Failure::Value(format!("Invalid namespace: '{name}'. The {error}.")))?;
        }
        let found = session.connection.hub.list_buckets(namespace, self.search.as_deref()).await;
        let found = found.map_err(session.connection.about_namespace(namespace))?;
        let row = |info: &BucketInfo| -> Fields {
            let size = if self.human_readable {
                Value::Text(words::human_size(info.size))
            } else {
                Value::Count(info.size)
            };
            description(info, size)
        };
        session.terminal.table(&COLUMNS, &found.iter().map(row).collect::<Vec<_>>())
    }

    async fn files(&self, session: &mut Session, place: &str) -> Result<(), Failure> {
        if self.search.is_some() {
            return Err(Failure::Usage("Cannot use --search when listing files.".to_owned()));
        }
        if self.tree && session.terminal.mode() == Mode::Json {
            return Err(Failure::Usage("Cannot use --tree with --format json.".to_owned()));
        }
        let place = session.connection.uris.location(place)?;
        let entries = session.entries(&place, self.recursive).await?;
        let entries: Vec<_> = entries.into_iter().map(entry).collect();
        let form = Form { human_readable: self.human_readable, tree: self.tree, recursive: self.recursive };
        session.terminal.listing(&entries, form)
    }
}

fn entry(entry: TreeEntry) -> Entry {
    match entry {
        TreeEntry::File(file) => Entry::File {
            path: file.path,
            size: file.size,
            xet_hash: file.xet_hash.to_string(),
            mtime: file.mtime,
            uploaded_at: file.uploaded_at,
        },
        TreeEntry::Directory(folder) => Entry::Folder { path: folder.path, uploaded_at: folder.uploaded_at },
    }
}
