"""The suite's own tools agree with published values. If one of these fails, believe no other failure."""

import base64
import datetime
import hashlib

import pytest

from support import inputs, sigv4
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
