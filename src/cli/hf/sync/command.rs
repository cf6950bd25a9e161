//! The command `sync`: checks its options, makes or reads a plan, shows it, and has it carried out.

use std::path::{Path, PathBuf};

use super::execute;
use super::plan::{self, Action, Compare, Direction, Plan, Rules, Scope};
use super::plan_file;
use crate::bucket::hub::FileEntry;
use crate::cli::failure::Failure;
use crate::cli::hf::files::filter::Filter;
use crate::cli::hf::files::local::{self, FileState, Listing, Walked};
use crate::cli::hf::files::mtime::Mtime;
use crate::cli::hf::files::names::{LeftOut, check_name};
use crate::cli::hf::transfer::{Transfers, hash_files};
use crate::cli::remote::args::CommonArgs;
use crate::cli::remote::uri::{Location, Remote};
use crate::cli::session::Session;
use crate::cli::terminal::{Mode, words};

/// What `sync` takes.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  $ xetgate buckets sync ./data hf://buckets/user/my-bucket
  $ xetgate buckets sync hf://buckets/user/my-bucket ./data
  $ xetgate buckets sync ./data hf://buckets/user/my-bucket --delete
  $ xetgate buckets sync hf://buckets/user/my-bucket ./data --include \"*.safetensors\" --exclude \"*.tmp\"
  $ xetgate buckets sync ./data hf://buckets/user/my-bucket --filter-from filters.txt
  $ xetgate buckets sync ./data hf://buckets/user/my-bucket --plan sync-plan.jsonl
  $ xetgate buckets sync --apply sync-plan.jsonl
  $ xetgate buckets sync ./data hf://buckets/user/my-bucket --dry-run | jq .
  $ xetgate sync ./data hf://buckets/user/my-bucket --checksum")]
pub(in crate::cli) struct SyncArgs {
    #[arg(
        help = "Source path: local folder or hf://buckets/namespace/bucket_name(/prefix)",
        value_name = "SOURCE"
    )]
    source: Option<String>,
    #[arg(
        help = "Destination path: local folder or hf://buckets/namespace/bucket_name(/prefix)",
        value_name = "DEST"
    )]
    dest: Option<String>,
    /// Delete destination files not present in source.
    #[arg(long, overrides_with = "no_delete")]
    delete: bool,
    /// Leave destination files not present in source alone; the default.
    #[arg(long)]
    no_delete: bool,
    /// Skip files only based on size, ignoring modification times.
    #[arg(long)]
    ignore_times: bool,
    /// Skip files only based on modification times, ignoring sizes.
    #[arg(long)]
    ignore_sizes: bool,
    /// Compare files by content (the Xet hash of the local file), not by size and time.
    #[arg(long)]
    checksum: bool,
    /// Save sync plan to JSONL file for review instead of executing.
    #[arg(long, value_name = "FILE")]
    plan: Option<String>,
    /// Apply a previously saved plan file.
    #[arg(long, value_name = "FILE")]
    apply: Option<String>,
    /// Print sync plan to stdout as JSONL without executing.
    #[arg(long)]
    dry_run: bool,
    /// Include files matching pattern (can specify multiple).
    #[arg(long, value_name = "TEXT")]
    include: Vec<String>,
    /// Exclude files matching pattern (can specify multiple).
    #[arg(long, value_name = "TEXT")]
    exclude: Vec<String>,
    /// Read include/exclude patterns from file.
    #[arg(long, value_name = "FILE")]
    filter_from: Option<String>,
    /// Skip creating new files on receiver (only update existing files).
    #[arg(long)]
    existing: bool,
    /// Skip updating files that exist on receiver (only create new files).
    #[arg(long)]
    ignore_existing: bool,
    /// Show detailed logging with reasoning.
    #[arg(short, long)]
    verbose: bool,
    /// Move so many files at once [default: chosen by the machine].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    pub(in crate::cli) common: CommonArgs,
}

/// The two sides of a sync.
pub(super) struct Sides {
    pub(super) direction: Direction,
    pub(super) local: PathBuf,
    pub(super) remote: Location,
}

impl Sides {
    /// From the two arguments, one of which must name a place in a bucket.
    pub(super) fn new(session: &Session, source: &str, dest: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| Err(Failure::Value(why.to_owned()));
        match (bucket(session, source)?, bucket(session, dest)?) {
            (Some(_), Some(_)) => refuse("Remote to remote sync is not supported. One path must be local."),
            (None, None) => refuse("One of source or dest must be a bucket path (hf://buckets/...)."),
            (None, Some(remote)) => Ok(Self { direction: Direction::Upload, local: source.into(), remote }),
            (Some(remote), None) => Ok(Self { direction: Direction::Download, local: dest.into(), remote }),
        }
    }
}

/// The place that an argument names, if it is a URI. Here only `hf://` URIs do, as in `hf`; but what is meant to be on
/// the Hub is no local folder either.
fn bucket(session: &Session, text: &str) -> Result<Option<Location>, Failure> {
    let is_uri = text.starts_with("hf://");
    match session.connection.uris.argument(text)? {
        Some(Remote::Bucket(location)) if is_uri => Ok(Some(location)),
        Some(_) if is_uri || text.contains("://") => Err(Failure::Value(format!(
            "Only buckets can be synced, named as hf://buckets/namespace/bucket_name: {text}"
        ))),
        _ => Ok(None),
    }
}

/// A plan, and the files of the bucket that it was made from, if it was made now.
struct Made {
    sides: Sides,
    plan: Plan,
    files: Vec<FileEntry>,
}

impl SyncArgs {
    /// Does it.
    pub(in crate::cli) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let quiet = session.terminal.mode() == Mode::Quiet;
        if let Some(file) = &self.apply {
            self.check_apply()?;
            let text = std::fs::read_to_string(file).map_err(Failure::local("read", file))?;
            let plan = plan_file::read(file, &text).map_err(|error| Failure::Value(error.to_string()))?;
            let sides = Sides::new(session, &plan.source, &plan.dest)?;
            execute::check(&sides, &plan)?;
            self.say(session, quiet, &(summary(&plan) + "Executing plan...\n"))?;
            execute::run(session, &sides, &plan, None, self.verbose, self.jobs).await?;
            return self.say(session, quiet, "Sync completed.\n");
        }
        let (source, dest) = self.check(session)?;
        let Made { sides, plan, files } = self.make(session, source, dest).await?;
        if self.dry_run {
            return session.terminal.print(&plan_file::write(&plan));
        }
        if let Some(file) = &self.plan {
            std::fs::write(file, plan_file::write(&plan)).map_err(Failure::local("write", file))?;
            self.say(session, quiet, &format!("{}Plan saved to: {file}\n", summary(&plan)))?;
            session.terminal.hint(&format!(
                "Run `{} buckets sync --apply {file}` to execute this plan.",
                session.program
            ));
            return Ok(());
        }
        self.say(session, quiet, &summary(&plan))?;
        if plan.is_idle() {
            return self.say(session, quiet, "Nothing to sync.\n");
        }
        self.say(session, quiet, "Syncing...\n")?;
        execute::run(session, &sides, &plan, Some(files), self.verbose, self.jobs).await?;
        self.say(session, quiet, "Sync completed.\n")
    }

    /// Text that every form but the quiet one shows.
    #[expect(clippy::unused_self, reason = "reads as what the command says")]
    fn say(&self, session: &mut Session, quiet: bool, text: &str) -> Result<(), Failure> {
        if quiet { Ok(()) } else { session.terminal.print(text) }
    }

    /// A plan is applied as it stands: nothing else may be said with it.
    fn check_apply(&self) -> Result<(), Failure> {
        let given = [
            ("delete", self.delete),
            ("ignore_times", self.ignore_times),
            ("ignore_sizes", self.ignore_sizes),
            ("checksum", self.checksum),
            ("include", !self.include.is_empty()),
            ("exclude", !self.exclude.is_empty()),
            ("filter_from", self.filter_from.is_some()),
            ("existing", self.existing),
            ("ignore_existing", self.ignore_existing),
            ("dry_run", self.dry_run),
        ];
        let why = if self.source.is_some() || self.dest.is_some() {
            "Cannot specify source/dest when using apply.".to_owned()
        } else if self.plan.is_some() {
            "Cannot specify both plan and apply.".to_owned()
        } else if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
            format!("Cannot specify {name} when using apply.")
        } else {
            return Ok(());
        };
        Err(Failure::Value(why))
    }

    /// Whether the options go together; gives source and destination.
    fn check(&self, session: &Session) -> Result<(&str, &str), Failure> {
        let refuse = |why: String| Err(Failure::Value(why));
        let (Some(source), Some(dest)) = (self.source.as_deref(), self.dest.as_deref()) else {
            return refuse("Both source and dest are required (unless using apply).".to_owned());
        };
        let sides = Sides::new(session, source, dest)?;
        let pairs = [
            ("ignore_times", self.ignore_times, "ignore_sizes", self.ignore_sizes),
            ("checksum", self.checksum, "ignore_times", self.ignore_times),
            ("checksum", self.checksum, "ignore_sizes", self.ignore_sizes),
            ("existing", self.existing, "ignore_existing", self.ignore_existing),
            ("dry_run", self.dry_run, "plan", self.plan.is_some()),
        ];
        if let Some((one, _, other, _)) = pairs.iter().find(|(_, one, _, other)| *one && *other) {
            return refuse(format!("Cannot specify both {one} and {other}."));
        }
        match sides.direction {
            Direction::Download if sides.local.exists() && !sides.local.is_dir() => {
                refuse(format!("Destination must be a directory: {dest}"))
            }
            Direction::Upload if !sides.local.is_dir() => {
                refuse(format!("Source must be an existing directory: {source}"))
            }
            _ => Ok((source, dest)),
        }
    }

    fn filter(&self) -> Result<Filter, Failure> {
        let filter = Filter::new(&self.include, &self.exclude);
        match &self.filter_from {
            None => Ok(filter),
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(Failure::local("read", file))?;
                Ok(filter.with_file(&text))
            }
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            delete: self.delete,
            compare: match (self.ignore_times, self.ignore_sizes, self.checksum) {
                (true, _, _) => Compare::Size,
                (_, true, _) => Compare::Time,
                (_, _, true) => Compare::Content,
                _ => Compare::SizeAndTime,
            },
            scope: match (self.existing, self.ignore_existing) {
                (true, _) => Scope::Existing,
                (_, true) => Scope::New,
                _ => Scope::All,
            },
        }
    }

    async fn make(&self, session: &mut Session, source: &str, dest: &str) -> Result<Made, Failure> {
        let (sides, filter, rules) = (Sides::new(session, source, dest)?, self.filter()?, self.rules());
        let (files, mut remote) = remote_listing(session, &sides, &filter).await?;
        let mut local = match sides.direction {
            Direction::Download if !rules.delete => stat_those(&sides.local, &remote)?,
            Direction::Download if !sides.local.is_dir() => Listing::new(),
            Direction::Upload | Direction::Download => {
                let Walked { listing, unread } = local::walk(&sides.local, &filter)?;
                // What is not known on one side is left alone on both.
                remote.retain(|path, _| !unread.iter().any(|folder| path.starts_with(folder)));
                listing
            }
        };
        if rules.compare == Compare::Content && rules.scope != Scope::New {
            self.hash(session, &sides, &mut local, &remote).await?;
        }
        let (from, to) = match sides.direction {
            Direction::Upload => (&local, &remote),
            Direction::Download => (&remote, &local),
        };
        let plan = Plan {
            source: source.to_owned(),
            dest: dest.to_owned(),
            timestamp: words::iso(session.clock.now()),
            operations: plan::operations(sides.direction, from, to, rules),
        };
        Ok(Made { sides, plan, files })
    }

    /// Hashes the local files whose content decides: those of the same size on both sides.
    async fn hash(
        &self,
        session: &Session,
        sides: &Sides,
        local: &mut Listing,
        remote: &Listing,
    ) -> Result<(), Failure> {
        let same_size =
            local.iter().filter(|(path, state)| remote.get(*path).is_some_and(|r| r.size == state.size));
        let files: Vec<_> = same_size.map(|(path, _)| (path.clone(), sides.local.join(path))).collect();
        let transfers = Transfers::new(session, &sides.remote.bucket, self.jobs);
        for (path, hash) in hash_files(&transfers, files).await? {
            if let Some(state) = local.get_mut(&path) {
                state.hash = Some(hash);
            }
        }
        Ok(())
    }
}

/// The bucket's side: its files as they are, and by their paths below the place. A bucket that does not exist is empty
/// to an upload.
async fn remote_listing(
    session: &mut Session,
    sides: &Sides,
    filter: &Filter,
) -> Result<(Vec<FileEntry>, Listing), Failure> {
    let files = match session.files(&sides.remote).await {
        Err(Failure::NoBucket(_)) if sides.direction == Direction::Upload => Vec::new(),
        files => files?,
    };
    let mut listing = Listing::new();
    let mut left_out = LeftOut::default();
    for file in &files {
        let path = below(&sides.remote.path, &file.path);
        if !filter.allows(path) {
            continue;
        }
        check_name(path)?;
        if sides.direction == Direction::Download && !left_out.admits(path) {
            continue;
        }
        let state =
            FileState { size: file.size, mtime: Mtime::of_server(file.mtime), hash: Some(file.xet_hash) };
        listing.insert(path.to_owned(), state);
    }
    left_out.tell(session);
    Ok((files, listing))
}

/// A path below a place. A file at the very place has its own name.
pub(super) fn below<'a>(place: &str, path: &'a str) -> &'a str {
    match path.strip_prefix(place) {
        Some("") => path.rsplit('/').next().unwrap_or(path),
        Some(rest) if !place.is_empty() => rest.trim_start_matches('/'),
        _ => path,
    }
}

/// The local files of these paths. The folder may be a large one: nothing else in it is looked at.
fn stat_those(root: &Path, remote: &Listing) -> Result<Listing, Failure> {
    let mut listing = Listing::new();
    for path in remote.keys() {
        listing.extend(local::stat(&root.join(path))?.map(|state| (path.clone(), state)));
    }
    Ok(listing)
}

fn summary(plan: &Plan) -> String {
    format!(
        "Sync plan: {} -> {}\n  Uploads: {}\n  Downloads: {}\n  Deletes: {}\n  Skips: {}\n",
        plan.source,
        plan.dest,
        plan.count(Action::Upload),
        plan.count(Action::Download),
        plan.count(Action::Delete),
        plan.count(Action::Skip)
    )
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn paths_are_told_from_the_place() {
        assert_eq!(below("", "a/b"), "a/b");
        assert_eq!(below("a", "a/b/c"), "b/c");
        assert_eq!(below("a/b.txt", "a/b.txt"), "b.txt");
    }
}
