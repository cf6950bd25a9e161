"""Unmodified clients with default settings do a day's work and get their bytes back, also after a restart."""

import filecmp
import pathlib

import pytest
import requests

from support import clients, inputs
from support.inputs import MIB
from support.server import ROOT

SIZES = {"0B": 0, "1B": 1, "5MiB": 5 * MIB, "100MiB": 100 * MIB}
# A process per read costs about half a second, so aws-cli and rclone read at this many of the 162 edges.
EDGES_PER_PROCESS_CLIENT = 12


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> dict[str, pathlib.Path]:
    """One incompressible file of each size on disk."""
    base = tmp_path_factory.mktemp("files")
    for seed, (name, size) in enumerate(SIZES.items()):
        (base / name).write_bytes(inputs.noise(seed, size))
    return {name: base / name for name in SIZES}


@pytest.fixture
def own_bucket(client, new_name) -> str:
    """A bucket made by the client under test."""
    name = new_name()
    client.make_bucket(name)
    return name


def test_a_new_bucket_is_listed(client, own_bucket):
    assert own_bucket in client.list_buckets()


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_byte_for_byte(client, own_bucket, files, size, tmp_path):
    client.upload(files[size], own_bucket, f"sizes/{size}")
    assert client.list_all(own_bucket, "sizes") == {size: SIZES[size]}
    client.download(own_bucket, f"sizes/{size}", tmp_path / "back")
    assert filecmp.cmp(files[size], tmp_path / "back", shallow=False)


def test_a_folder_of_200_files_comes_back_with_its_names_and_bytes(client, own_bucket, tmp_path):
    sent = inputs.awkward_tree(tmp_path / "out")
    client.upload_tree(tmp_path / "out", own_bucket, "tree")
    assert client.list_all(own_bucket, "tree") == {name: len(data) for name, data in sent.items()}
    client.download_tree(own_bucket, "tree", tmp_path / "back")
    assert inputs.tree_on_disk(tmp_path / "back") == sent


def test_a_listing_with_delimiter_shows_one_level_and_without_shows_all(client, s3, own_bucket):
    keys = ["p/a", "p/b c", "p/ü/x", "p/ü/y", "p/ü/deep/z", "p/q/r/s", "p+/other", "outside"]
    for key in keys:
        s3.put_object(Bucket=own_bucket, Key=key, Body=key.encode())
    sizes = {key: len(key.encode()) for key in keys}
    assert client.list_all(own_bucket, "") == sizes
    assert client.list_all(own_bucket, "p") == {k[2:]: n for k, n in sizes.items() if k.startswith("p/")}
    assert client.list_level(own_bucket, "") == ({"outside": 7}, {"p", "p+"})
    assert client.list_level(own_bucket, "p") == ({"a": 3, "b c": 5}, {"ü", "q"})
    assert client.list_level(own_bucket, "p/ü") == ({"x": 6, "y": 6}, {"deep"})


def test_listing_version_1_pages_with_any_delimiter(s3, bucket):
    for key in ["a-1", "a-2", "b-1", "c", "d"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    keys, prefixes = [], []
    for page in s3.get_paginator("list_objects").paginate(
        Bucket=bucket, Delimiter="-", PaginationConfig={"PageSize": 2}
    ):
        assert len(page.get("Contents", [])) + len(page.get("CommonPrefixes", [])) <= 2
        keys += [o["Key"] for o in page.get("Contents", [])]
        prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
    assert (keys, prefixes) == (["c", "d"], ["a-", "b-"])


@pytest.mark.timeout(300)
def test_ranges_around_every_chunk_edge_are_exact(client, own_bucket, tmp_path):
    data, edges = inputs.ten_mib(), inputs.ten_mib_edges()
    (tmp_path / "file").write_bytes(data)
    client.upload(tmp_path / "file", own_bucket, "chunked")
    if not isinstance(client, clients.Boto3):
        edges = edges[:: len(edges) // EDGES_PER_PROCESS_CLIENT][:EDGES_PER_PROCESS_CLIENT]
    around = [(e - 1, e) for e in edges] + [(e, e + 1) for e in edges]
    # One edge to the next exactly, and spans over many chunks that start and end inside one.
    spans = [(edges[0], edges[1] - 1), (edges[1] - 7, edges[-2] + 9), (0, edges[-1]), (0, len(data) - 1)]
    ends = [(0, 0), (len(data) - 1, len(data) - 1), (edges[-1], len(data) - 1)]
    for first, last in around + spans + ends:
        got = client.read_range(own_bucket, "chunked", first, last)
        assert got == data[first : last + 1], f"bytes {first}-{last}"


@pytest.mark.parametrize("size", ["1B", "100MiB"])
def test_a_copy_is_equal_to_its_source(client, own_bucket, files, size, tmp_path):
    client.upload(files[size], own_bucket, "source")
    client.copy(own_bucket, "source", "copies/of it")
    client.download(own_bucket, "copies/of it", tmp_path / "back")
    assert filecmp.cmp(files[size], tmp_path / "back", shallow=False)
    assert client.exists(own_bucket, "source")


def test_a_presigned_get_needs_no_credential(client, own_bucket, files):
    key = "shared/ü & more.bin"
    client.upload(files["5MiB"], own_bucket, key)
    answer = requests.get(client.presign_get(own_bucket, key), timeout=60)
    assert (answer.status_code, answer.content) == (200, files["5MiB"].read_bytes())


def test_a_presigned_put_stores_without_a_credential(s3, xetgate, bucket, files, tmp_path):
    # Of the three clients only boto3 can presign a PUT.
    by_boto3 = clients.Boto3(xetgate.endpoint, ROOT, tmp_path)
    body = files["5MiB"].read_bytes()
    answer = requests.put(by_boto3.presign_put(bucket, "put here.bin"), data=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert s3.get_object(Bucket=bucket, Key="put here.bin")["Body"].read() == body


def test_a_deleted_object_is_gone_and_its_neighbour_is_not(client, s3, own_bucket, files):
    client.upload(files["1B"], own_bucket, "gone")
    client.upload(files["1B"], own_bucket, "gone-not")
    assert client.exists(own_bucket, "gone")
    client.delete(own_bucket, "gone")
    assert not client.exists(own_bucket, "gone")
    assert client.exists(own_bucket, "gone-not")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=own_bucket, Key="gone")


def test_what_one_client_stores_every_other_client_reads(xetgate, bucket, files, tmp_path):
    everyone = []
    for kind in clients.ALL:
        home = tmp_path / kind.name
        home.mkdir()
        everyone.append(kind(xetgate.endpoint, ROOT, home))
    for writer in everyone:
        writer.upload(files["5MiB"], bucket, f"by/{writer.name}")
    for reader in everyone:
        for writer in everyone:
            reader.download(bucket, f"by/{writer.name}", tmp_path / "back")
            assert filecmp.cmp(files["5MiB"], tmp_path / "back", shallow=False), f"{writer.name} -> {reader.name}"
            (tmp_path / "back").unlink()


@pytest.mark.timeout(300)
def test_everything_is_still_there_after_a_restart(client, xetgate, own_bucket, files, tmp_path):
    for size, path in files.items():
        client.upload(path, own_bucket, f"kept/{size}")
    client.copy(own_bucket, "kept/5MiB", "kept/copy")
    client.upload(files["1B"], own_bucket, "dropped")
    client.delete(own_bucket, "dropped")
    before = client.list_all(own_bucket, "")
    xetgate.restart()
    assert own_bucket in client.list_buckets()
    assert client.list_all(own_bucket, "") == before
    assert set(before) == {f"kept/{name}" for name in (*SIZES, "copy")}
    for name in (*SIZES, "copy"):
        client.download(own_bucket, f"kept/{name}", tmp_path / "back")
        assert filecmp.cmp(files["5MiB" if name == "copy" else name], tmp_path / "back", shallow=False), name
        (tmp_path / "back").unlink()
