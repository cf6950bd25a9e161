"""One `xetgate serve` process: started, stopped, killed and started again on the same folder and port.

Only the documented interface is used: the command line, the environment, the port, the signals, the exit code.
"""

import dataclasses
import hashlib
import os
import pathlib
import signal
import socket
import subprocess
import time

REGION = "us-east-1"
START_SECS_MAX = 30
STOP_SECS_MAX = 30


@dataclasses.dataclass(frozen=True)
class Credentials:
    """An S3 key pair."""

    access_key: str
    secret_key: str


# The secret holds `/`, `+` and `=` because AWS secrets do, and clients have mis-encoded them before.
ROOT = Credentials("XGTESTROOT0000000001", "compat/root+secret/only=for0the1tests2")


# The root credential's other face.
ROOT_TOKEN = "hf_compatRootToken0for0the1tests2"


class ServerDied(Exception):
    """The process ended, or never listened."""


def binary() -> pathlib.Path:
    """The server under test, from XETGATE_BIN; every way of not having one is an error, never a skip."""
    named = os.environ.get("XETGATE_BIN")
    if not named:
        raise RuntimeError("XETGATE_BIN is not set: give the path of the xetgate binary to test")
    path = pathlib.Path(named).resolve()
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"XETGATE_BIN={named} is not an executable file")
    return path


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment() -> dict[str, str]:
    """The caller's environment without anything that could configure the server, plus the root credential."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XETGATE_", "AWS_", "RCLONE_", "HF_"))}
    return kept | {
        "XETGATE_ROOT_USER": "root",
        "XETGATE_ROOT_ACCESS_KEY_ID": ROOT.access_key,
        "XETGATE_ROOT_SECRET_ACCESS_KEY": ROOT.secret_key,
        "XETGATE_ROOT_TOKEN": ROOT_TOKEN,
    }


def packs_of(data_dir: pathlib.Path) -> dict[str, str]:
    """With XETGATE_PACKS=rclone, each data folder has its packs under a prefix of its own in an object store."""
    if os.environ.get("XETGATE_PACKS") != "rclone":
        return {}
    from support import packs

    return packs.at(packs.shared(), hashlib.sha256(str(data_dir).encode()).hexdigest()[:16])


def command(port: int, data_dir: pathlib.Path, *more: str, hub_port: int | None = None) -> list[str]:
    """The command line of a server; `more` goes at its end."""
    hub = f"127.0.0.1:{hub_port or free_port()}"
    line = [str(binary()), "serve", "--listen", f"127.0.0.1:{port}", "--hub-listen", hub, "--data-dir", str(data_dir)]
    return line + list(more)


def in_front_of_a_hub() -> bool:
    """Whether the server under test is a gateway in hub mode, before a standalone server as its Hub."""
    return os.environ.get("XETGATE_MODE") == "hub"


def is_cluster() -> bool:
    """Whether the server under test is three nodes of a cluster, behind a proxy that gives each request to another."""
    return os.environ.get("XETGATE_MODE") == "cluster"


def run_to_exit(port: int, data_dir: pathlib.Path, *more: str, timeout_secs: float = 20) -> subprocess.CompletedProcess:
    """Runs a server that is expected to refuse to start."""
    line = command(port, data_dir, *more)
    return subprocess.run(line, capture_output=True, text=True, timeout=timeout_secs, env=environment())


class Server:
    """A server process bound to one data folder and one port for its whole life, across restarts.

    `more` goes at the end of its command line, `behind` at the end of its Hub's, if it is to have one. With
    XETGATE_MODE=cluster it is three processes behind a proxy ([`cluster.Behind`]); what is made of a class that is derived
    from this one is always a single process.
    """

    def __new__(cls, *_, **__):
        if cls is Server and is_cluster():
            from support import cluster

            return super().__new__(cluster.Behind)
        return super().__new__(cls)

    def __init__(self, data_dir: pathlib.Path, log_path: pathlib.Path, *more: str, behind: tuple[str, ...] = ()):
        self.data_dir = data_dir
        self.log_path = log_path
        self.more = more
        self.port = free_port()
        self.hub_port = free_port()
        self.process: subprocess.Popen | None = None
        self.hub = self._hub(behind) if in_front_of_a_hub() else None

    def _hub(self, more: tuple[str, ...]) -> "Server":
        beside = self.data_dir.with_name(self.data_dir.name + "-hub")
        hub = object.__new__(Server)
        hub.data_dir, hub.log_path, hub.more = beside, self.log_path.with_name(self.log_path.name + "-hub"), more
        hub.port, hub.hub_port, hub.process, hub.hub = free_port(), free_port(), None, None
        return hub

    def _environment(self) -> dict[str, str]:
        if self.hub is None:
            return environment() | packs_of(self.data_dir)
        return environment() | {"HF_ENDPOINT": self.hub.hub_endpoint, "HF_TOKEN": ROOT_TOKEN}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hub_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.hub_port}"

    def start(self) -> "Server":
        assert self.process is None, "already running"
        if self.hub is not None and self.hub.process is None:
            self.hub.start()
        mode = ("--mode", "hub") if self.hub is not None else ()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command(self.port, self.data_dir, *mode, *self.more, hub_port=self.hub_port),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment(),
            )  # fmt: skip
        give_up = time.monotonic() + START_SECS_MAX
        while time.monotonic() < give_up:
            if (code := self.process.poll()) is not None:
                self.process = None
                raise ServerDied(f"the server exited with {code} before it listened:\n{self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        self.kill()
        raise ServerDied(f"no listener on port {self.port} after {START_SECS_MAX} s:\n{self.log_tail()}")

    def stop(self) -> None:
        """SIGTERM; anything but a clean exit within the limit is an error."""
        assert self.process is not None, "not running"
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerDied(f"no stop within {STOP_SECS_MAX} s of SIGTERM:\n{self.log_tail()}") from None
        if code != 0:
            raise ServerDied(f"the server exited with {code} on SIGTERM:\n{self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL: what the kernel does when memory runs out."""
        assert self.process is not None, "not running"
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def memory(self, field: str) -> int:
        """A field of /proc/PID/status (`VmRSS`, `VmHWM`), in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(field + ":"))
        return int(line.split()[1]) * 1024

    def log_tail(self, lines: int = 40) -> str:
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
