//! Carrying out a plan: what it says is moved, and then deleted.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::command::{Sides, below};
use super::plan::{Action, Direction, Plan};
use crate::bucket::hub::{BatchOp, FileEntry};
use crate::cli::failure::Failure;
use crate::cli::hf::files::names::{LeftOut, check_name, is_file_name};
use crate::cli::hf::transfer::{Download, Source, Transfers, Upload};
use crate::cli::session::Session;
use crate::cli::terminal::words::printable;

/// Refuses a plan that this program would not make: a plan from a file may have been edited, or be another program's.
pub(super) fn check(sides: &Sides, plan: &Plan) -> Result<(), Failure> {
    let (right, wrong, doing) = match sides.direction {
        Direction::Upload => ("uploads", Action::Download, "downloaded"),
        Direction::Download => ("downloads", Action::Upload, "uploaded"),
    };
    for operation in &plan.operations {
        check_name(&operation.path)?;
        if operation.action == wrong {
            return Err(Failure::Value(format!(
                "The plan {right} from '{}' to '{}', but '{}' is to be {doing}. Nothing was done; make the plan again \
                 with --plan.",
                printable(&plan.source),
                printable(&plan.dest),
                printable(&operation.path)
            )));
        }
        if sides.direction == Direction::Download && !is_file_name(&operation.path) {
            return Err(Failure::Value(format!(
                "Invalid filename '{}': it cannot be a file.",
                printable(&operation.path)
            )));
        }
    }
    Ok(())
}

/// Carries out a plan. `files` are the bucket's files if they were listed for it; a plan from a file looks them up.
pub(super) async fn run(
    session: &mut Session,
    sides: &Sides,
    plan: &Plan,
    files: Option<Vec<FileEntry>>,
    verbose: bool,
    jobs: Option<usize>,
) -> Result<(), Failure> {
    check(sides, plan)?;
    if verbose {
        tell(session, plan)?;
    }
    let transfers = Transfers::new(session, &sides.remote.bucket, jobs);
    match sides.direction {
        Direction::Upload => upload(session, &transfers, sides, plan).await,
        Direction::Download => download(session, &transfers, sides, plan, files).await,
    }
}

/// A line for each operation, before the first of them; in every form.
fn tell(session: &mut Session, plan: &Plan) -> Result<(), Failure> {
    let lines = plan.operations.iter().map(|operation| {
        let doing = match operation.action {
            Action::Upload => "Uploading",
            Action::Download => "Downloading",
            Action::Delete => "Deleting",
            Action::Skip => "Skipping",
        };
        format!("  {doing}: {} ({})\n", printable(&operation.path), printable(&operation.reason))
    });
    session.terminal.print(&lines.collect::<String>())
}

fn paths(plan: &Plan, action: Action) -> impl Iterator<Item = &super::plan::Operation> {
    plan.operations.iter().filter(move |operation| operation.action == action)
}

/// A path in the bucket.
fn remote_path(sides: &Sides, path: &str) -> String {
    match sides.remote.path.as_str() {
        "" => path.to_owned(),
        prefix => format!("{prefix}/{path}"),
    }
}

async fn upload(session: &Session, transfers: &Transfers, sides: &Sides, plan: &Plan) -> Result<(), Failure> {
    let uploads = paths(plan, Action::Upload).map(|operation| Upload {
        source: Source::File(sides.local.join(&operation.path)),
        path: remote_path(sides, &operation.path),
        size: operation.size.unwrap_or_default(),
    });
    let deletes: Vec<_> = paths(plan, Action::Delete)
        .map(|operation| BatchOp::DeleteFile { path: remote_path(sides, &operation.path) })
        .collect();
    transfers.upload(session, uploads.collect(), &deletes).await
}

async fn download(
    session: &mut Session,
    transfers: &Transfers,
    sides: &Sides,
    plan: &Plan,
    files: Option<Vec<FileEntry>>,
) -> Result<(), Failure> {
    fs::create_dir_all(&sides.local).map_err(Failure::local("create", &sides.local))?;
    let mut left_out = LeftOut::default();
    let wanted = paths(plan, Action::Download).map(|operation| operation.path.as_str());
    let wanted: Vec<_> = wanted.filter(|path| left_out.admits(path)).collect();
    left_out.tell(session);
    let mut known = match files {
        Some(files) => by_path(sides, files),
        None => look_up(session, sides, &wanted).await?,
    };
    let mut downloads = Vec::new();
    for path in wanted {
        match known.remove(path) {
            Some(file) => downloads.push(Download { file, to: sides.local.join(path) }),
            None => session.terminal.warning(&format!(
                "File '{}' not found in bucket '{}'. Skipping.",
                printable(&remote_path(sides, path)),
                sides.remote.bucket
            )),
        }
    }
    transfers.download(downloads).await?;
    for operation in paths(plan, Action::Delete) {
        delete(&sides.local, &operation.path)?;
    }
    Ok(())
}

fn by_path(sides: &Sides, files: Vec<FileEntry>) -> HashMap<String, FileEntry> {
    files.into_iter().map(|file| (below(&sides.remote.path, &file.path).to_owned(), file)).collect()
}

async fn look_up(
    session: &Session,
    sides: &Sides,
    wanted: &[&str],
) -> Result<HashMap<String, FileEntry>, Failure> {
    let bucket = &sides.remote.bucket;
    let paths: Vec<_> = wanted.iter().map(|path| remote_path(sides, path)).collect();
    let mut files =
        session.connection.hub.paths_info(bucket, &paths).await.map_err(session.connection.about(bucket))?;
    // The place may be a file itself, whose own name is then its path.
    if let [only] = wanted
        && files.is_empty()
    {
        files.extend(
            session.file(&sides.remote).await?.filter(|file| below(&sides.remote.path, &file.path) == *only),
        );
    }
    Ok(by_path(sides, files))
}

/// Deletes a local file, and the folders above it that are empty then.
fn delete(root: &Path, path: &str) -> Result<(), Failure> {
    let file = root.join(path);
    match fs::remove_file(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        removed => removed.map_err(Failure::local("delete", &file))?,
    }
    let mut folder = file.parent();
    while let Some(empty) = folder.filter(|folder| *folder != root) {
        // A folder that is not empty stays.
        if fs::remove_dir(empty).is_err() {
            break;
        }
        folder = empty.parent();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_file_takes_its_empty_folders_along_but_not_the_root() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b/c")).unwrap();
        fs::write(at("a/b/c/x"), "").unwrap();
        fs::write(at("a/keep"), "").unwrap();
        delete(root.path(), "a/b/c/x").unwrap();
        assert!(!at("a/b").exists() && at("a/keep").exists());
        delete(root.path(), "a/keep").unwrap();
        assert!(root.path().exists() && !at("a").exists());
        delete(root.path(), "missing").unwrap();
    }
}
