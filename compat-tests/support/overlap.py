"""The load of `load`, but what is sent at the same time has most of its chunks in common, and half the clients use the
CAS API."""

import dataclasses
import functools
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading

from support import load, server
from support.hub import Hub
from support.inputs import KIB, MIB

BUCKET = "kill"
S3_WORKERS, HUB_WORKERS = 4, 2
FILES = 4  # Keys of a worker that uses the CAS API; they are sent together.
LARGE_BYTES_MAX = 8 * MIB
# Few, so that workers send equal contents too.
CONTENTS = 12


@functools.cache
def _common() -> bytes:
    return b"".join(load.Content(seed, MIB).bytes() for seed in range(LARGE_BYTES_MAX // MIB))


@dataclasses.dataclass(frozen=True)
class Overlapping(load.Content):
    """What all have in common, with some pieces of its own; with every third seed all is moved by an insert."""

    def bytes(self) -> bytes:
        rng, data = random.Random(self.seed), bytearray(_common()[: self.size])
        for _ in range(min(3, self.size // (100 * KIB))):
            start = rng.randrange(self.size - 10 * KIB)
            data[start : start + 10 * KIB] = rng.randbytes(10 * KIB)
        if self.seed % 3 == 0:
            at = rng.randrange(self.size + 1)
            data[at:at] = rng.randbytes(100)
        return bytes(data[: self.size])


def _content(rng: random.Random, size: int) -> Overlapping:
    return Overlapping(rng.randrange(CONTENTS), size)


class S3Worker(load.Worker):
    """`load.Worker` with overlapping contents."""

    def _content(self, size: int) -> Overlapping:
        return _content(self.rng, min(size, LARGE_BYTES_MAX))


def file_keys(number: int) -> list[str]:
    """The keys that a worker owns which uses the CAS API."""
    return [f"hub-{number}/file-{i}" for i in range(FILES)]


def new_ledger() -> dict[str, load.Entry]:
    keys = [key for number in range(S3_WORKERS) for keys in load.keys_of(number) for key in keys]
    return {key: load.Entry() for key in keys + [key for n in range(HUB_WORKERS) for key in file_keys(n)]}


PUBLISHED = """
import json, sys
from huggingface_hub import HfApi
api = HfApi()
print("ready", flush=True)
for line in sys.stdin:
    bucket, add = json.loads(line)
    api.batch_bucket_files(bucket, add=add)
    print("done", flush=True)
"""


class PublishedClient:
    """The published client in a process of its own. What it remembers of its uploads is kept when it is started again."""

    def __init__(self, hub: Hub):
        self.hub = hub
        self.start()

    def start(self) -> None:
        """Begins the process, which takes seconds to be ready."""
        pipe = subprocess.PIPE
        line = [sys.executable, "-c", PUBLISHED]
        log = open(self.hub.folder / "log", "ab")  # noqa: SIM115 - the process keeps it
        with log:
            self.process = subprocess.Popen(
                line, stdin=pipe, stdout=pipe, stderr=log, text=True, env=self.hub.environment()
            )

    def _told(self, word: str) -> None:
        if self.process.stdout.readline().strip() != word:
            raise ConnectionError(f"the published client ended: {self.hub.folder / 'log'}")

    def wait_until_ready(self) -> None:
        self._told("ready")

    def send(self, folder: pathlib.Path, prefix: str) -> None:
        """Uploads the files of a folder, in one call."""
        add = [(str(path), f"{prefix}/{path.name}") for path in folder.iterdir()]
        try:
            self.process.stdin.write(json.dumps([f"root/{BUCKET}", add]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as broken:
            raise ConnectionError from broken
        self._told("done")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class OwnClient:
    """`xetgate sync`."""

    def __init__(self, hub: Hub):
        self.hub, self.lock = hub, threading.Lock()
        self.start()

    def start(self) -> None:
        self.process, self.ended = None, False

    def wait_until_ready(self) -> None:
        pass

    def send(self, folder: pathlib.Path, prefix: str) -> None:
        """Uploads the files of a folder, in one call."""
        words = ["sync", "--checksum", str(folder), f"hf://buckets/root/{BUCKET}/{prefix}"]
        with self.lock:
            if self.ended:
                raise ConnectionError
            self.process = subprocess.Popen(
                [str(server.binary()), *words],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.hub.environment(), cwd=self.hub.folder,
            )  # fmt: skip
        said = self.process.communicate()[1]
        if self.process.returncode:
            raise ConnectionError(said)

    def end(self) -> None:
        with self.lock:
            self.ended = True
            if self.process:
                self.process.kill()


class HubWorker(threading.Thread):
    """Sends files in batches by the CAS API until the server is gone."""

    def __init__(self, number: int, seed: int, client, ledger: dict, tally: load.Tally, scratch: pathlib.Path):
        super().__init__(daemon=True)
        self.rng, self.client, self.prefix = random.Random(seed), client, f"hub-{number}"
        self.keys, self.ledger, self.tally, self.scratch = file_keys(number), ledger, tally, scratch
        self.killed = threading.Event()
        self.fault: BaseException | None = None

    def run(self):
        try:
            while not self.killed.is_set():
                self.send()
        except ConnectionError as lost:
            if not self.killed.is_set():
                self.fault = lost
        except BaseException as fault:  # noqa: BLE001 - told to the test, which fails with it
            self.fault = fault

    def send(self):
        """A batch of files; each of them is in flight until all are acknowledged."""
        contents = {
            key: _content(self.rng, self.rng.randint(1, LARGE_BYTES_MAX))
            for key in self.rng.sample(self.keys, self.rng.randint(1, FILES))
        }
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            for key, content in contents.items():
                (pathlib.Path(folder) / key.rpartition("/")[2]).write_bytes(content.bytes())
            for key, content in contents.items():
                self.ledger[key].asked, self.ledger[key].in_flight = content, True
            try:
                self.client.send(pathlib.Path(folder), self.prefix)
            except BaseException:
                self.tally.in_flight[type(self.client).__name__] += 1
                raise
        for key, content in contents.items():
            self.ledger[key].sure, self.ledger[key].in_flight = content, False
        self.tally.acknowledged[type(self.client).__name__] += 1
