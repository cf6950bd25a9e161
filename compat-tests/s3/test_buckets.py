"""Buckets: names, creation and deletion, who may, and requests whose headers are not as they should be."""

import datetime
import email.utils

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.config import Config

from support import clients, server, sigv4
from support.refusals import refusal
from support.replays import replays


@replays("test_bucket_create_delete", "test_bucket_head", "test_bucket_head_notexist", "test_bucket_delete_notexist",
         "test_bucket_delete_nonempty", "test_bucket_create_exists", "test_bucket_recreate_not_overriding")  # fmt: skip
def test_a_bucket_is_made_kept_and_deleted_when_empty(s3, new_name):
    name = {"Bucket": new_name()}
    assert refusal(s3.head_bucket, **name) == (404, "404")
    assert refusal(s3.delete_bucket, **name) == (404, "NoSuchBucket")
    s3.create_bucket(**name)
    assert s3.head_bucket(**name)["BucketRegion"] == server.REGION
    s3.put_object(**name, Key="foo", Body=b"bar")
    s3.create_bucket(**name)  # As in AWS's us-east-1.
    assert s3.get_object(**name, Key="foo")["Body"].read() == b"bar"
    assert refusal(s3.delete_bucket, **name) == (409, "BucketNotEmpty")
    s3.delete_object(**name, Key="foo")
    s3.delete_bucket(**name)
    assert refusal(s3.delete_bucket, **name) == (404, "NoSuchBucket")
    assert refusal(s3.list_objects_v2, **name) == (404, "NoSuchBucket")


@replays("test_buckets_create_then_list", "test_buckets_list_ctime")
def test_the_buckets_of_an_account_are_listed_with_their_times(s3, new_name):
    names = {new_name() for _ in range(5)}
    for name in names:
        s3.create_bucket(Bucket=name)
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    listed = {bucket["Name"]: bucket["CreationDate"] for bucket in s3.list_buckets()["Buckets"]}
    assert names <= set(listed)
    assert all(now - day <= listed[name] <= now + day for name in names)


@replays("test_bucket_create_naming_good_contains_hyphen", "test_bucket_create_naming_good_contains_period",
         "test_bucket_create_naming_good_long_60", "test_bucket_create_naming_good_long_61",
         "test_bucket_create_naming_good_long_62", "test_bucket_create_naming_good_long_63",
         "test_bucket_create_naming_dns_long", "test_bucket_create_naming_good_starts_alpha",
         "test_bucket_create_naming_good_starts_digit")  # fmt: skip
@pytest.mark.parametrize("start", ["a{}", "0{}", "{}-aaa", "{}.111", "{:x<60}", "{:x<61}", "{:x<62}", "{:x<63}"])
def test_a_name_that_keeps_the_rules_is_taken(s3, new_name, start):
    name = start.format(new_name())
    s3.create_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)


@replays("test_bucket_create_naming_bad_ip", "test_bucket_create_naming_bad_short_one",
         "test_bucket_create_naming_bad_short_two", "test_bucket_create_naming_bad_starts_nonalpha",
         "test_bucket_create_naming_dns_dash_at_end", "test_bucket_create_naming_dns_dash_dot",
         "test_bucket_create_naming_dns_dot_dash", "test_bucket_create_naming_dns_dot_dot",
         "test_bucket_create_naming_dns_underscore")  # fmt: skip
@pytest.mark.parametrize(
    "name", ["a", "aa", "_foo", "192.168.5.123", "foo-", "foo_bar", "foo..bar", "foo.-bar", "foo-.bar", "x" * 64]
)
def test_a_name_that_breaks_a_rule_is_refused(http, name):
    assert http.call("PUT", f"/{name}").outcome == (400, "InvalidBucketName")


@replays("test_bucket_get_location")
def test_a_bucket_outside_of_us_east_1_tells_where_it_is(tmp_path):
    (tmp_path / "xetgate.toml").write_text('[s3]\nregion = "eu-west-1"\n')
    running = server.Server(tmp_path / "data", tmp_path / "log", "--config", str(tmp_path / "xetgate.toml")).start()
    try:
        s3 = boto3.client(
            "s3",
            endpoint_url=running.endpoint,
            region_name="eu-west-1",
            aws_access_key_id=server.ROOT.access_key,
            aws_secret_access_key=server.ROOT.secret_key,
        )
        s3.create_bucket(Bucket="there", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        assert s3.get_bucket_location(Bucket="there")["LocationConstraint"] == "eu-west-1"
        assert refusal(s3.create_bucket, Bucket="there") == (409, "BucketAlreadyOwnedByYou")
    finally:
        for process in (running, running.hub):
            if process:
                process.kill()


@replays("test_list_buckets_bad_auth", "test_list_buckets_invalid_auth")
def test_a_stranger_and_a_wrong_secret_are_turned_away(xetgate):
    stranger = server.Credentials("AKSTRANGER", server.ROOT.secret_key)
    wrong = server.Credentials(server.ROOT.access_key, "not/the+secret=of0this1key")
    refused = [clients.boto3_client(xetgate.endpoint, who).list_buckets for who in (stranger, wrong)]
    assert [refusal(call) for call in refused] == [(403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch")]


@replays("test_bucket_create_bad_authorization_none", "test_bucket_create_bad_authorization_empty",
         "test_object_create_bad_authorization_none", "test_object_create_bad_authorization_empty")  # fmt: skip
@pytest.mark.parametrize("headers", [{}, {"authorization": ""}])
def test_who_does_not_say_who_they_are_changes_nothing(http, bucket, new_name, headers):
    assert http.fetch("PUT", f"/{new_name()}", headers=headers).outcome == (403, "AccessDenied")
    assert http.fetch("PUT", f"/{bucket}/foo", b"bar", headers=headers).outcome == (403, "AccessDenied")


def signed_put(http, path, body=b"", **changed):
    """A put whose headers are changed after it was signed; `None` takes one out."""
    request = http.build("PUT", path, body)
    for name, value in changed.items():
        name = name.replace("_", "-")
        request.headers = {key: kept for key, kept in request.headers.items() if key.lower() != name}
        if value is not None:
            request.headers[name] = value
    return http.send(request)


@replays("test_bucket_create_bad_contentlength_empty", "test_bucket_create_bad_contentlength_negative",
         "test_bucket_create_bad_contentlength_none", "test_bucket_create_contentlength_none",
         "test_object_create_bad_contentlength_empty", "test_object_create_bad_contentlength_negative",
         "test_object_create_bad_contentlength_none")  # fmt: skip
def test_a_length_that_is_none_is_refused(http, bucket, new_name):
    for path, body in ((f"/{new_name()}", b""), (f"/{bucket}/foo", b"bar")):
        for bad in ("", "-1", "x"):
            assert signed_put(http, path, body, content_length=bad).status == 400, (path, bad)
    # Without a body, none is needed.
    assert signed_put(http, f"/{new_name()}", content_length=None).status == 200
    unlimited = signed_put(http, f"/{bucket}/foo", b"3\r\nbar\r\n0\r\n\r\n", content_length=None,
                           transfer_encoding="chunked")  # fmt: skip
    assert unlimited.outcome == (411, "MissingContentLength")


@replays("test_bucket_create_bad_expect_empty", "test_bucket_create_bad_expect_mismatch",
         "test_object_create_bad_expect_none", "test_object_create_bad_expect_empty",
         "test_object_create_bad_expect_mismatch", "test_100_continue_error_retry")  # fmt: skip
@pytest.mark.parametrize("expect", [None, "", "200", "100-continue"])
def test_an_expectation_of_anything_is_met(s3, http, bucket, new_name, expect):
    assert signed_put(http, f"/{bucket}/foo", b"bar", expect=expect).status in (100, 200)
    assert signed_put(http, f"/{new_name()}", expect=expect).status == 200
    assert refusal(s3.put_object, Bucket=new_name(), Key="foo", Body=b"bar") == (404, "NoSuchBucket")
    s3.put_object(Bucket=bucket, Key="foo", Body=b"bar")  # On the same connection.


@replays("test_object_create_bad_contenttype_none", "test_object_create_bad_contenttype_empty",
         "test_object_create_bad_contenttype_invalid")  # fmt: skip
def test_a_content_type_may_be_anything_or_nothing(s3, bucket):
    for sent, told in ((None, "binary/octet-stream"), ("", "binary/octet-stream"), ("text/plain", "text/plain")):
        more = {} if sent is None else {"ContentType": sent}
        s3.put_object(Bucket=bucket, Key="foo", Body=b"bar", **more)
        assert s3.head_object(Bucket=bucket, Key="foo")["ContentType"] == told


@replays("test_object_create_bad_md5_none", "test_object_create_bad_md5_empty", "test_object_create_bad_md5_bad",
         "test_object_create_bad_md5_invalid_short")  # fmt: skip
def test_a_content_md5_must_be_one_and_be_right(http, bucket):
    def put(md5):
        return http.call("PUT", f"/{bucket}/foo", b"bar", headers={"content-md5": md5}).outcome

    assert put("rL0Y20xC+Fzt72VPzMSk2A==") == (400, "BadDigest")
    assert put("") == put("YWJyYWNhZGFicmE=") == (400, "InvalidDigest")
    assert put("N7UdGUp1E+RbVvZSTy1R8g==") == (200, None)
    assert http.call("PUT", f"/{bucket}/foo", b"bar").status == 200


def test_a_date_beside_the_signed_one_is_ignored(http, bucket):
    for date in ("", email.utils.formatdate(usegmt=True), "Sat, 29 Oct 1994 19:43:31 GMT"):
        assert signed_put(http, f"/{bucket}/foo", b"bar", date=date).status == 200


@replays("test_object_create_amz_date_and_no_date", "test_object_create_date_and_amz_date")
def test_a_signature_may_be_dated_by_date_alone(s3, bucket):
    # botocore then leaves the other date out.
    def dated(params, **_):
        params["headers"]["Date"] = email.utils.formatdate(usegmt=True)

    s3.meta.events.register("before-call.s3.PutObject", dated)
    try:
        s3.put_object(Bucket=bucket, Key="foo", Body=b"bar")
    finally:
        s3.meta.events.unregister("before-call.s3.PutObject", dated)
    assert s3.get_object(Bucket=bucket, Key="foo")["Body"].read() == b"bar"


@replays("test_object_write_with_chunked_transfer_encoding")
def test_a_body_that_tells_its_decoded_length_may_come_in_any_coding(http, bucket):
    told = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "3",
            "x-amz-trailer": "x-amz-checksum-crc32"}  # fmt: skip
    request = http.build("PUT", f"/{bucket}/foo", headers=told, payload_hash=sigv4.UNSIGNED_TRAILER)
    del request.headers["content-length"]
    request.headers["transfer-encoding"] = "chunked"
    framed = sigv4.frame_unsigned([b"bar", b""], f"x-amz-checksum-crc32:{sigv4.checksum('crc32', b'bar')}")
    request.body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(framed), framed)
    assert http.send(request).status == 200
    assert http.call("GET", f"/{bucket}/foo").body == b"bar"


@replays("test_object_raw_put_authenticated_expired")
def test_a_presigned_put_that_has_expired_changes_nothing(s3, bucket):
    key = {"Bucket": bucket, "Key": "foo"}
    s3.put_object(**key, Body=b"old")
    v4 = boto3.client(
        "s3",
        endpoint_url=s3.meta.endpoint_url,
        region_name=server.REGION,
        aws_access_key_id=server.ROOT.access_key,
        aws_secret_access_key=server.ROOT.secret_key,
        config=Config(signature_version="s3v4"),
    )
    for client in (s3, v4):
        url = client.generate_presigned_url("put_object", Params=key, ExpiresIn=-1000)
        assert requests.put(url, data=b"foo").status_code == 403
    assert s3.get_object(**key)["Body"].read() == b"old"


def test_the_order_of_errors_is_signature_bucket_arguments(http, xetgate, bucket, new_name):
    none = new_name()
    wrong = http.signer(who=server.Credentials(server.ROOT.access_key, "not/the+secret=of0this1key"))
    bad = {"query": {"max-keys": "x"}}
    assert http.call("GET", f"/{none}", signer=wrong, **bad).outcome == (403, "SignatureDoesNotMatch")
    assert http.call("GET", f"/{none}", **bad).outcome == (404, "NoSuchBucket")
    assert http.call("GET", f"/{bucket}", **bad).outcome == (400, "InvalidArgument")
    refused = {"x-amz-server-side-encryption": "AES256"}
    assert http.call("PUT", f"/{none}/foo", headers=refused).outcome == (404, "NoSuchBucket")
    assert http.call("PUT", f"/{bucket}/foo", headers=refused).outcome == (501, "NotImplemented")
    source = {"x-amz-copy-source": "malformed"}
    assert http.call("PUT", f"/{none}/foo", headers=source).outcome == (404, "NoSuchBucket")
    assert http.call("PUT", f"/{bucket}/foo", headers=source).outcome == (400, "InvalidArgument")
    nobody = boto3.client("s3", endpoint_url=xetgate.endpoint, region_name=server.REGION,
                          config=Config(signature_version=UNSIGNED))  # fmt: skip
    assert refusal(nobody.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")


@replays("test_object_lock_get_obj_lock_invalid_bucket", "test_object_lock_get_obj_retention_invalid_bucket",
         "test_object_lock_get_legal_hold_invalid_bucket", "test_object_lock_put_obj_retention_invalid_bucket",
         "test_object_lock_put_legal_hold_invalid_bucket")  # fmt: skip
def test_a_bucket_without_object_lock_says_so(s3, bucket):
    foo = {"Bucket": bucket, "Key": "foo"}
    s3.put_object(**foo, Body=b"bar")
    unknown = refusal(s3.get_object_lock_configuration, Bucket=bucket)
    assert unknown == (404, "ObjectLockConfigurationNotFoundError")
    until = {"Mode": "GOVERNANCE", "RetainUntilDate": datetime.datetime(2035, 1, 1, tzinfo=datetime.UTC)}
    none = (400, "InvalidRequest")
    # A Hub keeps no locks at all, which is said by name.
    cannot = (501, "NotImplemented") if server.in_front_of_a_hub() else none
    assert refusal(s3.put_object_retention, **foo, Retention=until) == cannot
    assert refusal(s3.get_object_retention, **foo) == none
    assert refusal(s3.put_object_legal_hold, **foo, LegalHold={"Status": "ON"}) == cannot
    assert refusal(s3.get_object_legal_hold, **foo) == none
