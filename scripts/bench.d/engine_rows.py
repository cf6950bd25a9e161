"""Cutting and hashing, without a server."""

import json
import os
import subprocess
import tempfile
import time

import hf_xet

from support import measure
from tool import compared

BYTES = 512 << 20
PIECE_BYTES = 8 << 20
ORACLE = measure.REPOSITORY / "compat-tests" / "oracle" / "target" / "release" / "oracle"


def chunk_and_hash(bench):
    """cut and hash one stream: ours beside the official client's (compat-tests/oracle, or hf_xet if not built)"""
    with tempfile.NamedTemporaryFile(dir=bench.dir) as file:
        for _ in range(BYTES // PIECE_BYTES):
            file.write(os.urandom(PIECE_BYTES))
        file.flush()
        official = oracle if ORACLE.exists() else published
        # CPU time: the work waits for nothing.
        turns = [
            (BYTES / 1e9 / bench.load.run("hash", bytes=BYTES, seed=turn)["cpu_secs"], official(turn, file.name))
            for turn in range(bench.runs + 2)
        ]
    name = "xet-data" if ORACLE.exists() else "hf_xet.hash_files less reading"
    what = f"chunk + hash, one stream, one core; limit: the official client ({name})"
    yield compared(what, turns, "GB/s CPU", 1.0, ">= 1.00, aim 1.20")
    # Wall time, for that is what a second core is to save.
    turns = [
        tuple(BYTES / 1e9 / bench.load.run("hash", bytes=BYTES, seed=turn, cores=cores)["secs"] for cores in (2, 1))
        for turn in range(bench.runs + 2)
    ]
    yield compared("the same, two cores, one stream; limit: one core", turns, "GB/s", 1.7, ">= 1.7")


def oracle(seed, _):
    """The chunker and hasher alone, on the same bytes as ours."""
    told = subprocess.run([ORACLE, str(BYTES), str(seed)], capture_output=True, text=True, check=True)
    return BYTES / 1e9 / json.loads(told.stdout)["cpu_secs"]


def published(_, path):
    """The published wheel, which can only be asked to hash files: what it takes to read them is taken off."""
    began = time.process_time()
    hf_xet.hash_files([path])
    hashed = time.process_time()
    piece = bytearray(PIECE_BYTES)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(piece):
            pass
    return BYTES / 1e9 / ((hashed - began) - (time.process_time() - hashed))
