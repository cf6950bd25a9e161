"""ACLs as far as there are any, public access blocks, and what strangers may: read what is public, nothing else."""

import concurrent.futures

import pytest
import requests

from support import clients, sigv4
from support.refusals import refusal
from support.replays import replays
from support.server import ROOT

EVERYONE = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture
def public(s3, new_name) -> str:
    """A bucket that everyone may read, with an object `foo`."""
    name = new_name()
    s3.create_bucket(Bucket=name, ACL="public-read")
    s3.put_object(Bucket=name, Key="foo", Body=b"bar", ACL="public-read")
    return name


# --- what an ACL says ------------------------------------------------------------------------------------------------


@replays("test_bucket_acl_default", "test_object_acl_default", "test_bucket_acl_canned_private_to_private")
def test_the_owner_of_a_new_bucket_has_full_control_and_nobody_else_any(s3, bucket):
    s3.put_object(Bucket=bucket, Key="foo", Body=b"bar")
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    for acl in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="foo")):
        owner = {"DisplayName": "root", "ID": "root"}
        assert acl["Owner"] == owner
        assert acl["Grants"] == [{"Grantee": owner | {"Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]


@replays("test_bucket_list_return_data")
def test_a_listing_tells_of_each_object_what_head_and_acl_tell(s3, bucket):
    for key in ("bar", "baz", "foo"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 5)
    listed = s3.list_objects(Bucket=bucket)["Contents"]
    assert [found["Key"] for found in listed] == ["bar", "baz", "foo"]
    for found in listed:
        head = s3.head_object(Bucket=bucket, Key=found["Key"])
        assert (found["ETag"], found["Size"]) == (head["ETag"], head["ContentLength"])
        assert found["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert found["Owner"] == s3.get_object_acl(Bucket=bucket, Key=found["Key"])["Owner"]


@replays("test_bucket_create_special_key_names")
def test_names_of_one_odd_character_are_names(s3, bucket):
    names = [" ", '"', "$", "%", "&", "'", "<", ">", "_", "_ ", "_ _", "__"]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
        s3.put_object_acl(Bucket=bucket, Key=name, ACL="private")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == names
    assert [s3.get_object(Bucket=bucket, Key=name)["Body"].read().decode() for name in names] == names


@replays("test_bucket_put_bad_canned_acl")
def test_a_canned_acl_that_does_not_exist_is_refused(http, bucket):
    answer = http.call("PUT", f"/{bucket}", query={"acl": ""}, headers={"x-amz-acl": "public-ready"})
    assert answer.outcome == (400, "InvalidArgument")


@replays("test_bucket_acl_grant_email_not_exist", "test_bucket_acl_grant_nonexist_user")
@pytest.mark.parametrize(
    "grantee, code",
    [
        ({"EmailAddress": "nobody@example.invalid", "Type": "AmazonCustomerByEmail"}, "UnresolvableGrantByEmailAddress"),
        ({"ID": "_nobody", "Type": "CanonicalUser"}, "InvalidArgument"),
    ],
)
def test_a_grant_to_nobody_is_refused(s3, bucket, grantee, code):
    acl = s3.get_bucket_acl(Bucket=bucket)
    policy = {"Owner": acl["Owner"], "Grants": acl["Grants"] + [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]}
    assert refusal(s3.put_bucket_acl, Bucket=bucket, AccessControlPolicy=policy) == (400, code)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"] == acl["Grants"]


@replays("test_bucket_recreate_new_acl", "test_bucket_recreate_overwrite_acl")
@pytest.mark.parametrize("first, second", [("private", "public-read"), ("public-read", "private")])
def test_a_bucket_is_not_made_again_with_another_acl(s3, new_name, first, second):
    name = new_name()
    s3.create_bucket(Bucket=name, ACL=first)
    before = s3.get_bucket_acl(Bucket=name)["Grants"]
    assert refusal(s3.create_bucket, Bucket=name, ACL=second) == (409, "BucketAlreadyExists")
    assert s3.get_bucket_acl(Bucket=name)["Grants"] == before


@replays("test_bucket_concurrent_set_canned_acl")
def test_an_acl_may_be_set_by_many_at_once(s3, bucket):
    with concurrent.futures.ThreadPoolExecutor(25) as threads:
        calls = [threads.submit(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") for _ in range(50)]
        assert [call.result()["ResponseMetadata"]["HTTPStatusCode"] for call in calls] == [200] * 50
    assert EVERYONE in [grant["Grantee"].get("URI") for grant in s3.get_bucket_acl(Bucket=bucket)["Grants"]]


# --- public access blocks and policy status --------------------------------------------------------------------------


BLOCK = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": False}


@replays("test_put_public_block", "test_put_get_delete_public_block", "test_get_undefined_public_block")
def test_a_public_access_block_is_kept_until_it_is_deleted(s3, bucket):
    undefined = (404, "NoSuchPublicAccessBlockConfiguration")
    assert s3.delete_public_access_block(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.get_public_access_block, Bucket=bucket) == undefined
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=BLOCK)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == BLOCK
    assert s3.delete_public_access_block(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.get_public_access_block, Bucket=bucket) == undefined


@replays("test_block_public_object_canned_acls", "test_block_public_put_bucket_acls")
@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
def test_a_block_keeps_a_bucket_and_its_objects_from_being_made_public(s3, bucket, acl):
    block = BLOCK | {"IgnorePublicAcls": False}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert refusal(s3.put_bucket_acl, Bucket=bucket, ACL=acl) == (403, "AccessDenied")
    assert refusal(s3.put_object, Bucket=bucket, Key="foo", Body=b"", ACL=acl) == (403, "AccessDenied")
    s3.put_object(Bucket=bucket, Key="own", Body=b"", ACL="private")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["own"]


@replays("test_get_bucket_policy_status", "test_get_public_acl_bucket_policy_status")
def test_the_policy_status_tells_whether_a_bucket_is_public(s3, bucket):
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True


# --- strangers -------------------------------------------------------------------------------------------------------


@replays("test_bucket_list_objects_anonymous", "test_bucket_list_objects_anonymous_fail",
         "test_bucket_listv2_objects_anonymous", "test_bucket_listv2_objects_anonymous_fail")  # fmt: skip
@pytest.mark.parametrize("listing", ["list_objects", "list_objects_v2"])
def test_a_stranger_lists_a_public_bucket_and_no_other(anyone, bucket, public, listing):
    listed = getattr(anyone, listing)(Bucket=public)["Contents"]
    assert [found["Key"] for found in listed] == ["foo"]
    assert refusal(getattr(anyone, listing), Bucket=bucket) == (403, "AccessDenied")


@replays("test_object_anon_put")
def test_a_stranger_stores_nothing(s3, anyone, bucket, public):
    s3.put_object(Bucket=bucket, Key="foo", Body=b"bar")
    for name in (bucket, public):
        assert refusal(anyone.put_object, Bucket=name, Key="foo", Body=b"foo") == (403, "AccessDenied")
        assert s3.get_object(Bucket=name, Key="foo")["Body"].read() == b"bar"


@replays("test_object_raw_get", "test_object_raw_get_object_gone", "test_object_raw_get_bucket_gone",
         "test_object_raw_authenticated", "test_object_raw_authenticated_object_gone",
         "test_object_raw_authenticated_bucket_gone")  # fmt: skip
def test_owner_and_stranger_read_what_is_public_until_it_is_gone(s3, anyone, public):
    foo = {"Bucket": public, "Key": "foo"}
    for client in (s3, anyone):
        assert client.get_object(**foo)["Body"].read() == b"bar"
    s3.delete_object(**foo)
    for client in (s3, anyone):
        assert refusal(client.get_object, **foo) == (404, "NoSuchKey")
    s3.delete_bucket(Bucket=public)
    for client in (s3, anyone):
        assert refusal(client.get_object, **foo) == (404, "NoSuchBucket")


def test_anyone_reads_what_is_public_and_a_key_means_its_own_account(ada_bob_and_nobody, new_name):
    ada, bob, nobody = ada_bob_and_nobody
    foo = {"Bucket": new_name(), "Key": "foo"}
    ada.create_bucket(Bucket=foo["Bucket"])
    ada.put_object(**foo, Body=b"of ada")
    assert refusal(bob.get_object, **foo) == (404, "NoSuchBucket")
    assert refusal(nobody.get_object, **foo) == (403, "AccessDenied")
    ada.put_bucket_acl(Bucket=foo["Bucket"], ACL="public-read")
    assert nobody.get_object(**foo)["Body"].read() == b"of ada"
    # A bare name means no other account's bucket to a caller with a key.
    assert refusal(bob.get_object, **foo) == (404, "NoSuchBucket")
    assert refusal(bob.put_object, **foo, Body=b"of bob") == (404, "NoSuchBucket")
    # To anonymous callers it means the bucket that has had the name for longest.
    bob.create_bucket(Bucket=foo["Bucket"], ACL="public-read")
    bob.put_object(**foo, Body=b"of bob")
    assert [reader.get_object(**foo)["Body"].read() for reader in (bob, nobody)] == [b"of bob", b"of ada"]
    assert refusal(nobody.get_object, Bucket=new_name(), Key="foo") == (404, "NoSuchBucket")


# --- presigned URLs of public buckets --------------------------------------------------------------------------------


@replays("test_object_raw_get_x_amz_expires_not_expired", "test_object_raw_get_x_amz_expires_not_expired_tenant")
def test_a_presigned_url_of_either_account_reads_and_looks(account, new_name):
    foo = {"Bucket": new_name(), "Key": "foo"}
    account.s3.create_bucket(Bucket=foo["Bucket"])
    account.s3.put_object(**foo, Body=b"bar")
    url = account.s3.generate_presigned_url("get_object", Params=foo, ExpiresIn=100_000)
    answer = requests.get(url, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"bar")
    look = account.s3.generate_presigned_url("head_object", Params=foo, ExpiresIn=100_000)
    assert requests.head(look, timeout=60).status_code == 200


@replays("test_object_raw_get_x_amz_expires_out_max_range", "test_object_raw_get_x_amz_expires_out_positive_range",
         "test_object_raw_get_x_amz_expires_out_range_zero")  # fmt: skip
@pytest.mark.parametrize("expires", [609_901, -7, 0])
def test_a_url_that_is_not_valid_does_not_read_even_what_is_public(http, public, expires):
    target = sigv4.Signer(ROOT, sigv4.now()).presign("GET", f"/{public}/foo", http.host, expires)
    assert http.fetch("GET", target).status == 403
    assert http.fetch("GET", f"/{public}/foo").body == b"bar"


@replays("test_object_presigned_put_object_with_acl", "test_object_presigned_put_object_with_acl_tenant")
def test_a_presigned_put_may_carry_an_acl(account, new_name):
    foo = {"Bucket": new_name(), "Key": "foo"}
    account.s3.create_bucket(Bucket=foo["Bucket"])
    url = account.s3.generate_presigned_url("put_object", Params=foo | {"ACL": "private"}, ExpiresIn=100_000)
    unsigned = requests.put(url, data=b"bar", timeout=60)
    assert unsigned.status_code == 403, "the header is signed, so it must be sent"
    sent = requests.put(url, data=b"bar", headers={"x-amz-acl": "private"}, timeout=60)
    assert sent.status_code == 200, sent.text
    assert account.s3.get_object(**foo)["Body"].read() == b"bar"


# --- the buckets of an account ---------------------------------------------------------------------------------------


@replays("test_list_buckets_paginated")
def test_the_buckets_of_a_new_account_are_listed_in_pages(own_server):
    s3 = clients.boto3_client(own_server.endpoint, ROOT)

    def page(**more):
        told = s3.list_buckets(MaxBuckets=1, **more)
        return [bucket["Name"] for bucket in told["Buckets"]], told.get("ContinuationToken")

    assert page() == ([], None)
    s3.create_bucket(Bucket="first")
    assert page() == (["first"], None)
    s3.create_bucket(Bucket="second")
    names, token = page()
    assert names == ["first"]
    assert page(ContinuationToken=token) == (["second"], None)
