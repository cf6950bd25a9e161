"""Clients of the Hub's bucket API, each in a process of its own with HF_ENDPOINT and HF_TOKEN and nothing else.

`bucket` is the whole id. What a client keeps of a file is what `wrap` makes of its bytes: itself, unless the client
keeps tables only, which then has one of one cell.
"""

import base64
import io
import pathlib
import sys

import pyarrow
import pyarrow.parquet

from support.offers.driven import FOLDER, Driven, node, python

ROOT = pathlib.Path(__file__).resolve().parents[3]


class _HubDriven(Driven):
    EXTENDED = False

    def __init__(self, endpoint: str, token: str | None, home: pathlib.Path):
        self.endpoint, self.home = endpoint, home
        told = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        super().__init__(home, **told, **({"HF_TOKEN": token} if token else {}))

    def anonymous(self) -> "_HubDriven":
        """The same client without a token."""
        home = self.home / "anonymous"
        home.mkdir(exist_ok=True)
        return type(self)(self.endpoint, None, home)

    @staticmethod
    def wrap(data: bytes) -> bytes:
        return data

    @staticmethod
    def unwrap(body: bytes) -> bytes:
        return body


class _Whole(_HubDriven):
    """Offers all of it, ranges aside."""

    def make_private(self, bucket):
        self._ask("make_private", bucket=bucket)

    def upload(self, local, bucket, path):
        self._ask("upload", local=local, bucket=bucket, path=path)

    def download(self, bucket, path, local):
        self._ask("download", bucket=bucket, path=path, local=local)

    def names(self, bucket, prefix):
        return set(self._ask("names", bucket=bucket, prefix=prefix))

    def size(self, bucket, path) -> int | None:
        """None for what is not there."""
        return self._ask("size", bucket=bucket, path=path)

    def delete(self, bucket, paths):
        self._ask("delete", bucket=bucket, paths=paths)

    EMPTY = True


def _range(self, bucket, path, first, last):
    return base64.b64decode(self._ask("read_range", bucket=bucket, path=path, first=first, last=last))


class Hub15(_Whole):
    name = "huggingface_hub 1.5.0"

    def command(self):
        return [python("XETGATE_HUB15_PYTHON", "requirements-hub15.txt"), str(FOLDER / "drive_hub.py")]


class Hub128(_Whole):
    name = "huggingface_hub 1.28.0"
    read_range = _range

    def command(self):
        return [python("XETGATE_HUB128_PYTHON", "requirements-hub128.txt"), str(FOLDER / "drive_hub.py")]


class Hub24(_Whole):
    name = "huggingface_hub 2.4.0"
    read_range = _range

    def command(self):
        return [sys.executable, str(FOLDER / "drive_hub.py")]


class OpenDal(_Whole):
    name = "OpenDAL"
    read_range = _range

    # It makes no buckets.
    make_private = None

    def command(self):
        return [sys.executable, str(FOLDER / "drive_opendal.py")]


class HuggingfaceJs(_Whole):
    name = "@huggingface/hub"
    EXTENDED = True
    read_range = _range

    def command(self):
        return node("hub.mjs")


class HfHubCrate(_Whole):
    name = "hf-hub (Rust)"
    EXTENDED = True

    def command(self):
        built = ROOT / "target/hf-hub-driver/debug/hf-hub-driver"
        assert built.exists(), (
            "it is not built: cargo build --locked --manifest-path compat-tests/clients/hf-hub/Cargo.toml "
            "--target-dir target/hf-hub-driver"
        )
        return [str(built)]


class _Cells(_HubDriven):
    """Keeps tables, as files of Parquet by way of `HfFileSystem` of fsspec."""

    library: str

    def command(self):
        return [sys.executable, str(FOLDER / "drive_frames.py"), self.library]

    @staticmethod
    def wrap(data):
        out = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"data": [data]}), out)
        return out.getvalue()

    @staticmethod
    def unwrap(body):
        return pyarrow.parquet.read_table(io.BytesIO(body))["data"][0].as_py()

    upload, download, names = _Whole.upload, _Whole.download, _Whole.names


class Pandas(_Cells):
    name = "pandas (hf://)"
    library = "pandas"
    # It reads the files that it is told.
    names = None


class Duckdb(_Cells):
    name = "DuckDB (fsspec)"
    library = "duckdb"
    read_range = _range


class Datasets(_Cells):
    name = "datasets"
    library = "datasets"


ALL = (Hub15, Hub128, Hub24, HuggingfaceJs, OpenDal, HfHubCrate, Datasets, Duckdb, Pandas)
