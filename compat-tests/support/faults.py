"""What is done to a cluster while clients are at work: to its nodes, its database and its object store.

Each fault is a function of a `Stage`; `compat-tests/test_cluster.py` runs short forms, `scripts/soak-cluster` long ones.
"""

import contextlib
import pathlib
import random
import time

from support import cluster, inputs, packs, postgres, server
from support.churn import BUCKET, Churn, patient
from support.weather import Weather

TAKEN_FOR_DEAD = "taken for dead"
ENDS = "this node was taken for dead, for it was not heard of: it ends, and can be started again"
COLLECTED = "garbage collected"
# A bucket whose objects are garbage at once.
ELSEWHERE = "elsewhere"
# A collector notices silence only when it asks, and another has to take the lease first if it is the collector.
NOTICED_SECS_MAX = 4 * cluster.SILENCE_SECS + 10 * cluster.GC_INTERVAL_SECS


class Stage:
    """Three nodes over a PostgreSQL that syncs, and over a standalone xetgate as an object store that can be disturbed."""

    def __init__(self, folder: pathlib.Path, seed: int):
        self.rng, self.left = random.Random(seed), 0
        with contextlib.ExitStack() as undo:
            self.postgres = postgres.Postgres(is_durable=True)
            undo.callback(self.postgres.remove)
            self.postgres.start()
            self.gateway = packs.Gateway(folder / "place")
            undo.callback(self.gateway.stop)
            self.weather = Weather(self.gateway.port)
            undo.callback(self.weather.proxy.stop)
            database = self.postgres.new_database()
            where = {"place": self.gateway, "endpoint": self.weather.proxy.endpoint}
            self.cluster = cluster.Cluster(folder / "nodes", database, **where, has_grace=False)
            undo.callback(self.cluster.kill)
            self.cluster.start()
            for bucket in (BUCKET, ELSEWHERE):
                patient(self.cluster.endpoints[0]).create_bucket(Bucket=bucket)
            self.churn = Churn(self.cluster.endpoints, seed)
            self._undo = undo.pop_all()

    def close(self) -> None:
        for node in self.cluster.nodes:
            if node.process and node.is_suspended:
                node.resume()
        self._undo.close()

    @contextlib.contextmanager
    def load(self):
        """Clients at work around what is done within, and a collection after it."""
        self.churn.start()
        try:
            self.churn.wait_for(20)
            yield
            # What comes after the fault shows whether all is well again.
            self.churn.wait_for(20)
        finally:
            self.churn.stop()
        self.await_collections(self.collections() + 1)

    def collections(self) -> int:
        return sum(self.cluster.said(COLLECTED).values())

    def await_collections(self, wanted: int) -> None:
        """Waits until there were so many."""
        give_up = time.monotonic() + NOTICED_SECS_MAX
        while self.collections() < wanted:
            assert time.monotonic() < give_up, f"garbage is not collected any more:\n{self.cluster.log_tail()}"
            self.leave_garbage(self.cluster.nodes[0])
            time.sleep(0.5)

    def leave_garbage(self, node: cluster.Node) -> None:
        """A collector that finds nothing says nothing, and asks the nodes nothing."""
        s3 = patient(node.endpoint)
        self.left += 1
        s3.put_object(Bucket=ELSEWHERE, Key="k", Body=inputs.noise(10_000 + self.left, 10_000))
        s3.delete_object(Bucket=ELSEWHERE, Key="k")


def kill_nodes(stage: Stage, times: int, most_secs: float = 2.0) -> None:
    """Any of the nodes, with `kill -9`; it comes back at once."""
    for _ in range(times):
        time.sleep(stage.rng.uniform(0.1, most_secs))
        node = stage.rng.choice(stage.cluster.nodes)
        node.kill()
        node.start()


def restart_postgres(stage: Stage) -> None:
    """It crashes, and comes back at once."""
    stage.postgres.stop("immediate")
    stage.postgres.start()


def stop_postgres(stage: Stage, secs: float) -> None:
    """It is away for a while."""
    stage.postgres.stop("fast")
    time.sleep(secs)
    stage.postgres.start()


def cut_connections(stage: Stage, times: int) -> int:
    """All connections to the database end, again and again, until so many were cut in the middle of a transaction."""
    cut, give_up = 0, time.monotonic() + 60 + times
    while cut < times:
        assert time.monotonic() < give_up, f"only {cut} transactions were met"
        time.sleep(stage.rng.uniform(0.01, 0.3))
        cut += stage.postgres.cut_connections()
    return cut


def refuse_at_the_object_store(stage: Stage, secs: float) -> None:
    """It answers 503 to everything."""
    stage.weather.busy = True
    time.sleep(secs)
    stage.weather.busy = False


def break_off_at_the_object_store(stage: Stage, secs: float) -> None:
    """It loses connections in the middle of what it sends, and after what it was sent, without having taken it."""
    stage.weather.cut_one_of, stage.weather.refuse_one_of = 20, 5
    time.sleep(secs)
    stage.weather.cut_one_of, stage.weather.refuse_one_of = 0, 0


def lose_answers_at_the_object_store(stage: Stage, secs: float) -> None:
    """It does what it is asked for, and every third answer gets lost."""
    stage.weather.proxy.rewrite = stage.weather.lose_answers
    time.sleep(secs)
    stage.weather.proxy.rewrite = None


def answer_late_at_the_object_store(stage: Stage, secs: float, late_secs: float) -> None:
    """It does what it is asked for, and says so much later."""
    stage.weather.late_secs = late_secs
    stage.weather.proxy.rewrite = stage.weather.answer_late
    time.sleep(secs)
    stage.weather.proxy.rewrite = None


def suspend_node(stage: Stage, node: cluster.Node) -> None:
    """It is suspended until another takes it for dead, and woken. It ends with an error, says why, and is started again."""
    others = [other for other in stage.cluster.nodes if other is not node]
    noticed = lambda: sum(stage.cluster.said(TAKEN_FOR_DEAD)[other.name] for other in others)  # noqa: E731
    before, ends = noticed(), stage.cluster.said(ENDS)[node.name]
    node.suspend()
    try:
        give_up = time.monotonic() + NOTICED_SECS_MAX
        while noticed() == before:
            assert time.monotonic() < give_up, f"nobody takes {node.name} for dead:\n{stage.cluster.log_tail()}"
            # The clients may all wait for the node.
            stage.leave_garbage(others[0])
            time.sleep(0.5)
        time.sleep(1)
    finally:
        node.resume()
    code = node.ended(server.STOP_SECS_MAX)
    assert code == 1, f"{node.name} was taken for dead, and ended with {code}:\n{node.log_tail()}"
    assert stage.cluster.said(ENDS)[node.name] == ends + 1, node.log_tail()
    node.start()


def pause_node(stage: Stage, secs: float) -> None:
    """It is suspended for less time than it takes to be taken for dead, and goes on."""
    node = stage.rng.choice(stage.cluster.nodes)
    node.suspend()
    try:
        time.sleep(secs)
    finally:
        node.resume()
    assert node.ended(2) is None, node.log_tail()


def collector(stage: Stage) -> cluster.Node:
    """The node that has collected garbage last."""

    def last(node):
        lines = [line for line in node.log_path.read_text(errors="replace").splitlines() if COLLECTED in line]
        return lines[-1] if lines else ""

    return max(stage.cluster.nodes, key=last)
