"""What programs that rely on versions and locks do, call by call."""

import datetime

import botocore.exceptions
import pytest

from support import inputs
from support.inputs import MIB


def refused(call, **given) -> str:
    """The code of the error that a call ends with."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**given)
    return error.value.response["Error"]["Code"]


def versions_of(s3, bucket):
    """Everything that a bucket keeps: its versions and its delete markers."""
    versions, markers = [], []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions += page.get("Versions", [])
        markers += page.get("DeleteMarkers", [])
    return versions, markers


def named(entries):
    return [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]


@pytest.fixture
def locked(s3, new_name):
    """A bucket with Object Lock."""
    name = new_name()
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def in_days(days):
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=days)


def test_all_versions_of_a_bucket_are_deleted_page_by_page(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(1200):
        s3.put_object(Bucket=bucket, Key=f"{number % 6}", Body=b"%d" % number)
    for number in range(6):
        s3.delete_object(Bucket=bucket, Key=f"{number}")
    assert refused(s3.delete_bucket, Bucket=bucket) == "BucketNotEmpty"
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = named(page.get("Versions", []) + page.get("DeleteMarkers", []))
        assert len(found) <= 1000
        done = s3.delete_objects(Bucket=bucket, Delete={"Objects": found})
        assert (len(done["Deleted"]), done.get("Errors")) == (len(found), None)
    assert versions_of(s3, bucket) == ([], [])
    s3.delete_bucket(Bucket=bucket)


def test_terraforms_calls_for_aws_s3_bucket_versioning(s3, bucket):
    """hashicorp/aws: create, wait until it is seen, read, update, delete (which suspends)."""

    def put(status):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status

    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    put("Enabled")
    s3.head_bucket(Bucket=bucket)
    assert refused(s3.get_object_lock_configuration, Bucket=bucket) == "ObjectLockConfigurationNotFoundError"
    put("Suspended")
    put("Enabled")
    put("Suspended")


def test_an_immutable_backup_is_extended_and_not_shortened(s3, locked):
    """What backup programs with immutability do: send in parts, then lock the version; later extend, or wait."""
    upload = s3.create_multipart_upload(Bucket=locked, Key="backup.vbk")["UploadId"]
    this = {"Bucket": locked, "Key": "backup.vbk"}
    parts = []
    for number, size in ((1, 6 * MIB), (2, 100_000)):
        body = inputs.noise(number, size)
        etag = s3.upload_part(**this, UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    made = s3.complete_multipart_upload(**this, UploadId=upload, MultipartUpload={"Parts": parts})
    version = {**this, "VersionId": made["VersionId"]}

    def retain(days, **more):
        retention = {"Mode": "COMPLIANCE", "RetainUntilDate": in_days(days)}
        return s3.put_object_retention(**version, Retention=retention, **more)

    retain(10)
    assert s3.get_object_retention(**version)["Retention"]["Mode"] == "COMPLIANCE"
    assert s3.head_object(**version)["ObjectLockRetainUntilDate"] > in_days(9)
    retain(20)
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        retain(5, BypassGovernanceRetention=True)
    assert refused(s3.delete_object, **version) == "AccessDenied"
    done = s3.delete_objects(Bucket=locked, Delete={"Objects": named([version])}, BypassGovernanceRetention=True)
    assert [error["Code"] for error in done["Errors"]] == ["AccessDenied"]
    # A delete that names no version removes nothing; its marker can go again.
    marker = s3.delete_object(**this)
    assert marker["DeleteMarker"]
    s3.delete_object(**this, VersionId=marker["VersionId"])
    assert s3.get_object(**this)["Body"].read() == inputs.noise(1, 6 * MIB) + inputs.noise(2, 100_000)


@pytest.mark.feature("folders", of="restic")
def test_restic_in_a_locked_bucket_loses_nothing(user, s3, locked, tmp_path):
    """`forget --prune` leaves delete markers, as on AWS; what it meant to delete stays, and comes back without them."""
    retention = {"Mode": "COMPLIANCE", "Days": 1}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    root = tmp_path / "tree"
    for name in ("a.bin", "deep/b.bin"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(inputs.noise(len(name), 3 * MIB))
    user.mirror_up(root, locked, "backups")
    kept = {name["VersionId"] for name in named(versions_of(s3, locked)[0]) if "/locks/" not in name["Key"]}
    user.restic(locked, "backups", "forget", "latest", "--prune")
    versions, markers = versions_of(s3, locked)
    assert kept <= {version["VersionId"] for version in versions}
    pack = next(version for version in versions if "/data/" in version["Key"])
    assert refused(s3.delete_object, Bucket=locked, **named([pack])[0]) == "AccessDenied"
    lost = [marker for marker in markers if "/locks/" not in marker["Key"]]
    assert any("/snapshots/" in marker["Key"] for marker in lost)
    s3.delete_objects(Bucket=locked, Delete={"Objects": named(lost)})
    user.mirror_down(locked, "backups", tmp_path / "back")
    assert inputs.tree_on_disk(tmp_path / "back") == inputs.tree_on_disk(root)
