//! Xorbs in the embedded engine: who uses them, which are idle, and the transactions of gc over them.

use std::ops::Bound;

use redb::{ReadTransaction, ReadableTable, StorageError};

use super::tables::{self, Failure, Tables, decode, encode, xorbs_of};
use super::{IdleXorb, TermChange, XorbMove};
use crate::store::ambient::Timestamp;
use crate::store::pack::PackId;
use crate::store::rows::{FileRecord, StoredXorb, XorbRow};
use crate::xet::hash::{FileHash, XorbHash};

/// Where a page of rows named by hashes begins.
pub(super) fn behind(after: Option<&[u8; 32]>) -> (Bound<[u8; 32]>, Bound<[u8; 32]>) {
    (after.map_or(Bound::Unbounded, |last| Bound::Excluded(*last)), Bound::Unbounded)
}

/// A page of idle xorbs.
pub(super) fn idle(
    snapshot: &ReadTransaction,
    now: Timestamp,
    after: Option<XorbHash>,
    limit: usize,
) -> Result<Vec<IdleXorb>, redb::Error> {
    let (idle, kept) = (snapshot.open_table(tables::IDLE)?, snapshot.open_table(tables::KEPT)?);
    let mut page = Vec::new();
    for entry in idle.range::<[u8; 32]>(behind(after.as_ref().map(XorbHash::as_bytes)))? {
        let (hash, generation) = entry?;
        if page.len() == limit {
            break;
        }
        if kept.get(hash.value())?.is_none_or(|until| until.value() <= now.0) {
            let hash = XorbHash::from_bytes(hash.value());
            page.push(IdleXorb { hash, generation: generation.value() });
        }
    }
    Ok(page)
}

/// A page of the xorbs in a pack.
pub(super) fn of_pack(
    snapshot: &ReadTransaction,
    pack: PackId,
    after: Option<XorbHash>,
    limit: usize,
) -> Result<Vec<XorbHash>, redb::Error> {
    let table = snapshot.open_table(tables::PACK_XORBS)?;
    let first = Bound::Included((pack.0, [0; 32]));
    let start = after.map_or(first, |last| Bound::Excluded((pack.0, *last.as_bytes())));
    let end = Bound::Included((pack.0, [0xFF; 32]));
    let rows = table.range::<(u64, [u8; 32])>((start, end))?.take(limit);
    rows.map(|entry| Ok(XorbHash::from_bytes(entry?.0.value().1))).collect()
}

impl Tables<'_> {
    pub(super) fn xorb_row(&self, xorb: &XorbHash) -> Result<Option<XorbRow>, StorageError> {
        self.xorbs.get(xorb.as_bytes())?.map(|row| decode(row.value())).transpose()
    }

    /// Adds xorbs; answers those that were not known. Of a known one the new bytes are taken and the old are dead: it
    /// was stored anew because nobody could find it, or because it was found damaged.
    pub(super) fn add_xorbs(&mut self, xorbs: &[StoredXorb]) -> Result<Vec<XorbHash>, StorageError> {
        let mut added = Vec::new();
        for StoredXorb { hash, row } in xorbs {
            match self.xorb_row(hash)? {
                None => added.push(*hash),
                Some(old) => self.leave_pack(hash, &old)?,
            }
            self.xorbs.insert(hash.as_bytes(), encode(row)?.as_slice())?;
            self.enter_pack(hash, row)?;
        }
        Ok(added)
    }

    fn enter_pack(&mut self, xorb: &XorbHash, row: &XorbRow) -> Result<(), StorageError> {
        let (end, live) = self.packs.get(row.pack.0)?.map_or((0, 0), |pack| pack.value());
        self.packs.insert(row.pack.0, (end.max(row.frame_end), live + row.frame_bytes()))?;
        self.pack_xorbs.insert((row.pack.0, *xorb.as_bytes()), ())?;
        Ok(())
    }

    fn leave_pack(&mut self, xorb: &XorbHash, row: &XorbRow) -> Result<(), StorageError> {
        let (end, live) = self.packs.get(row.pack.0)?.map_or((0, 0), |pack| pack.value());
        self.packs.insert(row.pack.0, (end, live.saturating_sub(row.frame_bytes())))?;
        self.pack_xorbs.remove((row.pack.0, *xorb.as_bytes()))?;
        Ok(())
    }

    pub(super) fn use_xorb(&mut self, xorb: &XorbHash, file: &FileHash) -> Result<(), StorageError> {
        let uses = self.xorb_uses.get(xorb.as_bytes())?.map_or(0, |uses| uses.value());
        self.xorb_uses.insert(xorb.as_bytes(), uses + 1)?;
        if uses == 0 {
            self.idle.remove(xorb.as_bytes())?;
            self.xorb_homes.insert(xorb.as_bytes(), file.as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn release_xorb(&mut self, xorb: &XorbHash) -> Result<(), StorageError> {
        let uses = self.xorb_uses.get(xorb.as_bytes())?.map_or(0, |uses| uses.value());
        if uses > 1 {
            self.xorb_uses.insert(xorb.as_bytes(), uses - 1)?;
            return Ok(());
        }
        self.xorb_uses.remove(xorb.as_bytes())?;
        self.xorb_homes.remove(xorb.as_bytes())?;
        self.make_idle(xorb)
    }

    fn make_idle(&mut self, xorb: &XorbHash) -> Result<(), StorageError> {
        let generation = self.count_up("generation")?;
        self.idle.insert(xorb.as_bytes(), generation)?;
        Ok(())
    }

    /// Of xorbs just added, makes those idle that no file has come for.
    pub(super) fn idle_unless_used(&mut self, added: &[XorbHash]) -> Result<(), StorageError> {
        for xorb in added {
            if self.xorb_uses.get(xorb.as_bytes())?.is_none() {
                self.make_idle(xorb)?;
            }
        }
        Ok(())
    }

    pub(super) fn register_xorbs(
        &mut self,
        xorbs: &[StoredXorb],
        keep_until: Timestamp,
    ) -> Result<(), Failure> {
        let added = self.add_xorbs(xorbs)?;
        self.idle_unless_used(&added)?;
        for StoredXorb { hash, .. } in xorbs {
            let until = self.kept.get(hash.as_bytes())?.map_or(0, |until| until.value());
            self.kept.insert(hash.as_bytes(), until.max(keep_until.0))?;
        }
        Ok(())
    }

    pub(super) fn remove_xorbs(
        &mut self,
        idle: &[IdleXorb],
        now: Timestamp,
    ) -> Result<Vec<StoredXorb>, Failure> {
        let mut removed = Vec::new();
        for IdleXorb { hash, generation } in idle {
            let name = hash.as_bytes();
            let same = self.idle.get(name)?.is_some_and(|present| present.value() == *generation);
            let kept = self.kept.get(name)?.is_some_and(|until| until.value() > now.0);
            if !same || kept || self.xorb_uses.get(name)?.is_some() {
                continue;
            }
            self.idle.remove(name)?;
            self.kept.remove(name)?;
            let Some(row) = self.xorb_row(hash)? else {
                continue;
            };
            self.xorbs.remove(name)?;
            self.leave_pack(hash, &row)?;
            removed.push(StoredXorb { hash: *hash, row });
        }
        Ok(removed)
    }

    pub(super) fn move_xorbs(&mut self, moves: &[XorbMove]) -> Result<usize, Failure> {
        let mut count = 0;
        for XorbMove { hash, from, to } in moves {
            let Some(row) = self.xorb_row(hash)?.filter(|row| row.place() == *from) else {
                continue;
            };
            self.leave_pack(hash, &row)?;
            let row = XorbRow { pack: to.pack, offset: to.offset, frame_end: to.frame_end, ..row };
            self.enter_pack(hash, &row)?;
            self.xorbs.insert(hash.as_bytes(), encode(&row)?.as_slice())?;
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn replace_terms(&mut self, change: &TermChange) -> Result<usize, Failure> {
        let added = self.add_xorbs(&change.xorbs)?;
        let mut changed = 0;
        for file in &change.files {
            changed += usize::from(self.replace_terms_of(file, change)?);
        }
        self.idle_unless_used(&added)?;
        Ok(changed)
    }

    fn replace_terms_of(&mut self, file: &FileHash, change: &TermChange) -> Result<bool, StorageError> {
        let row = self.files.get(file.as_bytes())?;
        let Some(old) = row.map(|row| decode::<FileRecord>(row.value())).transpose()? else {
            return Ok(false);
        };
        let new = change.apply(&old);
        let (before, after) = (xorbs_of(&old), xorbs_of(&new));
        for xorb in after.difference(&before) {
            if self.xorbs.get(xorb.as_bytes())?.is_none() {
                return Ok(false);
            }
        }
        if new == old {
            return Ok(false);
        }
        self.files.insert(file.as_bytes(), encode(&new)?.as_slice())?;
        after.difference(&before).try_for_each(|xorb| self.use_xorb(xorb, file))?;
        before.difference(&after).try_for_each(|xorb| self.release_xorb(xorb))?;
        Ok(true)
    }

    pub(super) fn forget_pack(&mut self, pack: PackId) -> Result<bool, Failure> {
        let all = (pack.0, [0; 32])..=(pack.0, [0xFF; 32]);
        if self.pack_xorbs.range(all)?.next().is_some() {
            return Ok(false);
        }
        self.packs.remove(pack.0)?;
        Ok(true)
    }
}
