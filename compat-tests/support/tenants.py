"""A server that several accounts share who do not trust each other, and requests that attack it."""

import contextlib
import dataclasses
import json
import pathlib
import urllib.error
import urllib.parse
import urllib.request

from support import server
from support.rawhttp import RawS3

ORIGIN = "https://page.example"


@dataclasses.dataclass(frozen=True)
class Tenant:
    """An account with one credential of two faces."""

    name: str
    keys: server.Credentials
    token: str


def tenant(name: str) -> Tenant:
    keys = server.Credentials(f"AK{name.upper()}00000000001", f"{name}/secret+of=the0attacks000000000001")
    return Tenant(name, keys, f"hf_{name}Token00000000001")


ADA, BOB, MALLORY = tenant("ada"), tenant("bob"), tenant("mallory")


def configuration(more: str = "") -> str:
    """ada, bob and mallory, and the organisation `team` of ada and bob."""
    text = more + '\n[[accounts]]\nname = "team"\nkind = "org"\nmembers = ["ada", "bob"]\n'
    for who in (ADA, BOB, MALLORY):
        text += f'[[accounts]]\nname = "{who.name}"\n[[accounts.credentials]]\npermission = "write"\n'
        text += f'access_key_id = "{who.keys.access_key}"\nsecret_access_key = "{who.keys.secret_key}"\n'
        text += f'token = "{who.token}"\n'
    return text


@dataclasses.dataclass
class Heard:
    """An answer of the Hub's listener."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def hear(url: str, token: str | None = None, method: str = "GET", body=None, headers: dict | None = None) -> Heard:
    """Asks; a refusal is an answer like any other."""
    headers = {"Authorization": f"Bearer {token}"} | (headers or {}) if token else dict(headers or {})
    if body is not None:
        headers["Content-Type"] = "application/json"
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            return Heard(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        return Heard(error.code, dict(error.headers), error.read())


class Shared:
    """The server, and what its tenants do at it."""

    def __init__(self, folder: pathlib.Path, more: str = ""):
        self.folder = folder
        (folder / "config.toml").write_text(configuration(more))
        config = ("--config", str(folder / "config.toml"))
        self.running = server.Server(folder / "data", folder / "log", *config).start()

    def s3(self, who: Tenant | server.Credentials) -> RawS3:
        return RawS3(self.running.port, getattr(who, "keys", who))

    def hub(self, who: Tenant | None, method: str, path: str, body=None) -> Heard:
        return hear(self.running.hub_endpoint + path, who and who.token, method, body)

    def admin(self, method: str, path: str, body=None, token: str = server.ROOT_TOKEN) -> Heard:
        return hear(f"{self.running.hub_endpoint}/admin/{path}", token, method, body)

    def anyone(self, path: str, method: str = "GET", **headers: str) -> Heard:
        """A request to the S3 listener without a credential."""
        return hear(self.running.endpoint + path, None, method, headers=headers)

    def make(self, who: Tenant, bucket: str, visibility: str = "private") -> None:
        """Makes a bucket `namespace/name`."""
        made = self.hub(who, "POST", f"/api/buckets/{bucket}", {"visibility": visibility})
        assert made.status == 200, made.body

    def move(self, who: Tenant, old: str, new: str) -> None:
        body = {"fromRepo": old, "toRepo": new, "type": "bucket"}
        assert self.hub(who, "POST", "/api/repos/move", body).status == 200

    def show(self, who: Tenant, bucket: str, *, private: bool) -> None:
        assert self.hub(who, "PUT", f"/api/buckets/{bucket}/settings", {"private": private}).status == 200


@contextlib.contextmanager
def shared(folder: pathlib.Path, more: str = ""):
    """A shared server that does not outlive its use."""
    place = Shared(folder, more)
    try:
        yield place
    finally:
        if place.running.process:
            place.running.kill()
