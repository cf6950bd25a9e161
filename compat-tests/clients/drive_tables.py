"""PyIceberg or deltalake, driven line by line (support/offers/driven.py): tables of numbers in a bucket.

The catalogue of PyIceberg, which says where a table's newest metadata is, is a file of SQLite in the home folder.
"""

import os
import sys

import lines
import pyarrow

ENDPOINT, REGION = os.environ["ENDPOINT"], os.environ["AWS_REGION"]
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def rows(numbers):
    return pyarrow.table({"n": pyarrow.array(numbers, pyarrow.int64())})


class Iceberg:
    def __init__(self):
        from pyiceberg.catalog.sql import SqlCatalog
        from pyiceberg.exceptions import CommitFailedException

        self.refused = CommitFailedException
        self.catalog = SqlCatalog(
            "here",
            **{
                "uri": f"sqlite:///{os.environ['HOME']}/catalogue.db",
                "s3.endpoint": ENDPOINT,
                "s3.region": REGION,
                "s3.access-key-id": KEY,
                "s3.secret-access-key": SECRET,
            },
        )

    def table(self, bucket, prefix):
        return self.catalog.load_table(f"{bucket}.{prefix}")

    def write(self, bucket, prefix, numbers):
        self.catalog.create_namespace(bucket)
        of = rows(numbers)
        self.catalog.create_table(f"{bucket}.{prefix}", of.schema, location=f"s3://{bucket}/{prefix}").append(of)

    def append_by_two(self, bucket, prefix, one, other):
        first, second = self.table(bucket, prefix), self.table(bucket, prefix)
        first.append(rows(one))
        try:
            second.append(rows(other))
        except self.refused:
            self.table(bucket, prefix).append(rows(other))

    def append(self, bucket, prefix, numbers):
        self.table(bucket, prefix).append(rows(numbers))

    def delete_below(self, bucket, prefix, bound):
        self.table(bucket, prefix).delete(f"n < {bound}")

    def read(self, bucket, prefix):
        return self.table(bucket, prefix).scan().to_arrow()["n"].to_pylist()


class Delta:
    options = {
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        # The endpoint has no TLS.
        "AWS_ALLOW_HTTP": "true",
    }

    def table(self, bucket, prefix):
        from deltalake import DeltaTable

        return DeltaTable(f"s3://{bucket}/{prefix}", storage_options=self.options)

    def write(self, bucket, prefix, numbers):
        from deltalake import write_deltalake

        write_deltalake(f"s3://{bucket}/{prefix}", rows(numbers), storage_options=self.options)

    def append_by_two(self, bucket, prefix, one, other):
        from deltalake import write_deltalake

        first, second = self.table(bucket, prefix), self.table(bucket, prefix)
        write_deltalake(first, rows(one), mode="append")
        write_deltalake(second, rows(other), mode="append")

    def append(self, bucket, prefix, numbers):
        from deltalake import write_deltalake

        write_deltalake(self.table(bucket, prefix), rows(numbers), mode="append")

    def delete_below(self, bucket, prefix, bound):
        self.table(bucket, prefix).delete(f"n < {bound}")

    def read(self, bucket, prefix):
        return self.table(bucket, prefix).to_pyarrow_table()["n"].to_pylist()


tables = {"pyiceberg": Iceberg, "deltalake": Delta}[sys.argv[1]]()
lines.serve(tables.write, tables.append, tables.append_by_two, tables.delete_below, tables.read)
