"""What docs/clients.md says is what works: its blocks are run as they stand, with this server's addresses and keys."""

import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pyarrow
import pyarrow.parquet
import pytest

from support import clients, server
from support.hub import Hub
from support.offers import driven

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


# Makes the table that the block of deltalake reads.
DELTA = """
from deltalake import write_deltalake
import pyarrow

options = {"AWS_ENDPOINT_URL": "ENDPOINT", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
write_deltalake("s3://bucket/delta", pyarrow.table({"n": [1, 2, 3]}), storage_options=options)
import os
os._exit(0)
"""


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


# What a block is followed by, and the Python that it is run with if that is not this one.
PROBES = {
    "Python by fsspec: pandas, datasets, DuckDB": (
        'assert frame["n"].to_list() == [1, 2, 3] and rows == [(1,), (2,), (3,)]\n'
        "import datasets\n"
        'table = "hf://buckets/root/bucket/table.parquet"\n'
        'assert datasets.load_dataset("parquet", data_files=table, split="train")["n"][:] == [1, 2, 3]'
    ),
    "OpenDAL": f'assert files.read("k") == {BODY}',
    "PyIceberg": (
        "import pyarrow\n"
        'catalog.create_namespace("space")\n'
        'rows = pyarrow.table({"n": [1, 2, 3]})\n'
        'table = catalog.create_table("space.numbers", rows.schema, location="s3://bucket/iceberg")\n'
        "table.append(rows)\n"
        "assert table.scan().to_arrow() == rows"
    ),
    # At a regular exit its threads now and then abort the process ("terminate called without an active exception").
    "deltalake": 'assert table.to_pyarrow_table()["n"].to_pylist() == [1, 2, 3]\nimport os\nos._exit(0)',
    "boto3": f'assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == {BODY}',
    "s3fs": f'assert files.cat("bucket/k") == {BODY}',
    "pyarrow": f'assert s3.open_input_stream("bucket/k").read() == {BODY}',
    "polars": 'assert table.collect()["n"].to_list() == [1, 2, 3]',
}
APART = {"s3fs", "PyIceberg", "deltalake"}


@pytest.mark.parametrize("name", PROBES)
def test_a_block_of_python_reaches_the_server(place, name):
    python = driven.python("XETGATE_S3FS_PYTHON", "requirements-s3fs.txt") if name in APART else sys.executable
    if name == "deltalake":
        place.run([python, "-c", f"{place.filled(DELTA)}"])
    hub = {"HF_ENDPOINT": place.running.hub_endpoint, "HF_TOKEN": server.ROOT_TOKEN}
    place.run([python, "-c", f"{place.filled(block(name))}\n{PROBES[name]}"], **hub)


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


def test_dvc_by_its_remote(place):
    python = driven.python("XETGATE_S3FS_PYTHON", "requirements-s3fs.txt")
    project = place.home / "versions"
    project.mkdir()
    (project / "data.bin").write_bytes(BODY)
    lines = ["dvc init --no-scm", *place.filled(block("DVC")).splitlines(), "dvc add data.bin", "dvc push"]
    for line in lines:
        program, *words = line.split()
        assert program == "dvc", line
        place.run([python, "-m", "dvc", "--cd", str(project), *words], DVC_NO_ANALYTICS="1")
    s3 = clients.boto3_client(place.running.endpoint, server.ROOT)
    assert s3.list_objects_v2(Bucket="bucket", Prefix="dvc/")["KeyCount"] > 0


# These are no Python packages: the extended suite has them.
if os.environ.get("XETGATE_EXTENDED"):
    SCRIPTS = {
        "AWS SDK for JavaScript": "if ((await got.Body.transformToString()) !== TEXT) process.exit(1);",
        "@huggingface/hub": "if ((await file.text()) !== TEXT) process.exit(1);",
    }

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_a_block_of_javascript_reaches_the_server(place, name):
        text = f"{place.filled(block(name))}\nconst TEXT = {BODY.decode()!r};\n{SCRIPTS[name]}\n"
        # Packages are found from where a script is.
        with tempfile.NamedTemporaryFile("w", suffix=".mjs", dir=driven.FOLDER / "js") as script:
            script.write(text)
            script.flush()
            place.run(driven.node(script.name))

    def test_restic_by_its_command(place):
        place.command("restic", RESTIC_PASSWORD="only for the tests")
        s3 = clients.boto3_client(place.running.endpoint, server.ROOT)
        assert s3.head_object(Bucket="bucket", Key="restic/config")["ContentLength"] > 0
