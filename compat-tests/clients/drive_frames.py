"""pandas, DuckDB or datasets, driven line by line (support/offers/driven.py): a file is a table of one cell.

All of them reach `hf://` by `HfFileSystem`, which fsspec knows.
"""

import base64
import pathlib
import sys

import lines


def address(bucket, path):
    return f"hf://buckets/{bucket}/{path}"


class Pandas:
    def __init__(self):
        import pandas

        self.pandas = pandas

    def upload(self, local, bucket, path):
        cell = self.pandas.DataFrame({"data": [pathlib.Path(local).read_bytes()]})
        cell.to_parquet(address(bucket, path))

    def download(self, bucket, path, local):
        pathlib.Path(local).write_bytes(self.pandas.read_parquet(address(bucket, path))["data"][0])

    calls = ("upload", "download")


class Duckdb:
    def __init__(self):
        import duckdb
        from huggingface_hub import HfFileSystem

        self.duckdb = duckdb.connect()
        self.duckdb.register_filesystem(HfFileSystem())

    def ask(self, text, *given):
        return self.duckdb.execute(text, given).fetchall()

    def upload(self, local, bucket, path):
        self.ask(
            f"COPY (SELECT content AS data FROM read_blob('{local}')) TO '{address(bucket, path)}' (FORMAT parquet)"
        )

    def download(self, bucket, path, local):
        ((data,),) = self.ask("SELECT data FROM read_parquet(?)", address(bucket, path))
        pathlib.Path(local).write_bytes(data)

    def names(self, bucket, prefix):
        start = address(bucket, "")
        found = self.ask("SELECT file FROM glob(?)", f"{start}{prefix}/**/*.bin")
        return [name.removeprefix(start) for (name,) in found]

    def read_range(self, bucket, path, first, last):
        text = "SELECT data[? : ?] FROM read_parquet(?)"
        ((data,),) = self.ask(text, first + 1, last + 1, address(bucket, path))
        return base64.b64encode(data).decode()

    calls = ("upload", "download", "names", "read_range")


class Datasets:
    def __init__(self):
        import datasets

        self.datasets = datasets

    def upload(self, local, bucket, path):
        cell = self.datasets.Dataset.from_dict({"data": [pathlib.Path(local).read_bytes()]})
        cell.to_parquet(address(bucket, path))

    def download(self, bucket, path, local):
        loaded = self.datasets.load_dataset("parquet", data_files=address(bucket, path), split="train")
        pathlib.Path(local).write_bytes(loaded[0]["data"])

    def names(self, bucket, prefix):
        from datasets.data_files import resolve_pattern

        start = address(bucket, "")
        return [name.removeprefix(start) for name in resolve_pattern(f"{start}{prefix}/**", base_path="")]

    calls = ("upload", "download", "names")


library = {"pandas": Pandas, "duckdb": Duckdb, "datasets": Datasets}[sys.argv[1]]()
lines.serve(*(getattr(library, name) for name in library.calls))
