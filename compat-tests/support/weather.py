"""An object store on bad days: busy, cut off in the middle of a body, without its answers, or late with them."""

import random
import threading
import time

from support import recorder


class Weather:
    """A proxy before an object store, and how it is at the moment."""

    def __init__(self, upstream_port: int):
        self.proxy = recorder.Recorder(upstream_port)
        self.proxy.before, self.proxy.piece, self.proxy.rewrite = self._before, self._piece, None
        self.busy, self.cut_one_of, self.rng, self.writes = False, 0, random.Random(7), 0
        # One of so many writes is broken off after its body was sent, and before anything is done with it.
        self.refuse_one_of = 0
        self.late_secs, self._lock = 0.0, threading.Lock()
        # How often something bad has happened: a proof that a test has tested something.
        self.struck = 0

    def _strike(self, refused: recorder.Refused):
        with self._lock:
            self.struck += 1
        raise refused

    def _before(self, exchange):
        if self.busy:
            self._strike(recorder.Refused(503, b"<Error><Code>SlowDown</Code></Error>"))
        if exchange.method == "PUT" and self.refuse_one_of and self.rng.randrange(self.refuse_one_of) == 0:
            self._strike(recorder.Refused(0))

    def _piece(self, exchange, piece):
        if exchange.method == "GET" and self.cut_one_of and self.rng.randrange(self.cut_one_of) == 0:
            self._strike(recorder.Refused(0))
        return piece

    def lose_answers(self, exchange, answer):
        """A hook: every third answer to a write is lost, after the object store has done it."""
        if exchange.method in ("PUT", "POST"):
            with self._lock:
                self.writes += 1
                is_lost = self.writes % 3 == 0
                self.struck += is_lost
            if is_lost:
                raise ConnectionError("lost")
        return answer

    def answer_late(self, exchange, answer):
        """A hook: answers to writes come late, after the object store has done them."""
        if exchange.method in ("PUT", "POST"):
            with self._lock:
                self.struck += 1
            time.sleep(self.late_secs)
        return answer
