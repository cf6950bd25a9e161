//! Bit flips in the chunk index: it is a cache, so each costs deduplication at most, and a rebuild gives that back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fjall::{Database, KeyspaceCreateOptions};

use super::damage::{flips, roll};
use super::*;
use crate::store::index::{ChunkIndex, FjallIndex};
use crate::store::rebuild::rebuild_index;
use crate::store::throttle::Throttle;

/// Names the index that a process of its own is to open.
const TO_OPEN: &str = "XETGATE_TEST_INDEX";

/// A store whose index can be replaced by a damaged copy of itself.
struct Rig {
    meta: Arc<EmbeddedMeta>,
    packs: MemoryPacks,
    /// The index as it was left.
    whole: tempfile::TempDir,
    /// What it knows.
    chunks: Vec<ChunkHash>,
}

impl Rig {
    fn open(&self, index: FjallIndex) -> NativeBuckets {
        let meta = Arc::clone(&self.meta);
        let packs = Arc::new(self.packs.clone());
        let store = LocalStore::assemble(meta, packs, Arc::new(index), 1 << 20).unwrap();
        NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap()
    }

    /// With entries in table files and entries in the journal only.
    async fn new() -> Self {
        let mut rig = Self {
            meta: Arc::new(EmbeddedMeta::in_memory().unwrap()),
            packs: MemoryPacks::default(),
            whole: tempfile::tempdir().unwrap(),
            chunks: Vec::new(),
        };
        let folder = rig.whole.path().join("index");
        for seed in 0..3 {
            let buckets = rig.open(FjallIndex::open(&folder).unwrap());
            if seed == 0 {
                buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
            }
            put(&buckets, &format!("old-{seed}"), &old(seed)).await;
            drop(buckets);
            if seed < 2 {
                let database = Database::builder(&folder).open().unwrap();
                let chunks = database.keyspace("chunks", KeyspaceCreateOptions::default).unwrap();
                chunks.rotate_memtable_and_wait().unwrap();
            }
        }
        for seed in 0..3 {
            let data = old(seed);
            let mut rest = &data[..];
            for len in chunk_lengths(&data) {
                let (chunk, behind) = rest.split_at(len);
                rest = behind;
                rig.chunks.push(ChunkHash::of(chunk));
            }
        }
        rig
    }

    /// What the index says of the chunks: how many it finds, and how often it fails.
    fn found(&self, index: &dyn ChunkIndex) -> (usize, usize) {
        let answers = self.chunks.iter().map(|chunk| index.find(chunk));
        answers.fold((0, 0), |(found, failed), answer| match answer {
            Ok(answer) => (found + usize::from(answer.is_some()), failed),
            Err(_) => (found, failed + 1),
        })
    }
}

fn old(seed: u64) -> Bytes {
    noise(100 + seed, 400_000)
}

fn files_in(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_in(&path, files);
        } else {
            let bytes = fs::read(&path).unwrap();
            files.insert(path, bytes);
        }
    }
}

fn write_all(files: &BTreeMap<PathBuf, Vec<u8>>, from: &Path, to: &Path) {
    for (path, bytes) in files {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Opens an index that may ask for more memory than there is, and says whether the process came to its end.
fn opens_in_a_process_of_its_own(folder: &Path) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "bucket::native::tests::index_damage::opens_what_the_environment_names"]);
    child.env(TO_OPEN, folder).stdout(Stdio::null()).stderr(Stdio::null());
    child.status().unwrap().success()
}

/// What [`opens_in_a_process_of_its_own`] runs; else nothing.
#[test]
fn opens_what_the_environment_names() {
    if let Some(folder) = std::env::var_os(TO_OPEN) {
        FjallIndex::open_or_put_aside(Path::new(&folder)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flip_in_the_index_costs_deduplication_at_most() {
    let rig = Rig::new().await;
    let mut files = BTreeMap::new();
    files_in(rig.whole.path(), &mut files);
    // As many flips in each file, for most bytes are in few of them.
    let names: Vec<_> =
        files.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(path, _)| path.clone()).collect();
    let (mut deadly, mut put_aside, mut failing, mut forgetful) = (0, 0, 0, 0);
    for round in 0..flips() {
        let name = &names[(round % names.len() as u64) as usize];
        let content = &files[name];
        let used = content.iter().rposition(|byte| *byte != 0).map_or(content.len(), |last| last + 1);
        let bit = roll(round) % (used as u64 * 8);
        let mut damaged = files.clone();
        damaged.get_mut(name).unwrap()[(bit / 8) as usize] ^= 1 << (bit % 8);
        let place = tempfile::tempdir().unwrap();
        write_all(&damaged, rig.whole.path(), place.path());
        let told = format!("round {round}: bit {bit} of {}", name.display());

        let mut ends = 0;
        while !opens_in_a_process_of_its_own(&place.path().join("index")) {
            ends += 1;
            assert!(ends <= 2, "{told}");
        }
        deadly += u64::from(ends > 0);
        let index = FjallIndex::open_or_put_aside(&place.path().join("index")).expect(&told);
        let is_put_aside = place.path().join("index.broken").exists();
        put_aside += u64::from(is_put_aside);
        let (found, failed) = rig.found(&index);
        failing += u64::from(failed > 0);
        forgetful += u64::from(found < rig.chunks.len() && failed == 0 && !is_put_aside);
        let buckets = rig.open(index);
        for seed in 0..3 {
            let data = old(seed);
            assert_eq!(get(&buckets, &format!("old-{seed}"), None).await, data, "{told}");
            put(&buckets, "again", &data).await;
            assert_eq!(get(&buckets, "again", None).await, data, "{told}");
        }
        let new = noise(round, 60_000);
        put(&buckets, "new", &new).await;
        assert_eq!(get(&buckets, "new", None).await, new, "{told}");

        let report = rebuild_index(buckets.store(), &Throttle::default()).await.expect(&told);
        let whole = (rig.chunks.len(), 0);
        assert_eq!(rig.found(&*buckets.store().index), whole, "{told}: {}", report.table());
    }
    eprintln!(
        "{} flips in {} files of the index: {put_aside} put aside (of which {deadly} had ended the process), {failing} with lookups that fail, \
         {forgetful} that forget, the others harmless",
        flips(),
        names.len()
    );
}
