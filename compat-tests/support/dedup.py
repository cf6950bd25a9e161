"""Files that share most of their bytes, and the clients that send them all at once: what a store takes for them."""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import textwrap
import urllib.request

import boto3.s3.transfer

from support import clients, cluster, gateway, postgres, server
from support.hub import ADA, ADA_KEYS, CONFIG, Hub
from support.inputs import KIB, MIB, noise

BUCKET = "dedup"
# Of each file so many pieces are its own.
PIECES = 5
# Some send 5 GiB.
CALL_SECS_MAX = 1800
GIB = 1 << 30


def series(folder: pathlib.Path, files: int, size: int, own: int) -> None:
    """Files of one size that differ in `own` bytes each, in pieces at places of their own."""
    folder.mkdir(parents=True)
    common = noise(1, size)
    piece = own // PIECES
    for number in range(files):
        data = bytearray(common)
        for at in range(PIECES):
            start = (at * size // PIECES + number * 7919 * 13) % (size - piece)
            data[start : start + piece] = noise(1000 + number * PIECES + at, piece)
        (folder / f"version-{number}.bin").write_bytes(data)


def inserted(folder: pathlib.Path, files: int, size: int, inserts: int = 10) -> None:
    """Files in each of which some bytes were inserted, so that all behind them has moved."""
    folder.mkdir(parents=True)
    common = noise(2, size)
    for number in range(files):
        with open(folder / f"inserted-{number}.bin", "wb") as out:
            for at in range(inserts):
                out.write(common[at * size // inserts : (at + 1) * size // inserts])
                out.write(noise(5000 + number * inserts + at, 1000 + 37 * number))


def copies(folder: pathlib.Path, files: int, size: int = 100 * KIB) -> None:
    """Small files of which every second is a copy of the one before."""
    folder.mkdir(parents=True)
    for number in range(files):
        (folder / f"small-{number:05}.bin").write_bytes(noise(9000 + number // 2, size))


def one(folder: pathlib.Path, size: int) -> None:
    """One file."""
    folder.mkdir(parents=True)
    (folder / "large.bin").write_bytes(noise(3, size))


@contextlib.contextmanager
def fresh(base: pathlib.Path):
    """A server on an empty folder, with an account that both kinds of clients know and a bucket of its own."""
    base.mkdir(parents=True)
    (base / "config.toml").write_text(CONFIG)
    running = server.Server(base / "data", base / "log", "--config", str(base / "config.toml")).start()
    try:
        clients.boto3_client(running.endpoint, ADA_KEYS).create_bucket(Bucket=BUCKET)
        yield running
    finally:
        if running.process:
            running.stop()


def stored(data_dir: pathlib.Path) -> int:
    """Bytes in packs."""
    return sum(pack.stat().st_size for pack in (data_dir / "packs").glob("*.pack"))


def received(running: server.Server) -> int:
    """Bytes of bodies that the server has received since its start, by its own count."""
    token = {"authorization": f"Bearer {server.ROOT_TOKEN}"}
    with urllib.request.urlopen(urllib.request.Request(f"{running.hub_endpoint}/metrics", headers=token)) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("xetgate_received_bytes_total"))


def store(data_dir: pathlib.Path, command: str) -> dict:
    """What a command of `store` says about the folder of a server that is stopped."""
    line = [str(server.binary()), "store", "--json", "--data-dir", str(data_dir), command]
    env = server.environment() | server.packs_of(data_dir)
    done = subprocess.run(line, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def _home(running: server.Server, name: str) -> pathlib.Path:
    home = running.data_dir.parent / name
    home.mkdir()
    return home


def one_after_the_other(running, folder):
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)
    alone = boto3.s3.transfer.TransferConfig(use_threads=False)
    for path in sorted(folder.iterdir()):
        s3.upload_file(str(path), BUCKET, path.name, Config=alone)


def whole_one_after_the_other(running, folder):
    """In single PUTs: without the chunks that end where a part ends, of which those clients send none that use no parts."""
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)
    for path in sorted(folder.iterdir()):
        with open(path, "rb") as body:
            s3.put_object(Bucket=BUCKET, Key=path.name, Body=body)


def rclone_one_after_the_other(running, folder):
    """In rclone's own parts of 5 MiB."""
    alone = ("--transfers", "1", "--s3-upload-concurrency", "1")
    _program(clients.Rclone, running).run("sync", folder, f"X:{BUCKET}", *alone)


def boto3_threads(running, folder):
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)
    many = boto3.s3.transfer.TransferConfig(max_concurrency=16)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: s3.upload_file(str(path), BUCKET, path.name, Config=many), folder.iterdir()))


def _program(kind, running, keys=ADA_KEYS):
    made = kind(running.endpoint, keys, _home(running, f"{kind.program}-home"))
    made.call_secs_max = CALL_SECS_MAX
    return made


def aws_sync(running, folder, into=""):
    _program(clients.AwsCli, running).run("s3", "sync", str(folder), f"s3://{BUCKET}/{into}")


def rclone_sync(running, folder, into=""):
    _program(clients.Rclone, running).run("sync", folder, f"X:{BUCKET}/{into}", "--transfers", "4")


def rclone_through_hub_mode(running, folder):
    """A gateway in hub mode, whose Hub is the server."""
    before = gateway.Gateway(_home(running, "gateway"), running.hub_endpoint).start()
    try:
        _program(clients.Rclone, before, server.ROOT).run("copy", folder, f"X:{BUCKET}")
    finally:
        before.stop()


def _hub(running, name) -> Hub:
    return Hub(running.hub_endpoint, ADA, _home(running, name), CALL_SECS_MAX)


def hf_sync(running, folder, into=""):
    _hub(running, "hf-home").ok("sync", str(folder), f"hf://buckets/ada/{BUCKET}{into and '/' + into}")


def xetgate_sync(running, folder, into=""):
    hub = _hub(running, "xetgate-home")
    line = [str(server.binary()), "sync", str(folder), f"hf://buckets/ada/{BUCKET}{into and '/' + into}"]
    subprocess.run(line, check=True, capture_output=True, env=hub.environment(), cwd=hub.folder, timeout=CALL_SECS_MAX)


def batch_bucket_files(running, folder):
    code = f"""
        import pathlib
        from huggingface_hub import HfApi
        files = sorted(pathlib.Path({str(folder)!r}).iterdir())
        HfApi().batch_bucket_files("ada/{BUCKET}", add=[(str(path), path.name) for path in files])
    """
    _hub(running, "batch-home").python(textwrap.dedent(code))


def _at_once(*work) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(*one) for one in work]:
            done.result()


def two_clients(running, folder):
    _at_once((rclone_sync, running, folder), (hf_sync, running, folder))


def four_at_once(running, folder):
    """Four clients of one kind, each of which sends every file under a name of its own."""
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)

    def send(number):
        for path in sorted(folder.iterdir()):
            s3.upload_file(str(path), BUCKET, f"{number}/{path.name}")

    _at_once(*((send, number) for number in range(4)))


def four_kinds_at_once(running, folder):
    """Four different clients, of both APIs."""
    kinds = (aws_sync, rclone_sync, hf_sync, xetgate_sync)
    _at_once(*((send, running, folder, send.__name__) for send in kinds))


SENDERS = {
    "boto3, 16 threads": boto3_threads,
    "aws s3 sync": aws_sync,
    "rclone sync": rclone_sync,
    "hf sync": hf_sync,
    "xetgate sync": xetgate_sync,
    "batch_bucket_files": batch_bucket_files,
    "rclone copy through hub mode": rclone_through_hub_mode,
    "rclone and hf at once": two_clients,
    "four clients at once": four_at_once,
    "four kinds of clients at once": four_kinds_at_once,
}


# What each is compared with: the same files one after the other, in parts of the same size.
ALONE = {
    "rclone sync": rclone_one_after_the_other,
    "rclone copy through hub mode": rclone_one_after_the_other,
    "rclone and hf at once": rclone_one_after_the_other,
    "hf sync": whole_one_after_the_other,
    "xetgate sync": whole_one_after_the_other,
    "batch_bucket_files": whole_one_after_the_other,
}


def alone(client: str):
    """How the files are sent that one of `SENDERS` is compared with."""
    return ALONE.get(client, one_after_the_other)


@dataclasses.dataclass(frozen=True)
class Taken:
    """What sending a folder took: bytes in packs, and bytes of bodies that went to the server."""

    stored: int
    received: int
    # The folder of the server, which is stopped.
    data_dir: pathlib.Path

    def distinct(self) -> int:
        """Bytes of chunks, each counted once."""
        return store(self.data_dir, "stats")["distinct_bytes"]


def read_back(running: server.Server, folder: pathlib.Path, most: int | None = None) -> None:
    """There are as many objects as files or more, and they hold what was sent; looks at `most` of them, or at all."""
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    assert len(keys) >= len(list(folder.iterdir())), f"{len(keys)} objects"
    for key in keys[:: -(-len(keys) // most) if most else 1]:
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"]
        with open(folder / pathlib.PurePosixPath(key).name, "rb") as sent:
            while piece := sent.read(MIB):
                assert body.read(len(piece)) == piece, key
        assert body.read() == b"", key


def measure(base: pathlib.Path, folder: pathlib.Path, send) -> Taken:
    """Sends a folder to an empty store; what it takes before any collection. What is read back is what was sent."""
    with fresh(base) as running:
        send(running, folder)
        taken = Taken(stored(running.data_dir), received(running), running.data_dir)
        largest = max(path.stat().st_size for path in folder.iterdir())
        read_back(running, folder, min(40, max(4, GIB // largest)))
    return taken


def at_nodes(base: pathlib.Path, folder: pathlib.Path, nodes: int) -> tuple[int, int]:
    """What a folder takes in packs, before any collection and after one, whose files are sent all at once, each to another
    node."""
    running = cluster.Cluster(base, postgres.shared().new_database(), nodes=nodes, gc_interval_secs=0)
    try:
        s3s = [clients.boto3_client(endpoint, server.ROOT) for endpoint in running.start().endpoints]
        s3s[0].create_bucket(Bucket=BUCKET)
        sent = list(enumerate(sorted(folder.iterdir())))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: s3s[one[0] % nodes].upload_file(str(one[1]), BUCKET, one[1].name), sent))
        for number, path in sent:
            body = s3s[(number + 1) % nodes].get_object(Bucket=BUCKET, Key=path.name)["Body"].read()
            assert body == path.read_bytes(), path.name
        running.stop()
        before = _in_packs(base)
        running.store("gc")
        after = _in_packs(base)
        running.start()
        for number, path in sent:
            body = s3s[number % nodes].get_object(Bucket=BUCKET, Key=path.name)["Body"].read()
            assert body == path.read_bytes(), path.name
        running.stop()
    finally:
        running.kill()
    return before, after


def _in_packs(base: pathlib.Path) -> int:
    return sum(pack.stat().st_size for pack in (base / "packs").rglob("*") if pack.is_file())
