//! Xorbs in the embedded engine: who uses them, which are idle, and the transactions of gc over them.

use std::collections::BTreeSet;
use std::ops::Bound;

use redb::StorageError;

use super::kv::{ReadTransaction, ReadableTable};
use super::rows;
use super::tables::{self, Failure, HashHead, Tables, xorbs_of};
use super::{IdleXorb, NewFile, TermChange, XorbMove};
use crate::model::clock::Timestamp;
use crate::model::file::FileRecord;
use crate::store::rows::{PackId, PackRow, StoredXorb, XorbRow};
use crate::xet::hash::{FileHash, NodeHash, XorbHash};

/// Reads where a xorb lies.
pub(super) fn decode_xorb(hash: &XorbHash, row: &[u8]) -> Result<XorbRow, StorageError> {
    Ok(rows::decode_xorb(hash, row)?)
}

fn encode_xorb(hash: &XorbHash, row: &XorbRow) -> Result<Vec<u8>, StorageError> {
    Ok(rows::encode_xorb(hash, row)?)
}

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

/// A page of the xorbs in a pack, by offset.
pub(super) fn of_pack(
    snapshot: &ReadTransaction,
    pack: PackId,
    after: Option<u64>,
    limit: usize,
) -> Result<Vec<StoredXorb>, redb::Error> {
    let (table, xorbs) = (snapshot.open_table(tables::PACK_XORBS)?, snapshot.open_table(tables::XORBS)?);
    let start = after.map_or(Bound::Included((pack.0, 0)), |last| Bound::Excluded((pack.0, last)));
    let rows = table.range::<(u64, u64)>((start, Bound::Included((pack.0, u64::MAX))))?.take(limit);
    let mut page = Vec::new();
    for entry in rows {
        let (place, head) = entry?;
        page.extend(at_place(&xorbs, place.value(), head.value())?);
    }
    Ok(page)
}

/// Every pack, from the rows of all who have written to it.
pub(super) fn packs(snapshot: &ReadTransaction) -> Result<Vec<PackRow>, redb::Error> {
    let mut packs = Vec::<PackRow>::new();
    for (pack, (end, live)) in snapshot.open_table(tables::PACKS)?.all_shards()? {
        match packs.last_mut().filter(|last| last.id.0 == pack) {
            Some(last) => {
                last.committed_end = last.committed_end.max(end);
                last.live_bytes = last.live_bytes.wrapping_add(live);
            }
            None => packs.push(PackRow { id: PackId(pack), committed_end: end, live_bytes: live }),
        }
    }
    Ok(packs)
}

/// The xorb that lies at a place; `None` if no row says so.
pub(super) fn at_place(
    xorbs: &impl ReadableTable<[u8; 32], &'static [u8]>,
    (pack, offset): (u64, u64),
    head: HashHead,
) -> Result<Option<StoredXorb>, StorageError> {
    let bound = |rest: u8| {
        let mut name = [rest; 32];
        name[..head.len()].copy_from_slice(&head);
        name
    };
    for entry in xorbs.range(bound(0)..=bound(0xFF))? {
        let (hash, row) = entry?;
        let hash = XorbHash::from_bytes(hash.value());
        let row = decode_xorb(&hash, row.value())?;
        if (row.pack.0, row.offset) == (pack, offset) {
            return Ok(Some(StoredXorb { hash, row }));
        }
    }
    Ok(None)
}

/// The file that has the chunks of a xorb and no others: their Merkle root is the one's name, and salted the other's.
pub(super) fn file_of_all(xorb: &XorbHash) -> FileHash {
    FileHash::from_root(NodeHash::from_bytes(*xorb.as_bytes()))
}

fn head_of(xorb: &XorbHash) -> HashHead {
    std::array::from_fn(|at| xorb.as_bytes()[at])
}

impl Tables<'_> {
    pub(super) fn xorb_row(&self, xorb: &XorbHash) -> Result<Option<XorbRow>, StorageError> {
        self.xorbs.get(xorb.as_bytes())?.map(|row| decode_xorb(xorb, row.value())).transpose()
    }

    /// Adds xorbs; answers those that were not known, and are neither used nor idle yet. Of a known one the new bytes are
    /// taken and the old are dead: it was stored again because nobody could find it, or because it was found damaged. One
    /// that uploads share comes with each of them.
    pub(super) fn add_xorbs(&mut self, xorbs: &[StoredXorb]) -> Result<BTreeSet<XorbHash>, StorageError> {
        let mut added = BTreeSet::new();
        for StoredXorb { hash, row } in xorbs {
            match self.xorb_row(hash)? {
                None => drop(added.insert(*hash)),
                Some(old) if old.place() == row.place() => continue,
                Some(old) => self.leave_pack(&old)?,
            }
            self.xorbs.insert(hash.as_bytes(), encode_xorb(hash, row)?.as_slice())?;
            self.enter_pack(hash, row)?;
            self.share_chunks(hash, &row.table)?;
        }
        Ok(added)
    }

    fn enter_pack(&mut self, xorb: &XorbHash, row: &XorbRow) -> Result<(), StorageError> {
        let (frame_end, bytes) = (row.frame_end, row.frame_bytes());
        self.packs.change_shard(row.pack.0, |(end, live)| (end.max(frame_end), live.wrapping_add(bytes)))?;
        self.pack_xorbs.insert((row.pack.0, row.offset), head_of(xorb))?;
        Ok(())
    }

    fn leave_pack(&mut self, row: &XorbRow) -> Result<(), StorageError> {
        let bytes = row.frame_bytes();
        // Another node may have added what this one takes away: the sum is what counts.
        let is_remote = self.packs.is_remote();
        let less = |live: u64| if is_remote { live.wrapping_sub(bytes) } else { live.saturating_sub(bytes) };
        self.packs.change_shard(row.pack.0, |(end, live)| (end, less(live)))?;
        self.pack_xorbs.remove((row.pack.0, row.offset))?;
        Ok(())
    }

    /// One more file uses a xorb. The first use of a fresh one only makes it no longer fresh: 1 is not written down.
    pub(super) fn use_xorb(
        &mut self,
        xorb: &XorbHash,
        file: &FileHash,
        fresh: &mut BTreeSet<XorbHash>,
    ) -> Result<(), StorageError> {
        if fresh.remove(xorb) || self.idle.take(xorb.as_bytes())?.is_some() {
            return self.set_home(xorb, file);
        }
        let uses = self.xorb_uses.get(xorb.as_bytes())?.map_or(1, |uses| uses.value());
        self.xorb_uses.insert(xorb.as_bytes(), uses + 1)?;
        Ok(())
    }

    pub(super) fn release_xorb(&mut self, xorb: &XorbHash) -> Result<(), StorageError> {
        let uses = self.xorb_uses.get(xorb.as_bytes())?.map_or(1, |uses| uses.value());
        if uses > 2 {
            self.xorb_uses.insert(xorb.as_bytes(), uses - 1)?;
            return Ok(());
        }
        if self.xorb_uses.take(xorb.as_bytes())?.is_some() {
            return Ok(());
        }
        self.xorb_homes.remove(xorb.as_bytes())?;
        self.make_idle(xorb)
    }

    /// Remembers a file that names a xorb; not of one that is all of it, for that follows ([`file_of_all`]).
    pub(super) fn set_home(&mut self, xorb: &XorbHash, file: &FileHash) -> Result<(), StorageError> {
        if file_of_all(xorb) != *file {
            self.xorb_homes.insert(xorb.as_bytes(), file.as_bytes())?;
        }
        Ok(())
    }

    fn make_idle(&mut self, xorb: &XorbHash) -> Result<(), StorageError> {
        let generation = self.unique("generation")?;
        self.idle.insert(xorb.as_bytes(), generation)?;
        Ok(())
    }

    /// Makes those of the xorbs just added idle that no file has come for.
    pub(super) fn make_idle_all(&mut self, fresh: &BTreeSet<XorbHash>) -> Result<(), StorageError> {
        fresh.iter().try_for_each(|xorb| self.make_idle(xorb))
    }

    pub(super) fn register_xorbs(
        &mut self,
        xorbs: &[StoredXorb],
        keep_until: Timestamp,
    ) -> Result<(), Failure> {
        self.must_be_of_the_living(xorbs)?;
        let fresh = self.add_xorbs(xorbs)?;
        self.make_idle_all(&fresh)?;
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
            if !same || kept {
                continue;
            }
            self.idle.remove(name)?;
            self.kept.remove(name)?;
            let Some(row) = self.xorb_row(hash)? else {
                continue;
            };
            self.xorbs.remove(name)?;
            self.leave_pack(&row)?;
            self.unshare_chunks(hash, &row.table)?;
            removed.push(StoredXorb { hash: *hash, row });
        }
        Ok(removed)
    }

    pub(super) fn move_xorbs(&mut self, moves: &[XorbMove]) -> Result<usize, Failure> {
        self.packs_must_be_of_the_living(moves.iter().map(|moved| moved.to.pack))?;
        let mut count = 0;
        for XorbMove { hash, from, to } in moves {
            let Some(row) = self.xorb_row(hash)?.filter(|row| row.place() == *from) else {
                continue;
            };
            self.leave_pack(&row)?;
            let row = XorbRow { pack: to.pack, offset: to.offset, frame_end: to.frame_end, ..row };
            self.enter_pack(hash, &row)?;
            self.xorbs.insert(hash.as_bytes(), encode_xorb(hash, &row)?.as_slice())?;
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn replace_terms(&mut self, change: &TermChange) -> Result<usize, Failure> {
        self.must_be_of_the_living(&change.xorbs)?;
        let mut fresh = self.add_xorbs(&change.xorbs)?;
        let mut changed = 0;
        for file in &change.files {
            changed += usize::from(self.replace_terms_of(file, change, &mut fresh)?);
        }
        self.make_idle_all(&fresh)?;
        Ok(changed)
    }

    fn replace_terms_of(
        &mut self,
        file: &FileHash,
        change: &TermChange,
        fresh: &mut BTreeSet<XorbHash>,
    ) -> Result<bool, StorageError> {
        let Some(old) = self.file(file)? else {
            return Ok(false);
        };
        self.replace_record(&old, &change.apply(&old), fresh)
    }

    /// A file that is known comes again, with xorbs that were stored for it: for chunks that nobody could find, or that
    /// were found damaged. Its record takes them.
    pub(super) fn mend_file(&mut self, new: &NewFile) -> Result<(), StorageError> {
        if new.xorbs.is_empty() {
            return Ok(());
        }
        let mut fresh = self.add_xorbs(&new.xorbs)?;
        let hash = new.record.hash;
        if let Some(old) = self.file(&hash)? {
            self.replace_record(&old, &new.record, &mut fresh)?;
        }
        self.make_idle_all(&fresh)
    }

    /// Lets a file name other xorbs, if all of them are there; answers whether it was changed.
    fn replace_record(
        &mut self,
        old: &FileRecord,
        new: &FileRecord,
        fresh: &mut BTreeSet<XorbHash>,
    ) -> Result<bool, StorageError> {
        let file = &old.hash;
        let (before, after) = (xorbs_of(old), xorbs_of(new));
        for xorb in after.difference(&before) {
            if self.xorbs.get(xorb.as_bytes())?.is_none() {
                return Ok(false);
            }
        }
        if new == old {
            return Ok(false);
        }
        self.put_file(new)?;
        after.difference(&before).try_for_each(|xorb| self.use_xorb(xorb, file, fresh))?;
        before.difference(&after).try_for_each(|xorb| self.release_xorb(xorb))?;
        Ok(true)
    }

    pub(super) fn forget_pack(&mut self, pack: PackId) -> Result<bool, Failure> {
        let all = (pack.0, 0)..=(pack.0, u64::MAX);
        if self.pack_xorbs.first_in(all)?.is_some() {
            return Ok(false);
        }
        self.packs.forget(pack.0)?;
        Ok(true)
    }
}
