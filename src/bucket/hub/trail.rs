//! [`Trail`]: the pages of a listing that were asked for. A Hub says itself where the next one is, and must not lead us
//! round in a circle, nor on and on.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use super::client::PageLink;
use super::error::HubError;

/// Most pages of a listing: at a thousand entries a page, a hundred million.
const PAGES_MAX: usize = 100_000;

/// The pages of one listing so far.
#[derive(Debug, Default)]
pub(super) struct Trail {
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Trail {
    /// Goes on to a page; an error if it was there before, or there were too many.
    pub(super) fn follow(&mut self, link: &PageLink) -> Result<(), HubError> {
        let bad = |reason: &str| Err(HubError::BadAnswer { call: "list", reason: reason.to_owned() });
        if !self.seen.insert(self.hasher.hash_one(link)) {
            return bad("the pages of the listing lead back to one of them");
        }
        if self.seen.len() > PAGES_MAX {
            return bad("the listing has no end");
        }
        Ok(())
    }
}
