"""What the rows share: the load generator's commands, the CPU that a process used, the shape of a row."""

import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import statistics
import subprocess

from support import clients, measure, server

BUCKET = "bench"
TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Row:
    """A line of the table. `turns` holds a pair (ours, limit) for each turn; `ratio` is what `must` speaks of."""

    what: str
    ours: str
    limit: str
    must: str
    ratio: float | None
    reached: bool | None
    details: dict = dataclasses.field(default_factory=dict)

    @property
    def ratio_text(self) -> str:
        return "" if self.ratio is None else f"{self.ratio:.2f}"

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "no", None: "not measured"}[self.reached]

    def as_json(self) -> dict:
        return dataclasses.asdict(self)


def compared(what: str, turns: list[tuple[float, float]], unit: str, at_least: float, must: str, **details) -> Row:
    """A row of which both sides are speeds, from pairs (ours, limit)."""
    ours, limit = (statistics.median(side) for side in zip(*turns, strict=True))
    ratio = statistics.median(a / b for a, b in turns)
    texts = (f"{figure:,.3g} {unit}" if figure < 100 else f"{figure:,.0f} {unit}" for figure in (ours, limit))
    return Row(what, *texts, must, ratio, ratio >= at_least, details | {"turns": turns, "unit": unit})


def cpu_secs(pid: int) -> float:
    """User and system time that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SEC


@contextlib.contextmanager
def pinned(core: int):
    """Processes started inside have one core, and know it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Load:
    """The program of benches/load."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.env = os.environ | {
            "AWS_ACCESS_KEY_ID": server.ROOT.access_key,
            "AWS_SECRET_ACCESS_KEY": server.ROOT.secret_key,
        }

    @classmethod
    def find(cls) -> "Load":
        if named := os.environ.get("XETGATE_LOAD"):
            return cls(pathlib.Path(named).resolve())
        build = ["cargo", "bench", "--bench", "load", "--no-run", "--message-format=json"]
        told = subprocess.run(build, cwd=measure.REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
        made = [message for line in told.stdout.splitlines() if (message := json.loads(line)).get("executable")]
        return cls(pathlib.Path(next(m["executable"] for m in made if m["target"]["name"] == "load")))

    def _command(self, what: str, options: dict) -> list[str]:
        line = [str(self.path), what]
        for name, value in options.items():
            if value is True:
                line.append(f"--{name}")
            elif value is not False:
                line += [f"--{name}", str(value)]
        return line

    def run(self, what: str, watched: int | None = None, **options) -> dict:
        """Runs a command; adds the CPU time of the process `watched` and of the load generator itself."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        before = cpu_secs(watched) if watched else 0
        told = subprocess.run(self._command(what, options), env=self.env, capture_output=True, text=True)
        if told.returncode:
            raise RuntimeError(f"{what}: {told.stderr[-2000:]}")
        figures = json.loads(told.stdout)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures["load_cpu_secs"] = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
        if watched:
            figures["server_cpu_secs"] = cpu_secs(watched) - before
        return figures

    @contextlib.contextmanager
    def serving(self, content_bytes: int):
        """The bare server: its process and address."""
        line = self._command("serve", {"bytes": content_bytes})
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as bare:
            try:
                yield bare, f"127.0.0.1:{json.loads(bare.stdout.readline())['port']}"
            finally:
                bare.kill()


@dataclasses.dataclass
class Bench:
    """What was asked for."""

    load: Load
    runs: int
    secs: int
    mib: int
    list_keys: int
    list_secs: int
    dir: pathlib.Path

    @contextlib.contextmanager
    def server(self):
        """A fresh server with an empty bucket."""
        with measure.fresh_server(self.dir) as running:
            clients.boto3_client(running.endpoint, server.ROOT).create_bucket(Bucket=BUCKET)
            yield running

    def request(self, running, what: str, bucket: str = BUCKET, **options) -> dict:
        """Runs a load against a server."""
        where = {"server": running.endpoint.removeprefix("http://"), "bucket": bucket}
        return self.load.run(what, running.process.pid, **where, **options)

    def against(self, bare, what: str, **options) -> dict:
        """Runs the same load against a bare server."""
        process, address = bare
        return self.load.run(what, process.pid, server=address, bucket=BUCKET, **options)
