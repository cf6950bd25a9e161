"""Objects: what is written is read, with what was said of it; ranges; headers; atomic replacement; deletes."""

import datetime
import hashlib
import io
import re

import pytest
import requests
from botocore.exceptions import ClientError

from support.inputs import KIB, MIB
from support.refusals import refusal
from support.replays import replays


@pytest.fixture
def key(bucket):
    """The arguments that name an object which is not there yet."""
    return {"Bucket": bucket, "Key": "foo"}


@replays("test_object_write_read_update_read_delete", "test_object_write_check_etag", "test_object_write_file",
         "test_object_head_zero_bytes", "test_object_put_authenticated")  # fmt: skip
def test_an_object_is_written_read_replaced_and_deleted(s3, key):
    assert s3.put_object(**key, Body=b"bar")["ETag"] == '"37b51d194a7513e45b56f6524f2d51f2"'
    assert s3.get_object(**key)["Body"].read() == b"bar"
    s3.put_object(**key, Body=io.BytesIO(b"soup"))
    assert s3.get_object(**key)["Body"].read() == b"soup"
    s3.put_object(**key, Body=b"")
    assert s3.head_object(**key)["ContentLength"] == 0
    s3.delete_object(**key)
    assert refusal(s3.get_object, **key) == (404, "NoSuchKey")


@replays("test_object_read_not_exist", "test_object_write_to_nonexist_bucket",
         "test_object_requestid_matches_header_on_error")  # fmt: skip
def test_what_is_not_there_is_told_with_the_requests_id(s3, key, new_name):
    with pytest.raises(ClientError) as refused:
        s3.get_object(**key)
    told = refused.value.response
    assert told["Error"]["Code"] == "NoSuchKey"
    assert told["ResponseMetadata"]["RequestId"] == told["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    assert refusal(s3.put_object, Bucket=new_name(), Key="foo", Body=b"x") == (404, "NoSuchBucket")


@replays("test_get_object_torrent")
def test_an_object_has_no_torrent(s3, key):
    s3.put_object(**key, Body=b"A")
    assert refusal(s3.get_object_torrent, **key) == (404, "NoSuchKey")


@replays("test_object_set_get_metadata_none_to_good", "test_object_set_get_metadata_none_to_empty",
         "test_object_set_get_metadata_overwrite_to_empty", "test_object_metadata_replaced_on_put")  # fmt: skip
def test_metadata_is_that_of_the_last_write(s3, key):
    for metadata in ({"meta1": "mymeta"}, {"meta1": ""}, {"other": "x"}, {}):
        s3.put_object(**key, Body=b"bar", Metadata=metadata)
        assert s3.get_object(**key)["Metadata"] == metadata


@replays("test_object_write_cache_control", "test_object_write_expires")
def test_standard_headers_are_kept(s3, key):
    expires = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(seconds=6000)
    said = {"CacheControl": "public, max-age=14400", "ContentDisposition": "bla", "ContentLanguage": "esperanto",
            "ContentType": "text/plain", "ContentEncoding": "aaa"}  # fmt: skip
    s3.put_object(**key, Body=b"bar", Expires=expires, **said)
    for told in (s3.head_object(**key), s3.get_object(**key)):
        assert {name: told[name] for name in said} == said
        assert told["Expires"] == expires


@replays("test_object_content_encoding_aws_chunked")
def test_aws_chunked_is_how_a_body_came_and_not_what_it_is(s3, key):
    for sent, kept in (("gzip", "gzip"), ("deflate, gzip", "deflate, gzip"), ("gzip, aws-chunked", "gzip"),
                       ("aws-chunked, gzip", "gzip"), ("aws-chunked", None),
                       ("aws-chunked, aws-chunked", None)):  # fmt: skip
        s3.put_object(**key, ContentEncoding=sent)
        assert s3.head_object(**key).get("ContentEncoding") == kept, sent


@replays("test_object_raw_response_headers")
def test_a_read_may_ask_for_other_headers(s3, key):
    s3.put_object(**key, Body=b"bar", ContentType="text/plain")
    asked = {"ResponseCacheControl": "no-cache", "ResponseContentDisposition": "bla", "ResponseContentEncoding": "aaa",
             "ResponseContentLanguage": "esperanto", "ResponseContentType": "foo/bar",
             "ResponseExpires": "Thu, 01 Dec 1994 16:00:00 GMT"}  # fmt: skip
    for told in (s3.get_object(**key, **asked), s3.head_object(**key, **asked)):
        sent = told["ResponseMetadata"]["HTTPHeaders"]
        for name, value in asked.items():
            header = re.sub("(?<=[a-z])(?=[A-Z])", "-", name.removeprefix("Response")).lower()
            assert sent[header] == value
    assert s3.head_object(**key)["ContentType"] == "text/plain"


@replays("test_ranged_request_response_code", "test_ranged_big_request_response_code",
         "test_ranged_request_skip_leading_bytes_response_code",
         "test_ranged_request_return_trailing_bytes_response_code", "test_ranged_request_invalid_range",
         "test_ranged_request_empty_object")  # fmt: skip
@pytest.mark.parametrize("size", [11, 8 * MIB])
def test_ranges_come_in_three_forms(s3, key, size):
    body = hashlib.shake_128(b"").digest(size)
    s3.put_object(**key, Body=body)
    first, last = size // 3, size // 2
    for asked, start, end in ((f"{first}-{last}", first, last + 1), (f"{first}-", first, size),
                              (f"-{last}", size - last, size), (f"{first}-{size * 2}", first, size),
                              (f"-{size * 2}", 0, size), ("0-0", 0, 1), (f"{size - 1}-", size - 1, size)):  # fmt: skip
        got = s3.get_object(**key, Range=f"bytes={asked}")
        assert got["Body"].read() == body[start:end], asked
        assert got["ContentRange"] == f"bytes {start}-{end - 1}/{size}"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        head = s3.head_object(**key, Range=f"bytes={asked}")
        assert (head["ContentLength"], head["ContentRange"]) == (end - start, got["ContentRange"])
    for beyond in (f"bytes={size}-", f"bytes={size * 4}-{size * 5}", "bytes=-0"):
        assert refusal(s3.get_object, **key, Range=beyond) == (416, "InvalidRange"), beyond
    for ignored in ("bytes=5-2", "bytes=x-y", "lines=1-2", "bytes=0-1,3-4"):
        got = s3.get_object(**key, Range=ignored)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["ContentLength"]) == (200, size), ignored
    s3.put_object(**key, Body=b"")
    assert refusal(s3.get_object, **key, Range="bytes=40-50") == (416, "InvalidRange")


@replays("test_atomic_write_1mb", "test_atomic_write_4mb", "test_atomic_write_8mb", "test_atomic_read_1mb",
         "test_atomic_read_4mb", "test_atomic_read_8mb", "test_atomic_conditional_write_1mb")  # fmt: skip
@pytest.mark.parametrize("size", [MIB, 8 * MIB])
def test_an_object_is_the_old_one_until_it_is_the_new_one(s3, key, size):
    old, new, seen = b"A" * size, b"B" * size, []
    s3.put_object(**key, Body=old)

    def look():
        seen.append(s3.get_object(**key)["Body"].read() == old)

    def trickle(body, action):
        """A put whose body stops before its end, until `action` has been done."""
        yield from (body[at : at + MIB] for at in range(0, len(body) - MIB, MIB))
        action()
        yield body[-MIB:]

    url = s3.generate_presigned_url("put_object", Params=key, ExpiresIn=600)
    answer = requests.put(url, data=Sized(trickle(new, look), size))
    assert (answer.status_code, seen) == (200, [True])
    assert s3.get_object(**key)["Body"].read() == new

    reading = s3.get_object(**key)["Body"]
    head = reading.read(64 * KIB)
    s3.put_object(**key, Body=old, IfMatch="*")
    assert head + reading.read() == new
    assert s3.get_object(**key)["Body"].read() == old


class Sized:
    """Pieces of a known length in all, so that they are sent without a transfer coding."""

    def __init__(self, pieces, size):
        self.pieces, self.size = pieces, size

    def __iter__(self):
        return self.pieces

    def __len__(self):
        return self.size


@replays("test_atomic_dual_write_1mb", "test_atomic_dual_write_4mb", "test_atomic_dual_write_8mb",
         "test_atomic_dual_conditional_write_1mb", "test_atomic_write_bucket_gone")  # fmt: skip
@pytest.mark.parametrize("size", [MIB, 8 * MIB])
def test_of_two_writes_the_one_that_ends_last_stays(s3, key, size):
    def put_while(action, body, **condition):
        """Puts a body, and does something before its last piece."""
        url = s3.generate_presigned_url("put_object", Params=key | condition, ExpiresIn=600)
        headers = {"If-Match": condition["IfMatch"]} if condition else {}

        def pieces():
            yield body[:-1000]
            action()
            yield body[-1000:]

        return requests.put(url, data=Sized(pieces(), size), headers=headers)

    a, b, c = (letter * size for letter in (b"A", b"B", b"C"))
    assert put_while(lambda: s3.put_object(**key, Body=b), a).status_code == 200
    assert s3.get_object(**key)["Body"].read() == a
    etag = s3.head_object(**key)["ETag"]
    lost = put_while(lambda: s3.put_object(**key, Body=b, IfMatch=etag), c, IfMatch=etag)
    assert (lost.status_code, b"PreconditionFailed" in lost.content) == (412, True)
    assert s3.get_object(**key)["Body"].read() == b

    def remove_bucket():
        s3.delete_object(**key)
        s3.delete_bucket(Bucket=key["Bucket"])

    gone = put_while(remove_bucket, c)
    assert (gone.status_code, b"NoSuchBucket" in gone.content) == (404, True)


@replays("test_multi_object_delete", "test_multi_objectv2_delete", "test_multi_object_delete_key_limit",
         "test_multi_objectv2_delete_key_limit")  # fmt: skip
def test_up_to_1000_objects_are_deleted_at_once(s3, bucket):
    for name in ("key0", "key1", "key2"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    named = {"Objects": [{"Key": name} for name in ("key0", "key1", "never-there")]}
    for _ in range(2):
        told = s3.delete_objects(Bucket=bucket, Delete=named)
        assert [deleted["Key"] for deleted in told["Deleted"]] == ["key0", "key1", "never-there"]
        assert "Errors" not in told
    assert "Deleted" not in s3.delete_objects(Bucket=bucket, Delete=named | {"Quiet": True})
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["key2"]
    many = {"Objects": [{"Key": f"key{number}"} for number in range(1001)]}
    assert refusal(s3.delete_objects, Bucket=bucket, Delete=many)[0] == 400
    assert "Contents" in s3.list_objects_v2(Bucket=bucket)
