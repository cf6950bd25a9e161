"""Clients that are Python libraries, in this process."""

import datetime
import os
import urllib.parse

import polars
import pyarrow.fs
from minio import Minio
from minio.commonconfig import ENABLED, CopySource
from minio.deleteobjects import DeleteObject
from minio.versioningconfig import VersioningConfig

from support import clients
from support.inputs import MIB
from support.server import REGION


class Boto3(clients.Boto3):
    EXTENDED = False
    LARGE = (20 * MIB, 3)

    def names(self, bucket, prefix):
        return set(self.list_all(bucket, prefix))

    def upload_with_metadata(self, path, bucket, key, metadata):
        self.s3.upload_file(str(path), bucket, key, ExtraArgs={"Metadata": metadata})

    def metadata(self, bucket, key):
        return self.s3.head_object(Bucket=bucket, Key=key)["Metadata"]

    def _bucket(self, bucket):
        """The bucket as boto3's resources show it."""
        return clients.boto3_resource(self.endpoint, self.who).Bucket(bucket)

    def keep_versions(self, bucket):
        versioning = self._bucket(bucket).Versioning()
        versioning.enable()
        assert versioning.status == "Enabled"

    def contents_of_versions(self, bucket, key):
        versions = self._bucket(bucket).object_versions.filter(Prefix=key)
        return [version.get()["Body"].read() for version in versions]

    def forget_old_versions(self, bucket, key):
        for version in self._bucket(bucket).object_versions.filter(Prefix=key):
            if not version.is_latest:
                version.delete()

    def presign_put(self, bucket, key):
        return self.s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600)


class MinioPy:
    name = "minio-py"
    EXTENDED = False
    LARGE = (20 * MIB, 4)

    def __init__(self, endpoint, who, home):
        host = endpoint.removeprefix("http://")
        self.minio = Minio(endpoint=host, access_key=who.access_key, secret_key=who.secret_key, secure=False)

    def make_bucket(self, bucket):
        self.minio.make_bucket(bucket_name=bucket)

    def list_buckets(self):
        return {bucket.name for bucket in self.minio.list_buckets()}

    def upload(self, path, bucket, key):
        self.minio.fput_object(bucket_name=bucket, object_name=key, file_path=str(path))

    def download(self, bucket, key, path):
        self.minio.fget_object(bucket_name=bucket, object_name=key, file_path=str(path))

    def names(self, bucket, prefix):
        start = f"{prefix}/"
        listed = self.minio.list_objects(bucket_name=bucket, prefix=start, recursive=True)
        return {found.object_name.removeprefix(start) for found in listed}

    def read_range(self, bucket, key, first, last):
        got = self.minio.get_object(bucket_name=bucket, object_name=key, offset=first, length=last - first + 1)
        return got.read()

    def copy(self, bucket, key, to_key):
        source = CopySource(bucket_name=bucket, object_name=key)
        self.minio.copy_object(bucket_name=bucket, object_name=to_key, source=source)

    def upload_with_metadata(self, path, bucket, key, metadata):
        self.minio.fput_object(bucket_name=bucket, object_name=key, file_path=str(path), metadata=metadata)

    def metadata(self, bucket, key):
        told = self.minio.stat_object(bucket_name=bucket, object_name=key).metadata
        return {name.lower().removeprefix("x-amz-meta-"): value for name, value in told.items()}

    def presign_get(self, bucket, key):
        life = datetime.timedelta(minutes=10)
        return self.minio.presigned_get_object(bucket_name=bucket, object_name=key, expires=life)

    def presign_put(self, bucket, key):
        life = datetime.timedelta(minutes=10)
        return self.minio.presigned_put_object(bucket_name=bucket, object_name=key, expires=life)

    def delete(self, bucket, key):
        self.minio.remove_object(bucket_name=bucket, object_name=key)

    def keep_versions(self, bucket):
        self.minio.set_bucket_versioning(bucket_name=bucket, config=VersioningConfig(ENABLED))

    def _versions(self, bucket, key):
        return self.minio.list_objects(bucket_name=bucket, prefix=key, include_version=True)

    def contents_of_versions(self, bucket, key):
        def read(version):
            return self.minio.get_object(bucket_name=bucket, object_name=key, version_id=version.version_id).read()

        return [read(version) for version in self._versions(bucket, key)]

    def forget_old_versions(self, bucket, key):
        old = [version for version in self._versions(bucket, key) if version.is_latest != "true"]
        deletes = [DeleteObject(version.object_name, version.version_id) for version in old]
        assert list(self.minio.remove_objects(bucket_name=bucket, delete_object_list=deletes)) == []


class PyArrow:
    name = "pyarrow"
    EXTENDED = False
    LARGE = (22 * MIB, 3)

    def __init__(self, endpoint, who, home):
        address = urllib.parse.urlsplit(endpoint)
        self.fs = pyarrow.fs.S3FileSystem(
            access_key=who.access_key,
            secret_key=who.secret_key,
            region=REGION,
            scheme=address.scheme,
            endpoint_override=address.netloc,
            # Without it, it makes no buckets at all.
            allow_bucket_creation=True,
        )

    def make_bucket(self, bucket):
        self.fs.create_dir(bucket)

    def list_buckets(self):
        return {found.path for found in self.fs.get_file_info(pyarrow.fs.FileSelector(""))}

    def upload(self, path, bucket, key):
        with self.fs.open_output_stream(f"{bucket}/{key}") as out:
            out.write(path.read_bytes())

    def download(self, bucket, key, path):
        with self.fs.open_input_stream(f"{bucket}/{key}") as source:
            path.write_bytes(source.read())

    def names(self, bucket, prefix):
        found = self.fs.get_file_info(pyarrow.fs.FileSelector(f"{bucket}/{prefix}", recursive=True))
        return {info.path.removeprefix(f"{bucket}/{prefix}/") for info in found if info.is_file}

    def read_range(self, bucket, key, first, last):
        with self.fs.open_input_file(f"{bucket}/{key}") as source:
            return source.read_at(last - first + 1, first)

    def copy(self, bucket, key, to_key):
        self.fs.copy_file(f"{bucket}/{key}", f"{bucket}/{to_key}")

    def delete(self, bucket, key):
        self.fs.delete_file(f"{bucket}/{key}")


class Polars:
    """A data frame of one cell, so that a file's bytes go through its own reader and writer of Parquet."""

    name = "polars"
    EXTENDED = False
    # It cuts as it writes.
    LARGE = (70 * MIB, None)

    def __init__(self, endpoint, who, home):
        self.options = {
            "aws_endpoint_url": endpoint,
            "aws_access_key_id": who.access_key,
            "aws_secret_access_key": who.secret_key,
            "aws_region": REGION,
            # The endpoint has no TLS.
            "aws_allow_http": "true",
        }

    def upload(self, path, bucket, key):
        rows = polars.DataFrame({"name": [os.path.basename(path)], "data": [path.read_bytes()]})
        rows.write_parquet(f"s3://{bucket}/{key}", storage_options=self.options)

    def download(self, bucket, key, path):
        path.write_bytes(polars.read_parquet(f"s3://{bucket}/{key}", storage_options=self.options)["data"][0])

    def names(self, bucket, prefix):
        start = f"s3://{bucket}/{prefix}/"
        scanned = polars.scan_parquet(f"{start}**/*", storage_options=self.options, include_file_paths="path")
        return {path.removeprefix(start) for path in scanned.select("path").collect()["path"]}

    def read_range(self, bucket, key, first, last):
        scanned = polars.scan_parquet(f"s3://{bucket}/{key}", storage_options=self.options)
        cell = scanned.select(polars.col("data").bin.slice(first, last - first + 1)).collect()
        return cell["data"][0]


ALL = (Boto3, MinioPy, PyArrow, Polars)
