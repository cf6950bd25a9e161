"""Clients in a process of their own, because they live in another environment or another language.

The process reads a call a line, `{"call": NAME, "with": {...}}`, and answers a line, `{"got": ...}` or
`{"failed": WHY}`. Bytes are base64.
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess

from support.inputs import MIB
from support.server import REGION

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "clients"


class _Driven:
    """Every call is handed on to the process."""

    def __init__(self, endpoint, who, home):
        foreign = ("AWS_", "XETGATE_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        about = {
            "ENDPOINT": endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": who.access_key,
            "AWS_SECRET_ACCESS_KEY": who.secret_key,
        }
        self.log_path = home / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=kept | about | {"HOME": str(home)},
            )  # fmt: skip

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)

    def _ask(self, call: str, **given):
        given = {name: str(value) if isinstance(value, pathlib.Path) else value for name, value in given.items()}
        self.process.stdin.write(json.dumps({"call": call, "with": given}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"failed": f"the process ended:\n{self.log_path.read_text()}"}
        assert "failed" not in answer, f"{self.name} {call} {given}: {answer['failed']}"
        return answer["got"]

    def make_bucket(self, bucket):
        self._ask("make_bucket", bucket=bucket)

    def list_buckets(self):
        return set(self._ask("list_buckets"))

    def upload(self, path, bucket, key):
        self._ask("upload", path=path, bucket=bucket, key=key)

    def download(self, bucket, key, path):
        self._ask("download", bucket=bucket, key=key, path=path)

    def names(self, bucket, prefix):
        return set(self._ask("names", bucket=bucket, prefix=prefix))

    def read_range(self, bucket, key, first, last):
        return base64.b64decode(self._ask("read_range", bucket=bucket, key=key, first=first, last=last))

    def copy(self, bucket, key, to_key):
        self._ask("copy", bucket=bucket, key=key, to_key=to_key)

    def upload_with_metadata(self, path, bucket, key, metadata):
        self._ask("upload_with_metadata", path=path, bucket=bucket, key=key, metadata=metadata)

    def metadata(self, bucket, key):
        return self._ask("metadata", bucket=bucket, key=key)

    def presign_get(self, bucket, key):
        return self._ask("presign_get", bucket=bucket, key=key)

    def delete(self, bucket, key):
        self._ask("delete", bucket=bucket, key=key)


class _PythonApart(_Driven):
    """A Python of its own, which cannot be, or must not be, in the environment of the others."""

    variable: str
    requirements: str
    script: str

    def command(self):
        python = os.environ.get(self.variable)
        assert python, f"{self.variable} is not set: the Python that has compat-tests/clients/{self.requirements}"
        return [python, str(FOLDER / self.script)]


class Boto3Crt(_PythonApart):
    name = "boto3[crt]"
    EXTENDED = False
    LARGE = (20 * MIB, 3)
    variable, requirements, script = "XETGATE_CRT_PYTHON", "requirements-crt.txt", "drive_crt.py"


class S3fs(_PythonApart):
    name = "s3fs"
    EXTENDED = False
    LARGE = (110 * MIB, 3)
    variable, requirements, script = "XETGATE_S3FS_PYTHON", "requirements-s3fs.txt", "drive_s3fs.py"


class JsSdk(_Driven):
    name = "@aws-sdk/client-s3"
    EXTENDED = True
    LARGE = (20 * MIB, 4)

    def command(self):
        node = shutil.which("node")
        assert node, "there is no node: apt-get install nodejs"
        assert (FOLDER / "js/node_modules").exists(), "its packages are not there: npm ci --prefix compat-tests/clients/js"
        return [node, str(FOLDER / "js/drive.mjs")]


ALL = (Boto3Crt, S3fs, JsSdk)
