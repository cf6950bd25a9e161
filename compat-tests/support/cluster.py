"""Three nodes over one PostgreSQL and one object store.

`Cluster` has nodes that a test speaks to one by one, and stops, kills and suspends. `Behind` is what `server.Server` is
with XETGATE_MODE=cluster: the same nodes behind HAProxy, which hands each request to the next node, also of those that
come by one connection.
"""

import pathlib
import shutil
import signal
import socket
import subprocess
import time

from support import packs, postgres, server

NODES = 3
MASTER_KEY = "c1" * 32
# A node that says nothing for so long is taken for dead; short, so that tests need not wait.
SILENCE_SECS = 5
GC_INTERVAL_SECS = 3
# HAProxy knows a request by its first bytes, which clients of these tests make long.
_HAPROXY = """
global
    maxconn 4000
    tune.bufsize 131072
    tune.http.maxhdr 1024
    hard-stop-after 1s
defaults
    mode http
    maxconn 4000
    # Each request goes to another node, whatever connection it comes by, and a node that is away is passed over.
    balance roundrobin
    option redispatch 1
    retries 3
    option accept-invalid-http-request
    timeout connect 5s
    timeout client 300s
    timeout server 300s
"""
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"


def _rules() -> str:
    """The rules for `Expect: 100-continue` of the file that users are given."""
    shipped = pathlib.Path(__file__).parents[2] / "docker/haproxy.cfg"
    return "".join(line + "\n" for line in shipped.read_text().splitlines() if "txn." in line)


class Node(server.Server):
    """One node. `told` is what the environment tells all nodes of its cluster."""

    def __init__(self, folder: pathlib.Path, name: str, told: dict[str, str], *more: str):
        super().__init__(folder / name, folder / f"{name}.log", "--mode", "cluster", *more)
        self.name, self.told, self.is_suspended = name, told, False

    def _environment(self) -> dict[str, str]:
        return server.environment() | self.told | {"XETGATE__CLUSTER__NODE": self.name}

    def suspend(self) -> None:
        """As a frozen container: it keeps its connections and does nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self.is_suspended = True

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.is_suspended = False

    def ended(self, within_secs: float) -> int | None:
        """The code that it has ended with by itself, or None if it goes on."""
        try:
            code = self.process.wait(within_secs)
        except subprocess.TimeoutExpired:
            return None
        self.process = None
        return code


class Cluster:
    """Nodes over a database of their own and packs in `place`, a folder of `folder` if none is given.

    `endpoint` is of a proxy before the place; `more` goes at the end of each node's command line. Without grace, garbage is
    collected at once, also what clients of the Hub have sent and not named yet, so that only S3 clients can work then.
    """

    def __init__(
        self, folder: pathlib.Path, database: str, *more: str,
        place=None, endpoint: str = "", nodes: int = NODES, has_grace: bool = True,
        gc_interval_secs: int = GC_INTERVAL_SECS,
    ):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        told = packs.at(place or packs.Folder(folder), "", endpoint) | {
            "XETGATE_MASTER_KEY": MASTER_KEY,
            "XETGATE__METADATA__URL": database,
            "XETGATE__CLUSTER__SILENCE_SECS": str(SILENCE_SECS),
            "XETGATE__GC__INTERVAL_SECS": str(gc_interval_secs),
        }
        if not has_grace:
            told["XETGATE__GC__CAS_GRACE_DAYS"] = "0"
        self.nodes = [Node(folder, f"node-{number}", told, *more) for number in range(1, nodes + 1)]

    def start(self) -> "Cluster":
        for node in self.nodes:
            node.start()
        return self

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        for node in self.nodes:
            if node.process:
                node.kill()

    def store(self, *command: str) -> subprocess.CompletedProcess:
        """Runs `xetgate store ...` as the first node does, which must not run."""
        node = self.nodes[0]
        line = [server.binary(), "store", *command, "--data-dir", node.data_dir]
        told = node._environment() | {"XETGATE__MODE": "cluster"}
        done = subprocess.run(line, env=told, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def endpoints(self) -> list[str]:
        return [node.endpoint for node in self.nodes]

    def said(self, text: str) -> dict[str, int]:
        """How many lines of each node's log have this in them."""
        return {node.name: node.log_path.read_text(errors="replace").count(text) for node in self.nodes}

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(f"--- {node.name}\n{node.log_tail(lines)}" for node in self.nodes)


class Behind(server.Server):
    """Nodes behind HAProxy, as one server: its data folder has the packs, and the nodes' folders beside them."""

    def __init__(self, data_dir: pathlib.Path, log_path: pathlib.Path, *more: str, behind: tuple[str, ...] = ()):
        self.data_dir, self.log_path, self.more, self.hub = data_dir, log_path, more, None
        self.port, self.hub_port = server.free_port(), server.free_port()
        self.process: subprocess.Popen | None = None
        elsewhere = server.packs_of(data_dir)
        self.cluster = Cluster(data_dir, postgres.shared().new_database(), *more)
        for node in self.cluster.nodes:
            node.told |= elsewhere

    def _config(self) -> str:
        nodes = self.cluster.nodes
        text = _HAPROXY
        for name, port, ports in (
            ("s3", self.port, [node.port for node in nodes]),
            ("hub", self.hub_port, [node.hub_port for node in nodes]),
        ):
            text += f"listen {name}\n    bind 127.0.0.1:{port} backlog 1024\n"
            text += _rules()
            text += "".join(f"    server node-{n} 127.0.0.1:{to}\n" for n, to in enumerate(ports, 1))
        return text

    def start(self) -> "Behind":
        assert self.process is None, "already running"
        try:
            self.cluster.start()
        except server.ServerDied:
            self.cluster.kill()
            raise
        config = self.data_dir / "haproxy.cfg"
        config.write_text(self._config())
        with open(self.log_path, "ab") as log:
            line = [HAPROXY, "-db", "-f", config]
            self.process = subprocess.Popen(line, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        give_up = time.monotonic() + server.START_SECS_MAX
        while time.monotonic() < give_up and self.process.poll() is None:
            try:
                for port in (self.port, self.hub_port):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        self.kill()
        raise server.ServerDied(f"HAProxy does not listen:\n{self.log_tail()}")

    def _end_proxy(self) -> None:
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def stop(self) -> None:
        self._end_proxy()
        self.cluster.stop()

    def kill(self) -> None:
        self._end_proxy()
        self.cluster.kill()

    def memory(self, field: str) -> int:
        return sum(node.memory(field) for node in self.cluster.nodes)

    def log_tail(self, lines: int = 40) -> str:
        return super().log_tail(lines) + "\n" + self.cluster.log_tail(lines)
