"""pgBackRest, with a database of its own to back up. It speaks to S3 by TLS only."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from support import server

STANZA = "demo"
SECS_MAX = 100
# Debian keeps the programs of PostgreSQL out of the path.
PROGRAMS = "/usr/lib/postgresql"


class PgBackRest:
    """A cluster of one database, which hands its log of changes to pgBackRest as it is written."""

    name = "pgBackRest"
    EXTENDED = True
    # It is given the server that has TLS.
    SECURE = True

    def __init__(self, secure, who, home):
        self.secure, self.who = secure, who
        self.path = shutil.which("pgbackrest")
        assert self.path, "pgBackRest is not installed: apt-get install pgbackrest postgresql"
        found = sorted(pathlib.Path(PROGRAMS).glob("*/bin"))
        assert found, f"there is no PostgreSQL below {PROGRAMS}: apt-get install postgresql"
        self.programs = found[-1]
        # PostgreSQL refuses to run as root, and who it runs as cannot enter pytest's folders; a socket's path is short.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="xetgate-pg-"))
        self.data, self.config = self.home / "data", self.home / "pgbackrest.conf"
        self.port = server.free_port()
        shutil.copy(secure.trusted, self.home / "trusted.pem")
        if os.geteuid() == 0:
            shutil.chown(self.home, "postgres", "postgres")

    def close(self):
        if (self.data / "postmaster.pid").exists():
            self.control("stop", "-m", "immediate")
        shutil.rmtree(self.home)

    def run(self, *words) -> str:
        who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "AWS_"))}
        # The server that `pg_ctl` starts would hold a pipe open.
        with open(self.home.with_suffix(".log"), "w+") as out:
            done = subprocess.run(
                [*map(str, words)], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.home,
                env=kept | {"HOME": str(self.home)}, timeout=SECS_MAX, **who,
            )  # fmt: skip
            out.seek(0)
            said = out.read()
        self.home.with_suffix(".log").unlink()
        assert done.returncode == 0, f"{words} exited {done.returncode}:\n{said}"
        return said

    def control(self, *words):
        self.run(self.programs / "pg_ctl", "-D", self.data, "-l", self.home / "postgres.log", "-w", *words)

    def backrest(self, *words) -> str:
        return self.run(self.path, f"--config={self.config}", f"--stanza={STANZA}", *words)

    def sql(self, text: str) -> str:
        words = ("-h", self.home, "-p", self.port, "-d", "postgres", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
        return self.run(self.programs / "psql", *words, "-c", text)

    def make_database(self, bucket):
        """A running cluster whose changes go to a bucket."""
        self.secure.s3().create_bucket(Bucket=bucket)
        settings = {
            "repo1-type": "s3",
            "repo1-path": "/backups",
            "repo1-s3-bucket": bucket,
            "repo1-s3-endpoint": "localhost",
            "repo1-storage-port": self.secure.running.port,
            "repo1-storage-ca-file": self.home / "trusted.pem",
            "repo1-s3-uri-style": "path",
            "repo1-s3-region": server.REGION,
            "repo1-s3-key": self.who.access_key,
            "repo1-s3-key-secret": self.who.secret_key,
            "repo1-retention-full": 1,
            # Where it keeps its log, its locks and what waits: Debian's places are one's for the whole machine.
            "log-path": self.home,
            "lock-path": self.home,
            "spool-path": self.home,
            "start-fast": "y",
        }
        cluster = {"pg1-path": self.data, "pg1-port": self.port, "pg1-socket-path": self.home}
        text = "[global]\n" + "".join(f"{name}={value}\n" for name, value in settings.items())
        text += f"[{STANZA}]\n" + "".join(f"{name}={value}\n" for name, value in cluster.items())
        self.config.write_text(text)
        self.config.chmod(0o644)
        self.run(self.programs / "initdb", "-D", self.data, "-A", "trust", "--no-sync")
        push = f"{self.path} --config={self.config} --stanza={STANZA} archive-push %p"
        with open(self.data / "postgresql.conf", "a") as more:
            more.write(
                f"listen_addresses = ''\nport = {self.port}\nunix_socket_directories = '{self.home}'\n"
                f"archive_mode = on\narchive_command = '{push}'\nfsync = off\n"
            )
        self.control("start")
        self.backrest("stanza-create")
        self.backrest("check")

    def back_up(self, kind):
        self.backrest(f"--type={kind}", "backup")

    def wait_for_the_log(self):
        """Until all that was written of the log is in the repository."""
        self.backrest("check")

    def lose(self):
        """What a broken disk does."""
        self.control("stop", "-m", "immediate")
        shutil.rmtree(self.data)

    def restore(self):
        self.backrest("restore")
        self.control("start")

    def verify(self) -> str:
        """Reads all that the repository has, and compares checksums."""
        return self.backrest("verify", "--output=text", "--verbose")


ALL = (PgBackRest,)
