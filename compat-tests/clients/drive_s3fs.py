"""s3fs, driven line by line (support/offers/driven.py)."""

import base64
import os

import lines
import s3fs

FS = s3fs.S3FileSystem(endpoint_url=os.environ["ENDPOINT"])


def make_bucket(bucket):
    FS.mkdir(bucket)


def list_buckets():
    return FS.ls("", refresh=True)


def upload(path, bucket, key):
    FS.put_file(path, f"{bucket}/{key}")


def download(bucket, key, path):
    FS.get_file(f"{bucket}/{key}", path)


def names(bucket, prefix):
    found = FS.find(f"{bucket}/{prefix}", refresh=True)
    return [name.removeprefix(f"{bucket}/{prefix}/") for name in found]


def read_range(bucket, key, first, last):
    return base64.b64encode(FS.cat_file(f"{bucket}/{key}", start=first, end=last + 1)).decode()


def copy(bucket, key, to_key):
    FS.copy(f"{bucket}/{key}", f"{bucket}/{to_key}")


def upload_with_metadata(path, bucket, key, metadata):
    FS.put_file(path, f"{bucket}/{key}", Metadata=metadata)


def metadata(bucket, key):
    return FS.metadata(f"{bucket}/{key}", refresh=True)


def presign_get(bucket, key):
    return FS.sign(f"{bucket}/{key}", expiration=600)


def delete(bucket, key):
    FS.rm_file(f"{bucket}/{key}")


lines.serve(
    make_bucket, list_buckets, upload, download, names, read_range, copy, upload_with_metadata, metadata, presign_get,
    delete,
)  # fmt: skip
