"""Cutting and hashing, without a server."""

import json
import subprocess

from support import measure
from tool import Row, compared

BYTES = 512 << 20
ORACLE = measure.REPOSITORY / "compat-tests" / "oracle"


def chunk_and_hash(bench):
    """cut and hash one stream: ours beside the official client's (compat-tests/oracle)"""
    what, must = "chunk + hash, one stream, one core", ">= 1.0 x the official client"
    oracle = ORACLE / "target" / "release" / "oracle"
    turns = []
    for turn in range(bench.runs + 2):
        # CPU time: the work waits for nothing.
        ours = BYTES / 1e9 / bench.load.run("hash", bytes=BYTES, seed=turn)["cpu_secs"]
        if oracle.exists():
            told = subprocess.run([oracle, str(BYTES), str(turn)], capture_output=True, text=True, check=True)
            turns.append((ours, BYTES / 1e9 / json.loads(told.stdout)["cpu_secs"]))
        else:
            turns.append((ours, None))
    if oracle.exists():
        yield compared(what, turns, "GB/s CPU", 1.0, must)
    else:
        best = sorted(ours for ours, _ in turns)[len(turns) // 2]
        yield Row(what, f"{best:.2f} GB/s CPU", "compat-tests/oracle is not built", must, None, None)
    yield Row("the same, two cores, one stream", "not offered by the library", "", ">= 1.7 x one core", None, None)
