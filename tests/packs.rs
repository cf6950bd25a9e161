//! Packs in object stores that are processes: a standalone gateway, and `rclone serve s3`, which nobody here wrote.
//!
//! The conformance suite of packs runs on both. What the gateway promises with packs there, and what it does when they
//! fail, is in `compat-tests/test_packs.py`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../src/store/pack/conformance.rs"]
mod conformance;
mod support;

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use xetgate::model::clock::Ambient;
use xetgate::store::pack::object::{ObjectAddress, ObjectPacks, Owner};
use xetgate::store::pack::{PackId, PackMedium, PackStore, PackWriter};

use support::{Gateway, PATIENCE, venv};

const KEY_ID: &str = "XGTESTPACKS000000001";
const SECRET: &str = "packs/secret+for=the0tests00000000000001";

/// Runs the suite in a bucket `packs` of an object store, with further options.
fn conforms(address: SocketAddr, more: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{address}");
    let given = [
        ("endpoint", &*endpoint),
        ("access_key_id", KEY_ID),
        ("secret_access_key", SECRET),
        ("region", "us-east-1"),
    ];
    let options = given.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let place = ObjectAddress { options: options.collect(), ..ObjectAddress::default() };
    let count = Cell::new(0);
    let open = || {
        count.set(count.get() + 1);
        let mut place = place.clone();
        place.url = format!("s3://packs/{}", count.get());
        let remembered = folder.path().join(count.get().to_string());
        std::fs::create_dir(&remembered).unwrap();
        let owner = Owner { store_id: 7, has_packs: false };
        ObjectPacks::open(place.connect().unwrap(), &remembered, owner, &Ambient::system()).unwrap()
    };
    conformance::all(open);
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn packs_in_a_gateway_conform() {
    let home = tempfile::tempdir().unwrap();
    let keys = [("XETGATE_ROOT_ACCESS_KEY_ID", KEY_ID), ("XETGATE_ROOT_SECRET_ACCESS_KEY", SECRET)];
    let token = ("XETGATE_ROOT_TOKEN", "hf_packsTestsToken0001");
    let gateway = Gateway::start(home.path(), &[], &[keys[0], keys[1], token]);
    let mut create = Command::new(env!("CARGO_BIN_EXE_xetgate"));
    create.env_clear().env("HOME", home.path()).args(["buckets", "create", "packs"]);
    create.env("HF_ENDPOINT", format!("http://{}", gateway.hub)).env("HF_TOKEN", token.1);
    assert!(create.status().unwrap().success());
    conforms(gateway.address, &[]);
}

#[test]
fn packs_in_rclone_conform() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rclone = venv::python(root, "compat-tests/requirements.txt").with_file_name("rclone");
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("served/packs")).unwrap();
    // Free until rclone takes it, but for bad luck.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (key, listen) = (format!("{KEY_ID},{SECRET}"), address.to_string());
    let mut serve = Command::new(rclone);
    serve.args(["serve", "s3", "--auth-key", &key, "--addr", &listen]).arg(home.path().join("served"));
    serve.env_clear().env("HOME", home.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(serve.spawn().unwrap());
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "rclone does not listen");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // It ignores `If-None-Match`.
    conforms(address, &[("conditional_put", "disabled")]);
}
