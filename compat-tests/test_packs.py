"""Packs in an object store (`packs.url`): what is acknowledged is there, whatever the object store and the process do.

The object stores are `rclone serve s3`, which nobody here wrote, a standalone xetgate, and a folder.
"""

import json
import shutil
import threading

import botocore.config
import botocore.exceptions
import pytest

from support import clients, inputs, load, packs, server
from support.inputs import KIB, MIB
from support.weather import Weather
from test_durability import Rounds

pytestmark = pytest.mark.timeout(300)

PLACES = {"rclone": packs.Rclone, "xetgate": packs.Gateway, "folder": packs.Folder}


@pytest.fixture
def started():
    """What is to be ended with the test."""
    running = []
    yield lambda one: running.append(one) or one
    for one in reversed(running):
        if isinstance(one, server.Server):
            if one.process:
                one.kill()
        else:
            one.stop()


@pytest.fixture(params=PLACES)
def place(request, tmp_path, started):
    return started(PLACES[request.param](tmp_path / "place"))


@pytest.fixture
def gateway(tmp_path, started):
    """A standalone xetgate as the object store."""
    return started(packs.Gateway(tmp_path / "place"))


def without_retries(running):
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=120)
    return clients.boto3_client(running.endpoint, server.ROOT, config=config)


def read(s3, key: str, **more) -> bytes:
    return s3.get_object(Bucket="bucket", Key=key, **more)["Body"].read()


def own_server(folder, told, started):
    folder.mkdir(exist_ok=True)
    return started(packs.Packed(folder, told)).start()


def test_what_is_put_is_there_after_a_kill_and_the_store_agrees(place, tmp_path, started):
    running = own_server(tmp_path / "own", packs.at(place, "some/where"), started)
    s3 = clients.boto3_client(running.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    sizes = {"empty": 0, "byte": 1, "small": 5 * KIB, "middle": 3 * MIB, "large": 40 * MIB}
    held = {key: inputs.noise(seed, size) for seed, (key, size) in enumerate(sizes.items())}
    for key, content in held.items():
        s3.put_object(Bucket="bucket", Key=key, Body=content)
    parts = [inputs.noise(100 + number, 6 * MIB) for number in range(3)]
    upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    done = [
        {"PartNumber": n, "ETag": s3.upload_part(Bucket="bucket", Key="parts", UploadId=upload, PartNumber=n, Body=p)["ETag"]}
        for n, p in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(Bucket="bucket", Key="parts", UploadId=upload, MultipartUpload={"Parts": done})
    held["parts"] = b"".join(parts)
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/large")
    held["copy"] = held["large"]
    s3.put_object(Bucket="bucket", Key="gone", Body=inputs.noise(999, 2 * MIB))
    s3.delete_object(Bucket="bucket", Key="gone")

    def whole():
        assert {entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]} == set(held)
        for key, content in held.items():
            assert read(s3, key) == content, key
        assert read(s3, "large", Range="bytes=9999999-20000000") == held["large"][9999999:20000001]

    whole()
    running.kill()
    running.start()
    whole()
    running.stop()
    assert not list((running.data_dir / "packs").glob("*.pack")), "packs are elsewhere"
    assert json.loads(running.store("check"))["findings"] == []
    assert json.loads(running.store("scrub"))["damages"] == []
    assert json.loads(running.store("stats"))["packs"] > 0
    assert json.loads(running.store("rebuild-index"))["gap_bytes"] == 0
    running.store("gc")
    assert json.loads(running.store("check"))["findings"] == []
    running.start()
    whole()
    running.stop()

    # A backup has the packs as files: it is a data folder that needs no object store.
    running.store("backup", str(tmp_path / "backup"))
    (tmp_path / "restored").mkdir()
    restored = started(packs.Packed(tmp_path / "restored", {}))
    shutil.copytree(tmp_path / "backup", restored.data_dir)
    s3 = clients.boto3_client(restored.start().endpoint, server.ROOT)
    whole()


@pytest.mark.parametrize("kind", ["folder", "xetgate"])
def test_every_acknowledged_write_survives_kill_9(kind, tmp_path, started, capsys):
    place = started(PLACES[kind](tmp_path / "place"))
    (tmp_path / "gc.toml").write_text("[gc]\ninterval_secs = 1\n")
    (tmp_path / "own").mkdir()
    victim = packs.Packed(tmp_path / "own", packs.at(place), "--config", str(tmp_path / "gc.toml"))
    started(victim).start()
    load.client(victim.endpoint, server.ROOT).create_bucket(Bucket="kill")
    rounds = Rounds(victim, "kill", load.new_ledger(), tmp_path)

    def workers(rng):
        s3 = load.client(victim.endpoint, server.ROOT)
        numbers = range(load.WORKERS)
        return [load.Worker(i, rng.getrandbits(32), s3, "kill", rounds.ledger, rounds.tally) for i in numbers]

    rounds.run(workers)
    assert json.loads(victim.store("check"))["findings"] == []
    rounds.tell(capsys)


def test_many_small_packs_become_few(place, tmp_path, started):
    running = own_server(tmp_path / "own", packs.at(place), started)
    s3 = clients.boto3_client(running.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    held = {f"k{number}": inputs.noise(number, 20 * KIB) for number in range(40)}
    for key, content in held.items():
        s3.put_object(Bucket="bucket", Key=key, Body=content)
    running.stop()
    before = json.loads(running.store("stats"))["packs"]
    assert before >= 40
    assert json.loads(running.store("gc"))["packs_rewritten"] == before
    assert json.loads(running.store("stats"))["packs"] == 1
    running.start()
    assert all(read(s3, key) == content for key, content in held.items())


def test_packs_that_nobody_knows_are_left_for_a_day(gateway, tmp_path, started):
    running = own_server(tmp_path / "own", packs.at(gateway, "p"), started)
    clients.boto3_client(running.endpoint, server.ROOT).create_bucket(Bucket="bucket")
    running.stop()
    inside = clients.boto3_client(gateway.endpoint, gateway.keys)
    # One that another process is about to name in its metadata.
    inside.put_object(Bucket=packs.BUCKET, Key="p/packs/00/0000007700000001", Body=b"x" * 1000)
    running.store("gc")
    running.start().stop()
    assert inside.head_object(Bucket=packs.BUCKET, Key="p/packs/00/0000007700000001")["ContentLength"] == 1000


@pytest.fixture
def weather(gateway, started):
    return Weather(gateway.port)


@pytest.fixture
def behind_weather(weather, gateway, tmp_path, started):
    told = packs.at(gateway, "p", weather.proxy.endpoint)
    running = own_server(tmp_path / "own", told, started)
    started(weather.proxy)
    clients.boto3_client(running.endpoint, server.ROOT).create_bucket(Bucket="bucket")
    return running


def test_while_the_object_store_is_busy_clients_are_told_to_slow_down(weather, behind_weather):
    s3 = without_retries(behind_weather)
    content = inputs.noise(1, 3 * MIB)
    s3.put_object(Bucket="bucket", Key="before", Body=content)
    weather.busy = True
    for ask in (
        lambda: s3.put_object(Bucket="bucket", Key="during", Body=inputs.noise(2, 10 * KIB)),
        lambda: s3.put_object(Bucket="bucket", Key="during", Body=inputs.noise(3, 20 * MIB)),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            ask()
        assert refused.value.response["Error"]["Code"] == "SlowDown"
        meta = refused.value.response["ResponseMetadata"]
        assert (meta["HTTPStatusCode"], meta["HTTPHeaders"]["retry-after"]) == (503, "1")
    with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)):
        read(s3, "before")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["before"]
    # Clients that come again, as all do by default, notice nothing but that it takes longer.
    threading.Timer(3, lambda: setattr(weather, "busy", False)).start()
    patient = clients.boto3_client(behind_weather.endpoint, server.ROOT)
    patient.put_object(Bucket="bucket", Key="after", Body=inputs.noise(4, 2 * MIB))
    assert read(s3, "after") == inputs.noise(4, 2 * MIB)
    assert read(s3, "before") == content


def test_a_connection_that_is_lost_in_the_middle_of_a_body_costs_no_byte(weather, behind_weather):
    s3 = clients.boto3_client(behind_weather.endpoint, server.ROOT)
    content = inputs.noise(5, 30 * MIB)
    s3.put_object(Bucket="bucket", Key="k", Body=content)
    behind_weather.restart()
    weather.cut_one_of = 300  # pieces of 64 KiB
    assert read(s3, "k") == content


def test_what_was_read_once_is_read_from_the_disk(weather, behind_weather):
    s3 = clients.boto3_client(behind_weather.endpoint, server.ROOT)
    content = inputs.noise(6, 10 * MIB)
    s3.put_object(Bucket="bucket", Key="k", Body=content)
    weather.proxy.forget()
    assert read(s3, "k") == content
    assert weather.proxy.count("GET", "/p/packs/") > 0
    behind_weather.restart()
    weather.proxy.forget()
    assert read(s3, "k") == content
    assert read(s3, "k", Range="bytes=5000000-6000000") == content[5000000:6000001]
    assert weather.proxy.count("GET", "/p/packs/") == 0


def test_an_acknowledgement_that_is_lost_is_no_loss(weather, behind_weather):
    s3 = clients.boto3_client(behind_weather.endpoint, server.ROOT)
    held = {f"k{number}": inputs.noise(50 + number, number * 500 * KIB + 1) for number in range(24)}

    weather.proxy.rewrite = weather.lose_answers
    for key, content in held.items():
        s3.put_object(Bucket="bucket", Key=key, Body=content)
    weather.proxy.rewrite = None
    behind_weather.restart()
    assert all(read(s3, key) == content for key, content in held.items())
    behind_weather.stop()
    assert json.loads(behind_weather.store("check"))["findings"] == []


def everything_in(place) -> list[tuple]:
    s3 = clients.boto3_client(place.endpoint, place.keys)
    return [(entry["Key"], entry["ETag"]) for entry in s3.list_objects_v2(Bucket=packs.BUCKET).get("Contents", [])]


def test_a_place_that_cannot_be_used_is_refused_in_one_line(gateway, tmp_path, started):
    used = own_server(tmp_path / "used", packs.at(gateway, "mine"), started)
    clients.boto3_client(used.endpoint, server.ROOT).create_bucket(Bucket="bucket")
    clients.boto3_client(used.endpoint, server.ROOT).put_object(Bucket="bucket", Key="k", Body=inputs.noise(1, 9000))
    used.stop()
    before = everything_in(gateway)
    options, url = "XETGATE__PACKS__OPTIONS__", "XETGATE__PACKS__URL"
    closed = f"http://127.0.0.1:{server.free_port()}"
    cases = [
        ({options + "SECRET_ACCESS_KEY": "wrong"}, "access is denied: check the credentials in `packs.options`"),
        ({url: "s3://nowhere/p"}, "there is no such bucket: create it, or name another"),
        ({options + "ENDPOINT": closed}, "check that it runs, and `packs.options.endpoint`"),
        ({url: f"s3://{packs.BUCKET}/mine"}, "belong to other metadata"),
        ({url: "ftp://x/y"}, "it must begin with s3://"),
        ({options + "REGOIN": "x"}, "`packs.options.regoin` is not an option of s3://"),
    ]
    for number, (wrong, expected) in enumerate(cases):
        (tmp_path / f"new{number}").mkdir()
        line = packs.Packed(tmp_path / f"new{number}", packs.at(gateway, "new") | wrong).refusal()
        assert "`packs." in line and expected in line, line
        assert "wrong" not in line and server.ROOT.secret_key not in line
    assert everything_in(gateway) == before, "nothing is touched"

    # The data folder that the packs belong to, told of another place, or of none.
    used.told = packs.at(gateway, "elsewhere")
    assert "the metadata has its packs elsewhere, none were ever written there" in used.refusal()
    used.told = {}
    assert "the packs of this data folder are in s3://packs/mine" in used.refusal()
    assert "set `packs.url`" in used.refusal()
    used.told = packs.at(gateway, "mine")
    s3 = clients.boto3_client(used.start().endpoint, server.ROOT)
    assert read(s3, "k") == inputs.noise(1, 9000)


def test_a_copy_of_a_data_folder_is_noticed(gateway, tmp_path, started):
    first = own_server(tmp_path / "first", packs.at(gateway, "p"), started)
    first.stop()
    (tmp_path / "second").mkdir()
    second = packs.Packed(tmp_path / "second", packs.at(gateway, "p"))
    shutil.copytree(first.data_dir, second.data_dir)
    first.start().stop()
    assert "another copy of this data folder or database has written there since" in second.refusal()
    first.start()


def test_an_object_store_that_overwrites_is_refused_unless_that_is_allowed(tmp_path, started):
    rclone = started(packs.Rclone(tmp_path / "place"))
    rclone.options = {}
    (tmp_path / "own").mkdir()
    own = packs.Packed(tmp_path / "own", packs.at(rclone, "p"))
    line = own.refusal()
    assert "overwrites an object that it was told to create only" in line
    assert '`packs.options.conditional_put` = "disabled"' in line
    assert everything_in(rclone) == []
    rclone.options = packs.Rclone.options
    own.told = packs.at(rclone, "p")
    started(own).start()
