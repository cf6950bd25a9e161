"""Nothing that a client sends is unbounded: heads, XML, patience and connections; each has S3's own answer."""

import base64
import contextlib
import hashlib
import socket
import time

import pytest

from support import server
from support.rawhttp import RawS3, read_answer

MIB = 1 << 20


# --- how much --------------------------------------------------------------------------------------------------------


def test_a_long_head_is_taken_and_a_longer_one_refused(http, bucket):
    path = f"/{bucket}/" + "ü" * 512  # The longest key: 3 KiB when it is percent-encoded.
    kept = {f"x-amz-meta-{n}": "v" * 500 for n in range(4)}
    assert http.call("PUT", path, b"x", headers=kept).status == 200
    long = {f"x-long-{n}": "v" * 1000 for n in range(8)}
    assert http.call("PUT", path, b"y", headers=long).outcome == (400, "RequestHeaderSectionTooLarge")
    query = {"prefix": "p" * (9 << 10)}
    assert http.call("GET", f"/{bucket}", query=query).outcome == (400, "RequestHeaderSectionTooLarge")
    assert http.call("GET", path).body == b"x"


def test_metadata_beyond_two_kib_is_refused(http, bucket):
    assert http.call("PUT", f"/{bucket}/k", headers={"x-amz-meta-a": "v" * 2047}).status == 200
    refused = http.call("PUT", f"/{bucket}/k", headers={"x-amz-meta-a": "v" * 2048})
    assert refused.outcome == (400, "MetadataTooLarge")


def test_a_configuration_may_have_one_mib(http, bucket):
    rule = b"<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule>"

    def configure(size: int):
        xml = b"<CORSConfiguration>" + rule + b"</CORSConfiguration>"
        return http.call("PUT", f"/{bucket}", xml + b" " * (size - len(xml)), query={"cors": ""})

    assert configure(MIB).status == 200
    assert configure(MIB + 1).outcome == (400, "MaxMessageLengthExceeded")


def test_a_list_of_keys_may_have_two_mib(http, bucket):
    def delete(size: int):
        xml = b"<Delete><Object><Key>a</Key></Object></Delete>"
        body = xml + b" " * (size - len(xml))
        headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        return http.call("POST", f"/{bucket}", body, query={"delete": ""}, headers=headers)

    assert delete(2 * MIB).status == 200
    assert delete(2 * MIB + 1).outcome == (400, "MaxMessageLengthExceeded")


# --- how long, and how many ------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(tmp_path):
    """A server that waits for nobody longer than a second, and takes four connections at a time."""
    config = tmp_path / "xetgate.toml"
    config.write_text("[server]\nheader_timeout_secs = 1\nstall_timeout_secs = 1\n\n[s3]\nmax_connections = 4\n")
    running = server.Server(tmp_path / "data", tmp_path / "log", "--config", str(config)).start()
    yield RawS3(running.port, server.ROOT)
    running.kill()


def _connect(http: RawS3) -> socket.socket:
    return socket.create_connection(("127.0.0.1", http.port), timeout=20)


def test_a_head_that_does_not_come_ends_the_connection(impatient):
    with _connect(impatient) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            while slow.recv(4096):
                pass
    assert 0.5 < time.monotonic() - begun < 10


def test_a_body_that_stands_still_is_given_up_and_stores_nothing(impatient):
    assert impatient.call("PUT", "/bucket").status == 200
    request = impatient.build("PUT", "/bucket/key", b"a whole body")
    with _connect(impatient) as slow:
        slow.sendall(request.head() + request.body[:5])
        assert read_answer(slow, "PUT").outcome == (400, "RequestTimeout")
    assert impatient.call("GET", "/bucket/key").outcome == (404, "NoSuchKey")


def test_one_connection_more_than_allowed_waits_until_another_ends(impatient):
    idle = [_connect(impatient) for _ in range(4)]
    begun = time.monotonic()
    # Its turn comes when the idle ones have been given up.
    assert impatient.call("PUT", "/bucket").status == 200
    assert time.monotonic() - begun > 0.5
    for each in idle:
        each.close()
