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


class Driven:
    """A process that is asked; `told` is what its environment adds to ours."""

    name: str

    def __init__(self, home, **told):
        foreign = ("AWS_", "XETGATE_", "HF_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        self.log_path = home / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=kept | told | {"HOME": str(home)}, cwd=home,
            )  # fmt: skip

    def command(self) -> list[str]:
        raise NotImplementedError

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


def python(variable: str, requirements: str) -> str:
    """The Python of an environment apart, of which a variable says where it is."""
    named = os.environ.get(variable)
    assert named, f"{variable} is not set: the Python that has compat-tests/clients/{requirements}"
    return named


def node(script: str) -> list[str]:
    """Runs a script of the folder of Node's packages."""
    found = shutil.which("node")
    assert found, "there is no node: apt-get install nodejs"
    assert (FOLDER / "js/node_modules").exists(), "its packages are not there: npm ci --prefix compat-tests/clients/js"
    return [found, str(FOLDER / "js" / script)]


class _S3Driven(Driven):
    """Every call is handed on to the process."""

    def __init__(self, endpoint, who, home):
        super().__init__(
            home,
            ENDPOINT=endpoint,
            AWS_REGION=REGION,
            AWS_ACCESS_KEY_ID=who.access_key,
            AWS_SECRET_ACCESS_KEY=who.secret_key,
        )


class _EveryCall(_S3Driven):
    """A client that offers what all of them do."""

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


class Boto3Crt(_EveryCall):
    name = "boto3[crt]"
    EXTENDED = False
    LARGE = (20 * MIB, 3)

    def command(self):
        return [python("XETGATE_CRT_PYTHON", "requirements-crt.txt"), str(FOLDER / "drive_crt.py")]


class S3fs(_EveryCall):
    name = "s3fs"
    EXTENDED = False
    LARGE = (110 * MIB, 3)

    def command(self):
        return [python("XETGATE_S3FS_PYTHON", "requirements-s3fs.txt"), str(FOLDER / "drive_s3fs.py")]


class JsSdk(_EveryCall):
    """`@aws-sdk/client-s3`, with `lib-storage` for uploads and `s3-request-presigner` for URLs."""

    name = "@aws-sdk (JavaScript)"
    EXTENDED = True
    LARGE = (20 * MIB, 4)

    def command(self):
        return node("drive.mjs")

    def presign_put(self, bucket, key):
        return self._ask("presign_put", bucket=bucket, key=key)

    def keep_versions(self, bucket):
        self._ask("keep_versions", bucket=bucket)

    def contents_of_versions(self, bucket, key):
        return [base64.b64decode(content) for content in self._ask("contents_of_versions", bucket=bucket, key=key)]

    def forget_old_versions(self, bucket, key):
        self._ask("forget_old_versions", bucket=bucket, key=key)


class NodeFetch(_S3Driven):
    """Node's own `fetch`, which knows nothing of S3, with URLs that `s3-request-presigner` signs."""

    name = "Node fetch (presigned URLs)"
    EXTENDED = True

    def command(self):
        return node("drive.mjs")

    def upload(self, path, bucket, key):
        self._ask("fetch_put", path=path, bucket=bucket, key=key)

    def download(self, bucket, key, path):
        self._ask("fetch_get", path=path, bucket=bucket, key=key)

    def read_range(self, bucket, key, first, last):
        return base64.b64decode(self._ask("fetch_range", bucket=bucket, key=key, first=first, last=last))

    def upload_in_parts(self, paths, bucket, key):
        """Each part by a URL of its own, as a browser does it."""
        self._ask("fetch_parts", paths=[str(path) for path in paths], bucket=bucket, key=key)

    def delete(self, bucket, key):
        self._ask("fetch_delete", bucket=bucket, key=key)

    def status_of_put(self, url: str, path) -> tuple[int, str]:
        """What a PUT that sends a file is answered: status and body."""
        return tuple(self._ask("fetch_status", url=url, path=path))


class TorchConnector(_S3Driven):
    """The client that s3torchconnector is a PyTorch interface of: AWS's runtime in C, by way of Mountpoint's client."""

    name = "s3torchconnectorclient"
    EXTENDED = False
    LARGE = (20 * MIB, 3)
    # It asks for the source's size first, at a path that it does not encode: with a space in it no request leaves it.
    COPY_SOURCE = "the-source.bin"

    def command(self):
        return [python("XETGATE_S3FS_PYTHON", "requirements-s3fs.txt"), str(FOLDER / "drive_torch.py")]

    upload, download, names = _EveryCall.upload, _EveryCall.download, _EveryCall.names
    read_range, copy, delete = _EveryCall.read_range, _EveryCall.copy, _EveryCall.delete


class _Tables(_S3Driven):
    """Tables of numbers, `n` being their only column; kept by `drive_tables.py`, which names the library."""

    EXTENDED = False
    library: str

    def command(self):
        return [
            python("XETGATE_S3FS_PYTHON", "requirements-s3fs.txt"), str(FOLDER / "drive_tables.py"), self.library,
        ]  # fmt: skip

    def write_table(self, bucket, prefix, numbers):
        self._ask("write", bucket=bucket, prefix=prefix, numbers=numbers)

    def append(self, bucket, prefix, numbers):
        self._ask("append", bucket=bucket, prefix=prefix, numbers=numbers)

    def append_by_two(self, bucket, prefix, one, other):
        """Two writers that have both read the table before either appends."""
        self._ask("append_by_two", bucket=bucket, prefix=prefix, one=one, other=other)

    def delete_below(self, bucket, prefix, bound):
        self._ask("delete_below", bucket=bucket, prefix=prefix, bound=bound)

    def read_table(self, bucket, prefix):
        return sorted(self._ask("read", bucket=bucket, prefix=prefix))


class PyIceberg(_Tables):
    name = "PyIceberg"
    library = "pyiceberg"


class DeltaLake(_Tables):
    name = "deltalake"
    library = "deltalake"


ALL = (Boto3Crt, S3fs, TorchConnector, PyIceberg, DeltaLake, JsSdk, NodeFetch)
