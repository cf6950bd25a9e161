"""A server of its own whose packs are measured, and hf clients with homes of their own."""

import contextlib
import pathlib
import subprocess

import numpy

from support import clients, server
from support.hub import ADA, ADA_KEYS, CONFIG, Hub
from support.inputs import MIB
from support.measure import folder_bytes


class Place:
    """The server, and a folder for those who call on it."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.users = folder, 0
        (folder / "config.toml").write_text(CONFIG)
        more = ["--config", str(folder / "config.toml")]
        self.running = server.Server(folder / "data", folder / "log", *more).start()
        self.s3 = clients.boto3_client(self.running.endpoint, ADA_KEYS)
        self.s3.create_bucket(Bucket="models")

    def client(self) -> Hub:
        """A client that remembers nothing."""
        self.users += 1
        home = self.folder / f"user{self.users}"
        home.mkdir()
        return Hub(self.running.hub_endpoint, ADA, home)

    def stored(self) -> int:
        """Bytes in the packs: the xorbs that clients have sent, and little else."""
        return folder_bytes(self.running.data_dir / "packs")[0]

    def grown(self, work) -> int:
        """By how many bytes the packs grow while `work` is done."""
        before = self.stored()
        work()
        return self.stored() - before

    def collect(self) -> None:
        """Collects garbage while the server is stopped."""
        self.running.stop()
        line = [server.binary(), "store", "--data-dir", self.running.data_dir, "gc"]
        subprocess.run(line, check=True, capture_output=True, env=server.environment())
        self.running.start()


@contextlib.contextmanager
def place(folder: pathlib.Path):
    """A place that does not outlive its use."""
    made = Place(folder)
    try:
        yield made
    finally:
        if made.running.process:
            made.running.kill()


def write_noise(path: pathlib.Path, mib: int, changed_seed: int | None = None) -> None:
    """A file of incompressible bytes, the same every time; with a seed, the MiB in the middle is another."""
    with open(path, "wb") as out:
        for block in range(mib):
            seed = changed_seed if changed_seed is not None and block == mib // 2 else block
            out.write(numpy.random.default_rng(seed).bytes(MIB))
