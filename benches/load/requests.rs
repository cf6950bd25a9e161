//! Many clients at once on one thread, each with one connection and one request under way.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::content::{self, BLOCK_BYTES, Numbers};
use crate::http::Connection;
use crate::sign::Signer;
use crate::{Failure, Objects, Target};

/// A page of a listing.
const PAGE_KEYS: u64 = 1_000;

/// Folders over which the keys are spread: as many as a page holds, so that with a delimiter each page seeks as often
/// however many keys there are.
const FOLDERS: u64 = PAGE_KEYS;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Get,
}

/// The key of an object.
fn key(number: u64) -> String {
    format!("folder-{:04}/object-{:09}", number % FOLDERS, number / FOLDERS)
}

/// Hands out the numbers of objects until all were done, or time is over.
struct Turns {
    next: Cell<u64>,
    end: u64,
    deadline: Option<Instant>,
}

impl Turns {
    fn take(&self) -> Option<u64> {
        let turn = self.next.get();
        self.next.set(turn + 1);
        match self.deadline {
            Some(deadline) => (Instant::now() < deadline).then_some(turn),
            None => (turn < self.end).then_some(turn),
        }
    }
}

struct Client {
    kind: Kind,
    objects: Objects,
    signer: Signer,
    connection: Connection,
    /// The object, if there is one only: made before the clock starts.
    whole: Rc<Vec<u8>>,
    block: Vec<u8>,
    numbers: Numbers,
}

impl Client {
    async fn run(&mut self, turns: &Turns) -> Result<Vec<u32>, Failure> {
        let mut micros = Vec::new();
        while let Some(turn) = turns.take() {
            let began = Instant::now();
            match self.kind {
                Kind::Put => self.put(turn).await?,
                Kind::Get => self.get().await?,
            }
            micros.push(began.elapsed().as_micros() as u32);
        }
        Ok(micros)
    }

    async fn put(&mut self, number: u64) -> Result<(), Failure> {
        let bytes = self.objects.content.bytes;
        let path = format!("/{}/{}", self.objects.target.bucket, key(number));
        let mut first = self.signer.head("PUT", &path, "", bytes).into_bytes();
        if !self.whole.is_empty() {
            self.connection.send(&first).await?;
            self.connection.send(&self.whole).await?;
            self.connection.answer().await?;
            return Ok(());
        }
        for start in (0..bytes.max(1)).step_by(BLOCK_BYTES) {
            let block = &mut self.block[..BLOCK_BYTES.min(bytes - start)];
            content::fill(self.objects.content.seed, number, (start / BLOCK_BYTES) as u64, block);
            if start == 0 {
                first.extend_from_slice(block);
                self.connection.send(&first).await?;
            } else {
                self.connection.send(block).await?;
            }
        }
        self.connection.answer().await?;
        Ok(())
    }

    async fn get(&mut self) -> Result<(), Failure> {
        let number = self.objects.first + self.numbers.next() % self.objects.count;
        let path = format!("/{}/{}", self.objects.target.bucket, key(number));
        self.connection.send(self.signer.head("GET", &path, "", 0).as_bytes()).await?;
        let come = self.connection.answer().await?;
        if come == self.objects.content.bytes { Ok(()) } else { Err(format!("{come} bytes came").into()) }
    }
}

/// Puts or gets, and tells how many there were, in which time, and how long one took.
pub(crate) fn run(kind: Kind, objects: &Objects) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let is_single = kind == Kind::Put && objects.count == 1;
        let whole = if is_single {
            content::object(objects.content.seed, objects.first, objects.content.bytes)
        } else {
            Vec::new()
        };
        let whole = Rc::new(whole);
        let mut clients = Vec::new();
        for client in 0..objects.clients {
            clients.push(Client {
                kind,
                objects: objects.clone(),
                signer: Signer::new(&objects.target)?,
                connection: Connection::open(&objects.target.server).await?,
                whole: Rc::clone(&whole),
                block: vec![0; BLOCK_BYTES],
                numbers: Numbers::new(client),
            });
        }
        if objects.spin {
            tokio::task::spawn_local(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let began = Instant::now();
        let turns = Rc::new(Turns {
            next: Cell::new(objects.first),
            end: objects.first + objects.count,
            deadline: (objects.secs > 0).then(|| began + Duration::from_secs(objects.secs)),
        });
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let turns = Rc::clone(&turns);
                tokio::task::spawn_local(async move { client.run(&turns).await })
            })
            .collect();
        let mut micros = Vec::new();
        for task in tasks {
            micros.extend(task.await??);
        }
        Ok(told(&mut micros, began.elapsed()))
    })
}

fn told(micros: &mut [u32], took: Duration) -> Value {
    micros.sort_unstable();
    let at = |percent: usize| micros.get(micros.len() * percent / 100).copied().unwrap_or_default();
    json!({
        "secs": took.as_secs_f64(),
        "requests": micros.len(),
        "p50_ms": f64::from(at(50)) / 1e3,
        "p99_ms": f64::from(at(99)) / 1e3,
    })
}

/// Lists pages, one at a time.
pub(crate) fn list(target: &Target, keys: u64, delimiter: bool, requests: u64) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let signer = Signer::new(target)?;
        let mut connection = Connection::open(&target.server).await?;
        let mut numbers = Numbers::new(keys);
        let mut micros = Vec::new();
        let began = Instant::now();
        for _ in 0..requests {
            // From the first half, so that every page is full.
            let folder = numbers.next() % (FOLDERS / 2);
            let after = key(numbers.next() % (keys / FOLDERS) * FOLDERS + folder).replace('/', "%2F");
            let query = if delimiter {
                format!("delimiter=%2F&list-type=2&max-keys={PAGE_KEYS}")
            } else {
                format!("list-type=2&max-keys={PAGE_KEYS}&start-after={after}")
            };
            let asked = Instant::now();
            connection.send(signer.head("GET", &format!("/{}", target.bucket), &query, 0).as_bytes()).await?;
            connection.answer().await?;
            micros.push(asked.elapsed().as_micros() as u32);
        }
        Ok(told(&mut micros, began.elapsed()))
    })
}
