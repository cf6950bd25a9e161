"""An acknowledged write survives `kill -9`, and an unacknowledged one is whole or not there.

XETGATE_KILL_ROUNDS (default 5) sets how often the server is killed; XETGATE_KILL_SEED repeats a run's requests and
delays (not the scheduling of its threads). All rounds use one data folder, so later rounds also re-read what earlier
ones left.
"""

import os
import pathlib
import random
import time

import pytest

from support import dedup, load, overlap, server
from support.hub import Hub

ROUNDS = int(os.environ.get("XETGATE_KILL_ROUNDS", "5"))
SEED = int(os.environ.get("XETGATE_KILL_SEED", "1"))
KILL_AFTER_SECS = (0.2, 2.0)


class Rounds:
    """A server that is killed again and again under a load, and what is left of each write."""

    def __init__(self, victim: server.Server, bucket: str, ledger: dict[str, load.Entry], folder: pathlib.Path):
        self.victim, self.bucket, self.ledger = victim, bucket, ledger
        self.rng, self.tally, self.auditor = random.Random(SEED), load.Tally(), load.Auditor(folder / "scratch")
        self.restart_secs = []

    def run(self, workers_of, users=()):
        """`workers_of` makes the workers of a round; `users` are ended with each, and started again."""
        for number in range(1, ROUNDS + 1):
            workers = workers_of(self.rng)
            for user in users:
                user.wait_until_ready()
            for worker in workers:
                worker.start()
            time.sleep(self.rng.uniform(*KILL_AFTER_SECS))
            for worker in workers:
                worker.killed.set()
            self.victim.kill()
            for user in users:
                user.end()
            for worker in workers:
                worker.join(timeout=60)
                assert not worker.is_alive(), "a request did not end though the server is gone"
            faults = [worker.fault for worker in workers if worker.fault]
            assert not faults, f"round {number}: requests failed before the kill: {faults}"

            for user in users:
                user.start()
            began = time.monotonic()
            self.victim.start()
            self.restart_secs.append(time.monotonic() - began)
            s3 = load.client(self.victim.endpoint, server.ROOT)
            wrong = self.auditor.audit(s3, self.bucket, self.ledger, self.tally)
            assert not wrong, f"round {number} of {ROUNDS}, seed {SEED}:\n" + "\n".join(wrong)
        self.victim.stop()
        assert self.tally.acknowledged.total() > 0, "no request was ever acknowledged: the rounds proved nothing"

    def tell(self, capsys):
        tally = self.tally
        with capsys.disabled():
            print(f"\nkill -9: {ROUNDS} rounds, seed {SEED}, slowest restart {max(self.restart_secs):.2f} s")
            print(f"  acknowledged {tally.acknowledged.total()}: {_counts(tally.acknowledged)}")
            print(f"  in flight    {tally.in_flight.total()}: {_counts(tally.in_flight)}")
            print(f"  of which afterwards whole-new {tally.outcome['new']}, whole-old {tally.outcome['old']}")
            read = f"{tally.checked_objects} objects, {tally.checked_bytes / 1e6:.0f} MB"
            print(f"  read back {read}: none lost, none torn")


@pytest.mark.timeout(120 + 40 * ROUNDS)
def test_every_acknowledged_write_survives_kill_9(own_server, tmp_path, capsys):
    victim = own_server
    load.client(victim.endpoint, server.ROOT).create_bucket(Bucket="kill")
    rounds = Rounds(victim, "kill", load.new_ledger(), tmp_path)

    def workers(rng):
        s3 = load.client(victim.endpoint, server.ROOT)
        numbers = range(load.WORKERS)
        return [load.Worker(i, rng.getrandbits(32), s3, "kill", rounds.ledger, rounds.tally) for i in numbers]

    rounds.run(workers)
    rounds.tell(capsys)


def _overlapping(victim, rng, users, rounds, folder):
    s3 = load.client(victim.endpoint, server.ROOT)
    numbers = range(overlap.S3_WORKERS)
    by_s3 = [overlap.S3Worker(i, rng.getrandbits(32), s3, overlap.BUCKET, rounds.ledger, rounds.tally) for i in numbers]
    return by_s3 + [
        overlap.HubWorker(i, rng.getrandbits(32), user, rounds.ledger, rounds.tally, folder)
        for i, user in enumerate(users)
    ]


@pytest.mark.timeout(120 + 40 * ROUNDS)
def test_clients_that_send_the_same_chunks_lose_nothing_by_kill_9(tmp_path, capsys):
    """S3 puts and parts, the published client and our own share chunks with what is under way, while gc never rests."""
    (tmp_path / "config.toml").write_text("[gc]\ninterval_secs = 1\n")
    victim = server.Server(tmp_path / "data", tmp_path / "log", "--config", str(tmp_path / "config.toml")).start()
    load.client(victim.endpoint, server.ROOT).create_bucket(Bucket=overlap.BUCKET)
    hubs = []
    for name in ("published", "own"):
        (tmp_path / name).mkdir()
        hubs.append(Hub(victim.hub_endpoint, server.ROOT_TOKEN, tmp_path / name))
    users = [overlap.PublishedClient(hubs[0]), overlap.OwnClient(hubs[1])]
    try:
        rounds = Rounds(victim, overlap.BUCKET, overlap.new_ledger(), tmp_path)
        rounds.run(lambda rng: _overlapping(victim, rng, users, rounds, tmp_path), users)
    finally:
        for user in users:
            user.end()
        if victim.process:
            victim.kill()
    assert dedup.store(victim.data_dir, "check")["findings"] == []
    assert dedup.store(victim.data_dir, "scrub")["damages"] == []
    rounds.tell(capsys)


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
