"""Every client of the Hub's bucket API, feature by feature.

boto3 is the second pair of eyes: what a client sends is read by S3, and what it reads was put there by S3.
"""

import hashlib
import json

import boto3
import botocore
import botocore.config
import pytest
import requests
from botocore.exceptions import ClientError

from support import inputs, server
from support.inputs import MIB

# How clients say that there is nothing for an anonymous caller.
REFUSED = "(?i)401|403|404|unauthorized|invalid username|not ?found|permission"
LINES_A_BATCH = 1000
SIZES = [1, 300_001, 20 * MIB]


def feature(name: str):
    """Marks a test of a feature: it runs with every client that offers it."""
    return pytest.mark.feature(name)


@pytest.fixture
def bucket_id(bucket):
    """The Hub's name of a fresh, private bucket."""
    return f"root/{bucket}"


@pytest.fixture
def anonymous_s3(xetgate):
    unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED)
    return boto3.client("s3", endpoint_url=xetgate.endpoint, region_name=server.REGION, config=unsigned)


@pytest.fixture
def fill(xetgate, s3, bucket, bucket_id):
    """Puts the same small file at many paths, in a few requests."""
    token = {"Authorization": f"Bearer {server.ROOT_TOKEN}"}

    def put(paths):
        s3.put_object(Bucket=bucket, Key=paths[0], Body=b"x")
        url = f"{xetgate.hub_endpoint}/buckets/{bucket_id}/resolve/{paths[0]}"
        xet_hash = requests.head(url, headers=token, timeout=60).headers["X-Xet-Hash"]
        of = {"type": "copyFile", "xetHash": xet_hash, "sourceRepoType": "bucket", "sourceRepoId": bucket_id}
        for first in range(1, len(paths), LINES_A_BATCH):
            lines = "".join(f"{json.dumps(of | {'path': path})}\n" for path in paths[first : first + LINES_A_BATCH])
            batch = f"{xetgate.hub_endpoint}/api/buckets/{bucket_id}/batch"
            requests.post(batch, data=lines, headers=token, timeout=60).raise_for_status()

    return put


def assert_hidden(xetgate, anonymous_s3, name: str, path: str) -> None:
    """Nothing of a bucket is told to an anonymous caller, by either API."""
    hub = xetgate.hub_endpoint
    for url in (
        f"{hub}/api/buckets/root/{name}",
        f"{hub}/api/buckets/root/{name}/tree",
        f"{hub}/api/buckets/root/{name}/xet-read-token",
        f"{hub}/buckets/root/{name}/resolve/{path}",
    ):
        assert requests.get(url, timeout=60).status_code in (401, 403, 404), url
    for call in (
        lambda: anonymous_s3.list_objects_v2(Bucket=name),
        lambda: anonymous_s3.get_object(Bucket=name, Key=path),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] in ("AccessDenied", "NoSuchBucket")


@feature("hub private")
def test_a_bucket_made_private_is_hidden_from_anonymous_callers(user, xetgate, s3, anonymous_s3, new_name):
    name = new_name()
    user.make_private(f"root/{name}")
    s3.put_object(Bucket=name, Key="kept.bin", Body=b"kept")
    token = {"Authorization": f"Bearer {server.ROOT_TOKEN}"}
    told = requests.get(f"{xetgate.hub_endpoint}/api/buckets/root/{name}", headers=token, timeout=60).json()
    assert (told["private"], told["id"]) == (True, f"root/{name}")
    assert_hidden(xetgate, anonymous_s3, name, "kept.bin")


@feature("hub refused")
def test_the_client_is_refused_without_a_token(user, s3, bucket, bucket_id, tmp_path):
    s3.put_object(Bucket=bucket, Key="kept.bin", Body=user.wrap(b"kept"))
    user.download(bucket_id, "kept.bin", tmp_path / "mine")
    without = user.anonymous()
    try:
        with pytest.raises(AssertionError, match=REFUSED):
            without.download(bucket_id, "kept.bin", tmp_path / "theirs")
    finally:
        without.close()
    theirs = tmp_path / "theirs"
    assert not theirs.exists() or theirs.read_bytes() == b""


@feature("hub upload")
@pytest.mark.parametrize("size", SIZES)
def test_what_is_sent_is_read_by_s3(user, s3, bucket, bucket_id, tmp_path, size):
    sent = tmp_path / "sent"
    sent.write_bytes(inputs.noise(size, size))
    user.upload(sent, bucket_id, "a folder/some file.bin")
    body = s3.get_object(Bucket=bucket, Key="a folder/some file.bin")["Body"].read()
    assert user.unwrap(body) == sent.read_bytes()


@feature("hub upload")
def test_what_is_sent_again_replaces_what_was_there(user, s3, bucket, bucket_id, tmp_path):
    sent = tmp_path / "sent"
    for size in (200_000, 100_000):
        sent.write_bytes(inputs.noise(size, size))
        user.upload(sent, bucket_id, "again.bin")
    body = s3.get_object(Bucket=bucket, Key="again.bin")["Body"].read()
    assert user.unwrap(body) == sent.read_bytes()


@feature("hub list")
def test_a_listing_has_the_files_below_a_folder_and_no_other(user, s3, bucket, bucket_id):
    inside = {"p/a.bin", "p/b c.bin", "p/ü/x.bin", "p/ü/deep/y.bin", "p/z.bin"}
    for key in (*inside, "p.bin", "p+/other.bin", "outside.bin"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert user.names(bucket_id, "p") == inside


@feature("hub list")
def test_a_listing_of_many_pages_is_whole(user, fill, bucket_id):
    paths = [f"many/{n:04}.bin" for n in range(2100)]
    fill(paths)
    assert user.names(bucket_id, "many") == set(paths)


@feature("hub stat")
def test_the_size_of_a_file_is_told_and_that_another_is_not_there(user, s3, bucket, bucket_id):
    s3.put_object(Bucket=bucket, Key="a folder/sized.bin", Body=b"x" * 70_001)
    s3.put_object(Bucket=bucket, Key="a folder/empty.bin", Body=b"")
    assert user.size(bucket_id, "a folder/sized.bin") == 70_001
    assert user.size(bucket_id, "a folder/empty.bin") == 0
    assert user.size(bucket_id, "a folder/missing.bin") is None


@feature("hub read")
@pytest.mark.parametrize("size", SIZES)
def test_what_s3_has_put_is_read(user, s3, bucket, bucket_id, tmp_path, size):
    data = inputs.noise(size, size)
    s3.put_object(Bucket=bucket, Key="a folder/some file.bin", Body=user.wrap(data))
    user.download(bucket_id, "a folder/some file.bin", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == data


@feature("hub ranges")
def test_a_range_is_those_bytes(user, s3, bucket, bucket_id):
    data = inputs.noise(5, 300_001)
    s3.put_object(Bucket=bucket, Key="ranges.bin", Body=user.wrap(data))
    for first, last in [(0, 0), (1, 70_000), (65_535, 65_536), (131_072, 300_000), (300_000, 300_000), (0, 300_000)]:
        assert user.read_range(bucket_id, "ranges.bin", first, last) == data[first : last + 1], (first, last)


@feature("hub empty")
def test_an_empty_file_goes_both_ways(user, s3, bucket, bucket_id, tmp_path):
    (tmp_path / "sent").touch()
    user.upload(tmp_path / "sent", bucket_id, "empty.bin")
    assert s3.head_object(Bucket=bucket, Key="empty.bin")["ContentLength"] == 0
    s3.put_object(Bucket=bucket, Key="by s3.bin", Body=b"")
    for path in ("empty.bin", "by s3.bin"):
        user.download(bucket_id, path, tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == b""
        (tmp_path / "got").unlink()


@feature("hub delete")
def test_a_deleted_file_is_gone_and_its_neighbour_is_not(user, s3, bucket, bucket_id):
    for key in ("a folder/gone", "a folder/gone-not"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    user.delete(bucket_id, ["a folder/gone"])
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a folder/gone-not"]


@feature("hub many")
def test_3500_files_are_deleted_and_one_stays(user, s3, fill, bucket, bucket_id):
    paths = [f"many/{n:04}-{hashlib.md5(str(n).encode()).hexdigest()}.bin" for n in range(3500)]
    fill([*paths, "one.bin"])
    user.delete(bucket_id, paths)
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["one.bin"]
