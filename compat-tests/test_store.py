"""`xetgate store` tells the truth about a data folder, gives space back, and names what damage hits."""

import json
import random
import subprocess

import botocore.exceptions
import pytest

from support import clients, server

MIB = 1 << 20


def store(data_dir, *command: str) -> subprocess.CompletedProcess:
    line = [str(server.binary()), "store", "--json", "--data-dir", str(data_dir), *command]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=server.environment())


def report(data_dir, *command: str) -> dict:
    told = store(data_dir, *command)
    assert told.returncode == 0, told
    return json.loads(told.stdout)


@pytest.fixture
def s3(own_server):
    made = clients.boto3_client(own_server.endpoint, server.ROOT)
    made.create_bucket(Bucket="kept")
    return made


def pack_bytes(own_server) -> int:
    return sum(pack.stat().st_size for pack in (own_server.data_dir / "packs").iterdir())


def test_deleted_space_is_given_back_and_the_rest_stays(own_server, s3):
    kept, deleted = random.Random(1).randbytes(3 * MIB), random.Random(2).randbytes(20 * MIB)
    s3.put_object(Bucket="kept", Key="kept", Body=kept)
    s3.put_object(Bucket="kept", Key="deleted", Body=deleted)
    s3.delete_object(Bucket="kept", Key="deleted")
    own_server.stop()
    assert pack_bytes(own_server) > 23 * MIB
    would = report(own_server.data_dir, "gc", "--dry-run")
    assert would["bytes_freed"] > 19 * MIB and pack_bytes(own_server) > 23 * MIB
    assert report(own_server.data_dir, "gc")["bytes_freed"] == would["bytes_freed"]
    assert 3 * MIB < pack_bytes(own_server) < 4 * MIB
    assert report(own_server.data_dir, "check")["findings"] == []
    stats = report(own_server.data_dir, "stats")
    assert (stats["objects"], stats["logical_bytes"], stats["dead_bytes"]) == (1, 3 * MIB, 0)
    own_server.start()
    assert s3.get_object(Bucket="kept", Key="kept")["Body"].read() == kept


def test_an_index_made_anew_finds_the_chunks_again(own_server, s3):
    body = random.Random(3).randbytes(5 * MIB)
    s3.put_object(Bucket="kept", Key="first", Body=body)
    own_server.stop()
    before = pack_bytes(own_server)
    assert report(own_server.data_dir, "rebuild-index")["chunks"] > 50
    own_server.start()
    s3.put_object(Bucket="kept", Key="again", Body=body)
    assert pack_bytes(own_server) == before


def test_a_flipped_bit_is_an_error_to_the_reader_and_named_by_scrub(own_server, s3):
    body = random.Random(4).randbytes(2 * MIB)
    s3.put_object(Bucket="kept", Key="hit", Body=body)
    s3.put_object(Bucket="kept", Key="whole", Body=b"whole")
    own_server.stop()
    assert report(own_server.data_dir, "scrub")["damages"] == []
    damaged = max((own_server.data_dir / "packs").iterdir(), key=lambda pack: pack.stat().st_size)
    with open(damaged, "r+b") as pack:
        pack.seek(MIB)
        byte = pack.read(1)[0]
        pack.seek(MIB)
        pack.write(bytes([byte ^ 1]))
    told = store(own_server.data_dir, "scrub")
    assert told.returncode == 1, told
    (damage,) = json.loads(told.stdout)["damages"]
    assert damage["objects"] == ["root/kept/hit"]
    own_server.start()
    assert s3.get_object(Bucket="kept", Key="whole")["Body"].read() == b"whole"
    with pytest.raises((botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)):
        s3.get_object(Bucket="kept", Key="hit")["Body"].read()
    assert "root/kept/hit" in own_server.log_path.read_text()


def test_a_folder_that_is_served_is_left_alone(own_server):
    told = store(own_server.data_dir, "gc")
    assert told.returncode == 1
    assert str(own_server.data_dir) in told.stderr and len(told.stderr.splitlines()) == 1
