"""What users of other stores tripped over, byte by byte: presigned addresses, refusals, ranges, parameters, texts."""

import contextlib
import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import httpx
import pytest
import requests

from support import server
from support.rawhttp import RawS3, read_answer
from support.refusals import refusal

MIB = 1 << 20
CERTIFICATES = pathlib.Path(__file__).resolve().parents[2] / "src/serve/http/tls"

# What is read of a refused body, and how long: limits of `src/serve/http/closing.rs`.
DRAINED_BYTES_MAX = 128 * MIB
DRAINED_SECS_MAX = 30
DRAINED_IDLE_SECS_MAX = 5


def presigned(endpoint: str, method: str, path: str, **parameters: str) -> str:
    """The address that a presigner makes which moves all headers into the query, as the SDK for JavaScript does."""
    url = f"{endpoint}{path}?{urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote)}"
    request = botocore.awsrequest.AWSRequest(method, url)
    keys = botocore.credentials.Credentials(server.ROOT.access_key, server.ROOT.secret_key)
    botocore.auth.S3SigV4QueryAuth(keys, "s3", server.REGION, expires=600).add_auth(request)
    return request.url


# --- presigned addresses ---------------------------------------------------------------------------------------------


OF_AN_EMPTY_BODY = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "CRC32"}


def test_an_address_signed_without_a_body_takes_any_body(s3, xetgate, bucket):
    url = presigned(xetgate.endpoint, "PUT", f"/{bucket}/k", **OF_AN_EMPTY_BODY, **{"x-amz-meta-a": "b"})
    assert requests.put(url, data=b"a body", timeout=60).status_code == 200
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["Metadata"]) == (6, {"a": "b"})


@pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA256"])
def test_so_does_one_of_a_part(s3, xetgate, bucket, algorithm):
    kind = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **kind)["UploadId"]
    more = {"partNumber": "1", "uploadId": upload, "x-id": "UploadPart"}
    sent = requests.put(presigned(xetgate.endpoint, "PUT", f"/{bucket}/k", **OF_AN_EMPTY_BODY, **more), data=b"part", timeout=60)
    assert sent.status_code == 200, sent.text
    parts = [{"PartNumber": 1, "ETag": sent.headers["etag"]}]
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"part"


def test_an_address_of_signature_version_2_may_repeat_its_headers(s3, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k", "ContentType": "text/plain"})
    sent = requests.put(url, data=b"x", headers={"content-type": "text/plain"}, timeout=60)
    assert sent.status_code == 200, sent.text
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"


# --- refusals that come before the body is read ----------------------------------------------------------------------


def head_of(length: int, host: str, path: str = "/no-such-bucket/k", **more: str) -> bytes:
    fields = {"Host": host, "Content-Length": str(length)} | more
    return (f"PUT {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode()


def send_all_then_read(stream: socket.socket, length: int, **more: str):
    """What a client does that looks at the answer only when it has sent its body."""
    stream.sendall(head_of(length, "127.0.0.1", **more))
    piece = b"x" * MIB
    for _ in range(length // MIB):
        stream.sendall(piece)
    answer = read_answer(stream, "PUT")
    assert stream.recv(1) == b"", "the connection ends behind the answer"
    return answer


def hub_of(running: server.Server) -> int:
    return (running.hub or running).hub_port


@pytest.mark.parametrize("listener", ["s3", "hub"])
def test_a_refusal_can_be_read_by_a_client_that_sends_on(xetgate, listener):
    port = xetgate.port if listener == "s3" else hub_of(xetgate)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        answer = send_all_then_read(stream, 64 * MIB, path="/api/buckets/nobody/none/batch" if listener == "hub" else "/none/k")
    assert answer.status in (401, 403, 404, 405), answer.body
    assert answer.headers["connection"] == "close"
    assert answer.body


def test_a_refusal_can_be_read_over_tls_and_http_2(tmp_path):
    cert, key = CERTIFICATES / "one.pem", CERTIFICATES / "one.key"
    config = tmp_path / "xetgate.toml"
    config.write_text(f'[tls]\ncert_file = "{cert}"\nkey_file = "{key}"\n')
    running = server.Server(tmp_path / "data", tmp_path / "log", "--config", str(config)).start()
    try:
        context = ssl.create_default_context(cafile=str(cert))
        with socket.create_connection(("127.0.0.1", running.port), timeout=60) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                answer = send_all_then_read(stream, 32 * MIB)
        assert answer.outcome == (403, "AccessDenied")
        with httpx.Client(http2=True, verify=context, timeout=60) as client:
            for _ in range(3):
                answer = client.put(f"https://127.0.0.1:{running.port}/no-such-bucket/k", content=b"x" * (16 * MIB))
                assert (answer.http_version, answer.status_code) == ("HTTP/2", 403)
                assert "<Code>AccessDenied</Code>" in answer.text
    finally:
        running.kill()


def test_nodes_fetch_reads_a_refusal(xetgate):
    script = """
        const answer = await fetch(process.argv[1], { method: "PUT", body: Buffer.alloc(64 << 20) });
        console.log(JSON.stringify([answer.status, (await answer.text()).includes("<Code>AccessDenied</Code>")]));
    """
    node = shutil.which("node")
    assert node, "node is needed: apt-get install nodejs"
    url = f"{xetgate.endpoint}/no-such-bucket/k"
    ran = subprocess.run([node, "--input-type=module", "-e", script, url], capture_output=True, text=True, timeout=90)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [403, True]


def test_a_client_that_sends_on_for_ever_is_cut_off(xetgate):
    sent, begun = 0, time.monotonic()
    with socket.create_connection(("127.0.0.1", xetgate.port), timeout=60) as stream:
        stream.sendall(head_of(1 << 40, "127.0.0.1"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 4 * DRAINED_BYTES_MAX:
                sent += stream.send(b"x" * MIB)
    # What lies in the buffers of both sockets comes on top.
    assert sent < DRAINED_BYTES_MAX + 32 * MIB
    assert time.monotonic() - begun < DRAINED_SECS_MAX + 10


def test_clients_that_stay_behind_their_refusal_keep_nobody_out(xetgate):
    """They are let go after a few seconds; until then, and afterwards, others are served."""
    staying = []
    for _ in range(50):
        stream = socket.create_connection(("127.0.0.1", xetgate.port), timeout=60)
        stream.sendall(head_of(1 << 30, "127.0.0.1") + b"x" * 1000)
        assert read_answer(stream, "PUT").status == 403
        staying.append(stream)
    http = RawS3(xetgate.port, server.ROOT)
    begun = time.monotonic()
    assert http.call("GET", "/").status == 200
    assert time.monotonic() - begun < 5
    time.sleep(DRAINED_IDLE_SECS_MAX + 3)
    for stream in staying:
        with stream, pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(10):
                stream.send(b"x")
                time.sleep(0.02)


def test_a_small_refused_body_costs_no_connection(xetgate):
    with socket.create_connection(("127.0.0.1", xetgate.port), timeout=60) as stream:
        for _ in range(3):
            stream.sendall(head_of(5, "127.0.0.1"))
            time.sleep(0.02)
            stream.sendall(b"small")
            answer = read_answer(stream, "PUT")
            assert answer.outcome == (403, "AccessDenied")
            assert answer.headers["connection"] != "close"


# --- ranges ----------------------------------------------------------------------------------------------------------


def test_a_range_that_cannot_be_had_tells_of_the_object(http, s3, bucket):
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    s3.put_object(Bucket=bucket, Key="ten", Body=b"0123456789")
    for key, size in (("empty", "0"), ("ten", "10")):
        answer = http.call("GET", f"/{bucket}/{key}", headers={"range": "bytes=10-19"})
        assert answer.outcome == (416, "InvalidRange")
        assert (answer.field("ActualObjectSize"), answer.field("RangeRequested")) == (size, "bytes=10-19")
        assert answer.headers["content-range"] == f"bytes */{size}"
    tail = http.call("GET", f"/{bucket}/empty", headers={"range": "bytes=-65536"})
    assert (tail.status, tail.body, tail.headers["content-length"]) == (200, b"", "0")
    assert tail.headers["content-range"] is None
    assert http.call("GET", f"/{bucket}/empty", headers={"range": "bytes=-0"}).status == 416


def test_a_download_that_goes_on_never_mixes_two_objects(http, s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"a" * 1000)["ETag"]
    date = http.call("HEAD", f"/{bucket}/k").headers["last-modified"]
    go_on = {"range": "bytes=500-"}
    for same in (first, date):
        assert http.call("GET", f"/{bucket}/k", headers=go_on | {"if-range": same}).status == 206
    time.sleep(1.1)
    s3.put_object(Bucket=bucket, Key="k", Body=b"b" * 900)
    for other in (first, date, f"W/{first}", "nonsense of course"):
        answer = http.call("GET", f"/{bucket}/k", headers=go_on | {"if-range": other})
        assert (answer.status, answer.body) == (200, b"b" * 900), other


# --- addresses in answers --------------------------------------------------------------------------------------------


def completed(http: RawS3, path: str, headers: dict[str, str]) -> str:
    """The Location of a completed upload of one part."""
    upload = http.call("POST", path, query={"uploads": ""}, headers=headers).field("{*}UploadId")
    part = http.call("PUT", path, b"x", query={"partNumber": "1", "uploadId": upload}, headers=headers)
    named = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
    answer = http.call("POST", path, named.encode(), query={"uploadId": upload}, headers=headers)
    assert answer.status == 200, answer.body
    return answer.field("{*}Location")


def test_the_address_of_an_upload_is_that_of_its_client(tmp_path):
    config = tmp_path / "xetgate.toml"
    config.write_text('[s3]\ndomains = ["s3.example"]\n[server]\ntrusted_proxies = ["127.0.0.1"]\n')
    running = server.Server(tmp_path / "data", tmp_path / "log", "--config", str(config)).start()
    try:
        http = RawS3(running.port, server.ROOT)
        assert http.call("PUT", "/bucket").status == 200
        own = f"http://127.0.0.1:{running.port}"
        assert completed(http, "/bucket/a b", {}) == f"{own}/bucket/a%20b"
        proxied = {"x-forwarded-proto": "https"}
        assert completed(http, "/bucket/k", proxied) == f"https://127.0.0.1:{running.port}/bucket/k"
        http.host = "bucket.s3.example"
        assert completed(http, "/k", {}) == "http://bucket.s3.example/k"
        assert completed(http, "/k", proxied) == "https://bucket.s3.example/k"
    finally:
        running.kill()
        if running.hub:
            running.hub.kill()


def test_the_scheme_of_an_address_is_not_for_everybody_to_say(http, bucket):
    location = completed(http, f"/{bucket}/k", {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example"})
    assert location == f"http://{http.host}/{bucket}/k"


# --- parameters ------------------------------------------------------------------------------------------------------


def test_parameters_for_logs_are_ignored_in_every_operation(http, bucket):
    own = {"x-request-of": "me", "x-amz-anything": "1"}
    assert http.call("PUT", f"/{bucket}-two", query=own).status == 200
    assert http.call("PUT", f"/{bucket}/k", b"x", query=own).status == 200
    copy = {"x-amz-copy-source": f"/{bucket}/k"}
    assert http.call("PUT", f"/{bucket}/copy", query=own, headers=copy).status == 200
    assert http.call("GET", f"/{bucket}/k", query=own).body == b"x"
    assert http.call("GET", f"/{bucket}", query=own | {"list-type": "2"}).status == 200
    assert http.call("DELETE", f"/{bucket}/k", query=own).status == 204
    assert http.call("DELETE", f"/{bucket}-two", query=own).status == 204


@pytest.mark.parametrize("parameter", ["uploadId", "partNumber", "uploads", "versions", "delete", "cors", "restore", "versionId"])
def test_a_sub_resource_of_another_operation_changes_nothing(http, s3, bucket, parameter):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    s3.put_object(Bucket=bucket, Key="other", Body=b"other")
    query, copy = {parameter: "1"}, {"x-amz-copy-source": f"/{bucket}/other"}
    assert http.call("PUT", f"/{bucket}/k", b"new", query=query).outcome == (400, "InvalidArgument")
    assert http.call("PUT", f"/{bucket}/k", query=query, headers=copy).outcome == (400, "InvalidArgument")
    if parameter not in ("uploadId", "versionId"):
        assert http.call("DELETE", f"/{bucket}/k", query=query).outcome == (400, "InvalidArgument")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.hub_refuses("InvalidArgument")
def test_a_name_with_a_carriage_return_comes_back_as_it_was(s3, bucket):
    name = "a\rb\r\nc\td"
    s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    upload = s3.create_multipart_upload(Bucket=bucket, Key=name)
    assert upload["Key"] == name
    assert s3.list_parts(Bucket=bucket, Key=name, UploadId=upload["UploadId"])["Key"] == name
    s3.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload["UploadId"])
    for listed in (s3.list_objects(Bucket=bucket), s3.list_objects_v2(Bucket=bucket)):
        assert [found["Key"] for found in listed["Contents"]] == [name]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name}]})
    assert [found["Key"] for found in deleted["Deleted"]] == [name]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.hub_refuses("InvalidArgument")
def test_a_listing_without_encoding_refers_to_control_characters(http, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a\rb", Body=b"x")
    listed = http.call("GET", f"/{bucket}", query={"list-type": "2"})
    assert b"<Key>a&#13;b</Key>" in listed.body
    found = [element.text for element in xml.etree.ElementTree.fromstring(listed.body).iterfind(".//{*}Key")]
    assert found == ["a\rb"]


def test_times_are_the_same_wherever_they_are_told(http, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    head = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    told = [s3.list_objects(Bucket=bucket), s3.list_objects_v2(Bucket=bucket)]
    assert all(listed["Contents"][-1]["LastModified"] == head for listed in told)
    assert s3.list_object_versions(Bucket=bucket)["Versions"][-1]["LastModified"] == head
    assert s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag"])["LastModified"] == head
    for target in ("/", f"/{bucket}"):
        times = re.findall(rb">([0-9-]+T[0-9:.]+Z)<", http.call("GET", target).body)
        assert times and all(time.endswith(b".000Z") for time in times)


def test_a_copy_between_two_long_names_may_have_all_its_metadata(http, s3, bucket):
    old, new = "ü" * 512, "ä" * 512
    s3.put_object(Bucket=bucket, Key=old, Body=b"x")
    metadata = {f"m{n}": "v" * 250 for n in range(8)}
    s3.copy_object(Bucket=bucket, Key=new, CopySource={"Bucket": bucket, "Key": old}, Metadata=metadata, MetadataDirective="REPLACE")
    assert s3.head_object(Bucket=bucket, Key=new)["Metadata"] == metadata
    long = http.call("PUT", f"/{bucket}/k", headers={"x-amz-meta-a": "v" * 9000})
    assert long.outcome == (400, "RequestHeaderSectionTooLarge")


@pytest.mark.parametrize("name", ["content-disposition", "cache-control", "content-language", "expires"])
def test_a_header_of_an_object_is_kept_or_refused_and_never_dropped(s3, http, bucket, name):
    def put(value: bytes):
        url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
        target = urllib.parse.urlsplit(url)
        with socket.create_connection(("127.0.0.1", http.port), timeout=60) as stream:
            head = f"PUT {target.path}?{target.query} HTTP/1.1\r\nHost: {http.host}\r\nContent-Length: 1\r\n{name}: "
            stream.sendall(head.encode() + value + b"\r\n\r\nx")
            return read_answer(stream, "PUT")

    assert put('attachment; filename="ü.txt"'.encode()).status == 200
    kept = http.call("HEAD", f"/{bucket}/k").headers[name]
    assert kept.encode("latin-1").decode() == 'attachment; filename="ü.txt"'
    assert put(b'attachment; filename="\xfc.txt"').outcome == (400, "InvalidArgument")


# --- acls ------------------------------------------------------------------------------------------------------------


def test_objects_take_the_acl_that_they_have_anyway_and_no_encryption(s3, bucket, new_name):
    for acl in ("private", "bucket-owner-full-control"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL=acl)
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", ACL=acl)
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ACL=acl)["UploadId"]
        s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert refusal(s3.put_object, Bucket=bucket, Key="k", ACL="public-read") == (501, "NotImplemented")
    public = new_name()
    s3.create_bucket(Bucket=public, ACL="public-read")
    for acl in ("private", "bucket-owner-full-control", "public-read"):
        s3.put_object(Bucket=public, Key="k", Body=b"x", ACL=acl)
    encrypted = refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"y", ServerSideEncryption="AES256")
    assert encrypted == (501, "NotImplemented")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
