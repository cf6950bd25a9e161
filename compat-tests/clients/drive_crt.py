"""boto3[crt]: boto3 that signs with the common runtime, a library in C, and transfers with its S3 client.

boto3 hands the runtime transfers to AWS only: it tells it of no endpoint, and always uses TLS. They are set up here as
aws-cli v2 does it, which passes the endpoint on.
"""

import base64
import os

import boto3
import botocore.session
import lines
from botocore.credentials import Credentials
from s3transfer import crt

ENDPOINT, REGION = os.environ["ENDPOINT"], os.environ["AWS_REGION"]
S3 = boto3.client("s3", endpoint_url=ENDPOINT, region_name=REGION)
KEYS = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
KNOWN = crt.BotocoreCRTCredentialsWrapper(KEYS).to_crt_credentials_provider()
CLIENT = crt.create_s3_crt_client(REGION, KNOWN, use_ssl=False)
SERIALIZER = crt.BotocoreCRTRequestSerializer(
    botocore.session.Session(), {"region_name": REGION, "endpoint_url": ENDPOINT}
)


def transfers():
    # Leaving it waits until a download has its name.
    return crt.CRTTransferManager(CLIENT, SERIALIZER)


def make_bucket(bucket):
    S3.create_bucket(Bucket=bucket)


def list_buckets():
    return [bucket["Name"] for bucket in S3.list_buckets()["Buckets"]]


def upload(path, bucket, key):
    with transfers() as manager:
        manager.upload(path, bucket, key).result()


def download(bucket, key, path):
    with transfers() as manager:
        manager.download(bucket, key, path).result()


def names(bucket, prefix):
    pages = S3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return [found["Key"].removeprefix(f"{prefix}/") for page in pages for found in page["Contents"]]


def read_range(bucket, key, first, last):
    got = S3.get_object(Bucket=bucket, Key=key, Range=f"bytes={first}-{last}")["Body"].read()
    return base64.b64encode(got).decode()


def copy(bucket, key, to_key):
    S3.copy({"Bucket": bucket, "Key": key}, bucket, to_key)


def upload_with_metadata(path, bucket, key, metadata):
    with transfers() as manager:
        manager.upload(path, bucket, key, {"Metadata": metadata}).result()


def metadata(bucket, key):
    return S3.head_object(Bucket=bucket, Key=key)["Metadata"]


def presign_get(bucket, key):
    return S3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)


def delete(bucket, key):
    with transfers() as manager:
        manager.delete(bucket, key).result()


lines.serve(
    make_bucket, list_buckets, upload, download, names, read_range, copy, upload_with_metadata, metadata, presign_get,
    delete,
)  # fmt: skip
