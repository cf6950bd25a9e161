"""Files that share most of their bytes, and the clients that send them all at once: what a store takes for them."""

import concurrent.futures
import contextlib
import pathlib
import subprocess
import textwrap

import boto3.s3.transfer

from support import clients, server
from support.hub import ADA, ADA_KEYS, CONFIG, Hub
from support.inputs import KIB, noise

BUCKET = "dedup"
# Of each file so many pieces are its own.
PIECES = 5


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


def stored(running: server.Server) -> int:
    return sum(pack.stat().st_size for pack in (running.data_dir / "packs").glob("*.pack"))


def _home(running: server.Server, name: str) -> pathlib.Path:
    home = running.data_dir.parent / name
    home.mkdir()
    return home


def one_after_the_other(running, folder):
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)
    alone = boto3.s3.transfer.TransferConfig(use_threads=False)
    for path in sorted(folder.iterdir()):
        s3.upload_file(str(path), BUCKET, path.name, Config=alone)


def boto3_threads(running, folder):
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)
    many = boto3.s3.transfer.TransferConfig(max_concurrency=16)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: s3.upload_file(str(path), BUCKET, path.name, Config=many), folder.iterdir()))


def aws_sync(running, folder):
    aws = clients.AwsCli(running.endpoint, ADA_KEYS, _home(running, "aws-home"))
    aws.run("s3", "sync", str(folder), f"s3://{BUCKET}/")


def rclone_sync(running, folder):
    rclone = clients.Rclone(running.endpoint, ADA_KEYS, _home(running, "rclone-home"))
    rclone.run("sync", folder, f"X:{BUCKET}", "--transfers", "4")


def _hub(running, name) -> Hub:
    return Hub(running.hub_endpoint, ADA, _home(running, name))


def hf_sync(running, folder):
    _hub(running, "hf-home").ok("sync", str(folder), f"hf://buckets/ada/{BUCKET}")


def xetgate_sync(running, folder):
    hub = _hub(running, "xetgate-home")
    line = [str(server.binary()), "sync", str(folder), f"hf://buckets/ada/{BUCKET}"]
    subprocess.run(line, check=True, capture_output=True, env=hub.environment(), cwd=hub.folder, timeout=600)


def batch_bucket_files(running, folder):
    add = [(str(path), path.name) for path in sorted(folder.iterdir())]
    code = f"""
        from huggingface_hub import HfApi
        HfApi().batch_bucket_files("ada/{BUCKET}", add={add!r})
    """
    _hub(running, "batch-home").python(textwrap.dedent(code))


def two_clients(running, folder):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(rclone_sync, running, folder), pool.submit(hf_sync, running, folder)]:
            done.result()


def four_at_once(running, folder):
    """Four clients, each of which sends every file under a name of its own."""
    s3 = clients.boto3_client(running.endpoint, ADA_KEYS)

    def send(number):
        for path in sorted(folder.iterdir()):
            s3.upload_file(str(path), BUCKET, f"{number}/{path.name}")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(4)))


SENDERS = {
    "boto3, 16 threads": boto3_threads,
    "aws s3 sync": aws_sync,
    "rclone sync": rclone_sync,
    "hf sync": hf_sync,
    "xetgate sync": xetgate_sync,
    "batch_bucket_files": batch_bucket_files,
    "rclone and hf at once": two_clients,
    "four clients at once": four_at_once,
}


def measure(base: pathlib.Path, folder: pathlib.Path, send) -> int:
    """Bytes in packs after sending a folder to an empty store, before any collection. Everything reads back."""
    with fresh(base) as running:
        send(running, folder)
        size = stored(running)
        s3 = clients.boto3_client(running.endpoint, ADA_KEYS)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        assert len(keys) >= len(list(folder.iterdir())), f"{len(keys)} objects"
        for key in keys[:: max(1, len(keys) // 40)]:
            sent = (folder / pathlib.PurePosixPath(key).name).read_bytes()
            assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == sent, key
    return size
