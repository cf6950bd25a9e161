"""What the CAS API gives belongs to the access key that asked for it: its limits hold, and its end is theirs."""

import json
import os
import urllib.error
import urllib.request

import pytest

from support import server
from support.hub import ADA, CONFIG, Hub

SLOWED = 'xetgate_slowed_down_total{door="hub"}'


@pytest.fixture
def running(tmp_path):
    """A server of ada's with a narrow limit."""
    (tmp_path / "config.toml").write_text(CONFIG + "[limits]\nkey_requests_per_sec = 10\n")
    running = server.Server(tmp_path / "data", tmp_path / "log", "--config", str(tmp_path / "config.toml")).start()
    yield running
    running.stop()


def ask(url: str, token: str | None = None, method: str = "GET", body: dict | None = None):
    """Status and body of an answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, headers | {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_published_client_waits_where_its_key_is_over_the_limit(running, tmp_path):
    hub = Hub(running.hub_endpoint, ADA, tmp_path / "ada")
    hub.folder.mkdir()
    files = {f"up/{n}.bin": os.urandom(100_000) for n in range(40)}
    hub.write(files)
    hub.ok("buckets", "create", "ada/models", "--private")
    hub.ok("buckets", "sync", "up", "hf://buckets/ada/models")
    hub.ok("buckets", "sync", "hf://buckets/ada/models", "down")
    for name, content in files.items():
        assert (hub.folder / name.replace("up/", "down/")).read_bytes() == content, name
    metrics = ask(running.hub_endpoint + "/metrics", server.ROOT_TOKEN)[1].decode()
    slowed = [line for line in metrics.splitlines() if line.startswith(SLOWED)]
    assert slowed and float(slowed[0].split()[-1]) > 0, "the limit was met"


def test_a_revoked_key_leaves_no_token_and_no_address_behind(running, tmp_path):
    api = running.hub_endpoint
    admin = lambda method, path, body=None: ask(f"{api}/admin/{path}", server.ROOT_TOKEN, method, body)
    status, made = admin("POST", "keys", {"account": "ada", "permission": "write"})
    assert status in (200, 201), made
    key = json.loads(made)
    hub = Hub(api, key["token"], tmp_path / "user")
    hub.folder.mkdir()
    hub.write({"file": os.urandom(100_000)})
    hub.ok("buckets", "create", "ada/models", "--private")
    hub.ok("buckets", "cp", "file", "hf://buckets/ada/models/file")
    access = json.loads(ask(f"{api}/api/buckets/ada/models/xet-read-token", key["token"])[1])
    file = json.loads(ask(f"{api}/api/buckets/ada/models/tree", key["token"])[1])[0]["xetHash"]
    reconstruction = f"{access['casUrl']}/v1/reconstructions/{file}"
    status, body = ask(reconstruction, access["accessToken"])
    assert status == 200, body
    (fetches,) = json.loads(body)["fetch_info"].values()
    assert ask(fetches[0]["url"])[0] == 206

    assert admin("DELETE", f"keys/{key['access_key_id']}")[0] in (200, 204)
    status, body = ask(reconstruction, access["accessToken"])
    assert status == 401 and b"revoked" in body, body
    assert ask(fetches[0]["url"])[0] == 403
