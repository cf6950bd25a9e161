"""aws-cli, boto3 and rclone behind one small interface, each as its user has it on the first day.

Nothing but endpoint, credential and region is configured: no checksum, addressing or signature option is set.
A client that needs one of those to work with the server has found a bug in the server.
"""

import abc
import json
import os
import pathlib
import shutil
import subprocess
import sys

import boto3

from support.server import REGION, Credentials

CALL_SECS_MAX = 100


def boto3_client(endpoint: str, who: Credentials, **more):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=who.access_key,
        aws_secret_access_key=who.secret_key,
        **more,
    )


def boto3_resource(endpoint: str, who: Credentials):
    return boto3.resource(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=who.access_key,
        aws_secret_access_key=who.secret_key,
    )


class Client(abc.ABC):
    """What a user does with a bucket. Keys and sizes are answered as the client shows them."""

    name: str

    def __init__(self, endpoint: str, who: Credentials, home: pathlib.Path):
        self.endpoint, self.who, self.home = endpoint, who, home

    @abc.abstractmethod
    def make_bucket(self, bucket: str) -> None: ...

    @abc.abstractmethod
    def list_buckets(self) -> set[str]: ...

    @abc.abstractmethod
    def upload(self, path: pathlib.Path, bucket: str, key: str) -> None: ...

    @abc.abstractmethod
    def download(self, bucket: str, key: str, path: pathlib.Path) -> None: ...

    @abc.abstractmethod
    def upload_tree(self, root: pathlib.Path, bucket: str, prefix: str) -> None: ...

    @abc.abstractmethod
    def download_tree(self, bucket: str, prefix: str, root: pathlib.Path) -> None: ...

    @abc.abstractmethod
    def list_all(self, bucket: str, prefix: str) -> dict[str, int]:
        """Every key under `prefix/`, relative to it, with its size."""

    @abc.abstractmethod
    def list_level(self, bucket: str, prefix: str) -> tuple[dict[str, int], set[str]]:
        """One level under `prefix/`: keys with sizes, and folder names; both relative, no slash at the end."""

    @abc.abstractmethod
    def read_range(self, bucket: str, key: str, first: int, last: int) -> bytes:
        """Bytes `first` to `last`, both included."""

    @abc.abstractmethod
    def copy(self, bucket: str, key: str, to_key: str) -> None: ...

    @abc.abstractmethod
    def presign_get(self, bucket: str, key: str) -> str: ...

    @abc.abstractmethod
    def delete(self, bucket: str, key: str) -> None: ...

    def exists(self, bucket: str, key: str) -> bool:
        folder, _, name = key.rpartition("/")
        return name in self.list_level(bucket, folder)[0]


class Boto3(Client):
    name = "boto3"

    def __init__(self, endpoint, who, home):
        super().__init__(endpoint, who, home)
        self.s3 = boto3_client(endpoint, who)

    def make_bucket(self, bucket):
        self.s3.create_bucket(Bucket=bucket)

    def list_buckets(self):
        return {b["Name"] for b in self.s3.list_buckets()["Buckets"]}

    def upload(self, path, bucket, key):
        self.s3.upload_file(str(path), bucket, key)

    def download(self, bucket, key, path):
        self.s3.download_file(bucket, key, str(path))

    def upload_tree(self, root, bucket, prefix):
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            self.upload(path, bucket, f"{prefix}/{path.relative_to(root)}")

    def download_tree(self, bucket, prefix, root):
        for relative in self.list_all(bucket, prefix):
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
            self.download(bucket, f"{prefix}/{relative}", root / relative)

    def _pages(self, bucket, prefix, **more):
        # Pages of 50, so that 200 files need continuation tokens.
        pages = self.s3.get_paginator("list_objects_v2")
        return pages.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": 50}, **more)

    def list_all(self, bucket, prefix):
        start = f"{prefix}/" if prefix else ""
        pages = self._pages(bucket, start)
        return {o["Key"].removeprefix(start): o["Size"] for page in pages for o in page.get("Contents", [])}

    def list_level(self, bucket, prefix):
        start = f"{prefix}/" if prefix else ""
        keys, folders = {}, set()
        for page in self._pages(bucket, start, Delimiter="/"):
            keys |= {o["Key"].removeprefix(start): o["Size"] for o in page.get("Contents", [])}
            folders |= {p["Prefix"].removeprefix(start).rstrip("/") for p in page.get("CommonPrefixes", [])}
        return keys, folders

    def read_range(self, bucket, key, first, last):
        return self.s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={first}-{last}")["Body"].read()

    def copy(self, bucket, key, to_key):
        self.s3.copy({"Bucket": bucket, "Key": key}, bucket, to_key)

    def presign_get(self, bucket, key):
        return self.s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)

    def presign_put(self, bucket, key):
        return self.s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)

    def delete(self, bucket, key):
        self.s3.delete_object(Bucket=bucket, Key=key)


class Program(abc.ABC):
    """A client that is a program: found beside the running Python, run in an empty home."""

    program: str
    call_secs_max: float = CALL_SECS_MAX

    def __init__(self, endpoint: str, who: Credentials, home: pathlib.Path):
        self.endpoint, self.who, self.home = endpoint, who, home
        self.line = self.found()
        foreign = ("AWS_", "RCLONE_", "XETGATE_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        self.env = kept | {"HOME": str(home), "LC_ALL": "C.UTF-8"} | self.settings()

    def found(self) -> list[str]:
        """What its command line begins with."""
        beside = pathlib.Path(sys.executable).parent / self.program
        found = str(beside) if beside.exists() else shutil.which(self.program)
        assert found, f"{self.program} is not installed: see compat-tests/README.md"
        return [found]

    @abc.abstractmethod
    def settings(self) -> dict[str, str]: ...

    def run(self, *words: str | pathlib.Path) -> bytes:
        done = subprocess.run(
            [*self.line, *map(str, words)],
            capture_output=True,
            env=self.env,
            cwd=self.home,
            timeout=self.call_secs_max,
        )
        assert done.returncode == 0, f"{self.program} {words} exited {done.returncode}:\n{done.stderr.decode()}"
        return done.stdout


class AwsCli(Program, Client):
    name = "aws-cli"
    program = "aws"

    def settings(self):
        return {
            "AWS_CONFIG_FILE": str(self.home / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "no-credentials"),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.who.access_key,
            "AWS_SECRET_ACCESS_KEY": self.who.secret_key,
        }

    def make_bucket(self, bucket):
        self.run("s3", "mb", f"s3://{bucket}")

    def list_buckets(self):
        return {line.split(maxsplit=2)[2] for line in self.run("s3", "ls").decode().splitlines()}

    def upload(self, path, bucket, key):
        self.run("s3", "cp", path, f"s3://{bucket}/{key}")

    def download(self, bucket, key, path):
        self.run("s3", "cp", f"s3://{bucket}/{key}", path)

    def upload_tree(self, root, bucket, prefix):
        self.run("s3", "cp", "--recursive", root, f"s3://{bucket}/{prefix}/")

    def download_tree(self, bucket, prefix, root):
        self.run("s3", "cp", "--recursive", f"s3://{bucket}/{prefix}/", root)

    def _ls(self, bucket: str, prefix: str, *more: str) -> list[str]:
        where = f"s3://{bucket}/{prefix}/" if prefix else f"s3://{bucket}"
        return self.run("s3", "ls", where, "--page-size", "50", *more).decode().split("\n")[:-1]

    @staticmethod
    def _file_line(line: str) -> tuple[str, int]:
        # `2026-01-01 00:00:00       1234 the name`: fixed width up to the name, unless the size outgrows ten digits.
        size, name = line[20:].lstrip(" ").split(" ", 1)
        return name, int(size)

    def list_all(self, bucket, prefix):
        start = f"{prefix}/" if prefix else ""
        lines = map(self._file_line, self._ls(bucket, prefix, "--recursive"))
        return {name.removeprefix(start): size for name, size in lines}

    def list_level(self, bucket, prefix):
        keys, folders = {}, set()
        for line in self._ls(bucket, prefix):
            if line.lstrip().startswith("PRE "):
                folders.add(line.lstrip().removeprefix("PRE ").rstrip("/"))
            else:
                name, size = self._file_line(line)
                keys[name] = size
        return keys, folders

    def exists(self, bucket, key):
        # `aws s3 ls` exits 1 on an empty answer, so existence is asked of the listing call itself.
        told = json.loads(self.run("s3api", "list-objects-v2", "--bucket", bucket, "--prefix", key, "--output", "json"))
        return any(o["Key"] == key for o in told.get("Contents", []))

    def read_range(self, bucket, key, first, last):
        out = self.home / "range"
        wanted = f"bytes={first}-{last}"
        self.run("s3api", "get-object", "--bucket", bucket, "--key", key, "--range", wanted, out)
        return out.read_bytes()

    def copy(self, bucket, key, to_key):
        self.run("s3", "cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{to_key}")

    def presign_get(self, bucket, key):
        return self.run("s3", "presign", f"s3://{bucket}/{key}", "--expires-in", "600").decode().strip()

    def delete(self, bucket, key):
        self.run("s3", "rm", f"s3://{bucket}/{key}")


class Rclone(Program, Client):
    name = "rclone"
    program = "rclone"

    def settings(self):
        return {
            "RCLONE_CONFIG": str(self.home / "no-config"),
            "RCLONE_CONFIG_X_TYPE": "s3",
            "RCLONE_CONFIG_X_PROVIDER": "Other",
            "RCLONE_CONFIG_X_ENDPOINT": self.endpoint,
            "RCLONE_CONFIG_X_ACCESS_KEY_ID": self.who.access_key,
            "RCLONE_CONFIG_X_SECRET_ACCESS_KEY": self.who.secret_key,
        }

    def make_bucket(self, bucket):
        self.run("mkdir", f"X:{bucket}")

    def list_buckets(self):
        return {line.rstrip("/") for line in self.run("lsf", "X:").decode().splitlines()}

    def upload(self, path, bucket, key):
        self.run("copyto", path, f"X:{bucket}/{key}")

    def download(self, bucket, key, path):
        self.run("copyto", f"X:{bucket}/{key}", path)

    def upload_tree(self, root, bucket, prefix):
        self.run("copy", root, f"X:{bucket}/{prefix}")

    def download_tree(self, bucket, prefix, root):
        self.run("copy", f"X:{bucket}/{prefix}", root)

    def _ls(self, bucket, prefix, *more):
        return json.loads(self.run("lsjson", f"X:{bucket}/{prefix}", *more))

    def list_all(self, bucket, prefix):
        # --fast-list is the listing without a delimiter.
        return {o["Path"]: o["Size"] for o in self._ls(bucket, prefix, "-R", "--files-only", "--fast-list")}

    def list_level(self, bucket, prefix):
        seen = self._ls(bucket, prefix)
        return {o["Path"]: o["Size"] for o in seen if not o["IsDir"]}, {o["Path"] for o in seen if o["IsDir"]}

    def read_range(self, bucket, key, first, last):
        return self.run("cat", "--offset", str(first), "--count", str(last - first + 1), f"X:{bucket}/{key}")

    def copy(self, bucket, key, to_key):
        self.run("copyto", f"X:{bucket}/{key}", f"X:{bucket}/{to_key}")

    def presign_get(self, bucket, key):
        return self.run("link", "--expire", "10m", f"X:{bucket}/{key}").decode().strip()

    def delete(self, bucket, key):
        self.run("deletefile", f"X:{bucket}/{key}")


ALL = (AwsCli, Boto3, Rclone)
