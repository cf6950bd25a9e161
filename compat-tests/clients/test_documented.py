"""What docs/clients.md says is what works: its blocks are run as they stand, with this server's addresses and keys."""

import io
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pyarrow
import pyarrow.parquet
import pytest

from support import clients, server
from support.hub import Hub

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "clients.md"
BODY = b"as it is documented"
SECONDS_MAX = 60


def section(name: str) -> str:
    """The part of the document about a client."""
    parts = re.split(r"^\*\*", DOCUMENT.read_text(), flags=re.M)
    return next(part for part in parts if part.startswith(f"{name}**"))


def block(name: str) -> str:
    return re.search(r"^```\w+\n(.*?)^```", section(name), flags=re.M | re.S).group(1)


def command(name: str) -> str:
    """The first command in the text."""
    return re.search(r"`([^`]+)`", section(name)).group(1).replace("\n", " ")


@pytest.fixture(scope="module")
def place(xetgate, tmp_path_factory):
    """Fills in what the document leaves out; a bucket named `bucket` holds what its blocks read."""
    s3 = clients.boto3_client(xetgate.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=BODY)
    table = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"n": [1, 2, 3]}), table)
    s3.put_object(Bucket="bucket", Key="table.parquet", Body=table.getvalue())
    return Place(xetgate, tmp_path_factory.mktemp("documented"))


class Place:
    def __init__(self, running: server.Server, home: pathlib.Path):
        self.running, self.home = running, home

    def filled(self, text: str) -> str:
        text = re.sub(r"\bENDPOINT\b", self.running.endpoint, text)
        for said, meant in (
            ("127.0.0.1:9000", f"127.0.0.1:{self.running.port}"),
            ("127.0.0.1:9001", f"127.0.0.1:{self.running.hub_port}"),
            ("hf_...", server.ROOT_TOKEN),
            ("AK...", server.ROOT.access_key),
            ("...", server.ROOT.secret_key),
        ):
            text = text.replace(said, meant)
        return text

    def run(self, line: list[str], **more: str) -> str:
        foreign = ("AWS_", "HF_", "XETGATE_", "RCLONE_", "RESTIC_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
            "HOME": str(self.home),
            "AWS_ACCESS_KEY_ID": server.ROOT.access_key,
            "AWS_SECRET_ACCESS_KEY": server.ROOT.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        done = subprocess.run(
            line, env=environment | more, cwd=self.home, capture_output=True, text=True, timeout=SECONDS_MAX
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def command(self, name: str, **more: str) -> str:
        """Runs a command of the document, from beside this Python or from the system."""
        program, *words = self.filled(command(name)).split()
        beside = pathlib.Path(sys.executable).with_name(program)
        return self.run([str(beside) if beside.exists() else program, *words], **more)


PROBES = {
    "boto3": f'assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == {BODY}',
    "s3fs": f'assert files.cat("bucket/k") == {BODY}',
    "pyarrow": f'assert s3.open_input_stream("bucket/k").read() == {BODY}',
    "polars": 'assert table.collect()["n"].to_list() == [1, 2, 3]',
}


@pytest.mark.parametrize("name", PROBES)
def test_a_block_of_python_reaches_the_server(place, name):
    python = os.environ.get("XETGATE_S3FS_PYTHON", sys.executable) if name == "s3fs" else sys.executable
    place.run([python, "-c", f"{place.filled(block(name))}\n{PROBES[name]}"])


def test_aws_cli_by_its_command_and_by_its_profile(place):
    assert "bucket" in place.command("aws-cli")
    profile = place.home / "aws-config"
    profile.write_text(place.filled(block("aws-cli")))
    aws = str(pathlib.Path(sys.executable).with_name("aws"))
    line = [aws, "--profile", "xet", "s3", "cp", "s3://bucket/k", "-"]
    assert place.run(line, AWS_CONFIG_FILE=str(profile)) == BODY.decode()


def test_rclone_by_its_remote(place):
    remote = place.home / "rclone.conf"
    remote.write_text(place.filled(block("rclone")))
    rclone = shutil.which("rclone", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    assert place.run([rclone, "--config", str(remote), "cat", "xet:bucket/k"]) == BODY.decode()


def test_s5cmd_by_its_command(place):
    assert "table.parquet" in place.command("s5cmd")


def test_hf_by_its_variables(place):
    told = dict(pair.split("=", 1) for pair in place.filled(command("huggingface_hub")).split())
    user = Hub(told["HF_ENDPOINT"], told["HF_TOKEN"], place.home)
    assert user.ok("buckets", "cp", "hf://buckets/root/bucket/k", "-") == BODY.decode()


# restic is no Python package: whoever runs the extended suite has it.
if os.environ.get("XETGATE_EXTENDED"):

    def test_restic_by_its_command(place):
        place.command("restic", RESTIC_PASSWORD="only for the tests")
        s3 = clients.boto3_client(place.running.endpoint, server.ROOT)
        assert s3.head_object(Bucket="bucket", Key="restic/config")["ContentLength"] > 0
