//! `buckets versions` and `buckets restore`: what a bucket keeps of what was replaced and deleted. `hf` has neither.

use crate::bucket::BucketId;
use crate::bucket::hub::{History, HubError, Restored, VersionInfo, VersionKind};
use crate::cli::failure::Failure;
use crate::cli::remote::args::CommonArgs;
use crate::cli::remote::connection::sentence;
use crate::cli::remote::uri::Location;
use crate::cli::session::Session;
use crate::cli::terminal::{Align, Fields, Mode, Value, words};

/// The columns of a file's history.
const HISTORY: [(&str, Align); 6] = [
    ("version_id", Align::Left),
    ("uploaded_at", Align::Left),
    ("size", Align::Right),
    ("added_bytes", Align::Right),
    ("own_bytes", Align::Right),
    ("notes", Align::Left),
];

/// The columns of a list.
const LIST: [(&str, Align); 5] = [
    ("path", Align::Left),
    ("version_id", Align::Left),
    ("uploaded_at", Align::Left),
    ("size", Align::Right),
    ("notes", Align::Left),
];

/// What `buckets versions` takes.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    long_about = "List versions, and what they cost.\n\nOf a file, shows its versions and delete markers, the newest first, and what each takes in stored bytes:\nadded_bytes are those of chunks that no older version holds, own_bytes those that no other version holds\n(what deleting it gives back, unless other files share them). Of a bucket or a folder, lists the versions of\nall files.",
    after_help = "Examples:
  $ xetgate buckets versions user/my-bucket/model.safetensors
  $ xetgate buckets versions user/my-bucket/model.safetensors -h
  $ xetgate buckets versions hf://buckets/user/my-bucket/checkpoints/
  $ xetgate buckets versions user/my-bucket --limit 100 --format json"
)]
pub(in crate::cli) struct VersionsArgs {
    #[arg(
        help = "Bucket path: namespace/bucket_name(/path) or hf://buckets/namespace/bucket_name(/path)",
        value_name = "PATH"
    )]
    path: String,
    /// Show sizes in human readable format.
    #[arg(short = 'h', long)]
    human_readable: bool,
    /// List at most so many versions [default: all].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Show this message and exit.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// What `buckets restore` takes.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Make an older version of a file the current one again.\n\nThe server copies it within the bucket, without moving bytes. No version is lost: the one that is current now stays in the history. Versions are listed by `buckets versions`.",
    after_help = "Examples:
  $ xetgate buckets restore user/my-bucket/model.safetensors --version AZZ3rN-kAAAk1JkIJr_mNQ
  $ xetgate buckets restore hf://buckets/user/my-bucket/config.json --version null"
)]
pub(in crate::cli) struct RestoreArgs {
    #[arg(
        help = "Bucket path: namespace/bucket_name/path or hf://buckets/namespace/bucket_name/path",
        value_name = "PATH"
    )]
    path: String,
    /// The version's ID.
    #[arg(long, value_name = "ID")]
    version: String,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// What a refused call about versions means.
pub(super) fn refused(session: &Session, id: &BucketId, what: &str, error: HubError) -> Failure {
    match error {
        HubError::Refused { status: 404 | 501, .. } | HubError::Failed { status: 501, .. } => {
            let endpoint = session.connection.hub.endpoint();
            Failure::Message(format!(
                "{endpoint} keeps no versions: it is not a xetgate that stores by itself."
            ))
        }
        HubError::NoSuchEntry(_) => {
            let program = session.program;
            Failure::Message(format!(
                "There is no {what}. `{program} buckets versions {id}` lists what there is."
            ))
        }
        // It may be the version that is locked, which no other token changes.
        HubError::Forbidden(message) => Failure::Message(format!("403 Forbidden: {}", sentence(&message))),
        error => session.connection.about(id)(error),
    }
}

/// The version that an option names, for people.
pub(super) fn named(version: &str, path: &str, id: &BucketId) -> String {
    let (version, path) = (words::printable(version), words::printable(path));
    format!("version '{version}' of '{path}' in '{id}'")
}

impl VersionsArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let place = session.connection.uris.exact_location(&self.path)?;
        if let Some(history) = self.history(session, &place).await? {
            return self.show(session, &place, history);
        }
        // Servers take a prefix literally; here it is names that count.
        let below = match place.path.trim_end_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let found = session.connection.hub.versions(&place.bucket, &below, self.limit).await;
        let found = found.map_err(|error| refused(session, &place.bucket, "such version", error))?;
        let rows: Vec<_> = found.iter().map(|version| self.row(session.terminal.mode(), version)).collect();
        session.terminal.whole_table(&LIST, &rows)
    }

    /// The history of the file at a place, if there is one.
    async fn history(&self, session: &Session, place: &Location) -> Result<Option<History>, Failure> {
        if place.path.is_empty() || place.path.ends_with('/') {
            return Ok(None);
        }
        match session.connection.hub.history(&place.bucket, &place.path).await {
            Ok(history) => Ok(Some(history)),
            Err(HubError::NoSuchEntry(_)) => Ok(None),
            Err(error) => Err(refused(session, &place.bucket, "such file", error)),
        }
    }

    fn show(&self, session: &mut Session, place: &Location, history: History) -> Result<(), Failure> {
        let History { mut versions, is_whole } = history;
        let files = || versions.iter().filter(|version| version.kind == VersionKind::File);
        let sizes: u64 = files().map(|version| version.size).sum();
        let taken: Option<u64> = files().map(|version| version.added_bytes).sum();
        let (count, all) = (files().count(), if is_whole { "" } else { "the newest " });
        versions.truncate(self.limit.unwrap_or(usize::MAX));
        let rows: Vec<_> =
            versions.iter().map(|version| self.row(session.terminal.mode(), version)).collect();
        session.terminal.whole_table(&HISTORY, &rows)?;
        if session.terminal.mode() == Mode::Human {
            let size = |bytes| words::size(bytes, true);
            let taken = taken.map_or_else(|| "not reckoned".to_owned(), size);
            let path = words::printable(&place.path);
            let line = format!("{path}: {all}{count} version(s) of {} in all; stored: {taken}", size(sizes));
            session.terminal.text(&line)?;
        }
        Ok(())
    }

    fn row(&self, mode: Mode, version: &VersionInfo) -> Fields {
        let for_people = mode == Mode::Human;
        let size = |bytes: u64| {
            if self.human_readable { Value::Text(words::human_size(bytes)) } else { Value::Count(bytes) }
        };
        let mut row = vec![
            ("path", Value::Text(version.path.clone())),
            ("version_id", Value::Text(version.version_id.clone())),
            ("type", Value::Text(kind(version.kind).to_owned())),
            ("is_latest", Value::Flag(version.is_latest)),
            ("size", size(version.size)),
        ];
        let moment = |at| if for_people { Value::Text(words::date(at, false)) } else { Value::Moment(at) };
        row.extend(version.uploaded_at.map(|at| ("uploaded_at", moment(at))));
        row.extend(version.added_bytes.map(|bytes| ("added_bytes", size(bytes))));
        row.extend(version.own_bytes.map(|bytes| ("own_bytes", size(bytes))));
        row.extend(version.xet_hash.clone().map(|hash| ("xet_hash", Value::Text(hash))));
        if let Some(retention) = &version.retention {
            row.push(("retention", Value::Text(retention.mode.clone())));
            row.extend(retention.until.map(|until| ("retained_until", Value::Moment(until))));
        }
        row.push(("legal_hold", Value::Flag(version.legal_hold)));
        // JSON says all of it in fields of their own.
        if mode != Mode::Json {
            row.push(("notes", Value::Text(notes(version))));
        }
        Fields(row)
    }
}

fn kind(kind: VersionKind) -> &'static str {
    match kind {
        VersionKind::File => "file",
        VersionKind::DeleteMarker => "delete_marker",
    }
}

/// What is to be said of a version in a few words.
fn notes(version: &VersionInfo) -> String {
    let mut notes = Vec::new();
    notes.extend(version.is_latest.then(|| "current".to_owned()));
    notes.extend((version.kind == VersionKind::DeleteMarker).then(|| "deleted".to_owned()));
    if let Some(retention) = &version.retention {
        let until = retention.until.map(words::day).unwrap_or_default();
        notes.push(format!("{} until {until}", retention.mode));
    }
    notes.extend(version.legal_hold.then(|| "legal hold".to_owned()));
    notes.join(", ")
}

impl RestoreArgs {
    pub(super) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let place = session.connection.uris.exact_location(&self.path)?;
        let (id, path) = (&place.bucket, &place.path);
        if path.is_empty() {
            return Err(Failure::Usage(format!("No file path specified. Name a file, e.g. '{id}/FILE'.")));
        }
        let restored = session.connection.hub.restore_version(id, path, &self.version).await;
        let what = named(&self.version, path, id);
        let Restored { version_id, is_new } = restored.map_err(|error| refused(session, id, &what, error))?;
        let done = if is_new { "Version restored" } else { "This version is the current one already" };
        let id = id.to_string();
        let fields = [("path", path.as_str()), ("bucket_id", &id), ("version_id", &version_id)];
        session.terminal.result(done, &Fields::texts(fields))
    }
}
