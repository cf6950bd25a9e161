"""The client of s3torchconnector, driven line by line (support/offers/driven.py), called as that package calls it."""

import base64
import os

import lines
from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

# Keys come from the environment. Its own `S3ClientConfig(force_path_style=True)` is what docs/clients.md says too.
S3 = MountpointS3Client(
    region=os.environ["AWS_REGION"], endpoint=os.environ["ENDPOINT"], force_path_style=True, part_size=8 * 1024 * 1024
)
WRITE_BYTES = 1024 * 1024


def upload(path, bucket, key):
    out = S3.put_object(bucket, key)
    with open(path, "rb") as source:
        while piece := source.read(WRITE_BYTES):
            out.write(piece)
    out.close()


def download(bucket, key, path):
    with open(path, "wb") as out:
        for piece in S3.get_object(bucket, key):
            out.write(piece)


def names(bucket, prefix):
    pages = S3.list_objects(bucket, f"{prefix}/", max_keys=2)
    return [found.key.removeprefix(f"{prefix}/") for page in pages for found in page.object_info]


def read_range(bucket, key, first, last):
    return base64.b64encode(b"".join(S3.get_object(bucket, key, first, last + 1))).decode()


def copy(bucket, key, to_key):
    S3.copy_object(bucket, key, bucket, to_key)


def delete(bucket, key):
    S3.delete_object(bucket, key)


lines.serve(upload, download, names, read_range, copy, delete)
