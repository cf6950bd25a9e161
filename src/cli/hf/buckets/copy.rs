//! Copies inside and between buckets: no bytes move, the server is told hashes and names.
//!
//! | the source is | and the destination | then it becomes |
//! |---|---|---|
//! | a file | the bucket itself, an existing folder, or ends with a slash | a file of the same name there |
//! | a file | anything else | that file |
//! | a folder, no slash after it | exists as a folder | a folder of the same name in it |
//! | a folder | anything else | its content goes there |

use crate::bucket::hub::{BatchOp, FileEntry};
use crate::cli::failure::Failure;
use crate::cli::remote::uri::Location;
use crate::cli::session::Session;
use crate::cli::terminal::Fields;

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Copies what `src` names to what `dst` names; both as typed, and as places.
pub(super) async fn run(
    session: &mut Session,
    (src, from): (&str, &Location),
    (dst, to): (&str, &Location),
) -> Result<(), Failure> {
    let into = to.path.is_empty() || dst.ends_with('/') || session.is_folder(to).await?;
    let copies = if let Some(file) = single(session, src, from).await? {
        let path = if into { join(&to.path, name_of(&file.path)) } else { to.path.clone() };
        vec![(path, file)]
    } else {
        // A slash at the end of the destination alone does not make it a folder that is copied into.
        let exists = to.path.is_empty() || session.is_folder(to).await?;
        let own_name = (exists && !from.path.is_empty() && !src.ends_with('/')).then(|| name_of(&from.path));
        let root = own_name.map_or_else(|| to.path.clone(), |name| join(&to.path, name));
        let below = if from.path.is_empty() { String::new() } else { format!("{}/", from.path) };
        let files = session.files(from).await?.into_iter();
        files.filter_map(|file| Some((join(&root, file.path.strip_prefix(&below)?), file))).collect()
    };
    if copies.is_empty() {
        return Err(Failure::Message(format!(
            "No files found at '{}' in bucket '{}'.",
            from.path, from.bucket
        )));
    }
    let now = session.clock.now().0;
    let operations: Vec<_> = copies
        .into_iter()
        .map(|(path, file)| BatchOp::CopyFile {
            path,
            xet_hash: file.xet_hash,
            mtime: now,
            source_repo_type: "bucket".to_owned(),
            source_repo_id: from.bucket.to_string(),
        })
        .collect();
    session.batch(&to.bucket, &operations).await?;
    session.terminal.result("Copied", &Fields::texts([("src", src), ("dst", dst)]))
}

/// The source if it is one file.
async fn single(session: &Session, src: &str, from: &Location) -> Result<Option<FileEntry>, Failure> {
    if from.path.is_empty() || src.ends_with('/') { Ok(None) } else { session.file(from).await }
}
