"""The suite's own tools agree with published values. If one of these fails, believe no other failure."""

import base64
import datetime
import hashlib
import itertools
import random

import pytest

from support import inputs, linear, sigv4
from support.server import Credentials

# The credential, the moment and the object of the examples in the S3 API reference, "Signature Calculations for the
# Authorization Header: Transferring Payload in Multiple Chunks" and "... with Trailing Headers".
_SIGNER = sigv4.Signer(
    Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC),
)
_BODY = b"a" * 66560
_HEADERS = {
    "host": "s3.amazonaws.com",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "content-encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
}
_PATH = "/examplebucket/chunkObject.txt"


def test_a_signed_stream_is_signed_as_in_the_aws_example():
    headers = _HEADERS | {"x-amz-content-sha256": sigv4.STREAMING, "content-length": "66824"}
    seed = _SIGNER.request_signature("PUT", _PATH, {}, headers, sigv4.STREAMING)
    assert seed == "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    assert _SIGNER.chunk_signatures(seed, sigv4.split(_BODY, 65536)) == [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]


def test_a_signed_trailer_is_signed_as_in_the_aws_example():
    headers = _HEADERS | {
        "x-amz-content-sha256": sigv4.STREAMING_TRAILER,
        "x-amz-trailer": "x-amz-checksum-crc32c",
    }
    seed = _SIGNER.request_signature("PUT", _PATH, {}, headers, sigv4.STREAMING_TRAILER)
    assert seed == "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    signatures = _SIGNER.chunk_signatures(seed, sigv4.split(_BODY, 65536))
    assert signatures == [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    trailer = f"x-amz-checksum-crc32c:{sigv4.checksum('crc32c', _BODY)}\n"
    assert trailer == "x-amz-checksum-crc32c:sOO8/Q==\n"
    told = _SIGNER.trailer_signature(signatures[-1], trailer)
    assert told == "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"


@pytest.mark.parametrize(
    ("name", "check"),
    [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")],
)
def test_a_crc_gives_its_catalogued_check_value(name, check):
    assert sigv4.digest(name, b"123456789").hex() == check
    assert base64.b64decode(sigv4.checksum(name, b"123456789")).hex() == check


@pytest.mark.parametrize("vector", inputs.vectors(), ids=lambda v: v.name)
def test_a_vector_is_made_again_bit_for_bit(vector):
    data = vector.bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (vector.size, vector.sha256)


def test_the_published_client_agrees_with_every_recorded_hash(tmp_path):
    path = tmp_path / "vector"
    for vector in inputs.vectors():
        path.write_bytes(vector.bytes())
        assert inputs.published_hash(path) == vector.xet_hash, vector.name


def _linear(*events) -> bool:
    return linear.first_impossible(events) is None


def test_the_checker_of_histories_accepts_what_can_have_happened():
    r, w, s = linear.read, linear.write, linear.swap
    assert _linear()
    assert _linear(w(0, 1, 7), r(2, 3, 7), w(4, 5, None), r(6, 7, None))
    # Reads that overlap a write may see it or not, in one order.
    assert _linear(w(0, 1, 1), w(2, 9, 2), r(3, 4, 1), r(5, 6, 2))
    # Writes that overlap may be done in either order.
    assert _linear(w(0, 9, 1), w(0, 9, 2), r(10, 11, 1))
    assert _linear(w(0, 9, 1), w(0, 9, 2), r(10, 11, 2))
    # What nobody knows of may be done at once, late or never.
    for seen in (1, None):
        assert _linear(w(0, None, 1), r(50, 51, seen))
    assert _linear(w(0, None, 1), r(2, 3, None), w(4, 5, 2), r(6, 7, 2), r(8, 9, 1))
    assert _linear(s(0, None, None, 1, None), r(2, 3, 1))
    assert _linear(w(0, 1, 5), s(2, None, 5, 6, None), r(4, 5, 5), r(6, 7, 6))
    # Conditional writes: one of two wins, and the loser is refused because of it.
    assert _linear(s(0, 9, None, 1, True), s(0, 9, None, 2, False), r(10, 11, 1))
    assert _linear(w(0, 1, 5), s(2, 9, 5, 6, True), s(2, 9, 5, 7, False), r(10, 11, 6))
    assert _linear(w(0, 1, 5), s(2, 9, 5, 6, True), w(2, 9, 5), s(3, 9, 5, 7, True), r(10, 11, 7))


def test_the_checker_of_histories_refuses_what_cannot_have_happened():
    r, w, s = linear.read, linear.write, linear.swap
    # A read of what was never written, a lost write, a deletion that comes back.
    assert not _linear(r(0, 1, 1))
    assert not _linear(w(0, 1, 1), r(2, 3, None))
    assert not _linear(w(0, 1, 1), w(2, 3, None), r(4, 5, 1))
    # A stale read: another node still has what was written before.
    assert not _linear(w(0, 1, 1), w(2, 3, 2), r(4, 5, 1))
    # New, then old: two readers who disagree about when a write was done.
    assert not _linear(w(0, 1, 1), w(2, 9, 2), r(3, 4, 2), r(5, 6, 1))
    # A write is not done twice, even if nobody knows of it.
    assert not _linear(w(0, None, 1), r(2, 3, 1), w(4, 5, 2), r(6, 7, 2), r(8, 9, 1))
    # Two winners; a refusal that nothing explains; a win over what was not there.
    assert not _linear(s(0, 9, None, 1, True), s(0, 9, None, 2, True))
    assert not _linear(w(0, 1, 5), s(2, 9, 5, 6, True), s(2, 9, 5, 7, True))
    assert not _linear(s(0, 1, None, 1, False))
    assert not _linear(w(0, 1, 5), s(2, 3, 5, 6, False))
    assert not _linear(w(0, 1, 5), s(2, 3, 4, 6, True))
    # An unknown conditional write that could not be done was not.
    assert not _linear(w(0, 1, 5), s(2, None, 4, 6, None), r(4, 5, 6))
    told = linear.first_impossible([w(0, 1, 1), r(2, 3, 1), r(4, 5, 2)])
    assert told == r(4, 5, 2)


@pytest.mark.parametrize("seed", range(20))
def test_the_checker_of_histories_agrees_with_one_that_tries_every_order(seed):
    rng, answers = random.Random(seed), set()
    for _ in range(150):
        events, now = [], 0
        for number in range(rng.randint(1, 5)):
            begun = now + rng.randint(0, 3)
            ended = begun + rng.randint(1, 6)
            now = begun
            kind, value = rng.choice("rws"), rng.choice((None, 1, 2))
            is_unknown = rng.random() < 0.2
            if kind == "r":
                events.append(linear.read(begun, ended, value))
            elif kind == "w":
                events.append(linear.write(begun, None if is_unknown else ended, value))
            else:
                done = None if is_unknown else rng.random() < 0.5
                expected = rng.choice((None, 1, 2))
                events.append(linear.swap(begun, None if is_unknown else ended, expected, value, done))
        answers.add(_linear(*events))
        assert _linear(*events) == _some_order_explains(events), events
    assert answers == {True, False}


def _some_order_explains(events) -> bool:
    known = [event for event in events if event.ended is not None]
    unknown = [event for event in events if event.ended is None]
    chosen = itertools.chain.from_iterable(
        itertools.combinations(unknown, count) for count in range(len(unknown) + 1)
    )
    return any(_explains(order) for some in chosen for order in itertools.permutations([*known, *some]))


def _explains(order) -> bool:
    held = None
    for at, event in enumerate(order):
        if any(later.ended is not None and later.ended < event.begun for later in order[at + 1 :]):
            return False
        possible, held = event.operation.on(held)
        if not possible:
            return False
    return True
