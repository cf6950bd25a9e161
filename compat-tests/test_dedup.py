"""Files sent at the same time take the space that they take one after the other, whichever client sends them.

The short form of scripts/measure-dedup.
"""

import pytest

from support import clients, dedup, old_store, server
from support.inputs import KIB, MIB

# What one file after the other takes, and a twentieth.
MOST = 1.05


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dedup") / "series"
    dedup.series(folder, 8, 16 * MIB, 160 * KIB)
    return folder


@pytest.fixture(scope="module")
def alone(files, tmp_path_factory):
    """What the files take one after the other, sent as a client sends them."""
    measured = {}

    def taken(client: str) -> int:
        send = dedup.alone(client)
        if send not in measured:
            measured[send] = dedup.measure(tmp_path_factory.mktemp("alone") / "store", files, send).stored
            assert measured[send] < 30 * MIB
        return measured[send]

    return taken


@pytest.mark.parametrize("client", dedup.SENDERS)
def test_files_that_come_together_take_the_space_of_their_distinct_bytes(client, files, alone, tmp_path):
    taken = dedup.measure(tmp_path / "store", files, dedup.SENDERS[client]).stored
    assert taken <= MOST * alone(client), f"{taken / alone(client):.3f} times what one after the other takes"


@pytest.mark.parametrize("client", ["rclone sync", "hf sync", "four clients at once"])
def test_copies_of_small_files_that_come_together_are_stored_once(client, tmp_path):
    folder = tmp_path / "copies"
    dedup.copies(folder, 100)
    alone = dedup.measure(tmp_path / "alone", folder, dedup.one_after_the_other).stored
    taken = dedup.measure(tmp_path / "store", folder, dedup.SENDERS[client]).stored
    assert taken <= MOST * alone, f"{taken / alone:.3f} times what one after the other takes"


def test_xetgate_sync_sends_each_distinct_byte_once(files, tmp_path):
    taken = dedup.measure(tmp_path / "store", files, dedup.xetgate_sync)
    distinct = taken.distinct()
    assert taken.received <= MOST * distinct, f"{taken.received / distinct:.3f} times the distinct bytes"


def test_an_older_store_full_of_duplicates_shrinks_to_its_distinct_bytes(own_server, tmp_path):
    objects = old_store.example_objects()
    s3 = clients.boto3_client(own_server.endpoint, server.ROOT)
    s3.create_bucket(Bucket=old_store.BUCKET)
    for key, data in objects.items():
        s3.put_object(Bucket=old_store.BUCKET, Key=key, Body=data)
    alone = dedup.stored(own_server.data_dir)

    old = server.Server(old_store.unpack_example(tmp_path / "old"), tmp_path / "old" / "log")

    def everything_reads_back():
        old.start()
        s3 = clients.boto3_client(old.endpoint, server.ROOT)
        for key, data in objects.items():
            assert s3.get_object(Bucket=old_store.BUCKET, Key=key)["Body"].read() == data, key
        old.stop()

    everything_reads_back()
    assert dedup.stored(old.data_dir) > 3 * alone
    dedup.store(old.data_dir, "gc")
    taken = dedup.stored(old.data_dir)
    assert taken <= MOST * alone, f"{taken / alone:.3f} times what one after the other takes"
    assert dedup.store(old.data_dir, "stats")["duplicate_bytes"] <= alone // 20
    assert dedup.store(old.data_dir, "check")["findings"] == []
    assert dedup.store(old.data_dir, "scrub")["damages"] == []
    everything_reads_back()


def test_duplicates_are_counted(own_server):
    own_server.stop()
    stats = dedup.store(own_server.data_dir, "stats")
    assert (stats["distinct_bytes"], stats["duplicate_bytes"]) == (0, 0)
