"""Files sent at the same time take the space that they take one after the other, whichever client sends them.

The short form of scripts/measure-dedup.
"""

import pytest

from support import dedup
from support.inputs import KIB, MIB

# What one file after the other takes, and a twentieth.
MOST = 1.05


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dedup") / "series"
    dedup.series(folder, 8, 16 * MIB, 160 * KIB)
    return folder


@pytest.fixture(scope="module")
def alone(files, tmp_path_factory) -> int:
    taken = dedup.measure(tmp_path_factory.mktemp("alone") / "store", files, dedup.one_after_the_other).stored
    assert taken < 30 * MIB
    return taken


@pytest.mark.parametrize("client", dedup.SENDERS)
def test_files_that_come_together_take_the_space_of_their_distinct_bytes(client, files, alone, tmp_path):
    taken = dedup.measure(tmp_path / "store", files, dedup.SENDERS[client]).stored
    assert taken <= MOST * alone, f"{taken / alone:.3f} times what one after the other takes"


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


def test_duplicates_are_counted(own_server):
    own_server.stop()
    stats = dedup.store(own_server.data_dir, "stats")
    assert (stats["distinct_bytes"], stats["duplicate_bytes"]) == (0, 0)
