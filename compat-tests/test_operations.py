"""What whoever runs a gateway sees of it: metrics, the audit log, the limits; and that no line tells a secret."""

import json
import pathlib
import re
import time
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support import clients, server


@pytest.fixture
def gateway(tmp_path):
    """Starts a server with a configuration of its own, and its metrics at `metrics`."""
    started = []

    def start(text: str) -> server.Server:
        file = tmp_path / "xetgate.toml"
        file.write_text(text)
        running = server.Server(tmp_path / "data", tmp_path / "log", "--config", str(file))
        started.append(running)
        return running.start()

    yield start
    for running in started:
        for process in (running, running.hub):
            if process and process.process:
                process.kill()


def metrics_of(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def audit_lines(path: pathlib.Path, count: int) -> list[dict]:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        time.sleep(0.02)
    raise AssertionError(f"not {count} lines in {path}: {path.read_text()}")


def test_metrics_and_audit_log_tell_of_each_request_what_it_was(gateway, tmp_path):
    port, audit = server.free_port(), tmp_path / "audit.jsonl"
    running = gateway(f'[metrics]\nlisten = "127.0.0.1:{port}"\n[audit]\nfile = "{audit}"\n')
    s3 = clients.boto3_client(running.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a/k ü", Body=b"x" * 1000)
    assert s3.get_object(Bucket="bucket", Key="a/k ü")["Body"].read() == b"x" * 1000
    with pytest.raises(ClientError):
        s3.get_object(Bucket="bucket", Key="none")

    lines = audit_lines(audit, 4)
    told = [(line["operation"], line["bucket"], line["key"], line["status"], line["code"]) for line in lines]
    assert told == [
        ("CreateBucket", "bucket", "", 200, None),
        ("PutObject", "bucket", "a/k ü", 200, None),
        ("GetObject", "bucket", "a/k ü", 200, None),
        ("GetObject", "bucket", "none", 404, "NoSuchKey"),
    ]
    assert all(line["access_key_id"] == server.ROOT.access_key and line["account"] == "root" for line in lines)
    assert lines[1]["received_bytes"] >= 1000 and lines[2]["sent_bytes"] == 1000
    assert {line["address"] for line in lines} == {"127.0.0.1"}

    metrics = metrics_of(port)
    assert metrics['xetgate_requests_total{door="s3",operation="PutObject",status="200"}'] == 1
    assert metrics['xetgate_requests_total{door="s3",operation="GetObject",status="404"}'] == 1
    assert metrics['xetgate_errors_total{door="s3",code="NoSuchKey"}'] == 1
    assert metrics['xetgate_requests_in_flight{door="s3"}'] == 0
    assert metrics['xetgate_request_duration_seconds_count{door="s3",operation="GetObject"}'] == 2
    if not server.in_front_of_a_hub():
        assert metrics["xetgate_objects"] == 1 and metrics["xetgate_logical_bytes"] == 1000
        assert metrics["xetgate_commit_seconds_count"] >= 2 and metrics["xetgate_pack_sync_seconds_count"] >= 1
        assert 0 < metrics["xetgate_new_stored_bytes_total"] < metrics["xetgate_new_raw_bytes_total"] == 1000


def test_a_key_over_its_limit_is_told_to_slow_down_and_clients_do(gateway):
    running = gateway("[limits]\nkey_requests_per_sec = 20\n")
    impatient = boto3.client(
        "s3",
        endpoint_url=running.endpoint,
        region_name=server.REGION,
        aws_access_key_id=server.ROOT.access_key,
        aws_secret_access_key=server.ROOT.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )
    codes = set()
    for _ in range(60):
        try:
            impatient.list_buckets()
        except ClientError as error:
            codes.add((error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]))
    assert codes == {("SlowDown", 503)}
    patient = clients.boto3_client(running.endpoint, server.ROOT)
    for _ in range(30):
        patient.list_buckets()


def test_wrong_secrets_are_answered_slower_and_slower(gateway):
    running = gateway("[limits]\nfailed_logins_per_sec = 2\n")
    wrong = clients.boto3_client(running.endpoint, server.Credentials(server.ROOT.access_key, "wrong-secret"))
    took = []
    for _ in range(53):
        begun = time.monotonic()
        with pytest.raises(ClientError):
            wrong.list_buckets()
        took.append(time.monotonic() - begun)
    assert max(took[:40]) < 0.4 < took[-1], took
    right, begun = clients.boto3_client(running.endpoint, server.ROOT), time.monotonic()
    right.list_buckets()
    assert time.monotonic() - begun < 0.4, "who has the secret does not wait"


def hub_status(running, path: str, token: str) -> int:
    request = urllib.request.Request(running.hub_endpoint + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_no_line_of_the_log_tells_a_secret(gateway, tmp_path):
    running = gateway(f'[log]\nfilter = "trace,s3s=off"\n[audit]\nfile = "{tmp_path / "audit.jsonl"}"\n')
    s3 = clients.boto3_client(running.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"x" * 100)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"})
    urllib.request.urlopen(url, timeout=20).read()
    signature = re.search(r"Signature=([^&]+)", url).group(1)
    wrong = clients.boto3_client(running.endpoint, server.Credentials(server.ROOT.access_key, "wrong-but-a-secret"))
    with pytest.raises(ClientError):
        wrong.list_buckets()
    secrets = [server.ROOT.secret_key, server.ROOT_TOKEN, signature, "wrong-but-a-secret", "hf_wrongButAToken"]
    if not server.in_front_of_a_hub():
        assert hub_status(running, "/api/whoami-v2", "hf_wrongButAToken") == 401
        assert hub_status(running, "/metrics", server.ROOT_TOKEN) == 200
        request = urllib.request.Request(
            running.hub_endpoint + "/admin/keys",
            data=json.dumps({"account": "root", "permission": "read"}).encode(),
            headers={"Authorization": f"Bearer {server.ROOT_TOKEN}", "Content-Type": "application/json"},
        )
        made = json.loads(urllib.request.urlopen(request, timeout=20).read())
        secrets += [made["secret_access_key"], made["token"]]
        url = "/api/buckets/root/bucket/xet-write-token"
        request = urllib.request.Request(running.hub_endpoint + url, headers={"Authorization": f"Bearer {made['token']}"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=20)
    running.stop()
    for file in [running.log_path, tmp_path / "audit.jsonl", *running.data_dir.glob("*.log")]:
        text = file.read_text(errors="replace")
        assert len(text.splitlines()) > 3, "something was written"
        for secret in secrets:
            assert secret not in text, f"{file} tells {secret}"
