"""huggingface_hub of any release that knows buckets, driven line by line (support/offers/driven.py)."""

import base64

import lines
from huggingface_hub import HfApi, HfFileSystem

API = HfApi()


def make_private(bucket):
    API.create_bucket(bucket, private=True)


def upload(local, bucket, path):
    API.batch_bucket_files(bucket, add=[(local, path)])


def download(bucket, path, local):
    API.download_bucket_files(bucket, [(path, local)], raise_on_missing_files=True)


def names(bucket, prefix):
    found = API.list_bucket_tree(bucket, prefix=f"{prefix}/", recursive=True)
    return [entry.path for entry in found if entry.type == "file"]


def size(bucket, path):
    return next((entry.size for entry in API.get_bucket_paths_info(bucket, [path])), None)


def read_range(bucket, path, first, last):
    with HfFileSystem().open(f"buckets/{bucket}/{path}") as source:
        source.seek(first)
        return base64.b64encode(source.read(last - first + 1)).decode()


def delete(bucket, paths):
    API.batch_bucket_files(bucket, delete=paths)


lines.serve(make_private, upload, download, names, size, read_range, delete)
