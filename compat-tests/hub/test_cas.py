"""What hf_xet sends and what the server keeps of it, counted at the server: deduplication works through the CAS API,
a file is the same by every API, and a client that remembers an upload need not repeat it."""

import filecmp

import pytest

from support import cas
from support.inputs import MIB

SIZE_MIB = 64
ROOT = "hf://buckets/ada/models"


@pytest.fixture
def place(tmp_path):
    with cas.place(tmp_path) as made:
        yield made


def xet_hash(place, key: str) -> str:
    return place.s3.head_object(Bucket="models", Key=key)["ResponseMetadata"]["HTTPHeaders"]["x-xet-hash"]


def test_what_is_known_is_not_sent_again_and_comes_back_whole(place):
    one, two = place.client(), place.client()
    for name, seed in (("first", None), ("changed", 1001), ("again", 1002)):
        cas.write_noise(place.folder / name, SIZE_MIB, seed)

    def up(client, name):
        return place.grown(lambda: client.ok("buckets", "cp", str(place.folder / name), f"{ROOT}/{name}"))

    assert up(one, "first") >= SIZE_MIB * MIB
    assert up(one, "changed") < 3 * MIB
    # Another client remembers nothing: it must be told what is here.
    assert up(two, "again") < 3 * MIB
    for name in ("first", "changed", "again"):
        two.ok("buckets", "cp", f"{ROOT}/{name}", "down")
        assert filecmp.cmp(two.folder / "down", place.folder / name, shallow=False)
        assert place.s3.get_object(Bucket="models", Key=name)["Body"].read() == (place.folder / name).read_bytes()


def test_a_file_is_the_same_by_every_door_and_stored_once(place):
    user = place.client()
    cas.write_noise(place.folder / "a", 20)
    cas.write_noise(place.folder / "b", 21, 2001)
    a, b = ((place.folder / name).read_bytes() for name in "ab")
    user.ok("buckets", "cp", str(place.folder / "a"), f"{ROOT}/by-hub")
    assert place.grown(lambda: place.s3.put_object(Bucket="models", Key="by-s3", Body=a)) == 0
    assert xet_hash(place, "by-hub") == xet_hash(place, "by-s3")

    place.s3.put_object(Bucket="models", Key="s3-first", Body=b)
    assert place.grown(lambda: user.ok("buckets", "cp", str(place.folder / "b"), f"{ROOT}/hub-second")) == 0
    assert xet_hash(place, "s3-first") == xet_hash(place, "hub-second")


def test_a_client_that_remembers_a_deleted_file_uploads_it_again(place):
    user = place.client()
    cas.write_noise(place.folder / "a", 3)
    user.ok("buckets", "cp", str(place.folder / "a"), f"{ROOT}/a")
    place.s3.delete_object(Bucket="models", Key="a")
    place.collect()
    # The address is the same, and so is what the client remembers.
    user.ok("buckets", "cp", str(place.folder / "a"), f"{ROOT}/a")
    assert place.s3.get_object(Bucket="models", Key="a")["Body"].read() == (place.folder / "a").read_bytes()


def test_a_client_that_remembers_uploads_to_a_bucket_made_anew(place):
    user = place.client()
    cas.write_noise(place.folder / "a", 3)
    user.ok("buckets", "cp", str(place.folder / "a"), f"{ROOT}/a")
    user.ok("buckets", "delete", "ada/models", "--yes")
    user.ok("buckets", "create", "models")
    assert place.s3.list_objects_v2(Bucket="models")["KeyCount"] == 0
    # The address is the same, and so is what the client remembers; the xorb is kept for it.
    grown = place.grown(lambda: user.ok("buckets", "cp", str(place.folder / "a"), f"{ROOT}/a"))
    assert grown < MIB
    assert place.s3.get_object(Bucket="models", Key="a")["Body"].read() == (place.folder / "a").read_bytes()
    user.ok("buckets", "cp", f"{ROOT}/a", "down")
    assert filecmp.cmp(user.folder / "down", place.folder / "a", shallow=False)
