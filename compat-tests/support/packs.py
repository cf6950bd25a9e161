"""Object stores for packs, and servers that keep their packs in one."""

import atexit
import functools
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from support import clients, server

BUCKET = "packs"
KEYS = server.Credentials("AKPACKS0000000000001", "packs0secret0for0the0tests0000000001")
RCLONE = pathlib.Path(sys.executable).parent / "rclone"


class Rclone:
    """`rclone serve s3` on a folder, in which `BUCKET` is. It ignores `If-None-Match`, and is told so."""

    keys = KEYS
    options = {"conditional_put": "disabled"}

    def __init__(self, folder: pathlib.Path):
        (folder / BUCKET).mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, server.free_port()
        key = f"{KEYS.access_key},{KEYS.secret_key}"
        line = [RCLONE, "serve", "s3", "--auth-key", key, "--addr", f"127.0.0.1:{self.port}", folder]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(line, env=os.environ | {"RCLONE_CONFIG": os.devnull}, **quiet)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        give_up = time.monotonic() + server.START_SECS_MAX
        while time.monotonic() < give_up:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("rclone does not listen")

    def stop(self):
        self.process.kill()
        self.process.wait()


@functools.cache
def shared() -> Rclone:
    """One for the whole run."""
    folder = tempfile.mkdtemp(prefix="xetgate-packs-")
    started = Rclone(pathlib.Path(folder))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(started.stop)
    return started


class Gateway:
    """A standalone server, in which `BUCKET` is."""

    keys = server.ROOT
    options = {}

    def __init__(self, folder: pathlib.Path):
        folder.mkdir()
        self.running = server.Server(folder / "data", folder / "log").start()
        self.endpoint, self.port = self.running.endpoint, self.running.port
        clients.boto3_client(self.endpoint, self.keys).create_bucket(Bucket=BUCKET)

    def stop(self):
        if self.running.process:
            self.running.kill()


class Folder:
    """No object store at all: objects are files of a folder."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def stop(self):
        pass


def at(place, prefix: str = "", endpoint: str = "") -> dict[str, str]:
    """What tells a server to keep its packs in a place; `endpoint` is of a proxy before it."""
    if isinstance(place, Folder):
        return {"XETGATE__PACKS__URL": f"file://{place.folder}/{prefix}"}
    options = place.options | {
        "endpoint": endpoint or place.endpoint,
        "access_key_id": place.keys.access_key,
        "secret_access_key": place.keys.secret_key,
    }
    given = {f"XETGATE__PACKS__OPTIONS__{name.upper()}": value for name, value in options.items()}
    return given | {"XETGATE__PACKS__URL": f"s3://{BUCKET}/{prefix}"}


class Packed(server.Server):
    """A server whose packs are elsewhere, as `told` says."""

    def __init__(self, folder: pathlib.Path, told: dict[str, str], *more: str):
        super().__init__(folder / "data", folder / "log", *more)
        self.told = told

    def _environment(self) -> dict[str, str]:
        return server.environment() | self.told

    def refusal(self) -> str:
        """The one line with which it does not start."""
        line = server.command(self.port, self.data_dir, *self.more)
        told = subprocess.run(line, capture_output=True, text=True, timeout=60, env=self._environment())
        assert told.returncode == 1, told
        lines = told.stderr.splitlines()
        assert len(lines) == 1, told.stderr
        return lines[0]

    def store(self, *words: str, code: int = 0) -> str:
        """What a command of `store` prints, while the server is stopped."""
        line = [str(server.binary()), "store", "--json", "--data-dir", str(self.data_dir), *words]
        done = subprocess.run(line, capture_output=True, text=True, env=self._environment())
        assert done.returncode == code, done
        return done.stdout if code == 0 else done.stderr
