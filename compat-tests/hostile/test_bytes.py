"""Attacks on bytes: by a hash, a token, an address, a signature or a file, nobody reads what is not theirs to read."""

import base64
import datetime
import email.utils
import hashlib
import hmac
import json
import os
import pathlib
import stat
import subprocess
import time
import urllib.parse

import pytest

from support import clients, server
from support.hub import Hub
from support.inputs import noise
from support.tenants import ADA, BOB, MALLORY, Shared, Tenant, hear, shared

NOISE = noise(7, 200_000)


@pytest.fixture
def place(tmp_path):
    with shared(tmp_path) as place:
        yield place


def published_client(place: Shared, who: Tenant) -> Hub:
    folder = place.folder / f"home-of-{who.name}"
    folder.mkdir(exist_ok=True)
    return Hub(place.running.hub_endpoint, who.token, folder)


def upload(place: Shared, who: Tenant, bucket: str, name: str, content: bytes) -> str:
    """Uploads as `hf` does, through the CAS API, and answers the file's hash."""
    client = published_client(place, who)
    client.write({name: content})
    client.ok("buckets", "cp", name, f"hf://buckets/{bucket}/{name}")
    entries = place.hub(who, "GET", f"/api/buckets/{bucket}/tree").json
    return next(entry["xetHash"] for entry in entries if entry["path"] == name)


def cas(place: Shared, who: Tenant | None, bucket: str, kind: str = "read") -> tuple[str, str] | None:
    """Address and token of the CAS API, as the Hub's API gives them; None if it does not."""
    given = place.hub(who, "GET", f"/api/buckets/{bucket}/xet-{kind}-token")
    return (given.json["casUrl"], given.json["accessToken"]) if given.status == 200 else None


def first_address(reconstruction: dict) -> str:
    return next(iter(reconstruction["fetch_info"].values()))[0]["url"]


# --- hashes ----------------------------------------------------------------------------------------------------------


def test_a_deleted_file_is_not_read_by_its_hash(place):
    place.make(ADA, "team/open", "public")
    place.make(MALLORY, "mallory/own")
    file = upload(place, ADA, "team/open", "secret.bin", NOISE)
    readers = {who: cas(place, who, "team/open") for who in (None, MALLORY, BOB)}
    paths = (f"/v1/reconstructions/{file}", f"/v2/reconstructions/{file}", f"/v1/reconstructions?file_id={file}")
    for url, token in readers.values():
        assert [hear(url + path, token).status for path in paths] == [200] * 3
    assert place.hub(ADA, "POST", "/api/buckets/team/open/batch", line("deleteFile")).status == 200

    for url, token in readers.values():
        assert [hear(url + path, token).status for path in paths] == [404] * 3
        assert hear(f"{url}/v1/files/{file}", token, "HEAD").status == 404
    copy = line("copyFile", file, sourceRepoType="bucket", sourceRepoId="team/open")
    assert place.hub(MALLORY, "POST", "/api/buckets/mallory/own/batch", copy).status == 422
    assert place.hub(BOB, "POST", "/api/buckets/team/open/batch", copy).status == 422
    # Another writer of the bucket has not proved to hold it either; who uploaded it has, and so has who does it again.
    assert place.hub(BOB, "POST", "/api/buckets/team/open/batch", line("addFile", file)).status == 422
    assert place.hub(ADA, "POST", "/api/buckets/team/open/batch", line("addFile", file)).status == 200
    assert place.hub(ADA, "POST", "/api/buckets/team/open/batch", line("deleteFile")).status == 200
    assert upload(place, BOB, "team/open", "secret.bin", NOISE) == file
    assert place.anyone("/open/secret.bin").body == NOISE


def line(kind: str, file: str = "", **more: str) -> bytes:
    return json.dumps({"type": kind, "path": "secret.bin"} | ({"xetHash": file} if file else {}) | more).encode()


def test_readers_do_not_ask_what_is_stored(place):
    place.make(ADA, "ada/open", "public")
    file = upload(place, ADA, "ada/open", "f", NOISE)
    url, token = cas(place, ADA, "ada/open", "write")
    terms = hear(f"{url}/v1/reconstructions/{file}", token).json["terms"]
    xorb = terms[0]["hash"]
    asks = [("HEAD", f"/v1/xorbs/default/{xorb}"), ("GET", f"/v1/chunks/default-merkledb/{xorb}")]
    assert hear(url + asks[0][1], token, "HEAD").status == 200
    for who in (None, MALLORY, ADA):
        url, token = cas(place, who, "ada/open")
        assert [hear(url + path, token, method).status for method, path in asks] == [403, 403], who


# --- tokens and addresses --------------------------------------------------------------------------------------------


def test_tokens_and_addresses_end_with_what_they_were_given_for(place):
    admin_key = place.admin("POST", "keys", {"account": "ada", "permission": "write"}).json
    guest = Tenant("ada", None, admin_key["token"])
    assert place.admin("POST", "accounts", {"name": "eve"}).status == 201
    eve = Tenant("eve", None, place.admin("POST", "keys", {"account": "eve", "permission": "write"}).json["token"])
    assert place.admin("POST", "accounts", {"name": "crew", "kind": "org", "members": ["ada", "eve"]}).status == 201
    place.make(ADA, "crew/b", "public")
    file = upload(place, ADA, "crew/b", "f", NOISE)

    given = {}
    for name, who in {"anonymous": None, "mallory": MALLORY, "eve": eve, "guest": guest, "ada": ADA}.items():
        url, token = cas(place, who, "crew/b")
        path = f"{url}/v1/reconstructions/{file}"
        address = first_address(hear(path, token).json)
        given[name] = (path, token, address)
    writer = cas(place, eve, "crew/b", "write")
    answers = lambda: {
        name: (hear(path, token).status, hear(address).status) for name, (path, token, address) in given.items()
    }
    assert set(answers().values()) == {(200, 206)}
    place.show(ADA, "crew/b", private=True)
    alive, ended = (200, 206), (401, 403)
    members = {"eve": alive, "guest": alive, "ada": alive}
    assert answers() == {"anonymous": ended, "mallory": ended} | members
    assert place.admin("PUT", "accounts/crew/members", {"members": ["ada"]}).status == 200
    assert answers() == {"anonymous": ended, "mallory": ended} | members | {"eve": ended}
    url, token = writer
    assert hear(f"{url}/v1/shards", token, "POST", b"").status == 401
    assert hear(f"{url}/v1/chunks/default/{file}", token).status == 401
    assert place.admin("DELETE", f"keys/{admin_key['access_key_id']}").status == 204
    assert answers()["guest"] == ended and answers()["ada"] == alive
    assert place.hub(ADA, "DELETE", "/api/buckets/crew/b").status == 204
    assert set(answers().values()) == {ended}


# --- signatures ------------------------------------------------------------------------------------------------------


def presigned_v2(place: Shared, method: str, path: str, expires_in: float, signed_query: str = "") -> str:
    """An address signed by ada with Version 2, as boto's HmacV1 does it."""
    expires = int(time.time() + expires_in)
    text = f"{method}\n\n\n{expires}\n{path}" + (f"?{signed_query}" if signed_query else "")
    mac = hmac.new(ADA.keys.secret_key.encode(), text.encode(), hashlib.sha1).digest()
    signature = urllib.parse.quote(base64.b64encode(mac), safe="")
    query = f"AWSAccessKeyId={ADA.keys.access_key}&Expires={expires}&Signature={signature}"
    return f"{path}?{query}" + (f"&{signed_query}" if signed_query else "")


def test_nothing_is_added_to_an_address_of_version_2(place):
    place.make(ADA, "ada/b")
    s3 = place.s3(ADA)
    s3.call("PUT", "/b/k", b"x")
    block = b"<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
    assert s3.call("PUT", "/b", block, query={"publicAccessBlock": ""}).status == 200
    of_bucket, of_object = (presigned_v2(place, method, path, 60) for method, path in [("DELETE", "/b"), ("GET", "/b/k")])
    for more in ("publicAccessBlock", "ownershipControls", "encryption", "intelligent-tiering&id=1", "tagging", "cors"):
        assert place.anyone(f"{of_bucket}&{more}", "DELETE").status == 403, more
    for more in ("attributes", "acl", "legal-hold", "retention", "response-content-type=text%2Fhtml", "partNumber=1"):
        assert place.anyone(f"{of_object}&{more}").status == 403, more
    assert s3.call("GET", "/b", query={"publicAccessBlock": ""}).status == 200
    assert place.anyone(of_object).body == b"x"
    listing = presigned_v2(place, "GET", "/b", 60)
    assert place.anyone(f"{listing}&prefix=k&list-type=2").status == 200


def test_an_address_of_version_2_lives_for_a_week_at_most(place):
    place.make(ADA, "ada/b")
    place.s3(ADA).call("PUT", "/b/k", b"x")
    week = 7 * 24 * 3600
    status = lambda secs: place.anyone(presigned_v2(place, "GET", "/b/k", secs)).status
    assert (status(week), status(week + 3600), status(75 * 365 * 24 * 3600)) == (200, 403, 403)
    day = email.utils.format_datetime(datetime.datetime.now(datetime.UTC), usegmt=True)
    mac = hmac.new(ADA.keys.secret_key.encode(), f"GET\n\n\n{day}\n/b/k".encode(), hashlib.sha1).digest()
    header = f"AWS {ADA.keys.access_key}:{base64.b64encode(mac).decode()}"
    refused = place.anyone("/b/k", Authorization=header, Date=day)
    assert refused.status == 400 and b"<Code>InvalidRequest</Code>" in refused.body


def test_version_2_can_be_turned_off(tmp_path):
    with shared(tmp_path, "[s3]\nsignature_v2 = false\n") as place:
        place.make(ADA, "ada/b")
        place.s3(ADA).call("PUT", "/b/k", b"x")
        refused = place.anyone(presigned_v2(place, "GET", "/b/k", 60))
        assert refused.status == 400 and b"AWS4-HMAC-SHA256" in refused.body
        assert place.s3(ADA).call("GET", "/b/k").body == b"x"


def test_anonymous_callers_choose_no_headers_of_an_answer(place):
    place.make(ADA, "ada/open", "public")
    place.s3(ADA).call("PUT", "/open/k", b"<script>", headers={"content-type": "text/plain"})
    for name in ("content-type", "content-disposition", "cache-control", "expires"):
        refused = place.anyone(f"/open/k?response-{name}=text%2Fhtml")
        assert refused.status == 400 and b"<Code>InvalidRequest</Code>" in refused.body, name
    assert place.anyone("/open/k").headers["content-type"] == "text/plain"
    assert place.s3(ADA).call("GET", "/open/k", query={"response-content-type": "text/html"}).status == 200


# --- what lies on the disk -------------------------------------------------------------------------------------------


def open_to_others(folder: pathlib.Path) -> list[str]:
    found = (path for path in folder.rglob("*") if not path.is_symlink())
    return sorted(str(path.relative_to(folder)) for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077)


def test_a_data_folder_that_others_may_enter_holds_nothing_that_they_may_read(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    os.chmod(data, 0o755)
    running = server.Server(data, tmp_path / "log").start()
    s3 = clients.boto3_client(running.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=NOISE)
    assert open_to_others(data) == []
    running.stop()
    # As an earlier version, or a restored backup, left it.
    for path in data.rglob("*"):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    running.start()
    try:
        assert open_to_others(data) == []
        assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == NOISE
        log = running.log_path.read_text()
        assert "master-key" in log and "others could read this key until now" in log
    finally:
        running.stop()


def test_keys_do_nothing_to_the_log_or_to_a_terminal(tmp_path):
    running = server.Server(tmp_path / "data", tmp_path / "log").start()
    s3 = clients.boto3_client(running.endpoint, server.ROOT)
    s3.create_bucket(Bucket="bucket")
    key = "k\n2026-01-01T00:00:00Z  INFO forged\x1b[2J\u202egpj"
    s3.put_object(Bucket="bucket", Key=key, Body=NOISE)
    running.stop()
    pack = max((tmp_path / "data/packs").glob("*.pack"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 0xFF
    pack.write_bytes(content)
    line = [server.binary(), "store", "--data-dir", tmp_path / "data", "scrub"]
    scrubbed = subprocess.run(line, capture_output=True, text=True, env=server.environment())
    assert scrubbed.returncode != 0 and "forged\\u{1b}[2J\\u{202e}gpj" in scrubbed.stdout
    running.start()
    with pytest.raises(Exception):
        s3.get_object(Bucket="bucket", Key=key)["Body"].read()
    running.stop()
    log = running.log_path.read_text()
    assert "forged" in log, "the damage is told with the object's name"
    for text in (scrubbed.stdout, log):
        assert "\x1b" not in text and "\u202e" not in text and "\n2026-01-01T00:00:00Z  INFO forged" not in text
