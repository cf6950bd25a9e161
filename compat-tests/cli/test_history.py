"""Versions on the command line: what a file's history shows and costs, and how one comes back or goes for good."""

import json
import random

import boto3
import pytest

from support.inputs import MIB

SIZE = 8 * MIB
# Of 128 chunks or so, this changes one; two, if it lies across an edge. None is larger than 128 KiB.
CHANGE_BYTES = 64
CHANGE_STORED_MAX = 3 * 131_072


def noise(size: int, seed: int) -> bytearray:
    return bytearray(random.Random(seed).randbytes(size))


@pytest.fixture
def versioned(ours, bucket, work) -> str:
    out = ours.text("buckets", "settings", f"username/{bucket}", "--versioning", "on", "--json", cwd=work)[0]
    assert json.loads(out) == {"bucket_id": f"username/{bucket}", "versioning": "enabled"}
    info = json.loads(ours.text("buckets", "info", f"username/{bucket}", "--json", cwd=work)[0])
    assert info["versioning"] == "enabled"
    return f"username/{bucket}"


@pytest.fixture
def s3(gate):
    return boto3.client(
        "s3", endpoint_url=gate.s3_endpoint, aws_access_key_id="AKCOMMANDLINE00001",
        aws_secret_access_key="secret+of/username=0001", region_name="us-east-1",
    )


def history(ours, work, path, *options) -> list[dict]:
    return json.loads(ours.text("buckets", "versions", path, "--json", *options, cwd=work)[0])


def test_a_history_costs_its_changed_chunks(ours, theirs, s3, versioned, work):
    data, path = noise(SIZE, 1), f"{versioned}/model.bin"
    bucket = versioned.split("/")[1]
    senders = [
        lambda: ours.text("buckets", "cp", "model.bin", f"hf://buckets/{path}", cwd=work),
        lambda: theirs.text("buckets", "cp", "model.bin", f"hf://buckets/{path}", cwd=work),
        lambda: s3.upload_file(str(work / "model.bin"), bucket, "model.bin"),
        lambda: s3.put_object(Bucket=bucket, Key="model.bin", Body=bytes(data)),
    ]
    for turn, send in enumerate(senders):
        start = 1_000_000 * (turn + 1)
        data[start : start + CHANGE_BYTES] = noise(CHANGE_BYTES, 10 + turn)
        (work / "model.bin").write_bytes(data)
        send()
    versions = history(ours, work, path)
    assert [version["size"] for version in versions] == [SIZE] * 4
    assert [version["is_latest"] for version in versions] == [True, False, False, False]
    assert len({version["version_id"] for version in versions}) == 4
    assert SIZE <= versions[-1]["added_bytes"] <= SIZE * 1.01, "the first holds all of it"
    for version in versions[:-1]:
        assert 8192 <= version["added_bytes"] <= CHANGE_STORED_MAX, version
    own = [version["own_bytes"] for version in versions]
    assert own[0] == versions[0]["added_bytes"], "nothing has what the newest has added"
    assert own[1:3] == [0, 0], "what they have added, the next one has too"
    assert 8192 <= own[3] <= 3 * CHANGE_STORED_MAX, "of the first, the next ones lack what was changed"
    people = ours.text("buckets", "versions", path, "-h", "--format", "human", cwd=work)[0]
    assert people.splitlines()[0].split() == ["VERSION_ID", "UPLOADED_AT", "SIZE", "ADDED_BYTES", "OWN_BYTES", "NOTES"]
    assert "current" in people and "model.bin: 4 version(s) of 33.6 MB in all; stored: 8." in people, people
    quiet = ours.text("buckets", "versions", path, "--quiet", "--limit", "2", cwd=work)[0]
    assert quiet.split() == [version["version_id"] for version in versions[:2]]


def test_a_version_comes_back(ours, versioned, work):
    path = f"{versioned}/notes.txt"
    for text in ("first", "second"):
        ours.text("buckets", "cp", "-", f"hf://buckets/{path}", cwd=work, stdin=text.encode())
    ours.text("buckets", "rm", path, "--yes", cwd=work)
    marker, second, first = history(ours, work, path)
    assert (marker["type"], marker["size"], marker["is_latest"]) == ("delete_marker", 0, True)
    err = ours.text("buckets", "restore", path, "--version", marker["version_id"], cwd=work, rc=1)[1]
    assert "delete marker" in err and "Restore the version before it" in err, err
    out = ours.text("buckets", "restore", path, "--version", first["version_id"], "--json", cwd=work)[0]
    assert json.loads(out)["version_id"] == history(ours, work, path)[0]["version_id"]
    assert ours.text("buckets", "cp", f"hf://buckets/{path}", "-", cwd=work)[0] == "first"
    assert len(history(ours, work, path)) == 4
    again = ours.text("buckets", "restore", path, "--version", json.loads(out)["version_id"], "--format", "human", cwd=work)[0]
    assert "current one already" in again


def test_a_version_goes_for_good(ours, s3, versioned, work):
    path, bucket = f"{versioned}/notes.txt", versioned.split("/")[1]
    for text in ("first", "second"):
        ours.text("buckets", "cp", "-", f"hf://buckets/{path}", cwd=work, stdin=text.encode())
    ours.text("buckets", "rm", path, "--yes", cwd=work)
    marker, second, first = history(ours, work, path)
    dry = ours.text("buckets", "rm", path, "--version", first["version_id"], "--dry-run", cwd=work)[0]
    assert dry == f"(dry run) version '{first['version_id']}' of 'notes.txt' in '{versioned}' would be removed for good.\n"
    unasked = ours.text("buckets", "rm", path, "--version", first["version_id"], cwd=work, rc=1)[1]
    assert unasked == "Aborted!\n", unasked
    ours.text("buckets", "rm", path, "--version", marker["version_id"], "--yes", cwd=work)
    assert ours.text("buckets", "cp", f"hf://buckets/{path}", "-", cwd=work)[0] == "second", "it is there again"
    ours.text("buckets", "rm", path, "--version", first["version_id"], "--yes", cwd=work)
    assert [version["version_id"] for version in history(ours, work, path)] == [second["version_id"]]
    gone = ours.text("buckets", "rm", path, "--version", first["version_id"], "--yes", cwd=work, rc=1)[1]
    assert gone.startswith("Error: There is no version ") and "buckets versions" in gone, gone
    wrong = ours.text("buckets", "rm", path, "--version", "nonsense", "--yes", cwd=work, rc=1)[1]
    assert "versionId is not one that was given" in wrong, wrong
    mixed = ours.text("buckets", "rm", path, "-R", "--version", "null", cwd=work, rc=2)[1]
    assert "Cannot use --version with --recursive." in mixed, mixed


def test_a_locked_version_stays(ours, s3, new_name, work):
    bucket = new_name()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept", ObjectLockLegalHoldStatus="ON")
    path = f"username/{bucket}/k"
    (version,) = history(ours, work, path)
    assert version["legal_hold"] is True
    err = ours.text("buckets", "rm", path, "--version", version["version_id"], "--yes", cwd=work, rc=1)[1]
    assert err.startswith("Error: 403 Forbidden: ") and "locked" in err, err
    err = ours.text("buckets", "settings", f"username/{bucket}", "--versioning", "off", cwd=work, rc=1)[1]
    assert "Object Lock" in err, err
    assert "legal hold" in ours.text("buckets", "versions", path, "--format", "human", cwd=work)[0]


def test_a_folder_is_listed_with_all_versions(ours, s3, versioned, work):
    bucket = versioned.split("/")[1]
    for key in ("logs/a", "logs/b", "logs.json", "logs/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="logs/b")
    paths = [entry["path"] for entry in history(ours, work, f"{versioned}/logs")]
    assert paths == ["logs/a", "logs/a", "logs/b", "logs/b"]
    assert len(history(ours, work, versioned)) == 5
    assert len(history(ours, work, versioned, "--limit", "3")) == 3
    assert ours.text("buckets", "versions", f"{versioned}/none", cwd=work)[0] == "No results found.\n"
    err = ours.text("buckets", "versions", "username/nope", cwd=work, rc=1)[1]
    assert "Bucket 'username/nope' not found" in err, err


def test_settings_want_something_to_set(ours, bucket, work):
    place = f"username/{bucket}"
    for options in ([], ["--private", "--public", "--versioning", "on"]):
        err = ours.text("buckets", "settings", place, *options, cwd=work, rc=2)[1]
        assert "Specify exactly one of --private or --public." in err
    both = ours.text("buckets", "settings", place, "--versioning", "on", "--public", "--json", cwd=work)[0]
    assert json.loads(both) == {"bucket_id": place, "versioning": "enabled", "private": False}
    off = ours.text("buckets", "settings", place, "--versioning", "off", "--quiet", cwd=work)[0]
    assert off == f"{place}\n"
    err = ours.text("buckets", "settings", place, "--versioning", "maybe", cwd=work, rc=2)[1]
    assert "on, off" in err, err


def test_names_count_where_versions_are_listed_and_dots_are_none(ours, versioned, work):
    (work / "f").write_bytes(b"1")
    for name in ("dir-x", "dir/f"):
        ours.text("buckets", "cp", "f", f"hf://buckets/{versioned}/{name}", cwd=work)
    # `dir-x` comes before `dir/f`, and took the one place that there is.
    assert [version["path"] for version in history(ours, work, f"{versioned}/dir", "--limit", "1")] == ["dir/f"]
    # `..` led to the bucket itself, whose removal was then asked for.
    for dots in (".", ".."):
        for command in (["rm", f"{versioned}/{dots}", "--version", "null", "--yes"], ["versions", f"{versioned}/{dots}"]):
            err = ours.text("buckets", *command, cwd=work, rc=1)[1]
            assert err == f"Error: '{dots}' cannot be asked for: it is no file's name\n", command
    assert len(history(ours, work, versioned)) == 2


def test_content_that_came_back_costs_nothing_and_is_nobodys_own(ours, versioned, work):
    place = f"{versioned}/f"
    for seed in (1, 2, 1):
        (work / "f").write_bytes(noise(100_000, seed))
        ours.text("buckets", "cp", "f", f"hf://buckets/{place}", cwd=work)
    again, between, first = history(ours, work, place)
    assert (again["added_bytes"], again["own_bytes"], first["own_bytes"]) == (0, 0, 0)
    assert between["own_bytes"] == between["added_bytes"] > 100_000 and first["added_bytes"] > 100_000
