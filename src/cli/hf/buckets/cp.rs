//! `buckets cp`: one file up, down or across; with `--recursive` a folder.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use super::{copy, folder};
use crate::cli::failure::Failure;
use crate::cli::hf::files::names::{check_name, is_too_long};
use crate::cli::hf::transfer::{Download, Source, Transfers, Upload};
use crate::cli::remote::args::CommonArgs;
use crate::cli::remote::uri::{Location, Remote};
use crate::cli::session::Session;
use crate::cli::terminal::Fields;
use crate::cli::terminal::words::printable;

/// What `buckets cp` takes.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Copy files between local paths and buckets.\n\nHandles uploads (local/stdin -> bucket), downloads (bucket -> local/stdout) and copies inside and between\nbuckets, which move no bytes. Folders need --recursive, except between buckets; for large ones see `buckets sync`.",
    after_help = "Examples:
  $ xetgate buckets cp hf://buckets/username/my-bucket/config.json config.json
  $ xetgate buckets cp hf://buckets/username/my-bucket/data.csv data/
  $ xetgate buckets cp hf://buckets/username/my-bucket/config.json - | jq .
  $ xetgate buckets cp model.safetensors hf://buckets/username/my-bucket/model.safetensors
  $ xetgate buckets cp config.json hf://buckets/username/my-bucket/logs/
  $ echo hello | xetgate buckets cp - hf://buckets/username/my-bucket/hello.txt
  $ xetgate buckets cp hf://buckets/username/source-bucket/logs/ hf://buckets/username/dest-bucket/logs/
  $ xetgate buckets cp -r ./data hf://buckets/username/my-bucket/"
)]
pub(in crate::cli) struct CpArgs {
    /// Source: local file, hf:// URI, or - for stdin.
    #[arg(value_name = "SRC")]
    src: String,
    /// Destination: local path, hf:// URI, or - for stdout.
    #[arg(value_name = "DST")]
    dst: Option<String>,
    /// Copy a folder with all that is in it.
    #[arg(short, long)]
    recursive: bool,
    /// Move so many files at once [default: chosen by the machine].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    pub(in crate::cli) common: CommonArgs,
}

impl CpArgs {
    pub(in crate::cli) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let uris = &session.connection.uris;
        let from = uris.argument(&self.src)?;
        let to = self.dst.as_deref().map_or(Ok(None), |dst| uris.argument(dst))?;
        if let (Some(Remote::Repository), _) | (_, Some(Remote::Repository)) = (&from, &to) {
            return Err(Failure::Message(format!(
                "`{} cp` only works with buckets. Name one as hf://buckets/namespace/bucket_name/path.",
                session.program
            )));
        }
        match (from, to) {
            (Some(Remote::Bucket(from)), Some(Remote::Bucket(to))) => {
                let dst = self.dst.as_deref().unwrap_or_default();
                copy::run(session, (&self.src, &from), (dst, &to)).await
            }
            (Some(Remote::Bucket(from)), None) if self.recursive => {
                folder::download(session, &self.src, &from, self.dst.as_deref(), self.jobs).await
            }
            (Some(Remote::Bucket(from)), None) => self.download(session, &from).await,
            (None, Some(Remote::Bucket(to))) if self.recursive && self.src != "-" => {
                folder::upload(session, &self.src, &to, self.jobs).await
            }
            (None, Some(Remote::Bucket(to))) => self.upload(session, to).await,
            _ => Err(Failure::Usage(match self.dst {
                None => "Missing destination. Provide a repo or bucket hf:// URI as DST.".to_owned(),
                Some(_) => {
                    "One of SRC or DST must be a repo (hf://username/...) or bucket (hf://buckets/...) URI."
                        .to_owned()
                }
            })),
        }
    }

    async fn download(&self, session: &mut Session, from: &Location) -> Result<(), Failure> {
        let name = from.path.rsplit('/').next().unwrap_or_default();
        if name.is_empty() || self.src.ends_with('/') {
            return Err(Failure::Usage(format!(
                "Source path must include a file name, not just a repo/bucket or directory path. Use `{0} buckets \
                 cp --recursive` or `{0} buckets sync` to copy directories.",
                session.program
            )));
        }
        let to = match self.dst.as_deref() {
            Some("-") => None,
            None => Some(name.to_owned()),
            Some(dst) if dst.ends_with('/') || Path::new(dst).is_dir() => {
                Some(Path::new(dst).join(name).display().to_string())
            }
            Some(dst) => Some(dst.to_owned()),
        };
        let Some(file) = session.file(from).await? else {
            return Err(Failure::Message(format!(
                "1 file(s) not found in bucket '{}': {}",
                from.bucket,
                printable(&from.path)
            )));
        };
        let transfers = Transfers::new(session, &from.bucket, self.jobs);
        let Some(to) = to else { return transfers.download_to_stdout(session, &file).await };
        // The name is the bucket's unless a full destination was given.
        if self.dst.as_deref() != Some(to.as_str()) {
            check_name(name)?;
            if is_too_long(name) {
                return Err(Failure::Value(
                    "The file's name is longer than a local file's can be. Give a full destination path."
                        .to_owned(),
                ));
            }
        }
        transfers.download(vec![Download { file, to: PathBuf::from(&to) }]).await?;
        session.terminal.result("Downloaded", &Fields::texts([("src", &self.src), ("dst", &to)]))
    }

    async fn upload(&self, session: &mut Session, to: Location) -> Result<(), Failure> {
        let dst = self.dst.as_deref().unwrap_or_default();
        let to_folder = to.path.is_empty() || dst.ends_with('/');
        if self.src == "-" {
            if to_folder {
                let why = "Stdin upload requires a full destination path including filename.";
                return Err(Failure::Usage(why.to_owned()));
            }
            if std::io::stdin().is_terminal() {
                session.terminal.complain("Reading from the terminal until Ctrl-D.");
            }
            return self.send(session, (Source::Stdin, 0), "stdin", to).await;
        }
        let source = Path::new(&self.src);
        let size = match std::fs::metadata(source) {
            Ok(found) if found.is_dir() => {
                return Err(Failure::Usage(format!(
                    "Source must be a file, not a directory. Use `{0} buckets cp --recursive` or `{0} buckets sync` \
                     for directories.",
                    session.program
                )));
            }
            Ok(found) if found.is_file() => found.len(),
            _ => return Err(Failure::Usage(format!("Source file not found: {}", self.src))),
        };
        let path = match source.file_name().and_then(|name| name.to_str()) {
            Some(name) if to.path.is_empty() => name.to_owned(),
            Some(name) if to_folder => format!("{}/{name}", to.path),
            _ if to_folder => {
                return Err(Failure::Usage(format!("Source has no name of its own: {}", self.src)));
            }
            _ => to.path.clone(),
        };
        let to = Location { path, ..to };
        self.send(session, (Source::File(source.to_owned()), size), &self.src, to).await
    }

    async fn send(
        &self,
        session: &mut Session,
        (source, size): (Source, u64),
        src: &str,
        to: Location,
    ) -> Result<(), Failure> {
        let transfers = Transfers::new(session, &to.bucket, self.jobs);
        let upload = Upload { source, path: to.path.clone(), size };
        transfers.upload(session, vec![upload], &[]).await?;
        session.terminal.result("Uploaded", &Fields::texts([("src", src), ("dst", &to.uri())]))
    }
}
