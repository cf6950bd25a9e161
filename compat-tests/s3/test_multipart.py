"""Multipart uploads: parts, their sizes, order and repetition, copies of ranges, listings, and what ends an upload."""

import hashlib
import random

import pytest

from support.inputs import MIB
from support.refusals import refusal
from support.replays import replays


def content(size: int, seed: int = 0) -> bytes:
    """Bytes of which no two stretches are alike."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


def cut(body: bytes, part_bytes: int) -> list[bytes]:
    return [body[start : start + part_bytes] for start in range(0, len(body), part_bytes)]


@pytest.fixture
def begin(s3, bucket):
    """Begins an upload; answers the arguments that name it."""

    def begin(key="mymultipart", **more):
        name = {"Bucket": bucket, "Key": key}
        return name | {"UploadId": s3.create_multipart_upload(**name, **more)["UploadId"]}

    return begin


def store(s3, upload, bodies) -> dict:
    """Stores parts; answers how a completion names them."""
    parts = []
    for number, body in enumerate(bodies, 1):
        told = s3.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": told["ETag"]})
    return {"MultipartUpload": {"Parts": parts}}


def read(s3, upload) -> bytes:
    return s3.get_object(Bucket=upload["Bucket"], Key=upload["Key"])["Body"].read()


@replays("test_multipart_upload", "test_multipart_upload_small", "test_multipart_upload_contents",
         "test_multipart_upload_multiple_sizes")  # fmt: skip
@pytest.mark.parametrize("size", [1, 5 * MIB, 5 * MIB + 100 * 1024, 10 * MIB + 600 * 1024, 10 * MIB])
def test_parts_become_an_object(s3, begin, size):
    upload = begin(Metadata={"foo": "bar"}, ContentType="text/bla")
    body = content(size)
    bodies = cut(body, 5 * MIB)
    named = store(s3, upload, bodies)
    told = s3.complete_multipart_upload(**upload, **named)
    md5s = b"".join(hashlib.md5(part).digest() for part in bodies)
    assert told["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-{len(bodies)}"'
    assert s3.complete_multipart_upload(**upload, **named)["ETag"] == told["ETag"], "asked again, the same answer"
    got = s3.get_object(Bucket=upload["Bucket"], Key=upload["Key"])
    assert (got["ContentType"], got["Metadata"], got["ContentLength"]) == ("text/bla", {"foo": "bar"}, size)
    assert got["Body"].read() == body
    listed = s3.list_objects_v2(Bucket=upload["Bucket"])["Contents"]
    assert [(entry["Key"], entry["Size"]) for entry in listed] == [("mymultipart", size)]
    middle = s3.get_object(Bucket=upload["Bucket"], Key=upload["Key"], Range=f"bytes={size // 2}-")
    assert middle["Body"].read() == body[size // 2 :]


@replays("test_multipart_upload_resend_part", "test_multipart_resend_first_finishes_last")
def test_the_last_write_of_a_part_wins(s3, begin):
    upload = begin()
    old = store(s3, upload, [content(5 * MIB, 1), content(5 * MIB, 2), b"last"])
    bodies = [content(5 * MIB, 3), content(5 * MIB, 2), b"end"]
    new = store(s3, upload, bodies)
    assert refusal(s3.complete_multipart_upload, **upload, **old) == (400, "InvalidPart")
    s3.complete_multipart_upload(**upload, **new)
    assert read(s3, upload) == b"".join(bodies)


@replays("test_multipart_upload_overwrite_existing_object", "test_atomic_multipart_upload_write")
def test_an_upload_replaces_what_was_there_when_it_is_completed(s3, begin):
    upload = begin("key")
    s3.put_object(Bucket=upload["Bucket"], Key="key", Body=b"bar")
    named = store(s3, upload, [content(5 * MIB), b"end"])
    assert read(s3, upload) == b"bar"
    s3.complete_multipart_upload(**upload, **named)
    assert read(s3, upload) == content(5 * MIB) + b"end"
    other = begin("key")
    s3.abort_multipart_upload(**other)
    assert read(s3, upload) == content(5 * MIB) + b"end"


@replays("test_multipart_upload_empty", "test_multipart_upload_missing_part", "test_multipart_upload_incorrect_etag",
         "test_multipart_upload_size_too_small", "test_multipart_upload_complete_without_create")  # fmt: skip
def test_what_cannot_be_completed_says_why(s3, begin):
    upload = begin()
    assert refusal(s3.complete_multipart_upload, **upload) == (400, "MalformedXML")
    named = store(s3, upload, [b"small"])["MultipartUpload"]["Parts"]

    def complete(*parts, **changed):
        listed = {"MultipartUpload": {"Parts": list(parts)}}
        return refusal(s3.complete_multipart_upload, **upload | changed, **listed)

    assert complete({"PartNumber": 9999, "ETag": named[0]["ETag"]}) == (400, "InvalidPart")
    assert complete({"PartNumber": 1, "ETag": '"ffffffffffffffffffffffffffffffff"'}) == (400, "InvalidPart")
    second = {"PartNumber": 2, "ETag": s3.upload_part(**upload, PartNumber=2, Body=b"small")["ETag"]}
    assert complete(named[0], second) == (400, "EntityTooSmall")
    assert complete(second, named[0]) == (400, "InvalidPartOrder")
    assert complete(named[0], UploadId="abc1234def") == (404, "NoSuchUpload")
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
    assert read(s3, upload) == b"small"


@replays("test_abort_multipart_upload", "test_abort_multipart_upload_not_found")
def test_an_aborted_upload_leaves_nothing(s3, begin):
    upload = begin()
    store(s3, upload, [content(5 * MIB)])
    s3.abort_multipart_upload(**upload)
    assert "Contents" not in s3.list_objects_v2(Bucket=upload["Bucket"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=upload["Bucket"])
    assert refusal(s3.abort_multipart_upload, **upload) == (404, "NoSuchUpload")
    assert refusal(s3.abort_multipart_upload, **upload | {"UploadId": "56788"}) == (404, "NoSuchUpload")


@replays("test_list_multipart_upload")
def test_running_uploads_are_listed_by_key_and_then_by_time(s3, begin):
    uploads = [begin(key) for key in ("b", "a/1", "b", "a/2", "c")]
    bucket = uploads[0]["Bucket"]

    def names(page):
        return [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]

    every = sorted(((upload["Key"], upload["UploadId"]) for upload in uploads), key=lambda name: name[0])
    page = s3.list_multipart_uploads(Bucket=bucket)
    assert (names(page), page["IsTruncated"]) == (every, False)
    told = page["Uploads"][0]
    assert told["Initiator"]["ID"] == told["Owner"]["ID"] == s3.list_buckets()["Owner"]["ID"]
    assert told["StorageClass"] == "STANDARD"

    seen, markers = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        assert (page["MaxUploads"], page["KeyMarker"]) == (2, markers.get("KeyMarker", ""))
        seen += names(page)
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert (markers["KeyMarker"], markers["UploadIdMarker"]) == seen[-1]
    assert seen == every

    assert names(s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b")) == every[-1:]
    assert names(s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")) == every[:2]
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", MaxUploads=1)
    assert [prefix["Prefix"] for prefix in page["CommonPrefixes"]] == ["a/"]
    assert (page["IsTruncated"], page["NextKeyMarker"]) == (True, "a/")
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", KeyMarker="a/")
    assert ("CommonPrefixes" not in page, names(page)) == (True, every[2:])
    page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=0)
    assert (names(page), page["IsTruncated"]) == ([], False)


def test_stored_parts_are_listed_in_pages(s3, begin):
    upload = begin()
    bodies = {number: content(1000 + number, number) for number in (1, 2, 7, 10_000)}
    for number, body in bodies.items():
        s3.upload_part(**upload, PartNumber=number, Body=body)

    def numbers(page):
        return [part["PartNumber"] for part in page.get("Parts", [])]

    whole = s3.list_parts(**upload)
    assert (numbers(whole), whole["IsTruncated"], whole["MaxParts"]) == (list(bodies), False, 1000)
    for part in whole["Parts"]:
        body = bodies[part["PartNumber"]]
        assert (part["Size"], part["ETag"]) == (len(body), f'"{hashlib.md5(body).hexdigest()}"')
    page = s3.list_parts(**upload, MaxParts=2)
    assert (numbers(page), page["IsTruncated"], page["NextPartNumberMarker"]) == ([1, 2], True, 2)
    page = s3.list_parts(**upload, MaxParts=2, PartNumberMarker=2)
    assert (numbers(page), page["IsTruncated"], page["PartNumberMarker"]) == ([7, 10_000], False, 2)
    assert numbers(s3.list_parts(**upload, PartNumberMarker=10_000)) == []


@replays("test_multipart_get_part", "test_multipart_single_get_part", "test_non_multipart_get_part")
def test_a_part_can_be_read_alone(s3, begin):
    for bodies in ([content(5 * MIB, 1), content(5 * MIB, 2), b"end"], [content(5 * MIB, 3)]):
        upload = begin()
        key = {"Bucket": upload["Bucket"], "Key": upload["Key"]}
        named = store(s3, upload, bodies)
        assert refusal(s3.get_object, **key, PartNumber=1) == (404, "NoSuchKey")
        etag = s3.complete_multipart_upload(**upload, **named)["ETag"]
        for number, body in enumerate(bodies, 1):
            head = s3.head_object(**key, PartNumber=number)
            got = s3.get_object(**key, PartNumber=number)
            for told in (head, got):
                assert (told["PartsCount"], told["ETag"], told["ContentLength"]) == (len(bodies), etag, len(body))
                assert told["ResponseMetadata"]["HTTPStatusCode"] == 206
            assert got["Body"].read() == body
        assert refusal(s3.get_object, **key, PartNumber=5) == (400, "InvalidPart")
        s3.delete_object(**key)

    etag = s3.put_object(**key, Body=b"body")["ETag"]
    told = s3.get_object(**key, PartNumber=1)
    assert (told["ETag"], told["Body"].read()) == (etag, b"body")
    assert refusal(s3.get_object, **key, PartNumber=2) == (400, "InvalidPart")


@replays("test_multipart_copy_small", "test_multipart_copy_without_range", "test_multipart_copy_multiple_sizes")
@pytest.mark.parametrize("size", [1, 10, 5 * MIB, 5 * MIB + 100 * 1024, 10 * MIB])
def test_parts_can_be_ranges_of_an_object(s3, bucket, begin, size):
    source = {"Bucket": bucket, "Key": "source"}
    body = content(10 * MIB)[: max(size, 10)]
    s3.put_object(**source, Body=body)
    upload = begin()
    parts = []
    for number, start in enumerate(range(0, size, 5 * MIB), 1):
        last = min(start + 5 * MIB, size) - 1
        span = f"bytes={start}-{last}"
        told = s3.upload_part_copy(**upload, PartNumber=number, CopySource=source, CopySourceRange=span)
        etag = told["CopyPartResult"]["ETag"]
        assert etag == f'"{hashlib.md5(body[start : last + 1]).hexdigest()}"'
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert read(s3, upload) == body[:size]
    whole = begin("whole")
    etag = s3.upload_part_copy(**whole, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(**whole, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert read(s3, whole) == body


@replays("test_multipart_copy_special_names", "test_upload_part_copy_percent_encoded_key")
def test_a_source_may_have_any_name(s3, bucket, begin):
    for key in (" ", "_", "__", "?versionId", "a%25b", "a+b", "ключ"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        upload = begin()
        told = s3.upload_part_copy(**upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": key})
        parts = [{"PartNumber": 1, "ETag": told["CopyPartResult"]["ETag"]}]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        assert read(s3, upload) == key.encode()
    missing = {"Bucket": bucket, "Key": "a%b"}
    assert refusal(s3.upload_part_copy, **begin(), PartNumber=1, CopySource=missing) == (404, "NoSuchKey")


@replays("test_multipart_copy_improper_range", "test_multipart_copy_invalid_range")
def test_a_copied_range_is_whole_and_within_its_source(s3, bucket, begin):
    s3.put_object(Bucket=bucket, Key="source", Body=b"12345")
    part = begin() | {"PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "source"}}
    for bad in ("0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=hello-", "bytes=0-2,3-5"):
        assert refusal(s3.upload_part_copy, **part, CopySourceRange=bad) == (400, "InvalidArgument"), bad
    for beyond in ("bytes=0-21", "bytes=0-5", "bytes=5-6"):
        assert refusal(s3.upload_part_copy, **part, CopySourceRange=beyond)[1] == "InvalidRange", beyond
    s3.upload_part_copy(**part, CopySourceRange="bytes=0-4")


def test_parts_whose_chunks_meet_late_those_of_the_object_are_joined(s3, begin, bucket):
    """In bytes that are nearly all alike, chunks are as long as they may be, and those of a part meet those of the object late:
    completing reads parts again, further than the beginning that is kept of them."""
    chance = random.Random(59)
    body = bytearray(7 * 3_200_000)
    for start in range(0, len(body), 3_200_000):
        for _ in range(1000):
            body[start + chance.randrange(3_200_000)] = chance.randrange(256)
    upload = begin()
    s3.complete_multipart_upload(**upload, **store(s3, upload, cut(bytes(body), 5 * MIB)))
    assert s3.get_object(Bucket=bucket, Key=upload["Key"])["Body"].read() == bytes(body)
