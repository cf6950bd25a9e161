"""The bytes that the tests upload: the recorded Xet vectors, seeded random files, and their expected hashes.

Everything is a pure function of a seed, so that a failure names an input anyone can make again.
"""

import dataclasses
import functools
import hashlib
import pathlib
import random
import struct
from collections.abc import Iterator

import hf_xet
import numpy

KIB, MIB = 1 << 10, 1 << 20
VECTORS_DIR = pathlib.Path(__file__).resolve().parents[2] / "tests" / "vectors"


def splitmix(seed: int, size: int) -> bytes:
    """SplitMix64 as little-endian bytes, cut to `size`: the generator of the recorded vectors."""
    count = -(-size // 8)
    with numpy.errstate(over="ignore"):
        z = numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15) + numpy.uint64(seed)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    return z.astype("<u8").tobytes()[:size]


def noise(seed: int, size: int) -> bytes:
    """Incompressible bytes that share nothing with those of another seed."""
    return numpy.random.Generator(numpy.random.SFC64(seed)).bytes(size)


@functools.cache
def ten_mib() -> bytes:
    """The file whose chunks tests/vectors/chunks_10MiB_sm42.txt lists."""
    return splitmix(42, 10 * MIB)


def ten_mib_edges() -> list[int]:
    """Where the inner chunk edges of `ten_mib` lie (offsets of each chunk's first byte, without 0)."""
    lines = (VECTORS_DIR / "chunks_10MiB_sm42.txt").read_text().split("\n")
    lengths = [int(line.split()[1]) for line in lines if line]
    edges, at = [], 0
    for length in lengths:
        at += length
        edges.append(at)
    assert edges.pop() == 10 * MIB
    return edges


_VECTOR_BYTES = {
    "00_empty": lambda: b"",
    "01_one_00": lambda: b"\0",
    "02_one_61": lambda: b"a",
    "03_hello": lambda: b"Hello, World!",
    "04_1KiB_zeros": lambda: bytes(KIB),
    "05_8191_sm42": lambda: splitmix(42, 8191),
    "06_8192_sm42": lambda: splitmix(42, 8192),
    "07_64KiB_zeros": lambda: bytes(64 * KIB),
    "08_128KiB_zeros": lambda: bytes(128 * KIB),
    "09_128KiB+1_zeros": lambda: bytes(128 * KIB + 1),
    "10_1MiB_zeros": lambda: bytes(MIB),
    "11_1000003_sm42": lambda: ten_mib()[:1_000_003],
    "12_1MiB_sm42": lambda: ten_mib()[:MIB],
    "13_10MiB_sm42": ten_mib,
    "14_10MiB_sm42_insert1": lambda: ten_mib()[:5_000_000] + b"X" + ten_mib()[5_000_000:],
    "15_100MiB_sm42": lambda: splitmix(42, 100 * MIB),
    "16_10MiB_sm42_x2": lambda: ten_mib() * 2,
    "17_1MiB_ramp": lambda: bytes(range(256)) * (MIB // 256),
    "18_1MiB_f32": lambda: b"".join(struct.pack("<f", i / 1000.0) for i in range(MIB // 4)),
    "19_16MiB_zeros": lambda: bytes(16 * MIB),
}


@dataclasses.dataclass(frozen=True)
class Vector:
    """One line of tests/vectors/filevectors.txt."""

    name: str
    size: int
    xet_hash: str
    sha256: str

    def bytes(self) -> bytes:
        return _VECTOR_BYTES[self.name]()


def vectors() -> list[Vector]:
    lines = (VECTORS_DIR / "filevectors.txt").read_text().splitlines()
    found = [Vector(n, int(size), xet, sha) for n, size, xet, sha in (line.split() for line in lines)]
    assert [v.name for v in found] == list(_VECTOR_BYTES), "filevectors.txt and the generators have drifted apart"
    return found


def _text(rng: random.Random, size: int) -> bytes:
    """Words of a small vocabulary: compresses well, and chunks as text does."""
    words = [rng.randbytes(rng.randint(1, 9)).hex() for _ in range(500)]
    line = " ".join(rng.choices(words, k=20_000)).encode() + b"\n"
    return (line * (size // len(line) + 1))[:size]


def _mixed_runs(rng: random.Random, size: int) -> bytes:
    """Noise cut by constant runs far longer than a chunk, on which cut points never fall by content."""
    out = bytearray()
    while len(out) < size:
        out += rng.randbytes(rng.randint(1, 700 * KIB))
        out += bytes([rng.choice((0, 0, 0xFF, 0x20))]) * rng.randint(1, 3 * MIB)
    return bytes(out[:size])


_KINDS = {
    "noise": lambda rng, size: rng.randbytes(size),
    "text": _text,
    "runs": _mixed_runs,
    "constant": lambda rng, size: bytes([rng.randrange(1, 256)]) * size,
}


@dataclasses.dataclass(frozen=True)
class RandomFile:
    """A seeded file of one kind; its hash comes from the published hf_xet, not from a record."""

    seed: int
    kind: str
    size: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.size}"

    def bytes(self) -> bytes:
        return _KINDS[self.kind](random.Random(self.seed), self.size)


def random_files() -> list[RandomFile]:
    """Twenty files: the sizes lie on and around the limits of chunks (8 and 128 KiB) and of parts (5, 8, 64 MiB)."""
    plan = [
        ("constant", 0), ("noise", 2), ("text", 4097), ("noise", 8 * KIB + 1), ("runs", 64 * KIB - 1),
        ("noise", 128 * KIB), ("text", 128 * KIB + 1), ("constant", 300_001), ("runs", 2_345_678),
        ("noise", 5 * MIB), ("text", 5 * MIB + 1), ("runs", 7_000_001), ("noise", 8 * MIB + 3),
        ("constant", 11_111_111), ("runs", 16 * MIB - 1), ("noise", 17_171_717), ("text", 20 * MIB + 13),
        ("runs", 26_000_003), ("noise", 33_333_333), ("runs", 40 * MIB + 7),
    ]  # fmt: skip
    return [RandomFile(1000 + i, kind, size) for i, (kind, size) in enumerate(plan)]


def published_hash(path: pathlib.Path) -> str:
    """The Xet file hash by the published client; it works offline and is our oracle."""
    [info] = hf_xet.hash_files([str(path)])
    return info.hash


def sha256_of_file(path: pathlib.Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def awkward_tree(root: pathlib.Path) -> dict[str, bytes]:
    """Writes 200 files in nested folders, with names that clients must encode; answers relative path -> bytes."""
    folders = ["", "plain", "with space", "ünï/cödé", "日本/語", "deep/er/than/that", "a+b&c=d", "100% (sure)"]
    rng = random.Random(200)
    files = {}
    for i in range(200):
        folder = folders[i % len(folders)]
        name = ["file {}.txt", "naïve-{}.bin", "🦀 {}", "it's #{}", "x{}~._-!"][i // len(folders) % 5].format(i)
        size = rng.choice((0, 1, 100, 3000)) if i % 40 else 200_000
        files[f"{folder}/{name}" if folder else name] = rng.randbytes(size)
    for relative, data in files.items():
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def tree_on_disk(root: pathlib.Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in _files_under(root)}


def _files_under(root: pathlib.Path) -> Iterator[pathlib.Path]:
    return (p for p in root.rglob("*") if p.is_file())
