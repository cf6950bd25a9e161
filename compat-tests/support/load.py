"""A mixed load on a server that may die at any moment, with a ledger of what each key may hold afterwards.

Each worker owns its keys and sends one request at a time, so the ledger of a key is simple: the last acknowledged
content, and the one content (or absence) that was asked for and not answered.
"""

import collections
import dataclasses
import hashlib
import pathlib
import random
import threading

import boto3
import botocore.config
import botocore.exceptions

from support import inputs
from support.inputs import KIB, MIB
from support.server import REGION, Credentials

WORKERS = 6
SMALL_KEYS, LARGE_KEYS = 6, 2  # A worker's keys; few, so that overwrites and deletes meet old objects.
LARGE_BYTES_MAX = 20 * MIB
PART_BYTES = 5 * MIB

# What a lost connection looks like; anything else while the server lives is a finding.
_LOST = (botocore.exceptions.HTTPClientError, botocore.exceptions.EndpointConnectionError, ConnectionError)


@dataclasses.dataclass(frozen=True)
class Content:
    """Bytes by their seed, so that the ledger holds no bytes. Half of them compress."""

    seed: int
    size: int

    def bytes(self) -> bytes:
        if self.seed % 2:
            return inputs.noise(self.seed, self.size)
        return (inputs.noise(self.seed, 3 * KIB) * (self.size // (3 * KIB) + 1))[: self.size]


ABSENT = None


@dataclasses.dataclass
class Entry:
    """What a key may hold: `sure` was acknowledged; `asked` was not, and counts only if `in_flight`."""

    sure: Content | None = ABSENT
    asked: Content | None = ABSENT
    in_flight: bool = False


@dataclasses.dataclass
class Tally:
    """What happened over all rounds, for the summary."""

    acknowledged: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    in_flight: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    outcome: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    checked_objects: int = 0
    checked_bytes: int = 0


def client(endpoint: str, who: Credentials):
    """boto3 without retries: a retry after the restart would blur what was acknowledged when."""
    config = botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=10, read_timeout=30)
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=who.access_key,
        aws_secret_access_key=who.secret_key,
        config=config,
    )


def keys_of(number: int) -> tuple[list[str], list[str]]:
    """The small and the large keys that a worker owns."""
    small = [f"worker-{number}/small-{i}" for i in range(SMALL_KEYS)]
    return small, [f"worker-{number}/large-{i}" for i in range(LARGE_KEYS)]


def new_ledger() -> dict[str, Entry]:
    return {key: Entry() for number in range(WORKERS) for keys in keys_of(number) for key in keys}


class Worker(threading.Thread):
    """Sends random requests over its own keys until the server is gone."""

    def __init__(self, number: int, seed: int, s3, bucket: str, ledger: dict[str, Entry], tally: Tally):
        super().__init__(daemon=True)
        self.rng = random.Random(seed)
        self.s3, self.bucket, self.ledger, self.tally = s3, bucket, ledger, tally
        self.small, self.large = keys_of(number)
        self.killed = threading.Event()
        self.fault: BaseException | None = None

    def run(self):
        operations = [self.put_small] * 6 + [self.put_large, self.multipart] + [self.delete, self.copy] * 2
        try:
            while not self.killed.is_set():
                self.rng.choice(operations)()
        except _LOST as lost:
            # The tester sets the flag before it kills; a connection lost earlier was lost by the server.
            if not self.killed.is_set():
                self.fault = lost
        except BaseException as fault:  # noqa: BLE001 - told to the test, which fails with it
            self.fault = fault

    def _content(self, size: int) -> Content:
        return Content(self.rng.getrandbits(48), size)

    def _do(self, name: str, key: str, content: Content | None, call) -> None:
        """Runs a request between the two entries in the ledger."""
        entry = self.ledger[key]
        entry.asked, entry.in_flight = content, True
        try:
            call()
        except BaseException:
            self.tally.in_flight[name] += 1
            raise
        entry.sure, entry.in_flight = content, False
        self.tally.acknowledged[name] += 1

    def put_small(self):
        key = self.rng.choice(self.small)
        content = self._content(self.rng.choice((0, 1, 100, 8 * KIB, 100 * KIB, 300 * KIB)))
        self._put("small put" if self.ledger[key].sure is ABSENT else "small overwrite", key, content)

    def put_large(self):
        self._put("large put", self.rng.choice(self.large), self._content(self.rng.randint(1 * MIB, LARGE_BYTES_MAX)))

    def _put(self, name: str, key: str, content: Content):
        body = content.bytes()
        self._do(name, key, content, lambda: self.s3.put_object(Bucket=self.bucket, Key=key, Body=body))

    def multipart(self):
        key = self.rng.choice(self.large)
        content = self._content(self.rng.randint(PART_BYTES + 1, LARGE_BYTES_MAX))

        def send():
            body, parts = content.bytes(), []
            begun = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)
            into = {"Bucket": self.bucket, "Key": key, "UploadId": begun["UploadId"]}
            for number, at in enumerate(range(0, len(body), PART_BYTES), 1):
                told = self.s3.upload_part(**into, PartNumber=number, Body=body[at : at + PART_BYTES])
                parts.append({"PartNumber": number, "ETag": told["ETag"]})
            self.s3.complete_multipart_upload(**into, MultipartUpload={"Parts": parts})

        self._do("multipart", key, content, send)

    def delete(self):
        key = self.rng.choice(self.small + self.large)
        self._do("delete", key, ABSENT, lambda: self.s3.delete_object(Bucket=self.bucket, Key=key))

    def copy(self):
        there = [key for key in self.small + self.large if self.ledger[key].sure is not ABSENT]
        if not there:
            return
        source, key = self.rng.choice(there), self.rng.choice(self.small)
        if source == key:
            return
        where = {"Bucket": self.bucket, "Key": source}
        content = self.ledger[source].sure
        self._do("copy", key, content, lambda: self.s3.copy_object(Bucket=self.bucket, Key=key, CopySource=where))


class Auditor:
    """Compares what the server holds with the ledger, and settles what was in flight."""

    def __init__(self, scratch: pathlib.Path):
        self.scratch = scratch
        self._known: dict[Content, tuple[str, str]] = {}

    def _expected(self, content: Content) -> tuple[str, str]:
        """SHA-256 and published Xet hash."""
        if content not in self._known:
            body = content.bytes()
            self.scratch.write_bytes(body)
            self._known[content] = hashlib.sha256(body).hexdigest(), inputs.published_hash(self.scratch)
        return self._known[content]

    def audit(self, s3, bucket: str, ledger: dict[str, Entry], tally: Tally) -> list[str]:
        """What is wrong, in words; afterwards every entry is settled to what the server holds."""
        wrong = []
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        listed = {o["Key"]: o["Size"] for page in pages for o in page.get("Contents", [])}
        wrong += [f"{key} is listed and was never written" for key in listed.keys() - ledger.keys()]
        for key, entry in ledger.items():
            allowed = [entry.sure, entry.asked] if entry.in_flight else [entry.sure]
            held = self._identify(s3, bucket, key, listed.get(key), allowed, tally)
            if isinstance(held, str):
                wrong.append(f"{key}: {held}; allowed: {allowed}")
                continue
            if entry.in_flight:
                tally.outcome["new" if held == entry.asked else "old"] += 1
            entry.sure, entry.in_flight = held, False
        return wrong

    def _identify(self, s3, bucket, key, listed_size, allowed, tally) -> Content | None | str:
        """Which of the allowed contents the key holds, or what is wrong with it."""
        try:
            got = s3.get_object(Bucket=bucket, Key=key)
        except s3.exceptions.NoSuchKey:
            if listed_size is not None:
                return "listed but cannot be read"
            return ABSENT if ABSENT in allowed else "an acknowledged object is gone"
        body = got["Body"].read()
        tally.checked_objects += 1
        tally.checked_bytes += len(body)
        if listed_size != len(body):
            return f"{len(body)} bytes read, listed as {listed_size}"
        told = got["ResponseMetadata"]["HTTPHeaders"].get("x-xet-hash")
        seen = hashlib.sha256(body).hexdigest()
        for content in allowed:
            if content is not ABSENT and content.size == len(body):
                sha256, xet = self._expected(content)
                if seen == sha256:
                    return content if told == xet else f"right bytes, wrong hash {told} instead of {xet}"
        return f"holds {len(body)} bytes (sha256 {seen}) that are none of the allowed contents"
