"""Buckets that keep versions. A Hub keeps none: in front of one, versioning is refused by name."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.refusals import refusal
from support.replays import replays

pytestmark = pytest.mark.hub_refuses("NotImplemented")

PART = 5 << 20


def switch(s3, bucket, status):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status, "MFADelete": "Disabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def put(s3, bucket, key, *bodies) -> list[str]:
    """Writes one after the other; answers their versions."""
    return [s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"] for body in bodies]


def read(s3, bucket, key, version=None) -> bytes:
    named = {"VersionId": version} if version else {}
    return s3.get_object(Bucket=bucket, Key=key, **named)["Body"].read()


def listed(s3, bucket, **query) -> tuple[list, list]:
    """Versions and delete markers, as they are listed."""
    page = s3.list_object_versions(Bucket=bucket, **query)
    return page.get("Versions", []), page.get("DeleteMarkers", [])


def ids(entries) -> list[str]:
    return [entry["VersionId"] for entry in entries]


def upload(s3, bucket, key, parts) -> dict:
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key)
    named = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}
    numbered = list(enumerate(parts, 1))
    done = [{"PartNumber": n, "ETag": s3.upload_part(**named, PartNumber=n, Body=body)["ETag"]} for n, body in numbered]
    return s3.complete_multipart_upload(**named, MultipartUpload={"Parts": done})


def noise(seed: str, size: int) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size)


@replays("test_versioning_bucket_create_suspend")
def test_versioning_is_enabled_and_suspended(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Suspended", "Enabled", "Enabled", "Suspended"):
        switch(s3, bucket, status)
    refused = {"Status": "Enabled", "MFADelete": "Enabled"}
    assert refusal(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=refused) == (501, "NotImplemented")


@replays("test_versioning_obj_create_read_remove", "test_versioning_obj_create_versions_remove_all",
         "test_versioning_obj_create_versions_remove_special_names")  # fmt: skip
@pytest.mark.parametrize("key", ["k", "_k", "_", ":", " "])
def test_every_version_is_read_and_removed(s3, bucket, key):
    switch(s3, bucket, "Enabled")
    for order in (lambda left: 0, lambda left: -1, lambda left: len(left) // 2):
        bodies = {version: body for body in (b"1", b"22", b"333", b"4444") for version in put(s3, bucket, key, body)}
        while bodies:
            assert ids(listed(s3, bucket)[0]) == list(bodies)[::-1]
            for version, body in bodies.items():
                assert read(s3, bucket, key, version) == body
            assert read(s3, bucket, key) == list(bodies.values())[-1]
            gone = list(bodies)[order(list(bodies))]
            assert s3.delete_object(Bucket=bucket, Key=key, VersionId=gone)["VersionId"] == gone
            del bodies[gone]
    assert listed(s3, bucket) == ([], [])
    s3.delete_bucket(Bucket=bucket)


@replays("test_versioning_obj_create_read_remove_head", "test_versioning_stack_delete_merkers",
         "test_delete_marker_versioned")  # fmt: skip
def test_delete_markers_hide_and_stack(s3, bucket):
    assert "DeleteMarker" not in s3.delete_object(Bucket=bucket, Key="never")
    switch(s3, bucket, "Enabled")
    first, second = put(s3, bucket, "k", b"first", b"second")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert read(s3, bucket, "k") == b"first"
    markers = [s3.delete_object(Bucket=bucket, Key="k") for _ in range(3)]
    assert all(marker["DeleteMarker"] for marker in markers)
    versions, listed_markers = listed(s3, bucket)
    assert ids(versions) == [first]
    assert ids(listed_markers) == ids(markers)[::-1]
    assert [marker["IsLatest"] for marker in listed_markers] == [True, False, False]
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    named = {"Bucket": bucket, "Key": "k", "VersionId": markers[0]["VersionId"]}
    assert refusal(s3.get_object, **named) == (405, "MethodNotAllowed")
    assert refusal(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    for marker in markers:
        assert s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])["DeleteMarker"]
    assert read(s3, bucket, "k") == b"first"


@replays("test_versioning_obj_plain_null_version_removal", "test_versioning_obj_plain_null_version_overwrite",
         "test_versioning_obj_plain_null_version_overwrite_suspended", "test_versioning_obj_suspend_versions",
         "test_versioning_obj_suspended_copy", "test_delete_marker_suspended")  # fmt: skip
def test_the_version_without_an_id_is_replaced_while_suspended(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    switch(s3, bucket, "Enabled")
    [kept] = put(s3, bucket, "k", b"kept")
    assert read(s3, bucket, "k", "null") == b"before"
    switch(s3, bucket, "Suspended")
    s3.put_object(Bucket=bucket, Key="k", Body=b"null one")
    s3.put_object(Bucket=bucket, Key="k", Body=b"null two")
    assert ids(listed(s3, bucket)[0]) == ["null", kept]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] and marker["VersionId"] == "null"
    s3.delete_object(Bucket=bucket, Key="k")
    versions, markers = listed(s3, bucket, Prefix="k")
    assert (ids(versions), ids(markers)) == ([kept], ["null"])
    assert read(s3, bucket, "copy") == b"null two"
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert read(s3, bucket, "k") == b"kept"


@replays("test_versioning_obj_list_marker", "test_bucket_list_return_data_versioning")
def test_versions_are_listed_in_pages_of_any_size(s3, bucket):
    switch(s3, bucket, "Enabled")
    made = {key: put(s3, bucket, key, b"1", b"22", b"333")[::-1] for key in ("a", "a-1", "b/1", "b/2", "c")}
    expected = [(key, version) for key, versions in made.items() for version in versions]
    for size in (1, 2, 4, 1000):
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [(entry["Key"], entry["VersionId"]) for page in pages for entry in page["Versions"]] == expected
    newest = listed(s3, bucket)[0][0]
    head = s3.head_object(Bucket=bucket, Key="a")
    for of_list, of_head in (("ETag", "ETag"), ("Size", "ContentLength"), ("LastModified", "LastModified"),
                             ("VersionId", "VersionId")):  # fmt: skip
        assert newest[of_list] == head[of_head]
    assert newest["IsLatest"] and newest["Owner"]["ID"]
    rolled = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [prefix["Prefix"] for prefix in rolled["CommonPrefixes"]] == ["b/"]
    assert len(rolled["Versions"]) == 9


@replays("test_versioning_copy_obj_version", "test_object_copy_versioned_bucket",
         "test_object_copy_versioned_url_encoding")  # fmt: skip
@pytest.mark.parametrize("key", ["k", "?+ ü/k"])
def test_a_version_is_copied(s3, bucket, new_name, key):
    switch(s3, bucket, "Enabled")
    other = new_name()
    s3.create_bucket(Bucket=other)
    versions = put(s3, bucket, key, b"one", b"two")
    for version, body in zip(versions, (b"one", b"two"), strict=True):
        for to in (bucket, other):
            source = {"Bucket": bucket, "Key": key, "VersionId": version}
            copied = s3.copy_object(Bucket=to, Key="copy", CopySource=source)
            assert copied["CopySourceVersionId"] == version
            assert ("VersionId" in copied) == (to == bucket)
            assert read(s3, to, "copy", copied.get("VersionId")) == body
    restored = s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key, "VersionId": versions[0]})
    assert read(s3, bucket, key) == b"one"
    assert s3.head_object(Bucket=bucket, Key=key)["VersionId"] == restored["VersionId"]


@replays("test_object_copy_versioning_multipart_upload", "test_multipart_copy_versioned",
         "test_versioning_obj_create_overwrite_multipart", "test_versioning_bucket_multipart_upload_return_version_id",
         "test_versioning_bucket_atomic_upload_return_version_id")  # fmt: skip
def test_uploads_in_parts_make_versions_and_copy_them(s3, bucket, new_name):
    switch(s3, bucket, "Enabled")
    bodies = [noise(seed, PART) + b"end" for seed in ("a", "b")]
    versions = [upload(s3, bucket, "k", [body[:PART], body[PART:]])["VersionId"] for body in bodies]
    assert ids(listed(s3, bucket)[0]) == versions[::-1]
    for version, body in zip(versions, bodies, strict=True):
        source = {"Bucket": bucket, "Key": "k", "VersionId": version}
        assert read(s3, bucket, "k", version) == body
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
        assert read(s3, bucket, "copy") == body
        begun = s3.create_multipart_upload(Bucket=bucket, Key="parts")
        named = {"Bucket": bucket, "Key": "parts", "UploadId": begun["UploadId"]}
        part = s3.upload_part_copy(**named, PartNumber=1, CopySource=source, CopySourceRange="bytes=1-9")
        assert part["CopySourceVersionId"] == version
        done = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
        s3.complete_multipart_upload(**named, MultipartUpload={"Parts": done})
        assert read(s3, bucket, "parts") == body[1:10]
    never = new_name()
    s3.create_bucket(Bucket=never)
    assert "VersionId" not in s3.put_object(Bucket=never, Key="k", Body=b"x")
    assert "VersionId" not in upload(s3, never, "k", [b"x"])
    switch(s3, never, "Suspended")
    assert "VersionId" not in s3.put_object(Bucket=never, Key="k", Body=b"x")
    assert "VersionId" not in upload(s3, never, "k", [b"x"])


@replays("test_versioning_multi_object_delete", "test_versioning_multi_object_delete_with_marker",
         "test_versioning_multi_object_delete_with_marker_create", "test_versioning_concurrent_multi_object_delete",
         "test_versioned_concurrent_object_create_concurrent_remove",
         "test_versioned_concurrent_object_create_and_remove")  # fmt: skip
def test_many_are_deleted_by_version_also_at_once(s3, bucket):
    switch(s3, bucket, "Enabled")
    created = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "none"}]})["Deleted"]
    assert created[0]["DeleteMarker"] and ids(listed(s3, bucket)[1]) == [created[0]["DeleteMarkerVersionId"]]
    with ThreadPoolExecutor(5) as at_once:
        versions = [one for made in at_once.map(lambda n: put(s3, bucket, "k", b"%d" % n, b"x"), range(5)) for one in made]
        named = [{"Key": "k", "VersionId": version} for version in versions]
        named += [{"Key": "none", "VersionId": created[0]["DeleteMarkerVersionId"]}]
        answers = list(at_once.map(lambda _: s3.delete_objects(Bucket=bucket, Delete={"Objects": named}), range(5)))
    assert all(len(answer["Deleted"]) == len(named) and not answer.get("Errors") for answer in answers)
    assert listed(s3, bucket) == ([], [])


@replays("test_put_current_object_if_none_match", "test_multipart_put_current_object_if_none_match",
         "test_put_current_object_if_match", "test_multipart_put_current_object_if_match",
         "test_put_object_current_if_match", "test_delete_object_version_if_match",
         "test_delete_objects_version_if_match")  # fmt: skip
def test_conditions_look_at_the_current_version(s3, bucket):
    switch(s3, bucket, "Enabled")
    named = {"Bucket": bucket, "Key": "k"}
    first = s3.put_object(**named, Body=b"first", IfNoneMatch="*")
    assert refusal(s3.put_object, **named, Body=b"x", IfNoneMatch="*") == (412, "PreconditionFailed")
    second = s3.put_object(**named, Body=b"second", IfMatch=first["ETag"])
    assert refusal(s3.put_object, **named, Body=b"x", IfMatch=first["ETag"]) == (412, "PreconditionFailed")
    wrong = {"VersionId": second["VersionId"], "IfMatch": "no-etag"}
    assert refusal(s3.delete_object, **named, **wrong) == (412, "PreconditionFailed")
    several = {"Objects": [{"Key": "k", "VersionId": second["VersionId"], "ETag": "no-etag"}]}
    assert s3.delete_objects(Bucket=bucket, Delete=several)["Errors"][0]["Code"] == "PreconditionFailed"
    assert "DeleteMarker" not in s3.delete_object(**named, VersionId=second["VersionId"], IfMatch=second["ETag"])
    s3.delete_object(**named, VersionId=second["VersionId"], IfMatch="*")
    assert not s3.delete_objects(Bucket=bucket, Delete=several).get("Errors"), "it is gone, whatever the condition"
    s3.delete_object(**named)
    assert refusal(s3.put_object, **named, Body=b"x", IfMatch=first["ETag"]) == (404, "NoSuchKey")
    assert s3.put_object(**named, Body=b"third", IfNoneMatch="*")["VersionId"]


@replays("test_get_versioned_object_attributes", "test_object_put_acl_mtime")
def test_attributes_and_tags_are_a_versions_own(s3, bucket):
    switch(s3, bucket, "Enabled")
    first, second = put(s3, bucket, "k", b"first", b"other than the first")
    for version, size in ((first, 5), (second, 20)):
        asked = {"Bucket": bucket, "Key": "k", "VersionId": version, "ObjectAttributes": ["ObjectSize", "ETag"]}
        attributes = s3.get_object_attributes(**asked)
        assert (attributes["VersionId"], attributes["ObjectSize"]) == (version, size)
    tags = {"TagSet": [{"Key": "a", "Value": "1"}]}
    named = {"Bucket": bucket, "Key": "k", "VersionId": first}
    assert s3.put_object_tagging(**named, Tagging=tags)["VersionId"] == first
    assert s3.get_object_tagging(**named)["TagSet"] == tags["TagSet"]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    s3.put_object_acl(**named, ACL="private")
    written = {entry["VersionId"]: entry["LastModified"] for entry in listed(s3, bucket)[0]}
    assert s3.head_object(**named)["LastModified"] == written[first], "neither tags nor an ACL are a write"
    assert refusal(s3.get_object, Bucket=bucket, Key="k", VersionId="nonsense") == (400, "InvalidArgument")
    assert refusal(s3.get_object, Bucket=bucket, Key="none", VersionId=first) == (404, "NoSuchVersion")
