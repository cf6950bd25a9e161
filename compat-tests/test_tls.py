"""TLS on both listeners: by published clients, over HTTP/1.1 and HTTP/2, with a certificate that is replaced."""

import signal
import socket
import ssl
import time

import httpx
import pytest

from support import server
from support.tls import CERTIFICATES, Secure

@pytest.fixture
def secure(tmp_path):
    made = Secure(tmp_path)
    yield made
    if made.running.process:
        made.running.kill()


def test_published_clients_go_in_and_out_by_tls(secure):
    s3 = secure.s3()
    s3.create_bucket(Bucket="bucket")
    body = bytes(range(256)) * 50_000
    s3.put_object(Bucket="bucket", Key="k", Body=body)
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == body
    context = ssl.create_default_context(cafile=str(secure.trusted))
    with httpx.Client(verify=context) as client:
        token = {"Authorization": f"Bearer {server.ROOT_TOKEN}"}
        answer = client.get(f"{secure.hub_url}/api/buckets/root/bucket/xet-read-token", headers=token)
    assert answer.json()["casUrl"] == f"{secure.hub_url}/cas", "clients are sent on by TLS"


def test_http_2_is_spoken_where_it_is_asked_for(secure):
    s3 = secure.s3()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a/k ü", Body=b"x" * 3_000_000)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a/k ü"})
    context = ssl.create_default_context(cafile=str(secure.trusted))
    with httpx.Client(http2=True, verify=context) as client:
        for _ in range(3):
            answer = client.get(url)
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 200), answer.text
            assert answer.content == b"x" * 3_000_000
        assert client.get(f"{secure.hub_url}/health/ready").http_version == "HTTP/2"
    with httpx.Client(verify=context) as client:
        assert client.get(url).http_version == "HTTP/1.1"


def test_a_replaced_certificate_is_served_without_a_restart_and_connections_stay(secure):
    s3 = secure.s3()
    s3.create_bucket(Bucket="bucket")
    ports = (secure.running.port, secure.running.hub_port)
    assert [secure.served(port) for port in ports] == ["one.test", "one.test"]
    secure.install("two")
    secure.running.process.send_signal(signal.SIGHUP)
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up and secure.served(ports[0]) == "one.test":
        time.sleep(0.05)
    assert [secure.served(port) for port in ports] == ["two.test", "two.test"]
    s3.put_object(Bucket="bucket", Key="k", Body=b"by the old connection")
    # Half of a renewal: the old one stays.
    secure.cert.write_text((CERTIFICATES / "one.pem").read_text())
    secure.running.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert secure.served(ports[0]) == "two.test"


def test_plain_http_on_a_tls_port_is_cut_off(secure):
    with socket.create_connection(("127.0.0.1", secure.running.port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1" not in plain.recv(1000)


def test_a_form_that_came_by_tls_is_told_an_address_with_tls(secure):
    s3 = secure.s3()
    s3.create_bucket(Bucket="bucket")
    fields = {"success_action_status": "201"}
    form = s3.generate_presigned_post("bucket", "key", Fields=fields, Conditions=[fields])
    files = {"file": ("name", b"from a form")}
    context = ssl.create_default_context(cafile=str(secure.trusted))
    answer = httpx.post(form["url"], data=form["fields"], files=files, verify=context)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{secure.s3_url}/bucket/key"
    assert f"<Location>{secure.s3_url}/bucket/key</Location>" in answer.text
