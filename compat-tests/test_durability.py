"""An acknowledged write survives `kill -9`, and an unacknowledged one is whole or not there.

XETGATE_KILL_ROUNDS (default 5) sets how often the server is killed; XETGATE_KILL_SEED repeats a run's requests and
delays (not the scheduling of its threads). All rounds use one data folder, so later rounds also re-read what earlier
ones left.
"""

import os
import random
import time

import pytest

from support import load, server

ROUNDS = int(os.environ.get("XETGATE_KILL_ROUNDS", "5"))
SEED = int(os.environ.get("XETGATE_KILL_SEED", "1"))
KILL_AFTER_SECS = (0.2, 2.0)


@pytest.mark.timeout(120 + 40 * ROUNDS)
def test_every_acknowledged_write_survives_kill_9(own_server, tmp_path, capsys):
    victim = own_server
    rng, tally, auditor = random.Random(SEED), load.Tally(), load.Auditor(tmp_path / "scratch")
    ledger = load.new_ledger()
    load.client(victim.endpoint, server.ROOT).create_bucket(Bucket="kill")
    restart_secs = []
    for number in range(1, ROUNDS + 1):
        s3 = load.client(victim.endpoint, server.ROOT)
        workers = [load.Worker(i, rng.getrandbits(32), s3, "kill", ledger, tally) for i in range(load.WORKERS)]
        for worker in workers:
            worker.start()
        time.sleep(rng.uniform(*KILL_AFTER_SECS))
        for worker in workers:
            worker.killed.set()
        victim.kill()
        for worker in workers:
            worker.join(timeout=60)
            assert not worker.is_alive(), "a request did not end though the server is gone"
        faults = [worker.fault for worker in workers if worker.fault]
        assert not faults, f"round {number}: requests failed before the kill: {faults}"

        began = time.monotonic()
        victim.start()
        restart_secs.append(time.monotonic() - began)
        wrong = auditor.audit(load.client(victim.endpoint, server.ROOT), "kill", ledger, tally)
        assert not wrong, f"round {number} of {ROUNDS}, seed {SEED}:\n" + "\n".join(wrong)
    victim.stop()

    assert tally.acknowledged.total() > 0, "no request was ever acknowledged: the rounds proved nothing"
    with capsys.disabled():
        print(f"\nkill -9: {ROUNDS} rounds, seed {SEED}, slowest restart {max(restart_secs):.2f} s")
        print(f"  acknowledged {tally.acknowledged.total()}: {_counts(tally.acknowledged)}")
        print(f"  in flight    {tally.in_flight.total()}: {_counts(tally.in_flight)}")
        print(f"  of which afterwards whole-new {tally.outcome['new']}, whole-old {tally.outcome['old']}")
        print(f"  read back {tally.checked_objects} objects, {tally.checked_bytes / 1e6:.0f} MB: none lost, none torn")


def test_a_write_acknowledged_just_before_the_kill_survives(own_server):
    victim = own_server
    load.client(victim.endpoint, server.ROOT).create_bucket(Bucket="last")
    for number in range(10):
        s3 = load.client(victim.endpoint, server.ROOT)
        s3.put_object(Bucket="last", Key="key", Body=b"%d" % number)
        victim.kill()
        victim.start()
        body = load.client(victim.endpoint, server.ROOT).get_object(Bucket="last", Key="key")["Body"].read()
        assert body == b"%d" % number
    victim.stop()


def test_the_audit_itself_notices_lost_torn_returned_and_stray_objects(s3, bucket, tmp_path):
    old, new, other = load.Content(1, 100), load.Content(2, 100), load.Content(3, 5000)
    held = {"kept": old, "settled": new, "returned": old, "mixed up": other, "stray": other}
    for key, content in held.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content.bytes())
    s3.put_object(Bucket=bucket, Key="torn", Body=old.bytes()[:50])
    ledger = {
        "kept": load.Entry(old),
        "settled": load.Entry(old, new, in_flight=True),
        "deleted": load.Entry(old, load.ABSENT, in_flight=True),
        "returned": load.Entry(load.ABSENT),
        "mixed up": load.Entry(old, new, in_flight=True),
        "torn": load.Entry(old),
        "lost": load.Entry(old),
    }
    wrong = load.Auditor(tmp_path / "scratch").audit(s3, bucket, ledger, load.Tally())
    named = {line.split(":")[0].split(" is listed")[0] for line in wrong}
    assert named == {"returned", "mixed up", "torn", "lost", "stray"}


def _counts(counter) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
