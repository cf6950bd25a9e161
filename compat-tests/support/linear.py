"""Whether what was done to one key could have happened one after the other, each between its begin and its end.

The search is Wing and Gong's, told as Lowe tells it ("Testing for linearizability", 2017): the begins and ends are gone
through in the order of time, with all states that the key can be in then, each with what was done of the operations that
have begun. A state in which an operation that ends was not done goes on only if it can be done before. What nobody knows
the outcome of never ends: it may be done at any later time, or never.
"""

import dataclasses
from collections.abc import Iterable

# What a key holds is a number, or nothing.
Value = int | None
EMPTY: Value = None

# More states than this at one time are no history of a test, but a mistake in it.
STATES_MAX = 200_000


@dataclasses.dataclass(frozen=True)
class Operation:
    """What was asked: `kind` is read, write or swap.

    `value` is what a read was answered, or what was to be written; a write of nothing is a deletion. A swap writes it if
    the key holds `expected`: what `If-Match` names, or nothing for `If-None-Match: *`. `done` is whether it did; None if
    nobody knows.
    """

    kind: str
    value: Value = EMPTY
    expected: Value = EMPTY
    done: bool | None = None

    def on(self, held: Value) -> tuple[bool, Value]:
        """Whether it could be answered so by a key that holds this, and what the key holds then."""
        if self.kind == "read":
            return held == self.value, held
        if self.kind == "write":
            return True, self.value
        matches = held == self.expected
        if self.done is None:
            return True, self.value if matches else held
        return matches == self.done, self.value if matches else held


@dataclasses.dataclass(frozen=True)
class Event:
    """An operation, and when it began and ended; `ended` is None if nobody knows whether it was done, or will be."""

    begun: float
    ended: float | None
    operation: Operation


def read(begun: float, ended: float, value: Value) -> Event:
    return Event(begun, ended, Operation("read", value))


def write(begun: float, ended: float | None, value: Value) -> Event:
    return Event(begun, ended, Operation("write", value))


def swap(begun: float, ended: float | None, expected: Value, value: Value, done: bool | None) -> Event:
    return Event(begun, ended, Operation("swap", value, expected, done))


def first_impossible(events: Iterable[Event], held: Value = EMPTY) -> Event | None:
    """The operation whose end cannot be explained, of the one that ends first; None if the history is linearizable."""
    events = list(events)
    # At one moment, begins come before ends: operations that touch may have overlapped.
    moments = [(event.begun, 0, number) for number, event in enumerate(events)]
    moments += [(event.ended, 1, number) for number, event in enumerate(events) if event.ended is not None]
    pending: set[int] = set()
    # A state: what is held, and which of the pending were done.
    states: set[tuple[Value, frozenset[int]]] = {(held, frozenset())}
    for _, is_end, number in sorted(moments):
        if not is_end:
            # A read without an answer says nothing.
            if events[number].ended is not None or events[number].operation.kind != "read":
                pending.add(number)
            continue
        states = _ended(events, states, pending, number)
        pending.discard(number)
        if not states:
            return events[number]
    return None


def _ended(events, states, pending, number):
    """The states after the end of an operation: those in which it was done, of all that can come of these."""
    left, tried, after = list(states), set(states), set()
    while left:
        held, done = left.pop()
        if number in done:
            after.add((held, done - {number}))
            # What could be done after it can be done later as well.
            continue
        for other in pending - done:
            possible, then = events[other].operation.on(held)
            state = (then, done | {other})
            if possible and state not in tried:
                tried.add(state)
                left.append(state)
        assert len(tried) < STATES_MAX, "too many operations of unknown outcome"
    return after
