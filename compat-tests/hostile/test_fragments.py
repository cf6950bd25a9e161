"""Attacks by a file of very many terms in a public bucket: nobody else waits for it, and its readers share its memory.

The figures that each test prints are in docs/measurements.md, before and after.
"""

import concurrent.futures
import contextlib
import http.client
import json
import multiprocessing
import time

import pytest

from support.attack import ATTACK_SECS, MALLORY_TOKEN, PATIENCE_SECS, Place, is_fair, p99, told
from support.fragments import Fragments
from support.inputs import KIB

TERMS = 300_000


@pytest.fixture(scope="module")
def fragmented() -> Fragments:
    return Fragments(TERMS, chunks=2)


def register(place: Place, file: Fragments) -> int:
    """Sends the xorb and the shard, and answers the status of the latter."""
    token = place.cas(MALLORY_TOKEN, "mallory/mallorys")["accessToken"]
    assert place.hub("POST", f"/cas/v1/xorbs/default/{file.xorb_name}", token, file.xorb)[0] == 200
    return place.hub("POST", "/cas/v1/shards", token, file.shard)[0]


@pytest.fixture
def place(tmp_path, fragmented):
    """The file is in a bucket that everyone may read."""
    with contextlib.closing(Place(tmp_path)) as made:
        assert register(made, fragmented) == 200
        line = json.dumps({"type": "addFile", "path": "k", "xetHash": fragmented.name}).encode()
        assert made.hub("POST", "/api/buckets/mallory/mallorys/batch", MALLORY_TOKEN, line)[0] == 200
        settings = b'{"private": false}'
        assert made.hub("PUT", "/api/buckets/mallory/mallorys/settings", MALLORY_TOKEN, settings)[0] == 200
        yield made


def get(place: Place, path: str, **headers: str) -> tuple[int, bytes]:
    return get_at(place.running.hub_port, path, **headers)


def get_at(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    """As an anonymous caller, on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECS)) as c:
        c.request("GET", path, headers=headers)
        answer = c.getresponse()
        return answer.status, answer.read()


def anonymous_token(place: Place) -> dict[str, str]:
    token = json.loads(get(place, "/api/buckets/mallory/mallorys/xet-read-token")[1])["accessToken"]
    return {"authorization": f"Bearer {token}"}


def lives(place: Place, secs: float) -> list[float]:
    """How long each question whether the server lives takes."""
    took, until = [], time.monotonic() + secs
    while time.monotonic() < until:
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            get(place, "/health/live")
        took.append(time.monotonic() - begun)
    return took


def test_a_file_of_single_chunks_is_refused(tmp_path):
    with contextlib.closing(Place(tmp_path)) as place:
        assert register(place, Fragments(20_000, chunks=1)) == 400


def test_a_batch_of_one_hash_again_and_again_stops_no_worker(place, fragmented):
    headers = anonymous_token(place)
    quiet = lives(place, 1)
    path = "/cas/v1/reconstructions?" + "&".join([f"file_id={fragmented.name}"] * 100)

    def ask(_):
        with contextlib.suppress(OSError):
            return get(place, path, **headers)[0]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = pool.map(ask, range(4))
        time.sleep(0.2)
        attacked = lives(place, ATTACK_SECS)
        statuses = list(asked)
    told("4 batches of 100 equal hashes", quiet, attacked, statuses=statuses)
    assert is_fair(quiet, attacked)
    assert statuses == [400] * 4


def test_readers_that_take_nothing_hold_little_memory(place, fragmented):
    headers = anonymous_token(place)
    before = place.memory_mib()
    # As much as is answered at once: 60,000 terms.
    head = f"GET /cas/v1/reconstructions/{fragmented.name} HTTP/1.1\r\nhost: x\r\nrange: bytes=0-11999999\r\n"
    for _ in range(40):
        place.begin(place.running.hub_port, head + f"authorization: {headers['authorization']}", b"")
    time.sleep(3)
    grown = place.memory_mib() - before
    attacked = place.work_of_bob(ATTACK_SECS)
    print(f"\n40 idle readers of 60,000 terms: {grown} MiB more, p99 of bob's work {p99(attacked) * 1000:.0f} ms")
    assert grown < 300


def read_one_byte(port: int, until: float) -> int:
    """64 clients at once, for so long; answers how many reads were right."""

    def read(_):
        answered = 0
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                status, body = get_at(port, "/buckets/mallory/mallorys/resolve/k", range="bytes=59999999-59999999")
                answered += (status, len(body)) == (206, 1)
        return answered

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        return sum(pool.map(read, range(64)))


def test_readers_of_one_byte_stop_nobody(place, fragmented):
    even, odd = fragmented.content
    part = get(place, "/buckets/mallory/mallorys/resolve/k", range="bytes=300-699")
    assert part == (206, (odd + even + odd)[100:500])
    quiet = place.work_of_bob(ATTACK_SECS, KIB)
    until = time.monotonic() + ATTACK_SECS + 1
    # In a process of their own: bob's clock shares no interpreter with them.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        reading = apart.submit(read_one_byte, place.running.hub_port, until)
        time.sleep(1)
        attacked = place.work_of_bob(ATTACK_SECS, KIB)
        answered = reading.result()
    told("64 readers of one byte", quiet, attacked, answered=answered, memory_mib=place.memory_mib())
    assert is_fair(quiet, attacked)
    assert answered > 0
