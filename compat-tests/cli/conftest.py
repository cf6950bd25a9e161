"""Fixtures of the CLI's tests: a server, and the two programs that are to do the same with it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

import pytest

from support import server

PATIENCE_SECS = 60
TOKEN = "hf_commandLineToken001"

CONFIG = f"""
[[accounts]]
name = "username"
[[accounts.credentials]]
access_key_id = "AKCOMMANDLINE00001"
secret_access_key = "secret+of/username=0001"
token = "{TOKEN}"
permission = "write"
"""


class Program:
    """A command line program with an environment of its own."""

    def __init__(self, path: pathlib.Path, hub, home: pathlib.Path):
        self.path = path
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XETGATE_", "HF_", "AI_AGENT", "AGENT", "NO_COLOR"))}
        self.env = kept | {
            "HOME": str(home),
            "HF_HOME": str(home),
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": hub.token,
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "80",
        }

    def command(self, *args: str) -> list[str]:
        return [str(self.path), *args]

    def run(self, *args: str, cwd: pathlib.Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess:
        env = {name: value for name, value in (self.env | env).items() if value}
        return subprocess.run(self.command(*args), cwd=cwd, input=stdin, capture_output=True, env=env, timeout=PATIENCE_SECS)

    def text(self, *args: str, cwd: pathlib.Path, rc: int = 0, stdin: bytes = b"", **env: str) -> tuple[str, str]:
        """What it prints on its two streams; it must exit with `rc`."""
        done = self.run(*args, cwd=cwd, stdin=stdin, **env)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == rc, f"{args} exited with {done.returncode}\n{out}\n{err}"
        return out, err


class Gate:
    """A running `xetgate serve`, as its Hub API shows it."""

    token = TOKEN

    def __init__(self, endpoint: str, port: int, s3_endpoint: str):
        self.endpoint, self.port, self.s3_endpoint = endpoint, port, s3_endpoint

    def files(self, bucket: str) -> dict[str, dict]:
        """The files of a bucket by their paths, as the API tells them."""
        found, url = {}, f"{self.endpoint}/api/buckets/{bucket}/tree?recursive=true"
        while url:
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
            with urllib.request.urlopen(request, timeout=PATIENCE_SECS) as answer:
                found |= {entry["path"]: entry for entry in json.load(answer)}
                link = answer.headers.get("Link")
            url = link.split(">")[0].lstrip("<") if link else None
        return found


@pytest.fixture(scope="session")
def gate(tmp_path_factory) -> Gate:
    """The server of all tests of the command line; buckets keep them apart."""
    base = tmp_path_factory.mktemp("cli-server")
    (base / "config.toml").write_text(CONFIG)
    running = server.Server(base / "data", base / "log", "--config", str(base / "config.toml")).start()
    yield Gate(running.hub_endpoint, running.hub_port, running.endpoint)
    running.stop()


@pytest.fixture
def hub(gate):
    """Whom the programs talk to."""
    return gate


@pytest.fixture
def ours(hub, tmp_path) -> Program:
    return Program(server.binary(), hub, tmp_path / "home-ours")


@pytest.fixture
def theirs(hub, tmp_path) -> Program:
    """The published `hf`, from the environment that runs the tests."""
    found = pathlib.Path(sys.executable).parent / "hf"
    assert found.exists(), f"{found}: install compat-tests/requirements.txt"
    return Program(found, hub, tmp_path / "home-hf")


@pytest.fixture
def work(tmp_path) -> pathlib.Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def bucket(ours, work, new_name) -> str:
    """The name of a fresh bucket of `username`."""
    name = new_name()
    ours.text("buckets", "create", name, cwd=work)
    return name


@pytest.fixture
def place(bucket) -> str:
    """The same as a place to copy to."""
    return f"hf://buckets/username/{bucket}"


@pytest.fixture
def hf_link(ours, hub, tmp_path) -> Program:
    """Ours, called through a link named `hf`."""
    link = tmp_path / "bin" / "hf"
    link.parent.mkdir()
    link.symlink_to(shutil.which(ours.path) or ours.path)
    return Program(link, hub, tmp_path / "home-link")
