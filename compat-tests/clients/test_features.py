"""Every client with its default settings, feature by feature: what it sends arrives, and what it gets is the same.

boto3 is the second pair of eyes: what a client says of its own work, another one sees too.
"""

import datetime
import filecmp
import re
import time

import pytest
import requests

from support import inputs, server


def feature(name: str, of: str | None = None):
    """Marks a test of a feature: it runs with every client that offers it, or with one alone."""
    return pytest.mark.feature(name, of=of)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(inputs.noise(7, 100_003))
    return path


@feature("buckets")
def test_a_new_bucket_is_listed(user, s3, new_name):
    name = new_name()
    user.make_bucket(name)
    assert name in user.list_buckets()
    assert s3.head_bucket(Bucket=name)["BucketRegion"]


@feature("objects")
@pytest.mark.parametrize("size", [0, 1, 300_001])
def test_a_file_comes_back_byte_for_byte(user, bucket, tmp_path, size):
    sent = tmp_path / "sent"
    sent.write_bytes(inputs.noise(size, size))
    user.upload(sent, bucket, "a folder/ü + 100% & more.bin")
    user.download(bucket, "a folder/ü + 100% & more.bin", tmp_path / "back")
    assert filecmp.cmp(sent, tmp_path / "back", shallow=False)


@feature("large")
def test_a_large_file_goes_up_in_the_parts_that_the_client_chooses(user, s3, bucket, tmp_path):
    size, parts = user.LARGE
    sent = tmp_path / "sent"
    sent.write_bytes(inputs.noise(11, size))
    user.upload(sent, bucket, "large.bin")
    etag = s3.head_object(Bucket=bucket, Key="large.bin")["ETag"]
    made = re.search(r"-(\d+)\"$", etag)
    assert made, f"not in parts: {etag}"
    assert parts is None or int(made[1]) == parts, etag
    user.download(bucket, "large.bin", tmp_path / "back")
    assert filecmp.cmp(sent, tmp_path / "back", shallow=False)


@feature("ranges")
def test_a_range_is_those_bytes(user, bucket, small):
    user.upload(small, bucket, "ranges/some.bin")
    data = small.read_bytes()
    for first, last in [(0, 0), (1, 70_000), (65_535, 65_536), (100_002, 100_002), (0, 100_002)]:
        assert user.read_range(bucket, "ranges/some.bin", first, last) == data[first : last + 1], (first, last)


@feature("listing")
def test_a_listing_has_the_names_under_a_prefix_and_no_other(user, bucket, small):
    inside = {"a.bin", "b c.bin", "ü/x.bin", "ü/deep/y.bin", "z.bin"}
    for name in inside:
        user.upload(small, bucket, f"p/{name}")
    for name in ("p.bin", "p+/other.bin", "outside.bin"):
        user.upload(small, bucket, name)
    assert user.names(bucket, "p") == inside


@feature("copy")
def test_a_copy_is_equal_and_its_source_stays(user, s3, bucket, small, tmp_path):
    source = getattr(user, "COPY_SOURCE", "the source.bin")
    user.upload(small, bucket, source)
    user.copy(bucket, source, "copies/of it.bin")
    user.download(bucket, "copies/of it.bin", tmp_path / "back")
    assert filecmp.cmp(small, tmp_path / "back", shallow=False)
    assert s3.head_object(Bucket=bucket, Key=source)["ContentLength"] == small.stat().st_size


@feature("metadata sent")
def test_metadata_is_sent(user, s3, bucket, small):
    told = {"colour": "deep blue", "number": "42"}
    user.upload_with_metadata(small, bucket, "told.bin", told)
    assert told.items() <= s3.head_object(Bucket=bucket, Key="told.bin")["Metadata"].items()


@feature("metadata read")
def test_metadata_is_read(user, s3, bucket):
    told = {"colour": "deep blue", "number": "42"}
    s3.put_object(Bucket=bucket, Key="told.bin", Body=b"x", Metadata=told)
    seen = {name.lower(): value for name, value in user.metadata(bucket, "told.bin").items()}
    assert told.items() <= seen.items()


@feature("presign")
def test_a_presigned_get_needs_no_credential(user, bucket, small):
    user.upload(small, bucket, "shared/ü & more.bin")
    answer = requests.get(user.presign_get(bucket, "shared/ü & more.bin"), timeout=60)
    assert (answer.status_code, answer.content) == (200, small.read_bytes())


@feature("presigned put")
def test_a_presigned_put_needs_no_credential(user, s3, bucket, small):
    answer = requests.put(user.presign_put(bucket, "from outside/ü & more.bin"), data=small.read_bytes(), timeout=60)
    assert answer.status_code == 200, answer.text
    assert s3.get_object(Bucket=bucket, Key="from outside/ü & more.bin")["Body"].read() == small.read_bytes()


@feature("objects", of="Node fetch (presigned URLs)")
def test_parts_by_presigned_urls_are_one_object(user, s3, bucket, tmp_path):
    paths = [tmp_path / name for name in ("one", "two")]
    for path, size in zip(paths, (5 * inputs.MIB, 1000)):
        path.write_bytes(inputs.noise(size, size))
    user.upload_in_parts(paths, bucket, "in parts.bin")
    whole = b"".join(path.read_bytes() for path in paths)
    assert s3.get_object(Bucket=bucket, Key="in parts.bin")["Body"].read() == whole


@feature("objects", of="Node fetch (presigned URLs)")
@pytest.mark.parametrize("size", [1000, 30 * inputs.MIB])
def test_a_refusal_reaches_fetch_while_it_sends(user, s3, bucket, tmp_path, size):
    sent = tmp_path / "sent"
    sent.write_bytes(inputs.noise(3, size))
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "refused"}, ExpiresIn=600)
    status, body = user.status_of_put(url.replace("/refused?", "/another?"), sent)
    assert (status, "SignatureDoesNotMatch" in body) == (403, True), body


@feature("delete")
def test_a_deleted_object_is_gone_and_its_neighbour_is_not(user, s3, bucket, small):
    user.upload(small, bucket, "gone")
    user.upload(small, bucket, "gone-not")
    user.delete(bucket, "gone")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["gone-not"]


@pytest.fixture
def versioned(user, bucket):
    """A bucket that keeps versions; `None` in front of a Hub, which has none, and where that is said by name."""
    if server.in_front_of_a_hub():
        with pytest.raises(Exception, match="NotImplemented"):
            user.keep_versions(bucket)
        return None
    user.keep_versions(bucket)
    return bucket


@feature("versions")
def test_each_version_of_a_file_can_be_read_and_the_old_ones_deleted(user, s3, versioned, tmp_path):
    if not (bucket := versioned):
        return
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    contents = [inputs.noise(50 + n, 1000 + n) for n in range(3)]
    for content in contents:
        (tmp_path / "sent").write_bytes(content)
        user.upload(tmp_path / "sent", bucket, "kept.bin")
        # rclone names old versions by their time, which S3 tells in whole seconds.
        time.sleep(1.05)
    assert user.contents_of_versions(bucket, "kept.bin") == contents[::-1]
    user.forget_old_versions(bucket, "kept.bin")
    left = s3.list_object_versions(Bucket=bucket)
    assert [version["IsLatest"] for version in left["Versions"]] == [True]
    assert s3.get_object(Bucket=bucket, Key="kept.bin")["Body"].read() == contents[-1]


@feature("versions", of="rclone")
def test_rclone_shows_a_bucket_as_it_was(user, s3, versioned, tmp_path):
    if not (bucket := versioned):
        return
    s3.put_object(Bucket=bucket, Key="a.txt", Body=b"first")
    s3.put_object(Bucket=bucket, Key="b.txt", Body=b"gone later")
    time.sleep(1.05)
    then = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(1.05)
    s3.put_object(Bucket=bucket, Key="a.txt", Body=b"second")
    s3.delete_object(Bucket=bucket, Key="b.txt")
    s3.put_object(Bucket=bucket, Key="c.txt", Body=b"new")
    at = ("--s3-version-at", then)
    assert user.run("lsf", *at, f"X:{bucket}").decode().split() == ["a.txt", "b.txt"]
    assert user.run("cat", *at, f"X:{bucket}/a.txt") == b"first"
    user.run("copy", *at, f"X:{bucket}", tmp_path / "then")
    assert inputs.tree_on_disk(tmp_path / "then") == {"a.txt": b"first", "b.txt": b"gone later"}
    assert user.run("lsf", f"X:{bucket}").decode().split() == ["a.txt", "c.txt"]


@pytest.fixture
def tree(tmp_path):
    """A folder, and what is done to it between one run of a client and the next."""
    root = tmp_path / "tree"
    for name in ("a.txt", "b/c d.txt", "b/ü.txt", "b/deep/er.bin"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(inputs.noise(len(name), 20_000))

    def change():
        (root / "a.txt").unlink()
        (root / "b/c d.txt").write_bytes(b"changed")
        (root / "new.txt").write_bytes(b"new")

    return root, change


@feature("folders")
def test_a_folder_is_kept_in_step_with_what_changes(user, bucket, tree, tmp_path):
    root, change = tree
    user.mirror_up(root, bucket, "mirror")
    user.mirror_down(bucket, "mirror", tmp_path / "back")
    assert inputs.tree_on_disk(tmp_path / "back") == inputs.tree_on_disk(root)
    change()
    user.mirror_up(root, bucket, "mirror")
    user.mirror_down(bucket, "mirror", tmp_path / "back")
    assert inputs.tree_on_disk(tmp_path / "back") == inputs.tree_on_disk(root)


@feature("folders", of="rclone")
def test_rclone_bisync_brings_the_changes_of_either_side_to_the_other(user, s3, bucket, tree):
    root, change = tree
    user.run("bisync", "--resync", root, f"X:{bucket}/both")
    change()
    s3.put_object(Bucket=bucket, Key="both/from the other side.txt", Body=b"hello")
    s3.delete_object(Bucket=bucket, Key="both/b/deep/er.bin")
    user.run("bisync", root, f"X:{bucket}/both")
    assert set(inputs.tree_on_disk(root)) == {"b/c d.txt", "b/ü.txt", "new.txt", "from the other side.txt"}
    user.check(root, bucket, "both")


@feature("folders", of="rclone")
def test_rclone_check_sees_a_file_that_differs(user, s3, bucket, tree):
    root, _ = tree
    user.mirror_up(root, bucket, "mirror")
    s3.put_object(Bucket=bucket, Key="mirror/a.txt", Body=inputs.noise(99, 20_000))
    with pytest.raises(AssertionError, match="1 differences found"):
        user.check(root, bucket, "mirror")


@feature("tables")
def test_a_table_keeps_what_is_appended_and_loses_what_is_deleted(user, bucket):
    user.write_table(bucket, "numbers", [1, 2, 3])
    user.append(bucket, "numbers", list(range(10, 1010)))
    user.append_by_two(bucket, "numbers", [4], [5])
    assert user.read_table(bucket, "numbers") == [1, 2, 3, 4, 5, *range(10, 1010)]
    user.delete_below(bucket, "numbers", 500)
    assert user.read_table(bucket, "numbers") == list(range(500, 1010))


@feature("databases")
@pytest.mark.timeout(300)
def test_a_lost_database_is_restored_up_to_its_last_change(user, new_name):
    user.make_database(new_name())
    user.sql("CREATE TABLE numbers AS SELECT n FROM generate_series(1, 100000) AS n")
    user.back_up("full")
    user.sql("DELETE FROM numbers WHERE n > 50000")
    user.back_up("incr")
    # In no backup, only in the log of changes.
    user.sql("INSERT INTO numbers VALUES (-1)")
    user.wait_for_the_log()
    user.verify()
    user.lose()
    user.restore()
    assert user.sql("SELECT count(*), min(n), max(n) FROM numbers").strip() == "50001|-1|50000"
