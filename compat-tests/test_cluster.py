"""Three nodes over one PostgreSQL and one object store: what one acknowledges all have, and faults lose nothing.

The faults are here in short forms, `scripts/soak-cluster` has the long ones.
"""

import concurrent.futures
import contextlib
import itertools
import os
import random
import threading
import time

import botocore.exceptions
import pytest

from support import churn, cluster, faults, history, inputs, linear, postgres, server
from support.hub import Hub
from support.inputs import KIB, MIB

pytestmark = pytest.mark.timeout(300)

SEED = int(os.environ.get("XETGATE_CLUSTER_SEED", "1"))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A cluster on which nothing is broken."""
    running = cluster.Cluster(tmp_path_factory.mktemp("nodes"), postgres.shared().new_database())
    try:
        yield running.start()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def each(nodes):
    """boto3 at each node."""
    return [history.once(endpoint) for endpoint in nodes.endpoints]


@pytest.fixture
def shared_bucket(each, new_name) -> str:
    name = new_name()
    each[0].create_bucket(Bucket=name)
    return name


def refused(call) -> str | None:
    """The code that a request was refused with."""
    try:
        call()
    except botocore.exceptions.ClientError as why:
        return why.response["Error"]["Code"]
    return None


def keys_in(s3, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_what_one_node_acknowledges_is_read_and_listed_at_once_through_the_others(each, shared_bucket):
    where = {"Bucket": shared_bucket, "Key": "k"}
    for number, (writer, reader, third) in enumerate(list(itertools.permutations(each)) * 4):
        content = inputs.noise(number, (number % 4) * 100 * KIB + number)
        etag = writer.put_object(**where, Body=content)["ETag"]
        assert reader.get_object(**where)["Body"].read() == content
        assert third.head_object(**where)["ETag"] == etag
        assert keys_in(reader, shared_bucket) == ["k"]
        third.copy_object(Bucket=shared_bucket, Key="copy", CopySource=where)
        assert writer.get_object(Bucket=shared_bucket, Key="copy")["Body"].read() == content
        told = writer.delete_objects(Bucket=shared_bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "copy"}]})
        assert len(told["Deleted"]) == 2
        for s3 in (reader, third):
            assert refused(lambda: s3.get_object(**where)) == "NoSuchKey"
            assert keys_in(s3, shared_bucket) == []


def test_buckets_come_and_go_on_all_nodes_at_once(each, new_name):
    for writer, reader, third in itertools.permutations(each):
        name = new_name()
        writer.create_bucket(Bucket=name)
        reader.head_bucket(Bucket=name)
        assert name in [bucket["Name"] for bucket in third.list_buckets()["Buckets"]]
        third.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        assert reader.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"] != "null"
        versions = writer.list_object_versions(Bucket=name)["Versions"]
        third.delete_object(Bucket=name, Key="k", VersionId=versions[0]["VersionId"])
        reader.delete_bucket(Bucket=name)
        assert refused(lambda: writer.put_object(Bucket=name, Key="k", Body=b"1")) == "NoSuchBucket"
        assert refused(lambda: third.list_objects_v2(Bucket=name)) == "NoSuchBucket"


def test_an_upload_begun_at_one_node_goes_on_and_ends_at_others(each, shared_bucket):
    parts = [inputs.noise(number, 5 * MIB + number) for number in range(3)]
    where = {"Bucket": shared_bucket, "Key": "parts"}
    into = where | {"UploadId": each[0].create_multipart_upload(**where)["UploadId"]}
    sent = [each[n % 3].upload_part(**into, PartNumber=n, Body=part) for n, part in enumerate(parts, 1)]
    assert [part["PartNumber"] for part in each[1].list_parts(**into)["Parts"]] == [1, 2, 3]
    assert [upload["Key"] for upload in each[2].list_multipart_uploads(Bucket=shared_bucket)["Uploads"]] == ["parts"]
    told = {"Parts": [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate(sent, 1)]}
    each[2].complete_multipart_upload(**into, MultipartUpload=told)
    for s3 in each:
        assert s3.get_object(**where)["Body"].read() == b"".join(parts)
        assert refused(lambda: s3.list_parts(**into)) == "NoSuchUpload"


def test_what_the_hubs_client_sends_to_one_node_the_others_have(nodes, each, shared_bucket, tmp_path):
    content = inputs.noise(77, 3 * MIB)
    (tmp_path / "file").write_bytes(content)
    for number, node in enumerate(nodes.nodes):
        (tmp_path / node.name).mkdir()
        hub = Hub(node.hub_endpoint, server.ROOT_TOKEN, tmp_path / node.name)
        hub.ok("cp", str(tmp_path / "file"), f"hf://buckets/root/{shared_bucket}/{number}")
        for s3 in each:
            assert s3.get_object(Bucket=shared_bucket, Key=str(number))["Body"].read() == content
        each[number - 1].put_object(Bucket=shared_bucket, Key="by S3", Body=content + b"%d" % number)
        hub.ok("cp", f"hf://buckets/root/{shared_bucket}/by S3", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == content + b"%d" % number


def race(each, ask) -> list[str | None]:
    """What two requests through each node are told that begin together; None is success."""
    barrier = threading.Barrier(6)

    def one(number):
        barrier.wait()
        return refused(lambda: ask(each[number % 3], number))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        return list(pool.map(one, range(6)))


# The second is what S3 answers to one of two that meet; it can be asked again, and is refused then.
LOST = {"PreconditionFailed", "ConditionalRequestConflict"}


def test_of_those_who_create_an_object_through_different_nodes_one_wins(each, shared_bucket):
    for turn in range(25):
        where = {"Bucket": shared_bucket, "Key": f"k{turn}"}
        told = race(each, lambda s3, n: s3.put_object(**where, Body=b"%d" % n, IfNoneMatch="*"))
        assert told.count(None) == 1 and set(told) <= {None} | LOST, told
        assert {s3.get_object(**where)["Body"].read() for s3 in each} == {b"%d" % told.index(None)}


def test_of_those_who_replace_what_they_have_seen_through_different_nodes_one_wins(each, shared_bucket):
    where = {"Bucket": shared_bucket, "Key": "k"}
    etag = each[0].put_object(**where, Body=b"first")["ETag"]
    for turn in range(25):
        told = race(each, lambda s3, n: s3.put_object(**where, Body=b"%d-%d" % (turn, n), IfMatch=etag))
        assert told.count(None) == 1 and set(told) <= {None} | LOST, told
        answers = [s3.get_object(**where) for s3 in each]
        assert {answer["Body"].read() for answer in answers} == {b"%d-%d" % (turn, told.index(None))}
        (etag,) = {answer["ETag"] for answer in answers}


def test_of_those_who_complete_an_upload_through_different_nodes_all_that_succeed_agree(each, shared_bucket):
    for turn in range(8):
        where = {"Bucket": shared_bucket, "Key": f"k{turn}"}
        into = where | {"UploadId": each[0].create_multipart_upload(**where)["UploadId"]}
        etag = each[1].upload_part(**into, PartNumber=1, Body=inputs.noise(turn, 9000))["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        told = race(each, lambda s3, n: s3.complete_multipart_upload(**into, MultipartUpload=parts))
        assert None in told and set(told) <= {None, "NoSuchUpload"}, told
        assert {s3.get_object(**where)["Body"].read() for s3 in each} == {inputs.noise(turn, 9000)}


def check(recorded: history.Recorded, capsys) -> None:
    """Fails if the history of a key cannot have happened."""
    with capsys.disabled():
        print(f"\nseed {SEED}: {dict(sorted(recorded.kinds.items()))}")
    for key, events in recorded.events.items():
        wrong = linear.first_impossible(events)
        if wrong:
            ended = lambda event: event.ended or event.begun  # noqa: E731
            near = [event for event in events if ended(event) >= wrong.begun - 0.1 and event.begun <= wrong.ended]
            lines = "\n".join(map(str, sorted(near, key=lambda event: event.begun)))
            pytest.fail(f"seed {SEED}: {key} cannot have answered {wrong}; around it:\n{lines}")
    # Enough of each for the history to mean something.
    for kind in ("get", "head", "list", "put", "delete", "create done", "create PreconditionFailed", "swap done"):
        assert recorded.kinds[kind] > recorded.kinds.total() // 100, recorded.kinds


def test_a_history_of_10000_operations_by_8_clients_is_linearizable(nodes, shared_bucket, capsys):
    recorded = history.Recorded(10_000)
    history.record(recorded, nodes.endpoints, shared_bucket, SEED, 8).wait()
    assert recorded.kinds["unknown"] == 0, recorded.kinds
    check(recorded, capsys)


def test_a_history_is_linearizable_while_nodes_are_killed(nodes, shared_bucket, capsys):
    rng, recorded = random.Random(SEED), history.Recorded(2500)
    running = history.record(recorded, nodes.endpoints, shared_bucket, SEED, 8)
    for _ in range(3):
        time.sleep(rng.uniform(0.5, 1.5))
        node = rng.choice(nodes.nodes)
        node.kill()
        node.start()
    running.wait()
    check(recorded, capsys)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A cluster on which everything is broken, one after the other; what earlier tests have left is looked at again."""
    made = faults.Stage(tmp_path_factory.mktemp("stage"), SEED)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def nothing_is_lost(stage, capsys, name: str):
    """What is done within is done under load; afterwards each node has all that was acknowledged, and nothing else."""
    tally = stage.churn.tally = churn.Tally()
    begun = time.monotonic()
    with stage.load():
        yield
    ended = time.monotonic()
    wrong = stage.churn.audit()
    with capsys.disabled():
        took = f"{ended - begun:.1f} s and {time.monotonic() - ended:.1f} s of audit"
        print(f"\n{name}: {took}, acknowledged {tally.acknowledged.total()}, attempts {dict(tally.attempts)}")
    assert not wrong, "\n".join(wrong)
    assert not tally.failed, "clients did not recover:\n" + "\n".join(tally.failed)


def test_nodes_that_are_killed_lose_nothing(stage, capsys):
    with nothing_is_lost(stage, capsys, "kill -9"):
        faults.kill_nodes(stage, 5, 1.0)


def test_a_database_that_crashes_loses_nothing(stage, capsys):
    with nothing_is_lost(stage, capsys, "PostgreSQL crashes"):
        faults.restart_postgres(stage)


def test_a_database_that_is_away_for_a_while_loses_nothing(stage, capsys):
    with nothing_is_lost(stage, capsys, "PostgreSQL is away"):
        faults.stop_postgres(stage, 6)


def test_transactions_that_are_cut_off_lose_nothing(stage, capsys):
    with nothing_is_lost(stage, capsys, "connections cut"):
        faults.cut_connections(stage, 10)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("answers 503", lambda stage: faults.refuse_at_the_object_store(stage, 4)),
        ("breaks off", lambda stage: faults.break_off_at_the_object_store(stage, 4)),
        ("loses its answers", lambda stage: faults.lose_answers_at_the_object_store(stage, 4)),
        ("answers late", lambda stage: faults.answer_late_at_the_object_store(stage, 4, 2)),
    ],
)
def test_an_object_store_that_has_a_bad_day_loses_nothing(stage, capsys, name, fault):
    struck = stage.weather.struck
    with nothing_is_lost(stage, capsys, f"object store {name}"):
        fault(stage)
    assert stage.weather.struck > struck, "nothing bad has happened"


def test_a_node_that_pauses_for_a_moment_goes_on(stage, capsys):
    with nothing_is_lost(stage, capsys, "a short pause"):
        faults.pause_node(stage, 2)


@pytest.mark.parametrize("which", ["the collector", "another"])
def test_a_node_that_is_taken_for_dead_ends_when_it_wakes_and_nothing_is_lost(stage, capsys, which):
    stage.await_collections(1)
    with nothing_is_lost(stage, capsys, f"{which} suspended"):
        node = faults.collector(stage)
        if which == "another":
            node = next(other for other in stage.cluster.nodes if other is not node)
        faults.suspend_node(stage, node)


def test_what_has_survived_it_all_is_sound_and_survives_a_restart_of_all_nodes(stage, capsys):
    stage.cluster.stop()
    stage.cluster.store("check")
    stage.cluster.start()
    assert stage.churn.ledger, "nothing was written"
    assert stage.churn.audit(of_all_rounds=True) == []
