"""A file of nothing but fragments, as a hostile client registers it: one small xorb, and a shard of very many terms.

Source of the formats: Xet specification, "Hashing", "Xorb format" and "Shard format".
"""

import struct
from functools import lru_cache

from blake3 import blake3

DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
VERIFY_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
SHARD_TAG = b"HFRepoMetaData\0" + bytes.fromhex("5569 6745 6a7b 8157 83a5 bdd9 5ccd d14a a9".replace(" ", ""))
BOOKEND = b"\xff" * 32 + bytes(16)
VERIFIED = 0x8000_0000

CHUNK_BYTES = 100


def keyed(key: bytes, data: bytes) -> bytes:
    return blake3(data, key=key).digest()


def text_of(digest: bytes) -> str:
    """A hash as addresses and the tree have it."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", digest))


@lru_cache(maxsize=1 << 16)
def node(group: tuple[tuple[bytes, int], ...]) -> tuple[bytes, int]:
    text = "".join(f"{text_of(digest)} : {size}\n" for digest, size in group)
    return keyed(NODE_KEY, text.encode()), sum(size for _, size in group)


def aggregate(level: list[tuple[bytes, int]]) -> bytes:
    """The root of the tree over chunks, each with its length."""
    while len(level) > 1:
        above, at = [], 0
        while at < len(level):
            most = min(9, len(level) - at)
            cut = next((j + 1 for j in range(2, most - 1) if level[at + j][0][24] % 4 == 0), most)
            above.append(node(tuple(level[at : at + cut])))
            at += cut
        level = above
    return level[0][0]


class Fragments:
    """A file of so many terms of one chunk or more, no two of which are neighbours in the xorb."""

    def __init__(self, terms: int, chunks: int):
        data = [bytes([number]) * CHUNK_BYTES for number in range(2 * chunks + 1)]
        hashes = [keyed(DATA_KEY, chunk) for chunk in data]
        head = b"\0" + CHUNK_BYTES.to_bytes(3, "little") + b"\0" + CHUNK_BYTES.to_bytes(3, "little")
        self.xorb = b"".join(head + chunk for chunk in data)
        xorb_hash = aggregate([(digest, CHUNK_BYTES) for digest in hashes])
        self.xorb_name = text_of(xorb_hash)
        runs = [(chunks + 1, 2 * chunks + 1), (0, chunks)]
        entries = [xorb_hash + struct.pack("<4I", 0, chunks * CHUNK_BYTES, *run) for run in runs]
        proofs = [keyed(VERIFY_KEY, b"".join(hashes[first:end])) + bytes(16) for first, end in runs]
        leaves = [[(digest, CHUNK_BYTES) for digest in hashes[first:end]] for first, end in runs]
        self.content = [b"".join(data[first:end]) for first, end in runs]
        self.size = terms * chunks * CHUNK_BYTES
        root = aggregate((leaves[0] + leaves[1]) * (terms // 2))
        file_hash = keyed(bytes(32), root)
        self.name = text_of(file_hash)
        file_head = file_hash + struct.pack("<II", VERIFIED, terms) + bytes(8)
        rows = b"".join(entries) * (terms // 2) + b"".join(proofs) * (terms // 2)
        self.shard = SHARD_TAG + struct.pack("<QQ", 2, 0) + file_head + rows + BOOKEND + BOOKEND
