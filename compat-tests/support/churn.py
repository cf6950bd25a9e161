"""A load on the nodes of a cluster while something is broken, and a ledger of what each key must hold afterwards.

Each worker owns its keys, sends one request at a time, each to any node, and reads what it was told by any other. The
clients are boto3 with its standard retries, which are what has to get over the fault. A request that was tried again may
have been done twice, and by a node that wakes up even much later; so its key is written no more, and holds afterwards what
was asked for, or, if that was never acknowledged, what it held before.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import random
import threading
import time

import boto3
import botocore.config
import botocore.exceptions

from support import server
from support.inputs import KIB, MIB
from support.load import ABSENT, Content, Entry

BUCKET = "churn"
WORKERS = 6
KEYS = 5
PART_BYTES = 5 * MIB
# boto3 waits up to 0.05 s before the second attempt, and each time up to twice as long, at most 20 s, half of it in the
# mean; up to 1 s in place of 0.05 if it is told to slow down. So many attempts take more than a minute in the mean.
ATTEMPTS = 16
READ_SECS_MAX = 20

_UNANSWERED = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)


def patient(endpoint: str):
    """boto3 with its standard retries, of which there are more than by default."""
    retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    config = botocore.config.Config(retries=retries, connect_timeout=10, read_timeout=READ_SECS_MAX)
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name=server.REGION, config=config,
        aws_access_key_id=server.ROOT.access_key, aws_secret_access_key=server.ROOT.secret_key,
    )  # fmt: skip


def attempts(told: dict) -> int:
    return 1 + told["ResponseMetadata"].get("RetryAttempts", 0)


def whole(s3, key: str) -> bytes | None:
    """What a key holds. boto3 tries a request again, but not a body that is broken off; programs do that themselves."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None
        except (botocore.exceptions.ResponseStreamingError, botocore.exceptions.IncompleteReadError, *_UNANSWERED):
            if attempt == ATTEMPTS:
                raise
            time.sleep(0.5)
    return None


@dataclasses.dataclass
class Tally:
    """What happened, for the summary."""

    acknowledged: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    attempts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    failed: list[str] = dataclasses.field(default_factory=list)
    read: int = 0


class Churn:
    """Workers on a cluster. `stop` ends them; `audit` says what is wrong with what they have left."""

    def __init__(self, endpoints: list[str], seed: int, workers: int = WORKERS):
        self.endpoints, self.seed, self.count = endpoints, seed, workers
        self.ledger: dict[str, Entry] = {}
        self.tally, self.lock = Tally(), threading.Lock()
        self.wrong: list[str] = []
        self.rounds = 0
        self.workers: list[Worker] = []
        self._digests: dict[Content, str] = {}

    def start(self) -> "Churn":
        self.rounds += 1
        seeds = random.Random(f"{self.seed} {self.rounds}")
        self.workers = [Worker(self, number, seeds.getrandbits(32)) for number in range(self.count)]
        for worker in self.workers:
            worker.start()
        return self

    def wait_for(self, requests: int, within_secs: float = 60) -> None:
        """Until the workers were acknowledged so many requests from now on."""
        wanted, give_up = self.tally.acknowledged.total() + requests, time.monotonic() + within_secs
        while self.tally.acknowledged.total() < wanted:
            assert time.monotonic() < give_up, f"no {requests} requests in {within_secs} s: {self.tally}"
            time.sleep(0.05)

    def stop(self) -> None:
        for worker in self.workers:
            worker.is_over.set()
        for worker in self.workers:
            worker.join(ATTEMPTS * (READ_SECS_MAX + 20))
            assert not worker.is_alive(), "a request does not end"
        faults = [worker.fault for worker in self.workers if worker.fault]
        self.workers = []
        if faults:
            raise faults[0]

    def digest(self, content: Content) -> str:
        """The ETag of an object that was put in one piece."""
        if content not in self._digests:
            self._digests[content] = hashlib.md5(content.bytes()).hexdigest()
        return self._digests[content]

    def audit(self, of_all_rounds: bool = False) -> list[str]:
        """What is wrong with what each node holds of the last round, in words; what was unknown is settled."""
        wrong, self.wrong = self.wrong, []
        prefix = "" if of_all_rounds else f"round-{self.rounds}/"
        entries = {key: entry for key, entry in self.ledger.items() if key.startswith(prefix)}
        with concurrent.futures.ThreadPoolExecutor(len(self.endpoints)) as pool:
            audits = pool.map(lambda endpoint: self._audit_node(patient(endpoint), prefix, entries, wrong), self.endpoints)
            held = list(audits)
        for key, entry in entries.items():
            seen = {found.get(key) for found in held}
            if len(seen) > 1:
                wrong.append(f"{key}: the nodes do not agree: {seen}")
            elif entry.in_flight:
                entry.sure, entry.in_flight = seen.pop(), False
        return wrong

    def _audit_node(self, s3, prefix: str, entries: dict[str, Entry], wrong: list[str]) -> dict[str, Content | None]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        listed = {o["Key"]: o["Size"] for page in pages for o in page.get("Contents", [])}
        where = s3.meta.endpoint_url
        wrong += [f"{key} is listed by {where} and was never written" for key in listed.keys() - entries.keys()]
        held = {}
        for key, entry in entries.items():
            allowed = [entry.sure, entry.asked] if entry.in_flight else [entry.sure]
            found = self._identify(s3, key, listed.get(key), allowed)
            if isinstance(found, str):
                wrong.append(f"{key} at {where}: {found}; allowed: {allowed}")
            else:
                held[key] = found
        return held

    def _identify(self, s3, key: str, listed: int | None, allowed) -> Content | None | str:
        try:
            body = whole(s3, key)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as why:
            return f"cannot be read: {why!r}"
        if body is None:
            if listed is not None:
                return "listed but cannot be read"
            return ABSENT if ABSENT in allowed else "an acknowledged object is gone"
        self.tally.read += 1
        if listed != len(body):
            return f"{len(body)} bytes read, listed as {listed}"
        seen = hashlib.md5(body).hexdigest()
        for content in allowed:
            if content is not ABSENT and content.size == len(body) and seen == self.digest(content):
                return content
        return f"holds {len(body)} bytes that are none of the allowed contents"


class Worker(threading.Thread):
    """Sends random requests over its own keys until told to stop."""

    def __init__(self, churn: Churn, number: int, seed: int):
        super().__init__(daemon=True)
        self.churn, self.number, self.rng = churn, number, random.Random(seed)
        self.nodes = [patient(endpoint) for endpoint in churn.endpoints]
        self.is_over = threading.Event()
        self.fault: BaseException | None = None
        self._names = 0
        self.keys = [self._new_key() for _ in range(KEYS)]

    def _new_key(self) -> str:
        self._names += 1
        return f"round-{self.churn.rounds}/worker-{self.number}/{self._names}"

    def run(self):
        operations = [self.put] * 8 + [self.delete] * 3 + [self.copy] * 2 + [self.multipart] + [self.read] * 6
        try:
            while not self.is_over.is_set():
                self.rng.choice(operations)()
        except BaseException as fault:  # noqa: BLE001 - told to the test, which fails with it
            self.fault = fault

    @property
    def s3(self):
        """Any of the nodes."""
        return self.rng.choice(self.nodes)

    def _entry(self, key: str) -> Entry:
        with self.churn.lock:
            return self.churn.ledger.setdefault(key, Entry())

    def _do(self, name: str, at: int, content: Content | None, call) -> None:
        """Runs a request that leaves this in a key, between the two entries in the ledger; `call` answers attempts."""
        entry, tally = self._entry(self.keys[at]), self.churn.tally
        entry.asked, entry.in_flight = content, True
        try:
            tried = call()
        except (botocore.exceptions.ClientError, *_UNANSWERED) as why:
            with self.churn.lock:
                tally.failed.append(f"{time.strftime('%H:%M:%S')} {name} {self.keys[at]}: {why!r}")
            self.keys[at] = self._new_key()
            return
        entry.sure, entry.in_flight = content, False
        with self.churn.lock:
            tally.acknowledged[name] += 1
            tally.attempts[tried] += 1
        if tried > 1:
            self.keys[at] = self._new_key()
        elif self.rng.random() < 0.5:
            self._look(self.rng.choice(self.nodes), self._known_key(at))

    def _known_key(self, at: int) -> tuple[str, Content | None]:
        return self.keys[at], self._entry(self.keys[at]).sure

    def _content(self) -> Content:
        size = self.rng.choice((0, 1, 100, 8 * KIB, 100 * KIB, 300 * KIB, 1 * MIB, 3 * MIB))
        # Few seeds, so that the same chunks come again while they are being collected.
        return Content(self.rng.randrange(12), size)

    def put(self):
        at, content = self.rng.randrange(KEYS), self._content()
        body = content.bytes()
        self._do("put", at, content, lambda: attempts(self.s3.put_object(Bucket=BUCKET, Key=self.keys[at], Body=body)))

    def delete(self):
        at = self.rng.randrange(KEYS)
        self._do("delete", at, ABSENT, lambda: attempts(self.s3.delete_object(Bucket=BUCKET, Key=self.keys[at])))

    def copy(self):
        of, at = self.rng.randrange(KEYS), self.rng.randrange(KEYS)
        source, content = self._known_key(of)
        if of == at or content is ABSENT:
            return
        where = {"Bucket": BUCKET, "Key": source}
        call = lambda: attempts(self.s3.copy_object(Bucket=BUCKET, Key=self.keys[at], CopySource=where))  # noqa: E731
        self._do("copy", at, content, call)

    def multipart(self):
        """Parts, each through another node."""
        at = self.rng.randrange(KEYS)
        content = Content(self.rng.randrange(12), PART_BYTES + self.rng.choice((1, MIB)))
        into = {"Bucket": BUCKET, "Key": self.keys[at]}

        def send():
            body, told = content.bytes(), []
            begun = self.s3.create_multipart_upload(**into)
            into["UploadId"] = begun["UploadId"]
            for number, start in enumerate(range(0, len(body), PART_BYTES), 1):
                piece = body[start : start + PART_BYTES]
                told.append(self.s3.upload_part(**into, PartNumber=number, Body=piece))
            parts = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(told, 1)]
            done = self.s3.complete_multipart_upload(**into, MultipartUpload={"Parts": parts})
            return max(attempts(answer) for answer in (begun, *told, done))

        self._do("multipart", at, content, send)

    def read(self):
        self._look(self.s3, self._known_key(self.rng.randrange(KEYS)))

    def _look(self, s3, known: tuple[str, Content | None]):
        """What was acknowledged is read at once, by any node."""
        key, content = known
        try:
            body = whole(s3, key)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as why:
            with self.churn.lock:
                self.churn.tally.failed.append(f"{time.strftime('%H:%M:%S')} read {key}: {why!r}")
            return
        with self.churn.lock:
            self.churn.tally.read += 1
        expected = None if content is ABSENT else content.bytes()
        if body != expected:
            seen = "nothing" if body is None else f"{len(body)} bytes"
            self.churn.wrong.append(f"{key}: {s3.meta.endpoint_url} answers {seen} after {content} was acknowledged")
