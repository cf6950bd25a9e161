"""The five checksums of S3: checked, kept, put together from parts, kept over copies, and told when asked."""

import base64
import functools
import zlib

import pytest

from support import sigv4
from support.inputs import MIB
from support.refusals import refusal
from support.replays import replays

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
BODY = b"A" * 1024


@functools.cache
def of(algorithm, body) -> str:
    # A second for a part, where Python itself has no such CRC: hence the cache.
    if algorithm == "CRC32":
        return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    return sigv4.checksum(algorithm.lower(), body)


def raw(text: str) -> bytes:
    return base64.b64decode(text)


@replays("test_object_checksum_sha256", "test_object_checksum_crc64nvme", "test_get_checksum_object_attributes")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_is_checked_kept_and_told(s3, bucket, algorithm):
    key, field, value = {"Bucket": bucket, "Key": "k"}, f"Checksum{algorithm}", of(algorithm, BODY)
    put = s3.put_object(**key, Body=BODY, ChecksumAlgorithm=algorithm, **{field: value})
    assert (put[field], put["ChecksumType"]) == (value, "FULL_OBJECT")
    assert field not in s3.head_object(**key)
    for told in (s3.head_object(**key, ChecksumMode="ENABLED"), s3.get_object(**key, ChecksumMode="ENABLED")):
        assert (told[field], told["ChecksumType"]) == (value, "FULL_OBJECT")
    asked = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    told = s3.get_object_attributes(**key, ObjectAttributes=asked)
    assert (told["Checksum"][field], told["Checksum"]["ChecksumType"]) == (value, "FULL_OBJECT")
    assert (told["ObjectSize"], told["StorageClass"], told["ETag"]) == (1024, "STANDARD", put["ETag"].strip('"'))
    assert "ObjectParts" not in told
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]
    for bad in ("bad", of(algorithm, b"other")):
        assert refusal(s3.put_object, **key, Body=b"new", **{field: bad}) == (400, "BadDigest")
    assert s3.get_object(**key)["Body"].read() == BODY


@replays("test_get_object_attributes")
def test_attributes_are_told_as_far_as_they_are_asked_for(s3, bucket):
    key = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**key, Body=b"foo")["ETag"].strip('"')
    told = s3.get_object_attributes(**key, ObjectAttributes=["ETag", "ObjectSize"])
    assert (told["ETag"], told["ObjectSize"]) == (etag, 3)
    assert not {"Checksum", "ObjectParts", "StorageClass", "VersionId", "DeleteMarker"} & set(told)
    assert refusal(s3.get_object_attributes, **key, ObjectAttributes=["Nonsense"]) == (400, "InvalidArgument")
    missing = key | {"Key": "missing"}
    assert refusal(s3.get_object_attributes, **missing, ObjectAttributes=["ETag"]) == (404, "NoSuchKey")


class Upload:
    """A multipart upload whose parts carry a checksum."""

    def __init__(self, s3, bucket, key, algorithm, over):
        self.s3, self.field, self.parts = s3, f"Checksum{algorithm}", []
        self.name = {"Bucket": bucket, "Key": key}
        begun = s3.create_multipart_upload(**self.name, ChecksumAlgorithm=algorithm, ChecksumType=over)
        assert (begun["ChecksumAlgorithm"], begun["ChecksumType"]) == (algorithm, over)
        self.name["UploadId"] = begun["UploadId"]

    def add(self, body, value):
        number = len(self.parts) + 1
        told = self.s3.upload_part(**self.name, PartNumber=number, Body=body, **{self.field: value})
        assert told[self.field] == value
        self.parts.append({"PartNumber": number, "ETag": told["ETag"], self.field: value})

    def complete(self, **more):
        return self.s3.complete_multipart_upload(**self.name, MultipartUpload={"Parts": self.parts}, **more)




def composite(algorithm, values) -> str:
    return f"{of(algorithm, b''.join(map(raw, values)))}-{len(values)}"


@replays("test_multipart_use_cksum_helper_sha1", "test_multipart_use_cksum_helper_sha256",
         "test_multipart_use_cksum_helper_crc32", "test_multipart_use_cksum_helper_crc32c",
         "test_multipart_use_cksum_helper_crc64nvme", "test_multipart_checksum_sha256",
         "test_multipart_reupload_checksum_and_etag")  # fmt: skip
@pytest.mark.parametrize(
    ("algorithm", "over"),
    [(name, "COMPOSITE") for name in ("CRC32", "CRC32C", "SHA1", "SHA256")]
    + [(name, "FULL_OBJECT") for name in ("CRC32", "CRC32C", "CRC64NVME")],
)
def test_the_checksum_of_an_upload_follows_from_its_parts(s3, bucket, algorithm, over):
    bodies = [b"\x01" * (5 * MIB), b"last"]
    whole, upload = b"".join(bodies), Upload(s3, bucket, "k", algorithm, over)
    values = [of(algorithm, body) for body in bodies]
    for body, value in zip(bodies, values, strict=True):
        upload.add(body, value)
    listed = s3.list_parts(**upload.name)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, over)
    assert [part[upload.field] for part in listed["Parts"]] == values
    expected = composite(algorithm, values) if over == "COMPOSITE" else of(algorithm, whole)

    for bad in ("bad", of(algorithm, b"other")):
        assert refusal(upload.complete, **{upload.field: bad}) == (400, "BadDigest")
    told = upload.complete(**{upload.field: expected}, ChecksumType=over, MpuObjectSize=len(whole))
    assert (told[upload.field], told["ChecksumType"]) == (expected, over)
    again = upload.complete(**{upload.field: expected})
    assert (again["ETag"], again[upload.field]) == (told["ETag"], expected)

    key = {"Bucket": bucket, "Key": "k"}
    assert upload.field not in s3.head_object(**key)
    head = s3.head_object(**key, ChecksumMode="ENABLED")
    assert (head[upload.field], head["ChecksumType"]) == (expected, over)
    attributes = s3.get_object_attributes(**key, ObjectAttributes=["Checksum", "ObjectParts"])
    assert (attributes["Checksum"][upload.field], attributes["Checksum"]["ChecksumType"]) == (expected, over)
    assert [part[upload.field] for part in attributes["ObjectParts"]["Parts"]] == values
    for number, (body, value) in enumerate(zip(bodies, values, strict=True), 1):
        part = s3.get_object(**key, PartNumber=number, ChecksumMode="ENABLED")
        assert (part[upload.field], part["ChecksumType"], part["Body"].read()) == (value, over, body)


def test_a_completion_that_says_otherwise_is_refused(s3, bucket):
    upload = Upload(s3, bucket, "k", "CRC32", "FULL_OBJECT")
    upload.add(BODY, of("CRC32", BODY))
    assert refusal(upload.complete, MpuObjectSize=1) == (400, "InvalidRequest")
    assert refusal(upload.complete, ChecksumType="COMPOSITE") == (400, "InvalidRequest")
    assert refusal(upload.complete, ChecksumSHA1=of("SHA1", BODY)) == (400, "InvalidRequest")
    upload.parts[0]["ChecksumCRC32"] = of("CRC32", b"other")
    assert refusal(upload.complete) == (400, "InvalidPart")
    part = {"PartNumber": 2, "Body": BODY, "ChecksumSHA256": of("SHA256", BODY)}
    assert refusal(s3.upload_part, **upload.name, **part) == (400, "InvalidRequest")


@replays("test_get_multipart_checksum_object_attributes", "test_get_multipart_object_attributes",
         "test_get_paginated_multipart_object_attributes", "test_get_single_multipart_object_attributes")  # fmt: skip
@pytest.mark.parametrize("with_checksum", [True, False])
def test_the_parts_of_an_object_come_in_pages(s3, bucket, with_checksum):
    key = {"Bucket": bucket, "Key": "k"}
    begin = {"ChecksumAlgorithm": "SHA256"} if with_checksum else {}
    plain = s3 if with_checksum else without_checksums(s3)
    upload = key | {"UploadId": plain.create_multipart_upload(**key, **begin)["UploadId"]}
    sizes = [5 * MIB, 5 * MIB, 5 * MIB, 1000]
    parts = []
    for number, size in enumerate(sizes, 1):
        told = plain.upload_part(**upload, PartNumber=number, Body=bytes([number]) * size, **begin)
        parts.append({"PartNumber": number, "ETag": told["ETag"]})
    done = plain.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    asked = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    told = s3.get_object_attributes(**key, ObjectAttributes=asked)
    assert (told["ObjectSize"], told["ETag"]) == (sum(sizes), done["ETag"].strip('"'))
    assert told["ObjectParts"]["TotalPartsCount"] == 4
    assert [(part["PartNumber"], part["Size"]) for part in told["ObjectParts"]["Parts"]] == list(enumerate(sizes, 1))
    if with_checksum:
        assert told["Checksum"]["ChecksumSHA256"] == done["ChecksumSHA256"]
    assert all(("ChecksumSHA256" in part) == with_checksum for part in told["ObjectParts"]["Parts"])

    page = s3.get_object_attributes(**key, ObjectAttributes=asked, MaxParts=1, PartNumberMarker=2)["ObjectParts"]
    assert (page["MaxParts"], page["PartNumberMarker"], page["TotalPartsCount"]) == (1, 2, 4)
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 3)
    assert [part["PartNumber"] for part in page["Parts"]] == [3]
    page = s3.get_object_attributes(**key, ObjectAttributes=asked, MaxParts=10, PartNumberMarker=3)["ObjectParts"]
    assert (page["IsTruncated"], [part["PartNumber"] for part in page["Parts"]]) == (False, [4])


def without_checksums(s3):
    """boto3 that sends a checksum only where S3 demands one, as all SDKs did until 2025."""
    import boto3
    from botocore.config import Config

    held = s3._request_signer._credentials
    return boto3.client(
        "s3",
        endpoint_url=s3.meta.endpoint_url,
        region_name=s3.meta.region_name,
        aws_access_key_id=held.access_key,
        aws_secret_access_key=held.secret_key,
        config=Config(request_checksum_calculation="when_required"),
    )


def test_a_copy_keeps_its_sources_checksum_or_has_the_one_asked_for(s3, bucket):
    key, copy = {"Bucket": bucket, "Key": "k"}, {"Bucket": bucket, "Key": "copy"}
    s3.put_object(**key, Body=BODY, ChecksumAlgorithm="SHA256")
    kept = s3.copy_object(**copy, CopySource=key)["CopyObjectResult"]
    assert kept["ChecksumSHA256"] == of("SHA256", BODY)
    for algorithm in ALGORITHMS:
        told = s3.copy_object(**copy, CopySource=key, ChecksumAlgorithm=algorithm)["CopyObjectResult"]
        assert told[f"Checksum{algorithm}"] == of(algorithm, BODY)
        head = s3.head_object(**copy, ChecksumMode="ENABLED")
        assert head[f"Checksum{algorithm}"] == of(algorithm, BODY)
    assert s3.get_object(**copy)["Body"].read() == BODY


def test_a_copied_part_has_the_checksum_of_its_upload(s3, bucket):
    key = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**key, Body=bytes(range(256)) * 8, ChecksumAlgorithm="CRC32")
    upload = Upload(s3, bucket, "parts", "CRC32", "FULL_OBJECT")
    for span, body in (({}, bytes(range(256)) * 8), ({"CopySourceRange": "bytes=0-99"}, bytes(range(100)))):
        told = s3.upload_part_copy(**upload.name, PartNumber=1, CopySource=key, **span)["CopyPartResult"]
        assert told["ChecksumCRC32"] == of("CRC32", body)
    upload.parts = [{"PartNumber": 1, "ETag": told["ETag"]}]
    assert upload.complete()["ChecksumCRC32"] == of("CRC32", bytes(range(100)))
