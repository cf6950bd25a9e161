"""Attacks on names: nobody takes over what a bucket's or an account's name means to others."""

import base64
import datetime
import hashlib
import hmac
import json

import pytest
import requests

from support import server
from support.tenants import ADA, BOB, MALLORY, ORIGIN, Tenant, shared

CORS = (
    f"<CORSConfiguration><CORSRule><AllowedOrigin>{ORIGIN}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    "</CORSRule></CORSConfiguration>"
).encode()


@pytest.fixture
def place(tmp_path):
    with shared(tmp_path) as place:
        yield place


@pytest.fixture
def namespaced(tmp_path):
    with shared(tmp_path, '[s3]\naddressing = "namespaced"\n') as place:
        yield place


def test_an_older_public_bucket_that_is_renamed_takes_no_name(place):
    ada, mallory = place.s3(ADA), place.s3(MALLORY)
    place.make(MALLORY, "mallory/old", "public")
    place.make(ADA, "team/fresh", "public")
    assert ada.call("PUT", "/fresh/k", b"of the team").status == 200
    place.move(MALLORY, "mallory/old", "mallory/fresh")
    assert mallory.call("PUT", "/fresh/k", b"of mallory").status == 200

    assert ada.call("GET", "/fresh/k").body == b"of the team"
    assert place.s3(BOB).call("GET", "/fresh/k").body == b"of the team"
    assert mallory.call("GET", "/fresh/k").body == b"of mallory"
    assert place.anyone("/fresh/k").body == b"of the team"
    copied = ada.call("PUT", "/fresh/copy", headers={"x-amz-copy-source": "/fresh/k"})
    assert copied.status == 200 and ada.call("GET", "/fresh/copy").body == b"of the team"
    # Private or public again, and one's own private bucket of the name: the age of the name is what counts.
    place.show(ADA, "team/fresh", private=True)
    assert place.anyone("/fresh/k").status == 403
    place.show(ADA, "team/fresh", private=False)
    assert place.anyone("/fresh/k").body == b"of the team"
    assert place.hub(ADA, "DELETE", "/api/buckets/team/fresh").status == 204
    assert ada.call("GET", "/fresh/k").outcome == (404, "NoSuchBucket")
    assert ada.call("PUT", "/fresh/k", b"lost").outcome == (404, "NoSuchBucket")


def test_a_public_bucket_of_another_account_is_not_meant_by_its_bare_name(place):
    place.make(MALLORY, "mallory/data", "public")
    place.s3(MALLORY).call("PUT", "/data/k", b"of mallory")
    assert place.s3(ADA).call("GET", "/data/k").outcome == (404, "NoSuchBucket")
    assert place.anyone("/data/k").body == b"of mallory"
    place.make(ADA, "ada/mine")
    copy = place.s3(ADA).call("PUT", "/mine/k", headers={"x-amz-copy-source": "/data/k"})
    assert copy.outcome == (404, "NoSuchBucket")


def test_an_alias_of_the_configuration_is_nobody_elses(tmp_path):
    with shared(tmp_path, '[s3.aliases]\ndata = "team/datasets"\n') as place:
        place.make(MALLORY, "mallory/data", "public")
        place.make(ADA, "team/datasets", "public")
        place.s3(ADA).call("PUT", "/datasets/k", b"of the team")
        assert place.s3(ADA).call("GET", "/data/k").body == b"of the team"
        assert place.anyone("/data/k").body == b"of the team"


def form(who: Tenant, key: str, bucket: str) -> dict[str, str]:
    """The fields of a form that is signed for a bucket, with Version 2."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    policy = {"expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": [{"bucket": bucket}, {"key": key}]}
    text = base64.b64encode(json.dumps(policy).encode())
    signed = hmac.new(who.keys.secret_key.encode(), text, hashlib.sha1).digest()
    return {
        "key": key,
        "AWSAccessKeyId": who.keys.access_key,
        "policy": text.decode(),
        "signature": base64.b64encode(signed).decode(),
    }


def test_a_form_is_stored_in_the_bucket_that_its_policy_names(namespaced):
    place = namespaced
    for bucket in ("ada/b", "team/b"):
        place.make(ADA, bucket)
    post = lambda target, fields: requests.post(
        place.running.endpoint + target, fields, files={"file": b"x"}, timeout=30
    ).status_code
    assert post("/ada/b", form(ADA, "k", "b")) == 204
    assert post("/team/b", form(ADA, "k", "b")) == 403
    assert place.s3(ADA).call("GET", "/team/b/k").outcome == (404, "NoSuchKey")
    assert post("/team/b", form(ADA, "k", "team/b")) == 204


def test_a_copy_source_lies_in_the_namespace_of_the_path(namespaced):
    place, ada = namespaced, namespaced.s3(ADA)
    for bucket in ("ada/b", "team/b"):
        place.make(ADA, bucket)
        ada.call("PUT", f"/{bucket}/k", bucket.encode())
    copied = ada.call("PUT", "/team/b/copy", headers={"x-amz-copy-source": "b/k"})
    assert copied.status == 200 and ada.call("GET", "/team/b/copy").body == b"team/b"
    owner = {"x-amz-copy-source": "b/k", "x-amz-source-expected-bucket-owner": "ada"}
    assert ada.call("PUT", "/team/b/copy", headers=owner).outcome == (403, "AccessDenied")


def test_cors_rules_of_another_account_do_not_answer(place):
    place.make(MALLORY, "mallory/b", "public")
    place.make(ADA, "ada/b")
    place.s3(ADA).call("PUT", "/b/k", b"x")
    digest = base64.b64encode(hashlib.md5(CORS).digest()).decode()
    put = place.s3(MALLORY).call("PUT", "/b", CORS, query={"cors": ""}, headers={"content-md5": digest})
    assert put.status == 200, put.body
    answer = place.s3(ADA).call("GET", "/b/k", headers={"origin": ORIGIN})
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] is None
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    of_ada = f"/b/k?X-Amz-Credential={ADA.keys.access_key}%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
    assert place.anyone(of_ada, "OPTIONS", **asked).status == 403
    assert place.anyone("/b/k", "OPTIONS", **asked).status == 200, "without a key, the name is mallory's"


def test_the_next_account_of_a_name_inherits_nothing(place):
    def key(account: str) -> server.Credentials:
        made = place.admin("POST", "keys", {"account": account, "permission": "write"}).json
        return made["access_key_id"], server.Credentials(made["access_key_id"], made["secret_access_key"])

    assert place.admin("POST", "accounts", {"name": "eve"}).status == 201
    assert place.admin("POST", "accounts", {"name": "crew", "kind": "org", "members": ["eve"]}).status == 201
    id, eve = key("eve")
    crew_id, crew = key("crew")
    assert place.s3(crew).call("PUT", "/plans").status == 200
    assert place.s3(crew).call("PUT", "/plans/k", b"of the crew").status == 200
    assert place.s3(eve).call("GET", "/plans/k").status == 200
    assert place.admin("DELETE", "accounts/eve").status == 409, "it has a key"
    assert place.admin("DELETE", f"keys/{id}").status == 204
    assert place.admin("DELETE", "accounts/eve").status == 204
    assert place.admin("POST", "accounts", {"name": "eve"}).status == 201
    _, eve = key("eve")
    assert place.s3(eve).call("GET", "/plans/k").outcome == (404, "NoSuchBucket")
    crews = next(account for account in place.admin("GET", "accounts").json if account["name"] == "crew")
    assert crews["members"] == []


def test_an_admin_key_that_is_limited_to_buckets_administers_nothing(place):
    asked = {"account": "ada", "permission": "admin", "buckets": ["b"]}
    limited = place.admin("POST", "keys", asked).json
    wanted = {"account": "ada", "permission": "admin"}
    for method, path, body in [
        ("GET", "accounts", None),
        ("GET", "keys", None),
        ("POST", "keys", wanted),
        ("POST", f"keys/{limited['access_key_id']}/rotate", None),
        ("DELETE", f"keys/{limited['access_key_id']}", None),
        ("POST", "accounts", {"name": "eve"}),
        ("POST", "backups", {"name": "one"}),
    ]:
        assert place.admin(method, path, body, token=limited["token"]).status == 403, f"{method} {path}"
    metrics = place.hub(Tenant("ada", ADA.keys, limited["token"]), "GET", "/metrics")
    assert metrics.status == 403
