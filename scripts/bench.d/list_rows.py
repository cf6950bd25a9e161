"""Pages of 1,000 from a small and a large bucket."""

import statistics
import sys
import time

from support import clients, server
from tool import Row

SMALL_KEYS = 10_000
# A signature is good for 15 minutes, and a load signs with the date it began at.
KEYS_A_RUN = 50_000


def fill(bench, running, bucket, keys):
    """Puts empty objects, as many as there is time for; answers how many."""
    clients.boto3_client(running.endpoint, server.ROOT).create_bucket(Bucket=bucket)
    began = time.monotonic()
    for first in range(0, keys, KEYS_A_RUN):
        count = min(KEYS_A_RUN, keys - first)
        bench.request(running, "put", bucket, bytes=0, first=first, count=count, clients=128)
        took = time.monotonic() - began
        print(f"{first + count} keys after {took:.0f} s", file=sys.stderr)
        if took > bench.list_secs:
            return first + count
    return keys


def listing(bench):
    """a page of 1,000 keys of a large bucket beside the same of 10,000 keys, with and without delimiter"""
    large = bench.list_keys - bench.list_keys % 1000
    with bench.server() as running:
        fill(bench, running, "few", SMALL_KEYS)
        large = fill(bench, running, "many", large)
        for delimiter in (False, True):
            turns, details = [], []
            for _ in range(bench.runs):
                few = bench.request(running, "list", "few", keys=SMALL_KEYS, delimiter=delimiter)
                many = bench.request(running, "list", "many", keys=large, delimiter=delimiter)
                turns.append((many["p50_ms"], few["p50_ms"]))
                details += [few, many]
            ours, limit = (statistics.median(side) for side in zip(*turns, strict=True))
            ratio = statistics.median(a / b for a, b in turns)
            what = f"list 1,000 of {large:,} keys{' by delimiter' if delimiter else ''}; limit: of {SMALL_KEYS:,}"
            told = {"turns": turns, "requests": details}
            yield Row(what, f"{ours:.2f} ms", f"{limit:.2f} ms", "<= 1.20", ratio, ratio <= 1.2, told)
