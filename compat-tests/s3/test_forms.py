"""Uploads by POST form: what a policy allows is stored, and nothing else is."""

import base64
import datetime
import hashlib
import hmac
import json

import boto3
import pytest
import requests
from botocore.config import Config

from support import server
from support.replays import replays

MIB = 1 << 20


class Form:
    """A form as a site would make it, signed with Version 2; any piece of it may be changed before it is sent."""

    def __init__(self, endpoint: str, bucket: str):
        self.url = f"{endpoint}/{bucket}"
        self.conditions = [
            {"bucket": bucket},
            ["starts-with", "$key", "foo"],
            {"acl": "private"},
            ["starts-with", "$Content-Type", "text/plain"],
            ["content-length-range", 0, 1024],
        ]
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=6000)
        self.policy = {"expiration": later.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": self.conditions}
        self.fields = {"key": "foo.txt", "acl": "private", "Content-Type": "text/plain"}
        self.access_key, self.secret_key = server.ROOT.access_key, server.ROOT.secret_key
        self.file: tuple | bytes = b"bar"

    def signed(self) -> dict:
        policy = base64.b64encode(json.dumps(self.policy).encode())
        signature = base64.b64encode(hmac.new(self.secret_key.encode(), policy, hashlib.sha1).digest())
        return self.fields | {"AWSAccessKeyId": self.access_key, "signature": signature, "policy": policy}

    def send(self, fields: dict | None = None) -> requests.Response:
        fields = self.signed() if fields is None else fields
        # A field that is no file has no file name; requests would give it one that is the field's.
        parts = [(name, (None, value)) for name, value in fields.items()]
        file = self.file if isinstance(self.file, tuple) else ("file", self.file)
        return requests.post(self.url, files=[*parts, ("file", file)], timeout=60)


@pytest.fixture
def form(xetgate, bucket) -> Form:
    return Form(xetgate.endpoint, bucket)


@pytest.fixture
def stored(s3, bucket):
    """Answers what is stored under each key."""

    def look() -> dict[str, bytes]:
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}

    return look


@replays("test_post_object_authenticated_request")
def test_a_form_that_keeps_its_policy_is_stored(form, stored):
    assert form.send().status_code == 204
    assert stored() == {"foo.txt": b"bar"}


@replays("test_post_object_case_insensitive_condition_fields")
def test_names_of_fields_and_conditions_are_of_any_case(form, stored):
    bucket = form.conditions[0]["bucket"]
    form.conditions[:4] = [
        {"bUcKeT": bucket}, ["StArTs-WiTh", "$KeY", "foo"], {"AcL": "private"},
        ["StArTs-WiTh", "$CoNtEnT-TyPe", "text/plain"],
    ]  # fmt: skip
    fields = {{"key": "kEy", "acl": "aCl", "policy": "pOLICy"}.get(name, name): v for name, v in form.signed().items()}
    assert form.send(fields).status_code == 204
    assert stored() == {"foo.txt": b"bar"}


@replays("test_post_object_escaped_field_values")
def test_a_policy_may_escape_a_dollar(form, stored):
    form.conditions[1] = ["starts-with", "$key", r"\$foo"]
    form.fields["key"] = r"\$foo.txt"
    if server.in_front_of_a_hub():
        assert form.send().status_code == 400, "no Hub holds a key with a backslash"
        return
    assert form.send().status_code == 204
    assert stored() == {r"\$foo.txt": b"bar"}


@replays("test_post_object_set_key_from_filename")
def test_a_key_made_of_the_file_name_is_what_the_policy_is_held_to(form, stored):
    form.fields["key"], form.file = "${filename}", ("foo.txt", b"bar")
    assert form.send().status_code == 204
    form.file = ("other.txt", b"bar")
    assert form.send().status_code == 403
    assert stored() == {"foo.txt": b"bar"}


@replays("test_post_object_ignored_header")
def test_a_field_that_says_to_be_ignored_is(form, stored):
    form.fields["x-ignore-foo"] = "bar"
    assert form.send().status_code == 204
    assert stored() == {"foo.txt": b"bar"}


@replays("test_post_object_user_specified_header", "test_post_object_invalid_request_field_value",
         "test_post_object_request_missing_policy_specified_field",
         "test_post_object_missing_policy_condition")  # fmt: skip
def test_metadata_is_held_to_the_policy(form, s3, stored):
    bucket = form.conditions[0]["bucket"]
    form.conditions.append(["starts-with", "$x-amz-meta-foo", "bar"])
    assert form.send().status_code == 403, "a field that the policy names is missing"
    form.fields["x-amz-meta-foo"] = "clamp"
    assert form.send().status_code == 403
    form.fields["x-amz-meta-foo"] = "barclamp"
    assert form.send().status_code == 204
    assert s3.head_object(Bucket=bucket, Key="foo.txt")["Metadata"] == {"foo": "barclamp"}
    s3.delete_object(Bucket=bucket, Key="foo.txt")
    form.conditions[-1] = ["eq", "$x-amz-meta-foo", ""]
    assert form.send().status_code == 403
    del form.conditions[-1]
    del form.fields["x-amz-meta-foo"]
    del form.conditions[0]
    assert form.send().status_code == 403, "a field that no condition names"
    assert stored() == {}


@replays("test_post_object_upload_checksum")
def test_a_checksum_in_a_field_is_checked(form, stored):
    form.conditions[-1] = ["content-length-range", 0, 1 << 20]
    form.conditions.append(["starts-with", "$x-amz-checksum-sha256", ""])
    form.file = b"x" * 200_000
    form.fields["x-amz-checksum-sha256"] = base64.b64encode(hashlib.sha256(b"y").digest()).decode()
    assert form.send().status_code == 400
    assert stored() == {}
    form.fields["x-amz-checksum-sha256"] = base64.b64encode(hashlib.sha256(form.file).digest()).decode()
    assert form.send().status_code == 204
    assert stored() == {"foo.txt": form.file}


@replays("test_post_object_upload_larger_than_chunk", "test_post_object_upload_size_rgw_chunk_size_bug")
@pytest.mark.parametrize("size", [3 * MIB, 4 * MIB + 1])
def test_a_file_may_be_large(form, stored, size):
    form.conditions[-1] = ["content-length-range", 4, 5 * MIB]
    form.file = b"foo" * (size // 3)
    assert form.send().status_code == 204
    assert stored() == {"foo.txt": form.file}


@replays("test_post_object_upload_size_below_minimum", "test_post_object_upload_size_limit_exceeded")
@pytest.mark.parametrize("bounds", [(512, 1000), (0, 0), (4, 4), (2, 2)])
def test_a_file_of_another_length_than_allowed_is_refused(form, stored, bounds):
    form.conditions[-1] = ["content-length-range", *bounds]
    answer = form.send()
    assert answer.status_code == 400
    assert ("EntityTooSmall" in answer.text) == (bounds[0] > 3)
    assert ("EntityTooLarge" in answer.text) == (bounds[1] < 3)
    assert stored() == {}


def _expired(form):
    form.policy["expiration"] = "2020-01-01T00:00:00Z"


def _of_nobody(form):
    form.access_key = form.access_key[::-1]


def _signed_otherwise(form):
    form.secret_key = form.secret_key[::-1]


def _for_another_bucket(form):
    form.conditions[0] = {"bucket": "another"}


@replays("test_post_object_expired_policy", "test_post_object_invalid_access_key",
         "test_post_object_invalid_signature", "test_post_object_wrong_bucket")  # fmt: skip
@pytest.mark.parametrize("spoil", [_expired, _of_nobody, _signed_otherwise, _for_another_bucket])
def test_a_form_that_its_policy_or_signature_does_not_allow_is_refused(form, stored, spoil):
    spoil(form)
    assert form.send().status_code == 403
    assert stored() == {}


def _capital_conditions(form):
    form.policy["CONDITIONS"] = form.policy.pop("conditions")


def _capital_expiration(form):
    form.policy["EXPIRATION"] = form.policy.pop("expiration")


def _no_conditions(form):
    del form.policy["conditions"]


def _empty_condition(form):
    form.conditions[:] = [{}]


def _no_expiration(form):
    del form.policy["expiration"]


def _no_date(form):
    form.policy["expiration"] = form.policy["expiration"].replace("T", " ").replace("Z", "+00:00")


def _no_least_length(form):
    form.conditions[-1] = ["content-length-range", 0]


def _negative_length(form):
    form.conditions[-1] = ["content-length-range", -1, 0]


def _no_key(form):
    del form.fields["key"]
    del form.conditions[1]


@replays("test_post_object_condition_is_case_sensitive", "test_post_object_expires_is_case_sensitive",
         "test_post_object_missing_conditions_list", "test_post_object_empty_conditions",
         "test_post_object_missing_expires_condition", "test_post_object_invalid_date_format",
         "test_post_object_missing_content_length_argument", "test_post_object_invalid_content_length_argument",
         "test_post_object_no_key_specified")  # fmt: skip
@pytest.mark.parametrize("spoil", [
    _capital_conditions, _capital_expiration, _no_conditions, _empty_condition, _no_expiration, _no_date,
    _no_least_length, _negative_length, _no_key,
])  # fmt: skip
def test_a_policy_that_is_none_is_refused(form, stored, spoil):
    spoil(form)
    assert form.send().status_code == 400
    assert stored() == {}


@replays("test_post_object_missing_signature")
def test_a_policy_without_a_signature_is_refused(form, stored):
    fields = form.signed()
    del fields["signature"]
    assert form.send(fields).status_code == 400
    assert stored() == {}


def made_by_boto3(xetgate, version: str):
    """boto3 that signs with a version of the signature."""
    return boto3.client(
        "s3",
        endpoint_url=xetgate.endpoint,
        region_name=server.REGION,
        aws_access_key_id=server.ROOT.access_key,
        aws_secret_access_key=server.ROOT.secret_key,
        config=Config(signature_version=version),
    )


def test_a_form_that_boto3_makes_is_stored_with_either_version(xetgate, bucket, stored):
    for version in ("s3", "s3v4"):
        s3 = made_by_boto3(xetgate, version)
        made = s3.generate_presigned_post(bucket, version + "/${filename}")
        answer = requests.post(made["url"], data=made["fields"], files={"file": ("a.txt", b"bar")}, timeout=60)
        assert answer.status_code == 204, answer.text
    assert stored() == {"s3/a.txt": b"bar", "s3v4/a.txt": b"bar"}


def test_a_form_of_version_4_that_is_changed_is_refused(xetgate, bucket, stored):
    made = made_by_boto3(xetgate, "s3v4").generate_presigned_post(bucket, "foo.txt")
    changes = {"x-amz-date": made["fields"]["x-amz-date"][:8] + "T000000Z", "x-amz-signature": "0" * 64, "key": "bar.txt"}
    for name, value in changes.items():
        fields = made["fields"] | {name: value}
        assert requests.post(made["url"], data=fields, files={"file": b"bar"}, timeout=60).status_code == 403, name
    assert stored() == {}
