"""Lifecycle rules. A Hub has none: in front of one, they are refused by name."""

import datetime
import re
import time

import pytest
from botocore.exceptions import ClientError

from support import clients, server
from support.refusals import refusal
from support.replays import replays

pytestmark = pytest.mark.hub_refuses("NotImplemented")

# How long a day is where tests wait for rules.
DAY_SECS = 2


@pytest.fixture(scope="module")
def aging(tmp_path_factory):
    """boto3 at a server with short days, which follows rules all the time."""
    base = tmp_path_factory.mktemp("aging")
    config = f"[lifecycle]\ninterval_secs = 1\ndebug_day_secs = {DAY_SECS}\n"
    (base / "xetgate.toml").write_text(config)
    more = ("--config", str(base / "xetgate.toml"))
    running = server.Server(base / "data", base / "log", *more).start()
    yield clients.boto3_client(running.endpoint, server.ROOT)
    running.stop()
    if running.hub:
        running.hub.stop()


@pytest.fixture
def made(aging, new_name):
    """Answers a new bucket there, with versions or without."""

    def made(versioned: bool = False) -> str:
        name = new_name()
        aging.create_bucket(Bucket=name)
        if versioned:
            aging.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    return made


def rule(id: str, prefix: str | None = None, /, **more) -> dict:
    place = {"Filter": {}} if prefix is None else {"Prefix": prefix}
    return {"ID": id, "Status": "Enabled", **place, **more}


def set_rules(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def days(count: int) -> dict:
    return {"Expiration": {"Days": count}}


def until(holds, secs: float = 30):
    """Waits until something holds, which has some days' time."""
    end = time.monotonic() + secs
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def keys(s3, bucket) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def versions(s3, bucket) -> tuple[int, int]:
    """How many versions and how many delete markers there are."""
    page = s3.list_object_versions(Bucket=bucket)
    return len(page.get("Versions", [])), len(page.get("DeleteMarkers", []))


def fill(s3, bucket, *names, **more):
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"x", **more)


@replays(
    "test_lifecycle_set",
    "test_lifecycle_get",
    "test_lifecycle_delete",
    "test_lifecycle_set_noncurrent",
    "test_lifecycle_set_deletemarker",
    "test_lifecycle_set_filter",
    "test_lifecycle_set_empty_filter",
    "test_lifecycle_set_multipart",
    "test_lifecycle_set_date",
)
def test_rules_come_back_as_they_were_given(s3, bucket):
    missing = (404, "NoSuchLifecycleConfiguration")
    assert refusal(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == missing
    midnight = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    rules = [
        rule("days", "a/", **days(31)),
        rule("off", "b/", **days(120)) | {"Status": "Disabled"},
        rule("date", Expiration={"Date": midnight}) | {"Filter": {"Prefix": "c/"}},
        rule("markers", Expiration={"ExpiredObjectDeleteMarker": True}),
        rule("old", NoncurrentVersionExpiration={"NoncurrentDays": 2, "NewerNoncurrentVersions": 5}),
        rule("abort", "d/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}),
    ]
    set_rules(s3, bucket, *rules)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    for _ in range(2):
        answer = s3.delete_bucket_lifecycle(Bucket=bucket)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert refusal(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == missing


@replays("test_lifecycle_get_no_id")
def test_a_rule_without_a_name_is_given_one(s3, bucket):
    rules = [{"Status": "Enabled", "Prefix": prefix, **days(1)} for prefix in ("a/", "b/")]
    set_rules(s3, bucket, *rules)
    got = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert len({rule["ID"] for rule in got}) == 2
    assert [{name: rule[name] for name in rule if name != "ID"} for rule in got] == rules


@replays(
    "test_lifecycle_id_too_long",
    "test_lifecycle_same_id",
    "test_lifecycle_invalid_status",
    "test_lifecycle_set_invalid_date",
    "test_lifecycle_expiration_days0",
    "test_lifecycle_transition_set_invalid_date",
)
def test_rules_that_cannot_be_are_refused(s3, bucket):
    def refused(*rules):
        return refusal(
            s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}
        )

    evening = {"Date": datetime.datetime(2030, 1, 1, 19, tzinfo=datetime.timezone.utc)}
    assert refused(rule("i" * 256, "", **days(1))) == (400, "InvalidArgument")
    assert refused(rule("a", "", **days(1)), rule("a", "b", **days(1))) == (400, "InvalidArgument")
    assert refused(rule("a", "", **days(1)) | {"Status": "enabled"}) == (400, "MalformedXML")
    assert refused(rule("a", "", Expiration=evening)) == (400, "InvalidArgument")
    assert refused(rule("a", "", **days(0))) == (400, "InvalidArgument")
    cold = {"StorageClass": "GLACIER"}
    assert refused(rule("a", "", Transitions=[cold | {"Days": 30}])) == (501, "NotImplemented")
    assert refused(rule("a", "", **days(90), Transitions=[cold | evening])) == (400, "InvalidArgument")
    set_rules(s3, bucket, rule("a", "", **days(1)))


@replays(
    "test_lifecycle_expiration_header_put",
    "test_lifecycle_expiration_header_head",
    "test_lifecycle_expiration_header_tags_head",
    "test_lifecycle_expiration_header_and_tags_head",
)
def test_answers_say_when_an_object_expires(s3, bucket):
    def told(answer) -> tuple | None:
        text = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-expiration")
        if text is None:
            return None
        date, name = re.fullmatch(r'expiry-date="(.+)", rule-id="(.+)"', text).groups()
        at = datetime.datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")
        return (at - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).days, name

    set_rules(s3, bucket, rule("days", "a/", **days(1)))
    assert told(s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")) == (1, "days")
    for read in (s3.head_object, s3.get_object):
        assert told(read(Bucket=bucket, Key="a/k")) == (1, "days")
    fill(s3, bucket, "k", Tagging="t=1&u=2")
    assert told(s3.head_object(Bucket=bucket, Key="k")) is None
    tag = {"Key": "t", "Value": "1"}
    set_rules(s3, bucket, rule("tag", **days(1)) | {"Filter": {"Tag": tag}})
    assert told(s3.head_object(Bucket=bucket, Key="k")) == (1, "tag")
    both = {"And": {"Tags": [tag, {"Key": "u", "Value": "3"}]}}
    set_rules(s3, bucket, rule("both", **days(1)) | {"Filter": both})
    assert told(s3.head_object(Bucket=bucket, Key="k")) is None


@replays("test_lifecycle_expiration", "test_lifecyclev2_expiration", "test_lifecycle_expiration_date")
def test_objects_expire_with_their_days_and_dates(aging, made):
    bucket = made()
    fill(aging, bucket, "soon/1", "soon/2", "later/1", "past/1", "future/1", "kept")
    dates = [{"Expiration": {"Date": date}} for date in ("2015-01-01", "2030-01-01")]
    rules = [rule("soon", "soon/", **days(1)), rule("later", "later/", **days(5))]
    set_rules(aging, bucket, *rules, rule("past", "past/", **dates[0]), rule("future", "future/", **dates[1]))
    until(lambda: keys(aging, bucket) == ["future/1", "kept", "later/1"])
    until(lambda: keys(aging, bucket) == ["future/1", "kept"])


@replays(
    "test_lifecycle_expiration_tags1",
    "test_lifecycle_expiration_tags2",
    "test_lifecycle_expiration_versioned_tags2",
    "test_lifecycle_expiration_size_gt",
    "test_lifecycle_expiration_size_lt",
)
@pytest.mark.parametrize("versioned", [False, True])
def test_a_filter_means_all_its_conditions(aging, made, versioned):
    bucket = made(versioned)
    tag = {"Key": "t", "Value": "1"}
    fill(aging, bucket, "d/tagged", "other", Tagging="t=1")
    fill(aging, bucket, "d/both", Tagging="t=1&u=2")
    fill(aging, bucket, "d/none")
    aging.put_object(Bucket=bucket, Key="large", Body=bytes(3000))
    beside = {"Prefix": "d/", "Tag": tag, "And": {"Prefix": "d", "Tags": [{"Key": "u", "Value": "2"}]}}
    set_rules(
        aging,
        bucket,
        rule("tags", **days(1)) | {"Filter": beside},
        rule("larger", **days(1)) | {"Filter": {"Prefix": "", "ObjectSizeGreaterThan": 2000}},
        rule("smaller", **days(1)) | {"Filter": {"Prefix": "oth", "ObjectSizeLessThan": 2000}},
    )
    until(lambda: keys(aging, bucket) == ["d/none", "d/tagged"])
    assert versions(aging, bucket) == ((5, 3) if versioned else (2, 0))


@replays(
    "test_lifecycle_expiration_versioning_enabled",
    "test_lifecycle_noncur_expiration",
    "test_lifecycle_expiration_noncur_tags1",
    "test_lifecycle_expiration_newer_noncurrent",
)
def test_versions_expire_when_they_are_no_longer_current(aging, made):
    hidden, aged, numbered = made(True), made(True), made(True)
    for bucket, count in ((hidden, 1), (aged, 4), (numbered, 8)):
        fill(aging, bucket, *(["k"] * count), Tagging="t=1")
    aging.delete_object(Bucket=hidden, Key="k")
    set_rules(aging, hidden, rule("current", "", **days(1)))
    old = {"NoncurrentVersionExpiration": {"NoncurrentDays": 3}}
    tagged = {"Filter": {"Prefix": "", "Tag": {"Key": "t", "Value": "1"}}}
    set_rules(aging, aged, rule("old", **old) | tagged)
    newer = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 5}}
    set_rules(aging, numbered, rule("newer", **newer))
    until(lambda: versions(aging, numbered) == (6, 0))
    assert versions(aging, aged) == (4, 0)
    until(lambda: versions(aging, aged) == (1, 0))
    assert versions(aging, hidden) == (1, 1), "a version behind a marker is not current"


@replays(
    "test_lifecycle_deletemarker_expiration",
    "test_lifecycle_deletemarker_expiration_with_days_tag",
)
def test_a_marker_that_is_left_alone_goes(aging, made):
    old = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    at_once, with_days = made(True), made(True)
    for bucket in (at_once, with_days):
        for name in ("a/k", "b/k"):
            fill(aging, bucket, name)
            aging.delete_object(Bucket=bucket, Key=name)
    set_rules(aging, at_once, rule("all", "a/", Expiration={"ExpiredObjectDeleteMarker": True}, **old))
    set_rules(aging, with_days, rule("all", "a/", **days(5), **old))
    until(lambda: versions(aging, at_once) == (1, 1))
    until(lambda: versions(aging, with_days) == (1, 2), secs=4 * DAY_SECS)
    until(lambda: versions(aging, with_days) == (1, 1))


@replays("test_lifecycle_multipart_expiration")
def test_an_upload_that_is_not_completed_is_aborted(aging, made):
    bucket = made()
    abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    for key in ("a/k", "b/k"):
        aging.create_multipart_upload(Bucket=bucket, Key=key)
    set_rules(aging, bucket, rule("abort", "a/", **abort))
    begun = aging.create_multipart_upload(Bucket=bucket, Key="a/k")
    assert begun["AbortRuleId"] == "abort"

    def running():
        return [upload["Key"] for upload in aging.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    until(lambda: running() == ["b/k"])
    with pytest.raises(ClientError, match="NoSuchUpload"):
        aging.list_parts(Bucket=bucket, Key="a/k", UploadId=begun["UploadId"])
