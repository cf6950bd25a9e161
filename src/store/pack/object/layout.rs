//! Names of objects.
//!
//! | name | content |
//! |---|---|
//! | `STORE` | the id of the metadata that the packs belong to |
//! | `epochs/EEEEEEEE` | who took this epoch: a token, the time |
//! | `packs/HH/EEEEEEEENNNNNNNN` | pack number N of epoch E |
//!
//! A pack's id is its epoch and its number, so its name follows from its id, and each process numbers in an epoch of its
//! own. HH spreads the names over 256 prefixes: object stores split their load by prefix, and numbers that follow each
//! other would all fall on one.

use object_store::path::Path;

use crate::store::pack::PackId;

/// Where the objects of one store lie.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: Path,
}

/// One process's right to number packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Epoch(pub(super) u32);

impl Epoch {
    /// The epoch that a pack was numbered in.
    pub(super) fn of(id: PackId) -> Self {
        Self(id.epoch())
    }

    /// The id before that of its first pack.
    pub(super) fn before_first(self) -> PackId {
        PackId(u64::from(self.0) << 32)
    }
}

impl Layout {
    /// All names begin with this.
    pub(super) fn new(prefix: Path) -> Self {
        Self { prefix }
    }

    pub(super) fn store(&self) -> Path {
        self.prefix.clone().join("STORE")
    }

    pub(super) fn epochs(&self) -> Path {
        self.prefix.clone().join("epochs")
    }

    pub(super) fn epoch(&self, Epoch(epoch): Epoch) -> Path {
        self.epochs().join(format!("{epoch:08x}"))
    }

    pub(super) fn packs(&self) -> Path {
        self.prefix.clone().join("packs")
    }

    pub(super) fn pack(&self, id: PackId) -> Path {
        let spread = blake3::hash(&id.0.to_le_bytes()).as_bytes()[0];
        self.packs().join(format!("{spread:02x}")).join(id.to_string())
    }
}

/// The number that a name ends with, written with `digits` digits.
fn number(name: &Path, digits: usize) -> Option<u64> {
    let name = name.filename().filter(|name| name.len() == digits)?;
    u64::from_str_radix(name, 16).ok()
}

/// The epoch that an object marks.
pub(super) fn epoch_named(name: &Path) -> Option<Epoch> {
    number(name, 8).map(|number| Epoch(number as u32))
}

/// The pack that an object is.
pub(super) fn pack_named(name: &Path) -> Option<PackId> {
    number(name, 16).map(PackId)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_read_back_and_spread() {
        let layout = Layout::new(Path::from("a/b"));
        let id = PackId(Epoch(7).before_first().0 + 1);
        assert_eq!(id.to_string(), "0000000700000001");
        let name = layout.pack(id);
        assert!(name.as_ref().starts_with("a/b/packs/") && name.as_ref().ends_with("/0000000700000001"));
        assert_eq!((pack_named(&name), Epoch::of(id)), (Some(id), Epoch(7)));
        assert_eq!(layout.epoch(Epoch(255)).as_ref(), "a/b/epochs/000000ff");
        assert_eq!(epoch_named(&layout.epoch(Epoch(255))), Some(Epoch(255)));
        assert_eq!(pack_named(&layout.store()), None);
        let spread: HashSet<_> =
            (1..=64).map(|number| layout.pack(PackId(number)).parent().map(|at| at.to_string())).collect();
        assert!(spread.len() > 32, "{}", spread.len());
    }
}
