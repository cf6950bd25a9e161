"""One large object on one stream: new, known, and read back."""

import statistics

from tool import compared


def large(bench):
    """PUT new, PUT again, GET of one large object beside disk, MD5 and a bare server"""
    size = bench.mib << 20
    scratch = bench.dir / "xetgate-bench-written"
    new, known, read, details = [], [], [], {"put": [], "again": [], "get": [], "bare": []}
    with bench.server() as running, bench.load.serving(size) as bare:

        def request(kind, turn):
            figures = bench.request(running, "get" if kind == "get" else "put", bytes=size, seed=turn, first=turn)
            details[kind].append(figures)
            return size / 1e6 / figures["secs"]

        for turn in range(bench.runs):
            disk = bench.load.run("write", path=scratch, bytes=size, seed=turn + 1000)
            new.append((request("put", turn), size / 1e6 / disk["secs"]))
            md5 = bench.load.run("md5", bytes=size, seed=turn)
            known.append((request("again", turn), size / 1e6 / md5["secs"]))
            ours = request("get", turn)
            details["bare"].append(bench.against(bare, "get", bytes=size))
            read.append((ours, size / 1e6 / details["bare"][-1]["secs"]))
    hashing = statistics.median(limit for _, limit in known)
    unique = compared(
        f"PUT {bench.mib} MiB unique, unsigned payload; limit: write + fsync of as many bytes",
        new, "MB/s", 0.8, ">= 0.80", requests=details["put"],
    )
    # Where the disk is faster than MD5, no single stream can be as fast as the disk.
    unique.limit += f" (MD5 alone: {hashing:,.0f} MB/s)"
    yield unique
    yield compared(
        f"PUT {bench.mib} MiB again, all known; limit: MD5 alone",
        known, "MB/s", 0.8, ">= 0.80", requests=details["again"],
    )
    yield compared(
        f"GET {bench.mib} MiB, page cache warm; limit: bare hyper",
        read, "MB/s", 0.6, ">= 0.60", requests=details["get"], bare=details["bare"],
    )
