"""Our client and the published one say the same to a Hub: each does the same work against a server of its own, a
recorder writes down the requests, and they are compared field by field. What only one of them says is named below, with
the reason."""

import collections
import json
import os
import pathlib
import random
import re
import sys

import pytest

from support import recorder, server
from support.hub import ADA, CONFIG, Hub

MODEL = random.Random(77).randbytes(3_000_000)
WHEN = 1_768_473_000
BUCKET = "wire"
PLACE = f"hf://buckets/ada/{BUCKET}"

# Requests of the published client that ours has no use for, by operation, method and path.
THEIRS_ONLY = [
    # A list of the names of agents, to know whether one runs it; ours looks at AI_AGENT and AGENT.
    (".*", "GET", r"/api/agent-harnesses"),
    # The number of files, for the progress of the listing.
    ("sync .*", "GET", rf"/api/buckets/ada/{BUCKET}"),
    # Size and hash of a file to be downloaded, which the listing or paths-info told before.
    (".*", "HEAD", rf"/buckets/ada/{BUCKET}/resolve/.*"),
    # Whether the first chunk of a file of one chunk is known: asking costs more than sending it.
    ("sync up", "GET", r"/cas/v1/chunks/default/[0-9a-f]{64}"),
    # A shard with the empty file, which every bucket has.
    ("upload nothing", "GET", rf"/api/buckets/ada/{BUCKET}/xet-write-token"),
    ("upload nothing", "POST", r"/cas/v2/shards"),
]

# Requests of ours that the published client does not make.
OURS_ONLY = [
    # Whether a xorb of an interrupted upload is there already.
    (".*", "HEAD", r"/cas/v1/xorbs/default/[0-9a-f]{64}"),
    # Whether the first chunk is known: the published client remembers what it has uploaded, on disk and for weeks.
    ("upload what is known", "GET", r"/cas/v1/chunks/default/[0-9a-f]{64}"),
]

OPERATIONS = {
    "create": ["buckets", "create", BUCKET, "--private"],
    "info": ["buckets", "info", f"ada/{BUCKET}"],
    "list": ["buckets", "list", "--search", "wi"],
    "upload": ["buckets", "cp", "model.bin", f"{PLACE}/a b/é.bin"],
    "upload what is known": ["buckets", "cp", "model.bin", f"{PLACE}/again.safetensors"],
    "upload nothing": ["buckets", "cp", "empty", f"{PLACE}/empty.txt"],
    "tree": ["buckets", "list", f"ada/{BUCKET}/a b", "-R"],
    "tree of one level": ["buckets", "list", f"ada/{BUCKET}"],
    "download": ["buckets", "cp", f"{PLACE}/a b/é.bin", "down"],
    "copy": ["buckets", "cp", f"{PLACE}/again.safetensors", f"{PLACE}/copy.bin"],
    "sync up": ["sync", "data", f"{PLACE}/s", "--delete"],
    "sync down": ["sync", f"{PLACE}/s", "synced"],
    "remove": ["buckets", "rm", f"ada/{BUCKET}/copy.bin", "--yes"],
    "settings": ["buckets", "settings", f"ada/{BUCKET}", "--public"],
    "move": ["buckets", "move", f"ada/{BUCKET}", f"team/{BUCKET}"],
    "delete": ["buckets", "delete", f"team/{BUCKET}", "--yes"],
}


class Client:
    """One of the two programs, its server, and the recorder between them."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path):
        folder.mkdir()
        (folder / "config.toml").write_text(CONFIG)
        more = ["--config", str(folder / "config.toml")]
        self.server = server.Server(folder / "data-folder", folder / "log", *more).start()
        self.recorder = recorder.Recorder(self.server.hub_port)
        self.program, self.user = program, Hub(self.recorder.endpoint, ADA, folder)
        self.user.write({"model.bin": MODEL, "empty": b"", "data/sub/x.csv": MODEL[:7_000]})
        for path in ("model.bin", "empty", "data/sub/x.csv"):
            os.utime(folder / path, (WHEN, WHEN))

    def said(self, *words: str) -> list[recorder.Exchange]:
        """The requests of a command."""
        self.recorder.forget()
        done = self.user._run([str(self.program), *words], None)
        assert done.code == 0, f"{self.program} {words}: {done.code}\n{done.out}\n{done.err}"
        return self.recorder.exchanges

    def stop(self):
        self.recorder.stop()
        self.server.kill()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    base = tmp_path_factory.mktemp("wire")
    theirs = pathlib.Path(sys.executable).parent / "hf"
    made = Client(server.binary(), base / "ours"), Client(theirs, base / "theirs")
    yield made
    for client in made:
        client.stop()


def body_of(exchange: recorder.Exchange):
    """JSON by what it says, and lines of it; all else by its bytes."""
    kind = exchange.headers.get("content-type", "")
    if "ndjson" not in kind and "json" not in kind:
        return exchange.body
    lines = [json.loads(line) for line in exchange.body.splitlines()]
    for line in lines:
        # A copy has the time at which it was asked for.
        if line.get("type") == "copyFile":
            line["mtime"] = abs(line["mtime"] / 1000 - WHEN) > 86_400
    return sorted(lines, key=lambda line: json.dumps(line, sort_keys=True))


def fields(exchange: recorder.Exchange) -> dict:
    """What must be the same: everything but who says it, and what differs from answer to answer."""
    query = {name: value for name, value in exchange.query.items() if name not in ("e", "s")}
    token = exchange.headers.get("authorization", "")
    return {
        "method": exchange.method,
        "path": exchange.path,
        "query": query,
        "range": exchange.headers.get("range"),
        "content-type": exchange.headers.get("content-type"),
        "authorization": "Bearer hub" if token == f"Bearer {ADA}" else token.split(" ")[0],
        "body": body_of(exchange),
        "status": exchange.status,
    }


def compared(name: str, exchanges: list[recorder.Exchange], only: list[tuple[str, str, str]]) -> list[dict]:
    def is_only(exchange):
        said = name, exchange.method, exchange.path
        return any(all(map(re.fullmatch, pattern, said)) for pattern in only)

    # Requests run at once: their order is by chance.
    return sorted((fields(e) for e in exchanges if not is_only(e)), key=lambda said: (said["path"], said["method"], repr(said)))


def test_both_clients_say_the_same(pair):
    ours, theirs = pair
    count = lambda said: collections.Counter((s["method"], s["path"]) for s in said)  # noqa: E731
    for name, words in OPERATIONS.items():
        mine = compared(name, ours.said(*words), OURS_ONLY)
        yours = compared(name, theirs.said(*words), THEIRS_ONLY)
        assert mine and count(mine) == count(yours), name
        for one, other in zip(mine, yours, strict=True):
            for field, value in one.items():
                assert value == other[field], f"{name}: {field} of {one['method']} {one['path']}"
