"""hf_xet as its users have it, in a process and a home of its own, and files that nobody has seen."""

import filecmp
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy
from support import server
from support.inputs import MIB

# Runs in a process of its own; prints the seconds that the upload and the download took.
CLIENT = """
import json, sys, time, hf_xet
asked = json.loads(sys.argv[1])
session = hf_xet.XetSession()
access = lambda reach: {"endpoint": asked["url"], "token": asked[reach], "token_expiry_unix_secs": asked["expires"]}
begun = time.monotonic()
with session.new_upload_commit(**access("write")) as commit:
    upload = commit.start_upload_file(asked["path"])
up = time.monotonic() - begun
info = upload.result().xet_info
begun = time.monotonic()
with session.new_file_download_group(**access("read")) as group:
    group.start_download_file(info, asked["down"])
print(json.dumps([up, time.monotonic() - begun]))
"""


def access_to(running, token: str = server.ROOT_TOKEN, bucket: str = "root/bench") -> dict:
    """What the Hub API gives for a bucket made for this."""

    def call(method: str, path: str) -> dict:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url, body = f"{running.hub_endpoint}/api/buckets/{bucket}{path}", b"{}" if method == "POST" else None
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    call("POST", "")
    read, write = call("GET", "/xet-read-token"), call("GET", "/xet-write-token")
    return {"url": read["casUrl"], "read": read["accessToken"], "write": write["accessToken"], "expires": read["exp"]}


def moved(access: dict, source: pathlib.Path, base: pathlib.Path) -> list[float]:
    """Seconds up and down, by a client in a home of its own."""
    with tempfile.TemporaryDirectory(dir=base) as home:
        asked = access | {"path": str(source), "down": f"{home}/down"}
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        env = kept | {"HOME": home, "HF_HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1"}
        os.sync()
        line = [sys.executable, "-c", CLIENT, json.dumps(asked)]
        done = subprocess.run(line, env=env, capture_output=True, text=True, cwd=home)
        if done.returncode:
            raise SystemExit(f"hf_xet at {access['url']}: {done.stderr[-3000:]}")
        if not filecmp.cmp(f"{home}/down", source, shallow=False):
            raise SystemExit(f"{access['url']}: what came down is not what went up")
        return json.loads(done.stdout)


def write_file(path: pathlib.Path, mib: int, seed: int) -> None:
    with open(path, "wb") as out:
        dice = numpy.random.Generator(numpy.random.SFC64([seed, int(time.time())]))
        for _ in range(mib):
            out.write(dice.bytes(MIB))
