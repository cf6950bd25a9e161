//! `buckets remove`: files out of a bucket, one or all below a prefix.

use super::versions;
use crate::bucket::hub::{BatchOp, FileEntry};
use crate::cli::failure::Failure;
use crate::cli::hf::files::filter::Filter;
use crate::cli::remote::args::CommonArgs;
use crate::cli::remote::uri::{BUCKET_PREFIX, Location};
use crate::cli::session::Session;
use crate::cli::terminal::{Fields, Value, words};

/// What `buckets remove` takes.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Remove files from a bucket.\n\nTo delete an entire bucket, use `buckets delete` instead.",
    after_help = "Examples:
  $ xetgate buckets remove user/my-bucket/file.txt
  $ xetgate buckets rm hf://buckets/user/my-bucket/file.txt
  $ xetgate buckets rm user/my-bucket/logs/ --recursive
  $ xetgate buckets rm user/my-bucket --recursive --include \"*.tmp\"
  $ xetgate buckets rm user/my-bucket/data/ --recursive --exclude \"*.safetensors\"
  $ xetgate buckets rm user/my-bucket/checkpoints/ --recursive --dry-run
  $ xetgate buckets rm user/my-bucket/file.txt --version AZZ3rN-kAAAk1JkIJr_mNQ"
)]
pub(in crate::cli) struct RemoveArgs {
    #[arg(
        help = "Bucket path: namespace/bucket_name/path or hf://buckets/namespace/bucket_name/path. With --recursive, namespace/bucket_name is also accepted to target all files",
        value_name = "ARGUMENT"
    )]
    argument: String,
    /// Remove files recursively under the given prefix.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Skip confirmation prompt.
    #[arg(short, long)]
    yes: bool,
    /// Preview what would be deleted without actually deleting.
    #[arg(long)]
    dry_run: bool,
    /// Include only files matching pattern (can specify multiple). Requires --recursive.
    #[arg(long, value_name = "TEXT")]
    include: Vec<String>,
    /// Exclude files matching pattern (can specify multiple). Requires --recursive.
    #[arg(long, value_name = "TEXT")]
    exclude: Vec<String>,
    /// Remove this version of the file for good, and leave the others. Of a delete marker, brings the file back.
    #[arg(long, value_name = "ID")]
    version: Option<String>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl RemoveArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let uris = &session.connection.uris;
        let place = if self.recursive {
            uris.location(&self.argument)?
        } else {
            uris.exact_location(&self.argument)?
        };
        let id = &place.bucket;
        if place.path.is_empty() && !self.recursive {
            return Err(Failure::Usage(format!(
                "No file path specified. To remove files, provide a path (e.g. '{id}/FILE') or use --recursive to \
                 remove all files. To delete the entire bucket, use `{} buckets delete {id}`.",
                session.program
            )));
        }
        if !(self.recursive || self.include.is_empty() && self.exclude.is_empty()) {
            return Err(Failure::Usage("--include and --exclude require --recursive.".to_owned()));
        }
        if let Some(version) = &self.version {
            if self.recursive {
                return Err(Failure::Usage("Cannot use --version with --recursive.".to_owned()));
            }
            return self.version(session, &place, version).await;
        }
        if self.recursive { self.below(session, &place).await } else { self.one(session, &place).await }
    }

    async fn one(&self, session: &mut Session, place: &Location) -> Result<(), Failure> {
        let (path, id) = (&place.path, &place.bucket);
        if self.dry_run {
            session.terminal.text(&format!("delete: {}", words::printable(&place.uri())))?;
            return session.terminal.text("(dry run) 1 file would be removed.");
        }
        session.terminal.confirm(&format!("Remove '{}' from '{id}'?", words::printable(path)), self.yes)?;
        session.batch(id, &[BatchOp::DeleteFile { path: path.clone() }]).await?;
        session
            .terminal
            .result("File removed", &Fields::texts([("path", path), ("bucket_id", &id.to_string())]))
    }

    async fn version(&self, session: &mut Session, place: &Location, version: &str) -> Result<(), Failure> {
        let (path, id) = (&place.path, &place.bucket);
        let what = versions::named(version, path, id);
        if self.dry_run {
            return session.terminal.text(&format!("(dry run) {what} would be removed for good."));
        }
        session.terminal.confirm(&format!("Remove {what} for good?"), self.yes)?;
        let removed = session.connection.hub.delete_version(id, path, version).await;
        removed.map_err(|error| versions::refused(session, id, &what, error))?;
        let id = id.to_string();
        let fields = [("path", path.as_str()), ("bucket_id", &id), ("version_id", version)];
        session.terminal.result("Version removed", &Fields::texts(fields))
    }

    async fn below(&self, session: &mut Session, place: &Location) -> Result<(), Failure> {
        let filter = Filter::new(&self.include, &self.exclude);
        let mut files = session.files(place).await?;
        files.retain(|file| filter.allows(&file.path));
        if files.is_empty() {
            return session.terminal.text("No files to remove.");
        }
        let id = &place.bucket;
        let total: u64 = files.iter().map(|file| file.size).sum();
        let size = words::human_size(total);
        let what = format!("{} file(s) totaling {size}", files.len());
        let lines = |before: &str| {
            let line = |file: &FileEntry| format!("{before}{}", words::printable(&file.path));
            files.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        if self.dry_run {
            session.terminal.text(&lines(&format!("delete: {BUCKET_PREFIX}{id}/")))?;
            return session.terminal.text(&format!("(dry run) {what} would be removed."));
        }
        if !self.yes {
            session.terminal.text(&lines("  "))?;
            session.terminal.confirm(&format!("Remove {what} from '{id}'?"), false)?;
        }
        let deletes: Vec<_> =
            files.iter().map(|file| BatchOp::DeleteFile { path: file.path.clone() }).collect();
        session.batch(id, &deletes).await?;
        let fields = Fields(vec![
            ("bucket_id", Value::Text(id.to_string())),
            ("files_deleted", Value::Count(files.len() as u64)),
            ("size", Value::Text(size)),
        ]);
        session.terminal.result(&format!("Removed {what} from '{id}'"), &fields)
    }
}
