"""The Hub's clients, each as its user has it on the first day: an endpoint, a token, and an empty home."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import textwrap

from support import server

CALL_SECS_MAX = 100

# Tokens and keys of ada, of a reader of hers, and of bob; ada is a member of team.
ADA_KEYS = server.Credentials("AKADAKEY0000000001", "secret+of/ada=0001")
ADA, READER, BOB = "hf_adaToken00000001", "hf_readerToken0000001", "hf_bobToken00000001"

CONFIG = f"""
[[accounts]]
name = "ada"
[[accounts.credentials]]
access_key_id = "{ADA_KEYS.access_key}"
secret_access_key = "{ADA_KEYS.secret_key}"
token = "{ADA}"
permission = "write"
[[accounts.credentials]]
access_key_id = "AKREADER00000001"
secret_access_key = "secret-of-reader"
token = "{READER}"
permission = "read"

[[accounts]]
name = "bob"
[[accounts.credentials]]
access_key_id = "AKBOB000000000001"
secret_access_key = "secret-of-bob"
token = "{BOB}"
permission = "write"

[[accounts]]
name = "team"
kind = "org"
members = ["ada"]
"""


@dataclasses.dataclass
class Done:
    """What a program said, without colours and without hints."""

    code: int
    out: str
    err: str


@dataclasses.dataclass
class Hub:
    """A user of the Hub's clients, in a folder and a home of their own."""

    endpoint: str
    token: str | None
    folder: pathlib.Path
    call_secs_max: float = CALL_SECS_MAX

    def environment(self) -> dict[str, str]:
        foreign = ("HF_", "XETGATE_", "AWS_", "HUGGING", "AI_AGENT", "AGENT", "CLAUDE", "COLUMNS")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        told = {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self.folder / ".hf-home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            "TZ": "UTC",
        }
        return kept | told | ({"HF_TOKEN": self.token} if self.token else {})

    def _run(self, words: list[str], given: bytes | None) -> Done:
        done = subprocess.run(
            words,
            capture_output=True,
            env=self.environment(),
            cwd=self.folder,
            timeout=self.call_secs_max,
            input=given,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def python(self, code: str) -> str:
        """Runs a program, which asserts for itself; answers what it printed."""
        done = self._run([sys.executable, "-c", textwrap.dedent(code)], None)
        assert done.code == 0, f"{code}\n{done.out}\n{done.err}"
        return done.out

    def hf(self, *words: str, given: bytes | None = None) -> Done:
        """Runs the command line."""
        return self._run([str(pathlib.Path(sys.executable).parent / "hf"), *words], given)

    def ok(self, *words: str, given: bytes | None = None) -> str:
        """Runs the command line, which must succeed; answers what it printed."""
        done = self.hf(*words, given=given)
        assert done.code == 0, f"hf {words} exited {done.code}:\n{done.out}\n{done.err}"
        return done.out

    def write(self, files: dict[str, bytes]) -> None:
        """Puts files in the folder."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
