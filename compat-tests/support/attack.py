"""A server, bob who works on it, and mallory who attacks it; and what bob met, measured."""

import contextlib
import http.client
import json
import pathlib
import socket
import statistics
import time

import boto3
from botocore.config import Config

from support import server
from support.inputs import KIB, MIB, noise
from support.rawhttp import RawS3

BOB = server.Credentials("AKBOB000000000001", "secret-of-bob")
MALLORY = server.Credentials("AKMALLORY00000001", "secret-of-mallory")
BOB_TOKEN, MALLORY_TOKEN = "hf_bobToken00000001", "hf_malloryToken00001"

ACCOUNTS = "".join(
    f"""
[[accounts]]
name = "{name}"
[[accounts.credentials]]
access_key_id = "{who.access_key}"
secret_access_key = "{who.secret_key}"
token = "{token}"
permission = "write"
"""
    for name, who, token in (("bob", BOB, BOB_TOKEN), ("mallory", MALLORY, MALLORY_TOKEN))
)

# How long an attack lasts, and how long bob waits for an answer before he counts it as that long.
ATTACK_SECS, PATIENCE_SECS = 4, 10


class Place:
    """A server, bob who uses it, and mallory who attacks it."""

    def __init__(self, folder: pathlib.Path, more: str = ""):
        (folder / "config.toml").write_text(more + ACCOUNTS)
        self.running = server.Server(folder / "data", folder / "log", "--config", str(folder / "config.toml")).start()
        self.mallory = RawS3(self.running.port, MALLORY)
        self.s3 = self.client(BOB)
        self.s3.create_bucket(Bucket="bobs")
        self.client(MALLORY).create_bucket(Bucket="mallorys")
        self.held: list[socket.socket] = []

    def client(self, who: server.Credentials):
        quick = Config(connect_timeout=PATIENCE_SECS, read_timeout=PATIENCE_SECS, retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": who.access_key, "aws_secret_access_key": who.secret_key}
        return boto3.client("s3", endpoint_url=self.running.endpoint, region_name="us-east-1", config=quick, **keys)

    def threads(self) -> int:
        status = pathlib.Path(f"/proc/{self.running.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Threads:")))

    def memory_mib(self) -> int:
        return self.running.memory("VmRSS") // MIB

    def cpu_secs(self) -> float:
        fields = pathlib.Path(f"/proc/{self.running.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def connect(self, port: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECS)
        self.held.append(connection)
        return connection

    def begin(self, port: int, head: str, body: bytes) -> None:
        """Sends a head and the beginning of a body, and no more."""
        self.connect(port).sendall(head.encode() + b"\r\n\r\n" + body)

    def cas(self, token: str, bucket: str) -> dict[str, str]:
        """The CAS of a bucket as its Hub gives it, for writing."""
        answer = self.hub("GET", f"/api/buckets/{bucket}/xet-write-token", token)
        return json.loads(answer[1])

    def hub(self, method: str, path: str, token: str, body: bytes = b"") -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.running.hub_port, timeout=PATIENCE_SECS)) as c:
            c.request(method, path, body, {"authorization": f"Bearer {token}"})
            answer = c.getresponse()
            return answer.status, answer.read()

    def work_of_bob(self, secs: float, size: int = 300 * KIB) -> list[float]:
        """How long each PUT and GET of bob's takes."""
        took, until, number = [], time.monotonic() + secs, 0
        while time.monotonic() < until:
            number += 1
            begun = time.monotonic()
            with contextlib.suppress(Exception):
                self.s3.put_object(Bucket="bobs", Key="k", Body=noise(number, size))
                self.s3.get_object(Bucket="bobs", Key="k")["Body"].read()
            took.append(time.monotonic() - begun)
        return took

    def close(self) -> None:
        for connection in self.held:
            connection.close()
        self.running.kill()


def p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)] if len(took) > 1 else took[0]


def told(what: str, quiet: list[float], attacked: list[float], **figures) -> None:
    more = "".join(f", {name} {value}" for name, value in figures.items())
    print(
        f"\n{what}: p99 {p99(quiet) * 1000:.0f} ms quiet, {p99(attacked) * 1000:.0f} ms attacked "
        f"(median {statistics.median(quiet) * 1000:.0f} and {statistics.median(attacked) * 1000:.0f}){more}"
    )


def is_fair(quiet: list[float], attacked: list[float]) -> bool:
    """Three times as long, and a second for what else the machine does."""
    return p99(attacked) < 3 * p99(quiet) + 1
