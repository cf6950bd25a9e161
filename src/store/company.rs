//! The company of a chunk: the xorbs that are likely to be wanted by who has it.

use std::collections::HashSet;

use super::meta::{MetaError, MetaStore};
use crate::model::file::Term;
use crate::xet::hash::XorbHash;

/// Most xorbs in a company: two gigabytes of what follows the chunk.
const XORBS_MAX: usize = 32;

/// Terms of a file in which the company of a chunk is looked for: a millisecond.
const HOME_TERMS_MAX: usize = 1 << 14;

/// The xorb that a chunk is in, and those after it in a file that names it: who has one chunk of a file is likely to have
/// those after it.
pub async fn company(meta: &dyn MetaStore, xorb: XorbHash, chunk: u32) -> Result<Vec<XorbHash>, MetaError> {
    let mut xorbs = vec![xorb];
    let home = match meta.home_of(&xorb).await? {
        // Not of one that is long: for a hint that would be too much to read.
        Some(file) => match meta.file_terms(&file, &|_| 0..0).await? {
            Some(home) if home.terms_in_file <= HOME_TERMS_MAX => meta.file(&file).await?,
            _ => None,
        },
        None => None,
    };
    let terms = home.map(|record| record.terms).unwrap_or_default();
    let names = |term: &Term| term.xorb == xorb && (term.start..term.end).contains(&chunk);
    let first = terms.iter().position(names).unwrap_or(terms.len());
    let mut seen = HashSet::from([xorb]);
    for term in &terms[first..] {
        if xorbs.len() == XORBS_MAX {
            break;
        }
        if seen.insert(term.xorb) {
            xorbs.push(term.xorb);
        }
    }
    Ok(xorbs)
}
