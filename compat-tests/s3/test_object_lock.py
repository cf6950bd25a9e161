"""Versions that may not be deleted. A Hub keeps no versions: in front of one, object lock is refused by name."""

import datetime

import pytest

from support.refusals import refusal
from support.replays import replays

pytestmark = pytest.mark.hub_refuses("NotImplemented")

DENIED = (403, "AccessDenied")
MALFORMED = (400, "MalformedXML")
STATE = (409, "InvalidBucketState")
NO_LOCK = (400, "InvalidRequest")


def at(day: int) -> datetime.datetime:
    return datetime.datetime(2130, 1, day, tzinfo=datetime.UTC)


def rule(enabled="Enabled", **retention) -> dict:
    return {"ObjectLockEnabled": enabled, "Rule": {"DefaultRetention": retention}}


def locked(s3, new_name) -> str:
    bucket = new_name()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return bucket


def put(s3, bucket, key="k", **lock) -> dict:
    """Writes a version; answers the arguments that name it."""
    return {"Bucket": bucket, "Key": key, "VersionId": s3.put_object(Bucket=bucket, Key=key, Body=b"abc", **lock)["VersionId"]}


@replays("test_object_lock_put_obj_lock", "test_object_lock_get_obj_lock", "test_object_lock_suspend_versioning",
         "test_object_lock_put_obj_lock_with_days_and_years", "test_object_lock_put_obj_lock_invalid_days",
         "test_object_lock_put_obj_lock_invalid_years", "test_object_lock_put_obj_lock_invalid_mode",
         "test_object_lock_put_obj_lock_invalid_status")  # fmt: skip
def test_a_buckets_lock_has_a_default(s3, new_name):
    bucket = locked(s3, new_name)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    suspended = {"Status": "Suspended"}
    assert refusal(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=suspended) == STATE
    for good in (rule(Mode="GOVERNANCE", Days=1), rule(Mode="COMPLIANCE", Years=1), {"ObjectLockEnabled": "Enabled"}):
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=good)
        assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == good
    for bad, why in (
        (rule(Mode="GOVERNANCE", Days=1, Years=1), MALFORMED),
        (rule(Mode="GOVERNANCE", Days=0), (400, "InvalidRetentionPeriod")),
        (rule(Mode="GOVERNANCE", Years=-1), (400, "InvalidRetentionPeriod")),
        (rule(Mode="abc", Years=1), MALFORMED),
        (rule(Mode="governance", Years=1), MALFORMED),
        (rule("Disabled", Mode="GOVERNANCE", Years=1), MALFORMED),
    ):
        assert refusal(s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=bad) == why


@replays("test_object_lock_put_obj_lock_invalid_bucket", "test_object_lock_put_obj_lock_enable_after_create")
def test_a_bucket_that_keeps_versions_is_given_a_lock(s3, bucket):
    given = {"Bucket": bucket, "ObjectLockConfiguration": rule(Mode="GOVERNANCE", Days=1)}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert refusal(s3.put_object_lock_configuration, **given) == STATE
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": at(1)}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for call, arguments in (
        (s3.put_object_retention, {"Retention": retention}),
        (s3.get_object_retention, {}),
        (s3.put_object_legal_hold, {"LegalHold": {"Status": "ON"}}),
        (s3.get_object_legal_hold, {}),
    ):
        assert refusal(call, Bucket=bucket, Key="k", **arguments) == NO_LOCK
    s3.put_object_lock_configuration(**given)
    assert put(s3, bucket)["VersionId"]


@replays("test_object_lock_put_obj_retention", "test_object_lock_get_obj_retention",
         "test_object_lock_get_obj_retention_iso8601", "test_object_lock_put_obj_retention_versionid",
         "test_object_lock_put_obj_retention_override_default_retention",
         "test_object_lock_put_obj_retention_increase_period", "test_object_lock_put_obj_retention_shorten_period",
         "test_object_lock_put_obj_retention_shorten_period_bypass",
         "test_object_lock_put_obj_retention_invalid_mode")  # fmt: skip
def test_a_retention_grows_and_shrinks_by_a_bypass_only(s3, new_name):
    bucket = locked(s3, new_name)
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=rule(Mode="GOVERNANCE", Days=1))
    version = put(s3, bucket)

    def retain(day, mode="GOVERNANCE", **bypass):
        s3.put_object_retention(**version, Retention={"Mode": mode, "RetainUntilDate": at(day)}, **bypass)
        assert s3.get_object_retention(**version)["Retention"] == {"Mode": mode, "RetainUntilDate": at(day)}

    retain(1)
    retain(3)
    for bad in ("governance", "abc"):
        asked = {"Mode": bad, "RetainUntilDate": at(4)}
        assert refusal(s3.put_object_retention, **version, Retention=asked) == MALFORMED
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": at(2)}
    assert refusal(s3.put_object_retention, **version, Retention=shorter) == DENIED
    retain(2, BypassGovernanceRetention=True)
    head = s3.head_object(**version)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", at(2))
    assert refusal(s3.delete_object, **version) == DENIED
    s3.delete_object(**version, BypassGovernanceRetention=True)


@replays("test_object_lock_changing_mode_from_governance_with_bypass",
         "test_object_lock_changing_mode_from_governance_without_bypass",
         "test_object_lock_changing_mode_from_compliance")  # fmt: skip
def test_the_mode_changes_by_a_bypass_and_compliance_never(s3, new_name):
    version = put(s3, locked(s3, new_name), ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=at(1))
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    compliance = {"Mode": "COMPLIANCE", "RetainUntilDate": soon}
    assert refusal(s3.put_object_retention, **version, Retention=compliance) == DENIED
    s3.put_object_retention(**version, Retention=compliance, BypassGovernanceRetention=True)
    back = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": soon}, "BypassGovernanceRetention": True}
    assert refusal(s3.put_object_retention, **version, **back) == DENIED
    assert refusal(s3.delete_object, **version, BypassGovernanceRetention=True) == DENIED


@replays("test_object_lock_delete_object_with_retention", "test_object_lock_delete_object_with_retention_and_marker",
         "test_object_lock_multi_delete_object_with_retention", "test_object_lock_uploading_obj",
         "test_object_lock_delete_multipart_object_with_retention",
         "test_object_lock_delete_multipart_object_with_legal_hold_on")  # fmt: skip
def test_what_is_retained_stays_however_it_was_written(s3, new_name):
    bucket = locked(s3, new_name)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": at(1)}
    written = put(s3, bucket, **lock)
    begun = s3.create_multipart_upload(Bucket=bucket, Key="parts", ObjectLockLegalHoldStatus="ON", **lock)
    named = {"Bucket": bucket, "Key": "parts", "UploadId": begun["UploadId"]}
    etag = s3.upload_part(**named, PartNumber=1, Body=b"abc")["ETag"]
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    joined = {"Bucket": bucket, "Key": "parts", "VersionId": done["VersionId"]}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"}, **lock)
    copied = {"Bucket": bucket, "Key": "copy", "VersionId": copied["VersionId"]}
    free = put(s3, bucket, "free")
    marker = s3.delete_object(Bucket=bucket, Key="k")
    for version in (written, joined, copied):
        assert refusal(s3.delete_object, **version) == DENIED
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    several = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in (written, free)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": several})
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [("k", "AccessDenied")]
    assert [one["Key"] for one in answer["Deleted"]] == ["free"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": several[:1]}, BypassGovernanceRetention=True)
    assert not answer.get("Errors")
    assert refusal(s3.delete_object, **joined, BypassGovernanceRetention=True) == DENIED
    s3.put_object_legal_hold(**joined, LegalHold={"Status": "OFF"})
    for version in (joined, copied):
        s3.delete_object(**version, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=bucket)


@replays("test_object_lock_put_legal_hold", "test_object_lock_get_legal_hold",
         "test_object_lock_put_legal_hold_invalid_status", "test_object_lock_delete_object_with_legal_hold_on",
         "test_object_lock_delete_object_with_legal_hold_off", "test_object_lock_get_obj_metadata")  # fmt: skip
def test_a_legal_hold_holds_until_it_is_lifted(s3, new_name):
    version = put(s3, locked(s3, new_name))
    for status in ("ON", "OFF", "ON"):
        s3.put_object_legal_hold(**version, LegalHold={"Status": status})
        assert s3.get_object_legal_hold(**version)["LegalHold"] == {"Status": status}
    assert s3.head_object(**version)["ObjectLockLegalHoldStatus"] == "ON"
    assert refusal(s3.put_object_legal_hold, **version, LegalHold={"Status": "abc"}) == MALFORMED
    assert refusal(s3.delete_object, **version) == DENIED
    assert refusal(s3.delete_object, **version, BypassGovernanceRetention=True) == DENIED
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    s3.delete_object(**version)
