"""What a gateway in front of a Hub fetches from it for ranged reads of a file that others have written."""

import os
import pathlib
import re
import time

import pytest

from support import cas, clients, server
from support.inputs import MIB

# The promise is about 2 GiB: `XETGATE_RANGES_MIB=2048 pytest compat-tests/hub/test_hub_mode_reads.py`.
FILE_MIB = int(os.environ.get("XETGATE_RANGES_MIB", "256"))

# A request for bytes of xorbs, in the Hub's log; its size is that of the answer.
XORB_READ = re.compile(r'door="hub" .*method="GET" path="/cas/v1/ranges/\S+ status=206 bytes=(\d+)')


@pytest.fixture
def gateway(tmp_path, monkeypatch) -> server.Server:
    """A gateway in front of a standalone server."""
    monkeypatch.setenv("XETGATE_MODE", "hub")
    running = server.Server(tmp_path / "data", tmp_path / "log").start()
    yield running
    for process in (running, running.hub):
        process.kill()


def fetched(hub: server.Server) -> int:
    """Bytes of xorbs that the Hub has sent so far."""
    # Lines about requests wait some milliseconds for each other.
    time.sleep(0.1)
    return sum(map(int, XORB_READ.findall(hub.log_path.read_text())))


def read_at(path: pathlib.Path, start: int, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(size)


@pytest.mark.timeout(600)
def test_ranges_fetch_little_more_than_they_give_and_nothing_twice(gateway, tmp_path):
    local = tmp_path / "noise"
    cas.write_noise(local, FILE_MIB)
    at_hub = clients.boto3_client(gateway.hub.endpoint, server.ROOT)
    at_hub.create_bucket(Bucket="models")
    at_hub.upload_file(str(local), "models", "noise")
    s3 = clients.boto3_client(gateway.endpoint, server.ROOT)
    size = FILE_MIB * MIB
    starts = [step * size // 10 + 12_345 for step in range(9)] + [size - MIB]
    for start in starts:
        asked = {"Bucket": "models", "Key": "noise", "Range": f"bytes={start}-{start + MIB - 1}"}
        before = fetched(gateway.hub)
        assert s3.get_object(**asked)["Body"].read() == read_at(local, start, MIB)
        first = fetched(gateway.hub) - before
        assert MIB <= first < 2 * MIB, f"{first} bytes were fetched for the MiB at {start}"
        assert s3.get_object(**asked)["Body"].read() == read_at(local, start, MIB)
        assert fetched(gateway.hub) - before == first, f"the MiB at {start} was fetched twice"
    # What was read is on disk, so that a gateway that starts anew has it still.
    before = fetched(gateway.hub)
    gateway.restart()
    asked = {"Bucket": "models", "Key": "noise", "Range": f"bytes={starts[3]}-{starts[3] + MIB - 1}"}
    assert s3.get_object(**asked)["Body"].read() == read_at(local, starts[3], MIB)
    assert fetched(gateway.hub) == before
