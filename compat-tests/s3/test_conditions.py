"""Conditions: of reads, of everything that writes, and of the sources of copies."""

import datetime
import threading

import pytest
from botocore.exceptions import ClientError

from support.refusals import refusal
from support.replays import replays

FAILED = (412, "PreconditionFailed")
GONE = (404, "NoSuchKey")
NOT_MODIFIED = (304, "304")
PAST = datetime.datetime(1994, 10, 29, 19, 43, 31, tzinfo=datetime.UTC)
FUTURE = datetime.datetime(2100, 10, 29, 19, 43, 31, tzinfo=datetime.UTC)


@pytest.fixture
def key(s3, bucket):
    """The arguments that name an object `foo`, whose content is `bar`."""
    s3.put_object(Bucket=bucket, Key="foo", Body=b"bar")
    return {"Bucket": bucket, "Key": "foo"}


@replays("test_get_object_ifmatch_good", "test_get_object_ifmatch_failed", "test_get_object_ifnonematch_good",
         "test_get_object_ifnonematch_failed")  # fmt: skip
def test_a_read_is_for_this_etag_or_for_any_but_this(s3, key):
    etag = s3.head_object(**key)["ETag"]
    for good in ({"IfMatch": etag}, {"IfMatch": etag.strip('"')}, {"IfMatch": "*"}, {"IfNoneMatch": "ABCORZ"}):
        assert s3.get_object(**key, **good)["Body"].read() == b"bar"
        s3.head_object(**key, **good)
    assert refusal(s3.get_object, **key, IfMatch='"ABCORZ"') == FAILED
    assert refusal(s3.get_object, **key, IfNoneMatch=etag) == NOT_MODIFIED
    assert refusal(s3.get_object, **key, IfNoneMatch=f'"x", {etag}') == NOT_MODIFIED
    assert refusal(s3.head_object, **key, IfMatch='"ABCORZ"') == (412, "412")
    assert refusal(s3.head_object, **key, IfNoneMatch=etag) == NOT_MODIFIED


@replays("test_get_object_ifmodifiedsince_good", "test_get_object_ifmodifiedsince_failed",
         "test_get_object_ifunmodifiedsince_good", "test_get_object_ifunmodifiedsince_failed")  # fmt: skip
def test_a_read_is_for_what_was_written_after_or_before_a_time(s3, key):
    written = s3.head_object(**key)["LastModified"]
    assert s3.get_object(**key, IfModifiedSince=PAST)["Body"].read() == b"bar"
    assert s3.get_object(**key, IfUnmodifiedSince=FUTURE)["Body"].read() == b"bar"
    assert s3.get_object(**key, IfUnmodifiedSince=written)["Body"].read() == b"bar"
    assert refusal(s3.get_object, **key, IfModifiedSince=written) == NOT_MODIFIED
    assert refusal(s3.get_object, **key, IfUnmodifiedSince=PAST) == FAILED
    # An ETag beside it decides. RFC 9110, section 13.2.2.
    etag = s3.head_object(**key)["ETag"]
    assert s3.get_object(**key, IfMatch=etag, IfUnmodifiedSince=PAST)["Body"].read() == b"bar"
    assert refusal(s3.get_object, **key, IfNoneMatch=etag, IfModifiedSince=PAST) == NOT_MODIFIED


def test_not_modified_has_no_body_and_names_the_etag(http, key):
    etag = http.call("HEAD", f"/{key['Bucket']}/foo").headers["etag"]
    answer = http.call("GET", f"/{key['Bucket']}/foo", headers={"if-none-match": etag})
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)


def complete(s3, bucket, key, **condition):
    """A whole multipart upload of one small part, completed under a condition."""
    upload = {"Bucket": bucket, "Key": key}
    upload |= {"UploadId": s3.create_multipart_upload(**upload)["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    try:
        return s3.complete_multipart_upload(**upload, **parts, **condition)
    except ClientError:
        s3.abort_multipart_upload(**upload)
        raise


@pytest.fixture(params=["put", "complete"])
def write(request, s3, bucket):
    """Both ways of writing `foo` in whole."""

    def write(**condition):
        if request.param == "put":
            return s3.put_object(Bucket=bucket, Key="foo", Body=b"new", **condition)
        return complete(s3, bucket, "foo", **condition)

    return write


@replays("test_put_object_ifmatch_good", "test_put_object_ifmatch_failed", "test_put_object_ifmatch_nonexisted_failed",
         "test_put_object_ifmatch_overwrite_existed_good", "test_put_object_ifnonmatch_good",
         "test_put_object_ifnonmatch_failed", "test_put_object_ifnonmatch_nonexisted_good",
         "test_put_object_ifnonmatch_overwrite_existed_failed", "test_put_object_if_match",
         "test_multipart_put_object_if_match")  # fmt: skip
def test_a_write_replaces_what_its_condition_allows(s3, bucket, write):
    for nothing_there in ("*", "badetag"):
        assert refusal(write, IfMatch=nothing_there) == GONE
    first = write(IfNoneMatch="*")["ETag"]
    assert refusal(write, IfNoneMatch="*") == FAILED
    assert refusal(write, IfNoneMatch=first) == FAILED
    assert refusal(write, IfMatch='"ABCORZ"') == FAILED
    write(IfNoneMatch="ABCORZ")
    write(IfMatch=first)
    write(IfMatch=first.strip('"'))
    write(IfMatch="*")
    s3.delete_object(Bucket=bucket, Key="foo")
    assert refusal(write, IfMatch=first) == GONE
    write(IfNoneMatch=first)


def test_a_refused_write_leaves_what_was_there(s3, key):
    assert refusal(s3.put_object, **key, Body=b"zar", IfMatch='"ABCORZ"') == FAILED
    assert refusal(complete, s3=s3, bucket=key["Bucket"], key="foo", IfNoneMatch="*") == FAILED
    assert refusal(s3.delete_object, **key, IfMatch='"ABCORZ"') == FAILED
    assert s3.get_object(**key)["Body"].read() == b"bar"


def test_a_delete_is_of_this_etag(s3, key):
    etag = s3.head_object(**key)["ETag"]
    s3.delete_object(**key, IfMatch=etag)
    assert refusal(s3.delete_object, **key, IfMatch=etag) == GONE
    s3.put_object(**key, Body=b"bar")
    told = s3.delete_objects(Bucket=key["Bucket"], Delete={"Objects": [{"Key": "foo", "ETag": '"ABCORZ"'}]})
    assert [(error["Key"], error["Code"]) for error in told["Errors"]] == [("foo", "PreconditionFailed")]
    told = s3.delete_objects(Bucket=key["Bucket"], Delete={"Objects": [{"Key": "foo", "ETag": etag}]})
    assert [deleted["Key"] for deleted in told["Deleted"]] == ["foo"]


@pytest.mark.parametrize("header", ["if-modified-since", "if-unmodified-since"])
def test_a_date_does_not_guard_a_write_and_is_not_ignored(http, bucket, header):
    guarded = {header: "Sat, 29 Oct 1994 19:43:31 GMT"}
    assert http.call("PUT", f"/{bucket}/foo", b"x", headers=guarded).outcome == (501, "NotImplemented")
    assert http.call("DELETE", f"/{bucket}/foo", headers=guarded).outcome == (501, "NotImplemented")


def race(count, attempt) -> list:
    """What so many threads get that do the same at once."""
    start, outcomes = threading.Barrier(count), []

    def run():
        start.wait()
        try:
            attempt()
            outcomes.append("won")
        except ClientError as lost:
            outcomes.append(lost.response["Error"]["Code"])

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_racing_creations_one_wins(s3, bucket):
    for number in range(5):
        key = {"Bucket": bucket, "Key": f"key-{number}"}
        outcomes = race(8, lambda key=key: s3.put_object(**key, Body=b"x" * 70_000, IfNoneMatch="*"))
        assert sorted(outcomes) == ["PreconditionFailed"] * 7 + ["won"]
    outcomes = race(4, lambda: complete(s3, bucket, "parts", IfNoneMatch="*"))
    assert sorted(outcomes) == ["PreconditionFailed"] * 3 + ["won"]


def test_of_racing_replacements_of_one_etag_one_wins(s3, key):
    etag = s3.head_object(**key)["ETag"]
    bodies = iter(range(100))
    outcomes = race(8, lambda: s3.put_object(**key, Body=b"%d" % next(bodies), IfMatch=etag))
    assert sorted(outcomes) == ["PreconditionFailed"] * 7 + ["won"]


@replays("test_copy_object_ifmatch_good", "test_copy_object_ifmatch_failed", "test_copy_object_ifnonematch_good",
         "test_copy_object_ifnonematch_failed")  # fmt: skip
def test_a_copy_is_of_the_source_that_is_meant(s3, key):
    source = {"CopySource": key, "Bucket": key["Bucket"], "Key": "copy"}
    etag = s3.head_object(**key)["ETag"]
    good = [{"CopySourceIfMatch": etag}, {"CopySourceIfNoneMatch": "ABCORZ"}, {"CopySourceIfModifiedSince": PAST},
            {"CopySourceIfUnmodifiedSince": FUTURE},
            {"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": PAST}]  # fmt: skip
    bad = [{"CopySourceIfMatch": "ABCORZ"}, {"CopySourceIfNoneMatch": etag}, {"CopySourceIfModifiedSince": FUTURE},
           {"CopySourceIfUnmodifiedSince": PAST},
           {"CopySourceIfNoneMatch": etag, "CopySourceIfModifiedSince": PAST}]  # fmt: skip
    for condition in bad:
        assert refusal(s3.copy_object, **source, **condition) == FAILED, condition
    assert refusal(s3.head_object, Bucket=key["Bucket"], Key="copy") == (404, "404")
    for condition in good:
        s3.copy_object(**source, **condition)
    assert s3.get_object(Bucket=key["Bucket"], Key="copy")["Body"].read() == b"bar"

    upload = {"Bucket": key["Bucket"], "Key": "parts"}
    upload |= {"UploadId": s3.create_multipart_upload(**upload)["UploadId"]}
    part = {"CopySource": key, "PartNumber": 1}
    for condition in bad:
        assert refusal(s3.upload_part_copy, **upload, **part, **condition) == FAILED, condition
    for condition in good:
        s3.upload_part_copy(**upload, **part, **condition)


def test_a_copy_replaces_what_its_condition_allows(s3, key):
    copy = {"CopySource": key, "Bucket": key["Bucket"], "Key": "copy"}
    s3.copy_object(**copy, IfNoneMatch="*")
    assert refusal(s3.copy_object, **copy, IfNoneMatch="*") == FAILED
    assert refusal(s3.copy_object, **copy, IfMatch="ABCORZ") == FAILED
    s3.copy_object(**copy, IfMatch="*")
