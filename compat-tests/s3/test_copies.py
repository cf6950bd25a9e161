"""CopyObject: content, metadata and its directives, onto itself, between buckets."""

import pytest

from support.inputs import MIB
from support.refusals import refusal
from support.replays import replays


@pytest.fixture
def source(s3, bucket):
    """The arguments that name an object `foo123bar` of three bytes."""
    s3.put_object(Bucket=bucket, Key="foo123bar", Body=b"foo", ContentType="text/bla", Metadata={"key1": "value1"})
    return {"Bucket": bucket, "Key": "foo123bar"}


@replays("test_object_copy_same_bucket", "test_object_copy_verify_contenttype", "test_object_copy_diff_bucket",
         "test_object_copy_zero_size", "test_object_copy_16m")  # fmt: skip
@pytest.mark.parametrize("size", [0, 3, 16 * MIB])
def test_a_copy_has_the_content_and_the_type_of_its_source(s3, bucket, new_name, size):
    other, key = new_name(), {"Bucket": bucket, "Key": "foo123bar"}
    s3.create_bucket(Bucket=other)
    s3.put_object(**key, Body=b"x" * size, ContentType="text/bla")
    for target in (bucket, other):
        # The managed copy, which looks at the source first.
        s3.copy(key, target, "bar321foo")
        got = s3.get_object(Bucket=target, Key="bar321foo")
        assert (got["ContentType"], got["ContentLength"]) == ("text/bla", size)
        if size < 8 * MIB:  # A longer one is copied in parts.
            assert got["ETag"] == s3.head_object(**key)["ETag"]
        assert got["Body"].read() == b"x" * size


@replays("test_object_copy_to_itself", "test_object_copy_to_itself_with_metadata")
def test_a_copy_onto_itself_must_change_something(s3, source):
    assert refusal(s3.copy_object, **source, CopySource=source) == (400, "InvalidRequest")
    s3.copy_object(**source, CopySource=source, Metadata={"foo": "bar"}, MetadataDirective="REPLACE")
    got = s3.get_object(**source)
    assert (got["Metadata"], got["Body"].read()) == ({"foo": "bar"}, b"foo")


@replays("test_object_copy_retaining_metadata", "test_object_copy_replacing_metadata")
@pytest.mark.parametrize("size", [3, MIB])
def test_a_copy_keeps_or_replaces_what_is_said_of_its_source(s3, bucket, size):
    key = {"Bucket": bucket, "Key": "foo123bar"}
    said = {"Metadata": {"key1": "value1", "key2": "value2"}, "ContentType": "audio/ogg"}
    s3.put_object(**key, Body=b"x" * size, **said)
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=key)
    kept = s3.get_object(Bucket=bucket, Key="kept")
    assert {name: kept[name] for name in said} == said
    assert kept["ContentLength"] == size
    new = {"Metadata": {"key3": "value3"}, "ContentType": "audio/mpeg"}
    s3.copy_object(Bucket=bucket, Key="new", CopySource=key, MetadataDirective="REPLACE", **new)
    replaced = s3.get_object(Bucket=bucket, Key="new")
    assert {name: replaced[name] for name in new} == new
    assert refusal(s3.copy_object, Bucket=bucket, Key="new", CopySource=key, MetadataDirective="replace") == (
        400,
        "InvalidArgument",
    )


@replays("test_object_copy_bucket_not_found", "test_object_copy_key_not_found")
def test_a_source_that_is_not_there_cannot_be_copied(s3, bucket, new_name):
    gone = {"Bucket": new_name(), "Key": "foo123bar"}
    assert refusal(s3.copy_object, Bucket=bucket, Key="bar321foo", CopySource=gone) == (404, "NoSuchBucket")
    gone = {"Bucket": bucket, "Key": "foo123bar"}
    assert refusal(s3.copy_object, Bucket=bucket, Key="bar321foo", CopySource=gone) == (404, "NoSuchKey")


def test_a_redirect_is_not_copied(s3, bucket, source):
    s3.put_object(**source, Body=b"foo", WebsiteRedirectLocation="/elsewhere")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert "WebsiteRedirectLocation" not in s3.head_object(Bucket=bucket, Key="copy")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, WebsiteRedirectLocation="/here")
    assert s3.head_object(Bucket=bucket, Key="copy")["WebsiteRedirectLocation"] == "/here"
