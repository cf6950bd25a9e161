"""One large object through a gateway in front of a Hub, beside the Hub's own client straight at that Hub."""

import contextlib
import os
import pathlib
import tempfile

from support import cas, clients, measure, server
from support.hub import Hub
from tool import BUCKET, compared

MIB = 1 << 20

# Timed inside the program: the start of Python is not what is compared.
UP = """
import time
from huggingface_hub import batch_bucket_files
begun = time.monotonic()
batch_bucket_files("root/{bucket}", add=[("{file}", "direct-{turn}")])
print(time.monotonic() - begun)
"""
DOWN = """
import time
from huggingface_hub import download_bucket_files
begun = time.monotonic()
download_bucket_files("root/{bucket}", files=[("direct-{turn}", "{file}.back")])
print(time.monotonic() - begun)
"""


@contextlib.contextmanager
def in_hub_mode():
    """Servers made inside are gateways, each in front of a standalone server."""
    os.environ["XETGATE_MODE"] = "hub"
    try:
        yield
    finally:
        del os.environ["XETGATE_MODE"]


def hub_mode(bench):
    """PUT and GET of one large object through hub mode beside hf_xet straight to the same Hub"""
    size = bench.mib * MIB
    up, down = [], []
    with tempfile.TemporaryDirectory(dir=bench.dir, prefix="xetgate-direct-") as folder, in_hub_mode():
        folder = pathlib.Path(folder)
        with measure.fresh_server(bench.dir) as running:
            try:
                clients.boto3_client(running.endpoint, server.ROOT).create_bucket(Bucket=BUCKET)
                for turn in range(bench.runs):
                    file = folder / f"file-{turn}"
                    cas.write_noise(file, bench.mib, first=(turn + 1) * 1_000_000)
                    told = {"bucket": BUCKET, "file": file, "turn": turn}
                    # A client that remembers nothing, in each turn.
                    home = folder / f"home-{turn}"
                    home.mkdir()
                    direct = Hub(running.hub.hub_endpoint, server.ROOT_TOKEN, home)
                    through = bench.request(running, "put", bytes=size, seed=turn, first=turn)["secs"]
                    up.append((size / 1e6 / through, size / 1e6 / float(direct.python(UP.format(**told)))))
                    # What was sent through this gateway is in its cache: the direct client's file is not.
                    through = bench.request(running, "get", bytes=size, key=f"direct-{turn}")["secs"]
                    down.append((size / 1e6 / through, size / 1e6 / float(direct.python(DOWN.format(**told)))))
                    file.with_name(file.name + ".back").unlink()
                    file.unlink()
            finally:
                if running.hub.process:
                    running.hub.stop()
    what = f"{bench.mib} MiB through hub mode; limit: hf_xet straight to the same Hub"
    yield compared(f"PUT {what}", up, "MB/s", 0.9, ">= 0.90")
    yield compared(f"GET {what}", down, "MB/s", 0.9, ">= 0.90")
