"""Clients that write and read a few keys through the nodes of a cluster, and note what they were answered, and when."""

import collections
import concurrent.futures
import hashlib
import itertools
import random
import threading
import time

import botocore.config
import botocore.exceptions

from support import clients, inputs, linear, server
from support.inputs import KIB

KEYS = [f"key-{number}" for number in range(5)]
# Conditional writes are the more, for most of them are refused.
KINDS = ["get"] * 4 + ["head", "list", "delete"] + ["put", "create"] * 2 + ["swap"] * 4
# A request that nobody may know the outcome of: no answer, or one of a server that could not go on.
_BROKEN_OFF = (
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.IncompleteReadError,
)


def once(endpoint: str):
    """boto3 that tries once, so that each request is one operation."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60)
    return clients.boto3_client(endpoint, server.ROOT, config=config)


class Recorded:
    """The history of some keys, of so many operations. Contents are numbers, which are told by the ETag."""

    def __init__(self, operations: int):
        self.events = collections.defaultdict(list)
        self.kinds = collections.Counter()
        self.by_etag: dict[str | None, int | None] = {None: linear.EMPTY}
        self._most, self._begun, self._numbers = operations, itertools.count(), itertools.count(1)
        self._lock = threading.Lock()

    def goes_on(self) -> bool:
        with self._lock:
            return next(self._begun) < self._most

    def new_content(self, rng: random.Random) -> tuple[int, bytes]:
        with self._lock:
            number = next(self._numbers)
        content = b"%d\n" % number + inputs.noise(number, rng.choice((0, 10, 100, 5 * KIB, 80 * KIB)))
        self.by_etag[f'"{hashlib.md5(content).hexdigest()}"'] = number
        return number, content

    def note(self, key: str, event: linear.Event) -> None:
        with self._lock:
            self.events[key].append(event)

    def count(self, kind: str) -> None:
        with self._lock:
            self.kinds[kind] += 1


class Recorder:
    """One client: requests one after the other, each to any node."""

    def __init__(self, recorded: Recorded, endpoints: list[str], bucket: str, seed: str):
        self.recorded, self.bucket, self.rng = recorded, bucket, random.Random(seed)
        self.nodes = [once(endpoint) for endpoint in endpoints]
        # What it has last seen in each key.
        self.seen: dict[str, str | None] = {}

    def run(self) -> None:
        while self.recorded.goes_on():
            s3, key, kind = self.rng.choice(self.nodes), self.rng.choice(KEYS), self.rng.choice(KINDS)
            if kind in ("get", "head"):
                self.read(s3, key, kind)
            elif kind == "list":
                self.list(s3)
            elif kind == "swap" and self.seen.get(key) is None:
                self.read(s3, key, "head")
            else:
                self.write(s3, key, kind)

    def read(self, s3, key: str, kind: str) -> None:
        where, begun = {"Bucket": self.bucket, "Key": key}, time.monotonic()
        try:
            told = s3.get_object(**where) if kind == "get" else s3.head_object(**where)
            etag = told["ETag"]
            if kind == "get":
                seen = hashlib.md5(told["Body"].read()).hexdigest()
                assert f'"{seen}"' == etag, "the bytes are not those of the ETag"
        except botocore.exceptions.ClientError as why:
            if _is_unknown(why):
                return self.recorded.count("unanswered")
            assert why.response["Error"]["Code"] in ("NoSuchKey", "404"), why
            etag = None
        except _BROKEN_OFF:
            return self.recorded.count("unanswered")
        self.seen[key] = etag
        self.recorded.note(key, linear.read(begun, time.monotonic(), self.recorded.by_etag[etag]))
        self.recorded.count(kind)

    def list(self, s3) -> None:
        begun = time.monotonic()
        try:
            told = s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        except (botocore.exceptions.ClientError, *_BROKEN_OFF) as why:
            assert _is_unknown(why), why
            return self.recorded.count("unanswered")
        ended, found = time.monotonic(), {entry["Key"]: entry["ETag"] for entry in told}
        for key in KEYS:
            self.recorded.note(key, linear.read(begun, ended, self.recorded.by_etag[found.get(key)]))
        self.recorded.count("list")

    def write(self, s3, key: str, kind: str) -> None:
        number, body = self.recorded.new_content(self.rng) if kind != "delete" else (linear.EMPTY, b"")
        expected = self.seen[key] if kind == "swap" else None
        where = {"Bucket": self.bucket, "Key": key}
        begun, outcome = time.monotonic(), "done"
        try:
            if kind == "delete":
                s3.delete_object(**where)
                etag = None
            else:
                condition = {"swap": {"IfMatch": expected}, "create": {"IfNoneMatch": "*"}}.get(kind, {})
                etag = s3.put_object(**where, Body=body, **condition)["ETag"]
            self.seen[key] = etag
        except (botocore.exceptions.ClientError, *_BROKEN_OFF) as why:
            outcome = "unknown" if _is_unknown(why) else why.response["Error"]["Code"]
            # It is not known any more, so that the next swap looks first.
            self.seen[key] = None
        ended = time.monotonic() if outcome != "unknown" else None
        if outcome == "ConditionalRequestConflict":
            # Two have met, and nothing was done.
            return self.recorded.count("conflict")
        if kind in ("put", "delete"):
            assert outcome in ("done", "unknown"), f"{kind}: {outcome}"
            self.recorded.note(key, linear.write(begun, ended, number))
            self.recorded.count(kind if outcome == "done" else "unknown")
            return
        # S3 has words of its own for the replacement of what is gone.
        allowed = ("done", "unknown", "PreconditionFailed") + (("NoSuchKey",) if kind == "swap" else ())
        assert outcome in allowed, f"{kind}: {outcome}"
        done = None if outcome == "unknown" else outcome == "done"
        self.recorded.note(key, linear.swap(begun, ended, self.recorded.by_etag[expected], number, done))
        self.recorded.count(f"{kind} {outcome}" if outcome != "unknown" else outcome)


def _is_unknown(why: Exception) -> bool:
    if isinstance(why, _BROKEN_OFF):
        return True
    return why.response["ResponseMetadata"]["HTTPStatusCode"] >= 500


class Running:
    """Clients at work."""

    def __init__(self, recorders: list[Recorder]):
        self._pool = concurrent.futures.ThreadPoolExecutor(len(recorders))
        self._running = [self._pool.submit(one.run) for one in recorders]

    def wait(self) -> None:
        for one in self._running:
            one.result()
        self._pool.shutdown()


def record(recorded: Recorded, endpoints: list[str], bucket: str, seed: int, clients: int) -> Running:
    """Starts them."""
    return Running([Recorder(recorded, endpoints, bucket, f"{seed} {number}") for number in range(clients)])
