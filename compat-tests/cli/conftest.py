"""Fixtures of the CLI's tests: a Hub of our own in memory, and the two programs that are to do the same with it."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from cli import standin

from support import server

PATIENCE_SECS = 60


class Program:
    """A command line program with an environment of its own."""

    def __init__(self, path: pathlib.Path, endpoint: str, home: pathlib.Path):
        self.path = path
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XETGATE_", "HF_", "AI_AGENT", "AGENT", "NO_COLOR"))}
        self.env = kept | {
            "HOME": str(home),
            "HF_HOME": str(home),
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": standin.TOKEN,
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


@pytest.fixture
def hub():
    running = standin.StandIn()
    yield running
    running.stop()


@pytest.fixture
def ours(hub, tmp_path) -> Program:
    return Program(server.binary(), hub.endpoint, tmp_path / "home-ours")


@pytest.fixture
def theirs(hub, tmp_path) -> Program:
    """The published `hf`, from the environment that runs the tests."""
    found = pathlib.Path(sys.executable).parent / "hf"
    assert found.exists(), f"{found}: install compat-tests/requirements.txt"
    return Program(found, hub.endpoint, tmp_path / "home-hf")


@pytest.fixture
def work(tmp_path) -> pathlib.Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def hf_link(ours, tmp_path) -> Program:
    """Ours, called through a link named `hf`."""
    link = tmp_path / "bin" / "hf"
    link.parent.mkdir()
    link.symlink_to(shutil.which(ours.path) or ours.path)
    linked = Program(link, ours.env["HF_ENDPOINT"], tmp_path / "home-link")
    return linked
