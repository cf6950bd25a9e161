"""A store that an older build filled with duplicates, opened by the build under test.

`compat-tests/stores/duplicates.tar.xz` is such a store: what `scripts/measure-upgrade OLD_BINARY --example FILE` made with
the build bb434c1, in which uploads did not meet. Its objects are a pure function of this file.
"""

import contextlib
import http.client
import os
import pathlib
import shutil
import tarfile
import urllib.parse

from support import clients, dedup, server
from support.hub import Hub
from support.inputs import KIB, MIB, noise

EXAMPLE = pathlib.Path(__file__).resolve().parents[1] / "stores" / "duplicates.tar.xz"
BUCKET = "old"
# The example's files: some of a size that differ in a few places, and small ones, each twice.
LARGE, LARGE_BYTES, OWN_BYTES, PLACES = 6, 16 * MIB, 2 * KIB, 2
SMALL, SMALL_BYTES = 12, 30 * KIB


@contextlib.contextmanager
def binary(path: pathlib.Path):
    """Servers and command lines that start inside are of another build."""
    before = os.environ["XETGATE_BIN"]
    os.environ["XETGATE_BIN"] = str(path)
    try:
        yield
    finally:
        os.environ["XETGATE_BIN"] = before


def _compressible(seed: int, size: int) -> bytes:
    """Bytes that a small archive holds: a new pattern every 40 KiB, so that no two chunks are equal."""
    out = b"".join(noise(seed * 1000 + at, 256) * 160 for at in range(-(-size // (40 * KIB))))
    return out[:size]


def example_objects() -> dict[str, bytes]:
    """What the example holds, by key; each content came in by S3 and by the CAS API."""
    common, held = _compressible(1, LARGE_BYTES), {}
    for number in range(LARGE):
        data = bytearray(common)
        for at in range(PLACES):
            start = (at * LARGE + number) * (LARGE_BYTES // LARGE // PLACES)
            data[start : start + OWN_BYTES] = noise(100 + number * PLACES + at, OWN_BYTES)
        held[f"large-{number}"] = bytes(data)
    for number in range(SMALL):
        held[f"small-{number}"] = _compressible(50 + number // 2, SMALL_BYTES)
    return {f"{way}/{name}": data for way in ("s3", "hub") for name, data in held.items()}


def _put_all_at_once(running: server.Server, objects: dict[str, bytes]) -> None:
    """Every upload has sent all but its last byte before the first one ends."""
    s3, begun = clients.boto3_client(running.endpoint, server.ROOT), []
    for key, data in objects.items():
        signed = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key})
        url = urllib.parse.urlsplit(signed)
        connection = http.client.HTTPConnection(url.netloc)
        connection.putrequest("PUT", f"{url.path}?{url.query}")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data[:-1])
        begun.append((connection, data[-1:]))
    for connection, last in begun:
        connection.send(last)
    for connection, _ in begun:
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()


def make_example(old: pathlib.Path, base: pathlib.Path, to: pathlib.Path) -> None:
    """Fills a store with the example's objects by an older build, and packs it."""
    objects = example_objects()
    with binary(old):
        running = server.Server(base / "data", base / "log").start()
        clients.boto3_client(running.endpoint, server.ROOT).create_bucket(Bucket=BUCKET)
        _put_all_at_once(running, {key: data for key, data in objects.items() if key.startswith("s3/")})
        (base / "home").mkdir()
        hub = Hub(running.hub_endpoint, server.ROOT_TOKEN, base / "home")
        hub.write({key: data for key, data in objects.items() if key.startswith("hub/")})
        hub.ok("sync", "hub", f"hf://buckets/root/{BUCKET}/hub")
        running.stop()
    with tarfile.open(to, "w:xz", preset=9) as packed:
        packed.add(base / "data", "data")


def unpack_example(base: pathlib.Path) -> pathlib.Path:
    """The example's data folder, below `base`."""
    with tarfile.open(EXAMPLE) as packed:
        packed.extractall(base, filter="data")
    return base / "data"


def filled(old: pathlib.Path, base: pathlib.Path, files: pathlib.Path, send) -> pathlib.Path:
    """A data folder that an older build has filled with a folder of files, by one of `dedup.SENDERS`."""
    with binary(old):
        return dedup.measure(base / "filled", files, send).data_dir


def opened(base: pathlib.Path, data_dir: pathlib.Path) -> server.Server:
    """A server of the build under test on a copy of a data folder, not yet started."""
    base.mkdir()
    shutil.copytree(data_dir, base / "data")
    (base / "config.toml").write_text(dedup.CONFIG)
    return server.Server(base / "data", base / "log", "--config", str(base / "config.toml"))
