//! `cp --recursive`: a folder up or down.
//!
//! As between buckets: a folder is copied *into* a destination that exists, under its own name, unless a slash after
//! it says that its content is meant; else it is copied *to* the destination.

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::hf::files::filter::Filter;
use crate::cli::hf::files::local::walk;
use crate::cli::hf::files::names::{LeftOut, check_name};
use crate::cli::hf::transfer::{Download, Source, Transfers, Upload};
use crate::cli::remote::uri::Location;
use crate::cli::session::Session;
use crate::cli::terminal::{Fields, Value};

fn result(session: &mut Session, message: &str, src: &str, dst: &str, files: usize) -> Result<(), Failure> {
    let mut fields = Fields::texts([("src", src), ("dst", dst)]);
    fields.0.push(("files", Value::Count(files as u64)));
    session.terminal.result(message, &fields)
}

/// A local folder into a bucket.
pub(super) async fn upload(
    session: &mut Session,
    src: &str,
    to: &Location,
    jobs: Option<usize>,
) -> Result<(), Failure> {
    let root = Path::new(src);
    if !root.is_dir() {
        return Err(Failure::Usage(format!("Source must be an existing directory: {src}")));
    }
    let into = to.path.is_empty() || session.is_folder(to).await?;
    let own_name = root.file_name().and_then(|name| name.to_str());
    let prefix = match own_name.filter(|_| into && !src.ends_with('/')) {
        Some(name) if to.path.is_empty() => name.to_owned(),
        Some(name) => format!("{}/{name}", to.path),
        None => to.path.clone(),
    };
    let listing = walk(root, &Filter::default())?.listing;
    let uploads = listing.iter().map(|(path, state)| Upload {
        source: Source::File(root.join(path)),
        path: if prefix.is_empty() { path.clone() } else { format!("{prefix}/{path}") },
        size: state.size,
    });
    Transfers::new(session, &to.bucket, jobs).upload(session, uploads.collect(), &[]).await?;
    let dst = Location { path: prefix, ..to.clone() }.uri();
    result(session, "Uploaded", src, &dst, listing.len())
}

/// What is below a place in a bucket into a local folder.
pub(super) async fn download(
    session: &mut Session,
    src: &str,
    from: &Location,
    dst: Option<&str>,
    jobs: Option<usize>,
) -> Result<(), Failure> {
    if dst == Some("-") {
        return Err(Failure::Usage("A folder cannot be copied to stdout.".to_owned()));
    }
    let target = Path::new(dst.unwrap_or("."));
    let name = from.path.rsplit('/').next().filter(|name| !name.is_empty());
    let into = target.is_dir() && !src.ends_with('/');
    let root = match name.filter(|_| into) {
        Some(name) => {
            check_name(name)?;
            target.join(name)
        }
        None => target.to_owned(),
    };
    let below = format!("{}/", from.path);
    let mut left_out = LeftOut::default();
    let mut downloads = Vec::new();
    for file in session.files(from).await? {
        let path =
            if from.path.is_empty() { Some(file.path.as_str()) } else { file.path.strip_prefix(&below) };
        // The place may be a file.
        let Some(path) = path else { continue };
        check_name(path)?;
        if !left_out.admits(path) {
            continue;
        }
        downloads.push(Download { to: root.join(path), file });
    }
    left_out.tell(session);
    if downloads.is_empty() {
        return Err(Failure::Message(format!(
            "No files found at '{}' in bucket '{}'.",
            from.path, from.bucket
        )));
    }
    let files = downloads.len();
    Transfers::new(session, &from.bucket, jobs).download(downloads).await?;
    result(session, "Downloaded", src, &root.display().to_string(), files)
}
