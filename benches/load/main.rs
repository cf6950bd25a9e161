//! The load and the limits that `scripts/bench` sets side by side.
//!
//! Each command does one thing, prints what it took as one line of JSON and ends; whatever it prepares (random bytes,
//! connections) is ready before its clock starts. `serve` is the exception: it is a limit itself, the least that an
//! HTTP server in this language does. Commands against a server know nothing of xetgate but S3: they sign their
//! requests, leave the payload unsigned, and read answers only as far as they must, so that on one core they can keep
//! a server on another one busy.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

mod bare;
mod content;
mod http;
mod limits;
mod requests;
mod sign;

/// An error told to whoever started the program.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "load and limits for scripts/bench")]
struct Asked {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Cuts random bytes into chunks and hashes them.
    Hash {
        #[command(flatten)]
        bytes: Bytes,
        #[arg(long, default_value = "1")]
        cores: NonZeroUsize,
    },
    /// MD5 of random bytes.
    Md5(Bytes),
    /// Writes random bytes to a new file and syncs it once, as dd conv=fsync does.
    Write {
        #[command(flatten)]
        bytes: Bytes,
        /// The file; it is removed.
        #[arg(long)]
        path: PathBuf,
    },
    /// Writes 4 KiB and syncs them, again and again.
    Sync {
        /// The file; it is removed.
        #[arg(long)]
        path: PathBuf,
        #[arg(long, default_value_t = 3)]
        secs: u64,
    },
    /// Serves the same bytes to every GET, from memory.
    Serve(Bytes),
    /// Puts objects of random bytes.
    Put(Objects),
    /// Gets such objects, in random order when there is more than one.
    Get(Objects),
    /// Lists pages of 1,000, one after the other, each from a random place if there is no delimiter.
    List {
        #[command(flatten)]
        target: Target,
        /// How many keys the bucket holds.
        #[arg(long)]
        keys: u64,
        #[arg(long)]
        delimiter: bool,
        #[arg(long, default_value_t = 100)]
        requests: u64,
    },
}

#[derive(Args, Clone)]
struct Bytes {
    #[arg(long, default_value_t = 1 << 30)]
    bytes: usize,
    /// Other seeds give other bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A bucket of a server.
#[derive(Args, Clone)]
struct Target {
    /// Address and port.
    #[arg(long)]
    server: String,
    #[arg(long)]
    bucket: String,
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    access_key: String,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY")]
    secret_key: String,
}

/// Objects 0 to `count`: what is in each depends on the seed and its number alone.
#[derive(Args, Clone)]
struct Objects {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    content: Bytes,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    #[arg(long, default_value_t = 1)]
    count: u64,
    #[arg(long, default_value_t = 1)]
    clients: u64,
    /// Goes on for so long, or (0) until each object was moved once.
    #[arg(long, default_value_t = 0)]
    secs: u64,
    /// Never sleeps while it waits, for which it needs a core of its own: waking a core that sleeps is work for whoever
    /// wakes it, and a server must not seem slower because its client is idle.
    #[arg(long)]
    spin: bool,
}

/// Where a thread's time went, in seconds.
fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<Value, Failure> {
    let (began, cpu_began) = (std::time::Instant::now(), limits::thread_cpu_secs()?);
    work()?;
    let (secs, cpu_secs) = (began.elapsed().as_secs_f64(), limits::thread_cpu_secs()? - cpu_began);
    Ok(json!({ "secs": secs, "cpu_secs": cpu_secs }))
}

fn run(what: What) -> Result<Value, Failure> {
    match what {
        What::Hash { bytes: Bytes { bytes, seed }, cores } => {
            let data = content::object(seed, 0, bytes);
            timed(|| Ok(limits::chunk_and_hash(&data, cores)))
        }
        What::Md5(Bytes { bytes, seed }) => {
            let data = content::object(seed, 0, bytes);
            timed(|| Ok(limits::md5(&data)))
        }
        What::Write { bytes: Bytes { bytes, seed }, path } => {
            let data = content::object(seed, 0, bytes);
            let written = timed(|| limits::write_and_sync(&path, &data));
            std::fs::remove_file(&path)?;
            written
        }
        What::Sync { path, secs } => {
            let counted = limits::syncs(&path, std::time::Duration::from_secs(secs));
            std::fs::remove_file(&path)?;
            Ok(json!({ "per_sec": counted? }))
        }
        What::Serve(Bytes { bytes, seed }) => {
            bare::serve(&content::object(seed, 0, bytes).into(), |port| {
                println!("{}", json!({ "port": port }));
            })?;
            Ok(Value::Null)
        }
        What::Put(objects) => requests::run(requests::Kind::Put, &objects),
        What::Get(objects) => requests::run(requests::Kind::Get, &objects),
        What::List { target, keys, delimiter, requests } => {
            requests::list(&target, keys, delimiter, requests)
        }
    }
}

fn main() -> Result<(), Failure> {
    // cargo adds --bench.
    let asked = Asked::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    match asked.what {
        Some(what) => println!("{}", run(what)?),
        None => println!("started by scripts/bench; --help tells what it can do"),
    }
    Ok(())
}
