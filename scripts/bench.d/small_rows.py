"""Objects of 4 KiB, 32 clients."""

import statistics

from tool import compared, pinned

BYTES = 4096
CLIENTS = 32
SERVER_CORE, LOAD_CORE = 0, 1


def per_sec(figures):
    return figures["requests"] / figures["secs"]


def per_cpu_sec(figures):
    return figures["requests"] / figures["server_cpu_secs"]


def small(bench):
    """PUT 4 KiB beside single syncs of the disk; GET 4 KiB, server on one core, beside a bare server"""
    scratch = bench.dir / "xetgate-bench-synced"
    load = {"bytes": BYTES, "clients": CLIENTS}
    with bench.server() as running:
        puts, turns, first = [], [], 0
        for _ in range(bench.runs):
            syncs = bench.load.run("sync", path=scratch)["per_sec"]
            puts.append(bench.request(running, "put", first=first, secs=bench.secs, **load))
            first += puts[-1]["requests"]
            turns.append((per_sec(puts[-1]), syncs))
        row = compared(
            "PUT 4 KiB, 32 clients; limit: fdatasync alone", turns, "/s", 8, ">= 8, p99 < 50 ms", requests=puts
        )
        p99 = statistics.median(put["p99_ms"] for put in puts)
        p50 = statistics.median(put["p50_ms"] for put in puts)
        row.ours += f", p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        row.reached = row.reached and p99 < 50
        yield row

        running.stop()
        with pinned(SERVER_CORE):
            running.start()
        with pinned(SERVER_CORE):
            bare = bench.load.serving(BYTES)
            serving = bare.__enter__()
        try:
            yield gets(bench, running, serving, load | {"count": first, "secs": bench.secs, "spin": True})
        finally:
            bare.__exit__(None, None, None)


def gets(bench, running, serving, load):
    # The client has the other core to itself and never lets it sleep: else the slower server pays for waking it.
    ours, bare = [], []
    with pinned(LOAD_CORE):
        for _ in range(bench.runs):
            ours.append(bench.request(running, "get", **load))
            bare.append(bench.against(serving, "get", **load))
    # Requests for each second that the server's core worked: the same as requests a second where the core is its own,
    # and all that can be compared where it is not.
    turns = [(per_cpu_sec(a), per_cpu_sec(b)) for a, b in zip(ours, bare, strict=True)]
    what = "GET 4 KiB, 32 clients, server on one core, by its CPU time; limit: bare hyper"
    row = compared(what, turns, "/s CPU", 0.6, ">= 0.60", requests=ours, bare=bare)
    row.ours += f" ({statistics.median(map(per_sec, ours)):,.0f} /s seen)"
    row.limit += f" ({statistics.median(map(per_sec, bare)):,.0f} /s seen)"
    return row
