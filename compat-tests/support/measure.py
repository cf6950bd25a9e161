"""What the scripts that measure share: a server on a fresh folder, synthetic files, folder sizes, table rows."""

import contextlib
import io
import os
import pathlib
import subprocess
import tempfile

import numpy

from support import server
from support.inputs import MIB

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def use_release_build_if_none_is_named() -> None:
    os.environ.setdefault("XETGATE_BIN", str(REPOSITORY / "target" / "release" / "xetgate"))
    try:
        server.binary()
    except RuntimeError as why:
        raise SystemExit(f"{why} (or build one: cargo build --release)") from None


@contextlib.contextmanager
def fresh_server(parent: pathlib.Path):
    """A running server on an empty data folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="xetgate-measure-") as base:
        running = server.Server(pathlib.Path(base) / "data", pathlib.Path(base) / "log").start()
        try:
            yield running
        finally:
            if running.process:
                running.stop()


def folder_bytes(folder: pathlib.Path) -> tuple[int, int]:
    """Apparent and allocated bytes of a folder, as `du` counts them."""

    def du(*options):
        told = subprocess.run(["du", "-s", "--block-size=1", *options, folder], capture_output=True, text=True)
        return int(told.stdout.split()[0])

    return du("--apparent-size"), du()


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*cells: str) -> None:
    row(*cells)
    row(*("---" for _ in cells))


class SyntheticFile(io.RawIOBase):
    """A seekable file of incompressible bytes that holds one MiB at a time; block `i` depends on seed and `i` alone.

    `inserted_at` puts one extra byte before the byte at that offset.
    """

    def __init__(self, seed: int, size: int, inserted_at: int | None = None):
        self.seed, self.size, self.at = seed, size + (inserted_at is not None), 0
        self.inserted_at = inserted_at
        self._block = (-1, b"")

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        return self.at

    def readinto(self, into):
        data = self._from_one_block(min(len(into), self.size - self.at))
        into[: len(data)] = data
        self.at += len(data)
        return len(data)

    def _from_one_block(self, wanted: int) -> bytes:
        """At most `wanted` bytes from the current offset; fewer at the end of a block, as raw files may."""
        shift = self.inserted_at
        if wanted <= 0:
            return b""
        if shift is not None and self.at == shift:
            return b"X"
        before = shift is not None and self.at < shift
        if before:
            wanted = min(wanted, shift - self.at)
        source = self.at if shift is None or before else self.at - 1
        number, offset = divmod(source, MIB)
        if self._block[0] != number:
            made = numpy.random.Generator(numpy.random.SFC64([self.seed, number])).bytes(MIB)
            self._block = number, made
        return self._block[1][offset : offset + wanted]


def synthetic(seed: int, size: int, inserted_at: int | None = None) -> io.BufferedReader:
    """A SyntheticFile whose `read(n)` answers all `n` bytes."""
    return io.BufferedReader(SyntheticFile(seed, size, inserted_at), buffer_size=MIB)
