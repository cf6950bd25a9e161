"""A backup taken while clients write: restored elsewhere it is whole, and has what was acknowledged before it began."""

import pathlib
import subprocess
import threading

import pytest

from support import clients, inputs, server


@pytest.fixture
def servers(tmp_path):
    """Starts servers, each on a data folder; none outlives the test."""
    started = []

    def start(data: pathlib.Path, *more: str) -> server.Server:
        started.append(server.Server(data, tmp_path / f"log-{len(started)}", *more))
        return started[-1].start()

    yield start
    for running in started:
        if running.process:
            running.kill()


def xetgate(*words: str) -> subprocess.CompletedProcess:
    line = [str(server.binary()), *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, env=server.environment())


class Writer(threading.Thread):
    """Puts objects, each with content of its own, until told to stop; knows which were acknowledged."""

    def __init__(self, endpoint: str, number: int):
        super().__init__()
        self.s3 = clients.boto3_client(endpoint, server.ROOT)
        self.number, self.acknowledged, self.stop = number, [], threading.Event()

    def run(self):
        count = 0
        while not self.stop.is_set():
            key, body = f"{self.number}/{count}", content(self.number, count)
            self.s3.put_object(Bucket="bucket", Key=key, Body=body)
            self.acknowledged.append((key, body))
            if count % 7 == 3:
                self.s3.put_object(Bucket="bucket", Key=f"{self.number}/again", Body=body)
            count += 1


def content(writer: int, count: int) -> bytes:
    return inputs.noise(writer * 10_000 + count, 300_000 if count % 10 == 0 else 3_000)


def test_a_backup_taken_during_writes_is_whole_elsewhere(servers, tmp_path):
    config, backups = tmp_path / "xetgate.toml", tmp_path / "backups"
    config.write_text(f'[backup]\nfolder = "{backups}"\n')
    running = servers(tmp_path / "data", "--config", str(config))
    clients.boto3_client(running.endpoint, server.ROOT).create_bucket(Bucket="bucket")
    writers = [Writer(running.endpoint, number) for number in range(4)]
    for writer in writers:
        writer.start()
    while min(len(writer.acknowledged) for writer in writers) < 30:
        writers[0].join(0.05)
    before = [pair for writer in writers for pair in list(writer.acknowledged)]
    told = xetgate("admin", "--endpoint", running.hub_endpoint, "--token", server.ROOT_TOKEN, "backup", "one")
    assert told.returncode == 0, told.stderr
    seen = [len(writer.acknowledged) for writer in writers]
    while any(len(writer.acknowledged) <= count for writer, count in zip(writers, seen)):
        assert all(writer.is_alive() for writer in writers), "writing goes on"
        writers[0].join(0.05)
    for writer in writers:
        writer.stop.set()
        writer.join()
    again = xetgate("admin", "--endpoint", running.hub_endpoint, "--token", server.ROOT_TOKEN, "backup", "one")
    assert again.returncode == 1 and "exist" in again.stderr
    running.kill()

    restored = tmp_path / "restored"
    (backups / "one").rename(restored)
    checked = xetgate("store", "--data-dir", str(restored), "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    rebuilt = xetgate("store", "--data-dir", str(restored), "rebuild-index")
    assert rebuilt.returncode == 0, rebuilt.stderr
    s3 = clients.boto3_client(servers(restored).endpoint, server.ROOT)
    for key, body in before:
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == body, key
    made = {key: body for writer in writers for key, body in writer.acknowledged}
    keys = [entry["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="bucket")
            for entry in page["Contents"] if not entry["Key"].endswith("again")]
    for key in keys:
        number, count = key.split("/")
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == made.get(key, content(int(number), int(count)))
    assert len(before) <= len(keys)


def test_a_store_at_rest_is_copied_by_name(servers, tmp_path):
    running = servers(tmp_path / "data")
    s3 = clients.boto3_client(running.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"kept")
    copying = ["store", "--data-dir", str(running.data_dir), "backup", str(tmp_path / "copy")]
    held = xetgate(*copying)
    assert held.returncode == 1 and "in use by another xetgate" in held.stderr
    running.stop()
    copied = xetgate(*copying)
    assert copied.returncode == 0, copied.stderr
    s3 = clients.boto3_client(servers(tmp_path / "copy").endpoint, server.ROOT)
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"kept"
