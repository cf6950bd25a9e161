"""Errors speak S3: the code a client branches on, the document it parses, the id a user quotes."""

import pytest
from botocore.exceptions import ClientError

from support.inputs import MIB


def code_of(call, **arguments) -> str:
    """The S3 error code that a boto3 call ends with."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


@pytest.fixture
def upload(s3, bucket) -> dict:
    """The arguments that name a begun multipart upload of `key`."""
    begun = s3.create_multipart_upload(Bucket=bucket, Key="key")
    return {"Bucket": bucket, "Key": "key", "UploadId": begun["UploadId"]}


def test_a_missing_key_is_named_as_such(s3, bucket):
    missing = {"Bucket": bucket, "Key": "missing"}
    assert code_of(s3.get_object, **missing) == "NoSuchKey"
    assert code_of(s3.copy_object, Bucket=bucket, Key="to", CopySource=missing) == "NoSuchKey"
    assert code_of(s3.head_object, **missing) == "404"
    s3.delete_object(**missing)  # Deleting what is not there succeeds, as on AWS.


def test_a_missing_bucket_is_named_as_such(s3, new_name):
    missing = {"Bucket": new_name()}
    assert code_of(s3.get_object, **missing, Key="k") == "NoSuchBucket"
    assert code_of(s3.put_object, **missing, Key="k", Body=b"x") == "NoSuchBucket"
    assert code_of(s3.delete_object, **missing, Key="k") == "NoSuchBucket"
    assert code_of(s3.list_objects, **missing) == "NoSuchBucket"
    assert code_of(s3.list_objects_v2, **missing) == "NoSuchBucket"
    assert code_of(s3.create_multipart_upload, **missing, Key="k") == "NoSuchBucket"
    assert code_of(s3.delete_bucket, **missing) == "NoSuchBucket"
    assert code_of(s3.head_bucket, **missing) == "404"


def test_a_missing_upload_is_named_as_such(s3, bucket, upload):
    parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}}
    s3.abort_multipart_upload(**upload)
    for gone in (upload, upload | {"UploadId": "never-was"}, upload | {"Key": "another"}):
        assert code_of(s3.upload_part, **gone, PartNumber=1, Body=b"x") == "NoSuchUpload"
        assert code_of(s3.complete_multipart_upload, **gone, **parts) == "NoSuchUpload"
        assert code_of(s3.abort_multipart_upload, **gone) == "NoSuchUpload"
        assert code_of(s3.list_parts, **gone) == "NoSuchUpload"


def test_a_complete_with_wrong_parts_is_refused_and_makes_no_object(s3, bucket, upload):
    tags = [s3.upload_part(**upload, PartNumber=n, Body=bytes([n]) * (5 * MIB))["ETag"] for n in (1, 2)]

    def complete(*parts):
        listed = [{"PartNumber": n, "ETag": tag} for n, tag in parts]
        return code_of(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": listed})

    assert complete((1, tags[0]), (3, tags[1])) == "InvalidPart"
    assert complete((1, tags[1])) == "InvalidPart"
    assert complete((2, tags[1]), (1, tags[0])) == "InvalidPartOrder"
    assert code_of(s3.get_object, Bucket=bucket, Key="key") == "NoSuchKey"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    good = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": good})
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"\x01" * (5 * MIB) + b"\x02" * (5 * MIB)


def test_a_small_part_before_the_last_is_refused(s3, upload):
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=b"small")["ETag"]} for n in (1, 2)
    ]
    refused = code_of(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
    assert refused == "EntityTooSmall"


@pytest.mark.parametrize("number", [0, -1, 10001])
def test_a_part_number_outside_1_to_10000_is_refused(s3, upload, number):
    assert code_of(s3.upload_part, **upload, PartNumber=number, Body=b"x") == "InvalidArgument"


def test_a_bucket_with_objects_is_not_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code_of(s3.delete_bucket, Bucket=bucket) == "BucketNotEmpty"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert code_of(s3.head_bucket, Bucket=bucket) == "404"


def test_a_bucket_that_is_already_yours_is_not_made_again(http, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    # us-east-1 answers 200 on AWS for historical reasons; either way the bucket must be left as it is.
    answer = http.call("PUT", f"/{bucket}")
    assert answer.status == 200 or answer.outcome == (409, "BucketAlreadyOwnedByYou")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_range_past_the_end_is_refused_and_a_malformed_one_ignored(http, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = http.call("GET", f"/{bucket}/k", headers={"range": "bytes=10-12"})
    assert answer.outcome == (416, "InvalidRange")
    assert answer.headers["content-range"] == "bytes */10"
    for ignored in ("bytes=5-2", "bytes=x-y", "lines=1-2"):
        answer = http.call("GET", f"/{bucket}/k", headers={"range": ignored})
        assert (answer.status, answer.body) == (200, b"0123456789"), ignored


def test_an_error_document_has_code_message_resource_and_request_id(http, bucket):
    for method, path, status, code in (
        ("GET", f"/{bucket}/no such key", 404, "NoSuchKey"),
        ("GET", "/no-such-bucket-at-all", 404, "NoSuchBucket"),
        ("PUT", "/NotABucketName", 400, "InvalidBucketName"),
    ):
        answer = http.call(method, path)
        assert answer.outcome == (status, code)
        assert answer.field("Message")
        assert answer.field("Resource") == path
        assert answer.field("RequestId") == answer.headers["x-amz-request-id"]
        assert answer.headers["x-amz-request-id"]
        assert answer.headers["content-type"].startswith("application/xml")


def test_every_answer_has_a_request_id_of_its_own(http, bucket):
    calls = [("GET", "/"), ("PUT", f"/{bucket}/k"), ("GET", f"/{bucket}/k"), ("HEAD", f"/{bucket}/k"),
             ("HEAD", f"/{bucket}/missing"), ("DELETE", f"/{bucket}/k")]  # fmt: skip
    ids = [http.call(method, path).headers["x-amz-request-id"] for method, path in calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)


def test_an_unsigned_request_is_answered_with_a_request_id_too(http, bucket):
    assert http.fetch("GET", f"/{bucket}/k").headers["x-amz-request-id"]


@pytest.mark.parametrize("path", ["/{}/missing", "/no-such-bucket-at-all", "/no-such-bucket-at-all/key"])
def test_a_head_error_has_no_body(http, bucket, path):
    received = http.send_raw_and_read_all(http.build("HEAD", path.format(bucket)))
    head, end, body = received.partition(b"\r\n\r\n")
    assert head.split()[1] == b"404"
    assert (end, body) == (b"\r\n\r\n", b"")


def test_a_head_with_a_wrong_signature_has_no_body(http, bucket):
    request = http.build("HEAD", f"/{bucket}/key")
    request.headers["Authorization"] = request.headers["Authorization"][:-8] + "00000000"
    head, _, body = http.send_raw_and_read_all(request).partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (b"403", b"")
