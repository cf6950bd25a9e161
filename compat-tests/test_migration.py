"""A standalone store is moved into a cluster, and back: every version of every object is there, as it was.

XETGATE_MIGRATED_OBJECTS says of how many objects (100,000 for the record).
"""

import concurrent.futures
import hashlib
import os
import subprocess
import time

import pytest

from support import clients, cluster, inputs, packs, postgres, server
from support.inputs import KIB, MIB

OBJECTS = int(os.environ.get("XETGATE_MIGRATED_OBJECTS", "300"))
BUCKET = "moved"
THREADS = 8

pytestmark = pytest.mark.timeout(120 + OBJECTS // 20)


def fill(s3) -> None:
    """Small objects in folders, of which every tenth has versions, or a delete marker; and a large one."""
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def put(number: int) -> None:
        where = {"Bucket": BUCKET, "Key": f"folder {number % 97}/é {number}"}
        for version in range(3 if number % 10 == 0 else 1):
            content = inputs.splitmix(number * 3 + version, number % (4 * KIB))
            s3.put_object(**where, Body=content, Metadata={"number": str(number)}, Tagging="a=b")
        if number % 20 == 0:
            s3.delete_object(**where)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(OBJECTS)))
    large = inputs.noise(1, 30 * MIB)
    s3.put_object(Bucket=BUCKET, Key="large", Body=large)
    s3.put_object(Bucket=BUCKET, Key="larger", Body=large[: 10 * MIB] + b"!" + large[10 * MIB :])


def everything(s3s) -> dict:
    """All that there is to see of the bucket; the content of each version is asked of one client after the other."""
    seen, versions = {}, []
    for page in s3s[0].get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        versions += page.get("Versions", [])
        for marker in page.get("DeleteMarkers", []):
            seen[marker["Key"], marker["VersionId"]] = (marker["IsLatest"], marker["LastModified"])

    def content(numbered) -> None:
        number, entry = numbered
        where = {"Bucket": BUCKET, "Key": entry["Key"], "VersionId": entry["VersionId"]}
        answer = s3s[number % len(s3s)].get_object(**where)
        about = (entry["IsLatest"], entry["LastModified"], entry["Size"], entry["ETag"])
        read = hashlib.sha256(answer["Body"].read()).hexdigest()
        seen[entry["Key"], entry["VersionId"]] = (*about, answer["Metadata"], answer.get("TagCount"), read)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(content, enumerate(versions)))
    return seen


def moved(told: dict[str, str], data_dir, to) -> str:
    """Moves what a data folder, or a node with that folder, has."""
    line = [server.binary(), "store", "migrate", "--data-dir", data_dir, "--to", to]
    done = subprocess.run(line, env=told, capture_output=True, text=True, timeout=60 + OBJECTS // 20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_store_moves_into_a_cluster_and_back(own_server, tmp_path, capsys):
    fill(clients.boto3_client(own_server.endpoint, server.ROOT))
    before = everything([clients.boto3_client(own_server.endpoint, server.ROOT)])
    assert len(before) > OBJECTS
    own_server.stop()

    database = postgres.shared().new_database()
    nodes = cluster.Cluster(tmp_path / "nodes", database)
    # What seals the keys that were made at run time goes along.
    key = (own_server.data_dir / "master-key").read_text().strip()
    for node in nodes.nodes:
        node.told["XETGATE_MASTER_KEY"] = key
    place = packs.at(packs.Folder(tmp_path / "nodes"))["XETGATE__PACKS__URL"]
    there = tmp_path / "cluster.toml"
    there.write_text(f'mode = "cluster"\n[metadata]\nurl = "{database}"\n[packs]\nurl = "{place}"\n')
    begun = time.monotonic()
    said = moved(server.environment() | {"XETGATE_MASTER_KEY": key}, own_server.data_dir, there)
    with capsys.disabled():
        print(f"\n{len(before)} versions of {OBJECTS} objects, into the cluster in {time.monotonic() - begun:.1f} s:\n{said}")
    try:
        s3s = [clients.boto3_client(endpoint, server.ROOT) for endpoint in nodes.start().endpoints]
        assert everything(s3s) == before
        s3s[1].put_object(Bucket=BUCKET, Key="since", Body=b"since")
        after = everything(s3s)
        nodes.stop()
    finally:
        nodes.kill()
    nodes.store("check")

    back = tmp_path / "back.toml"
    back.write_text(f'data_dir = "{tmp_path / "back"}"\n')
    node, begun = nodes.nodes[0], time.monotonic()
    said = moved(node._environment() | {"XETGATE__MODE": "cluster"}, node.data_dir, back)
    with capsys.disabled():
        print(f"and back in {time.monotonic() - begun:.1f} s:\n{said}")
    (tmp_path / "back" / "master-key").write_text(key + "\n")
    home = server.Server(tmp_path / "back", tmp_path / "log of back").start()
    try:
        assert everything([clients.boto3_client(home.endpoint, server.ROOT)]) == after
        home.stop()
    finally:
        if home.process:
            home.kill()
    line = [server.binary(), "store", "check", "--data-dir", tmp_path / "back"]
    checked = subprocess.run(line, env=server.environment(), capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
