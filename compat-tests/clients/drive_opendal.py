"""OpenDAL, driven line by line (support/offers/driven.py)."""

import base64
import os
import shutil

import lines
import opendal
import opendal.exceptions


def place(bucket):
    told = {"endpoint": os.environ["HF_ENDPOINT"], "repo_type": "bucket", "repo_id": bucket}
    return opendal.Operator("hf", **told, **({"token": os.environ["HF_TOKEN"]} if "HF_TOKEN" in os.environ else {}))


def upload(local, bucket, path):
    with open(local, "rb") as source, place(bucket).open(path, "wb") as out:
        shutil.copyfileobj(source, out)


def download(bucket, path, local):
    with place(bucket).open(path, "rb") as source, open(local, "wb") as out:
        shutil.copyfileobj(source, out)


def names(bucket, prefix):
    # It asks for `prefix` without the slash, and the Hub takes a prefix as letters: `p` brings `p.bin` too.
    found = (entry.path for entry in place(bucket).scan(f"{prefix}/"))
    return [path for path in found if path.startswith(f"{prefix}/") and not path.endswith("/")]


def size(bucket, path):
    try:
        return place(bucket).stat(path).content_length
    except opendal.exceptions.NotFound:
        return None


def read_range(bucket, path, first, last):
    wanted, got = last - first + 1, b""
    with place(bucket).open(path, "rb") as source:
        source.seek(first)
        # "Fewer bytes may be returned than requested", where a file's terms meet: its documentation says to read on.
        while len(got) < wanted and (piece := source.read(wanted - len(got))):
            got += piece
    return base64.b64encode(got).decode()


def delete(bucket, paths):
    for path in paths:
        place(bucket).delete(path)


lines.serve(upload, download, names, size, read_range, delete)
