"""`xetgate admin`: accounts and keys of a running server, good at both APIs at once."""

import json
import subprocess

import pytest

from support import clients, server


@pytest.fixture
def admin(own_server):
    """Runs `xetgate admin`, and answers its JSON."""

    def run(*words: str, code: int = 0, token: str = server.ROOT_TOKEN):
        line = [str(server.binary()), "admin", "--endpoint", own_server.hub_endpoint, "--token", token, "--json", *words]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=server.environment())
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if code == 0 and done.stdout.strip() not in ("", "null") else done.stderr

    return run


def sees(own_server, key) -> bool:
    """Whether a key opens the S3 API."""
    s3 = clients.boto3_client(own_server.endpoint, server.Credentials(key["access_key_id"], key["secret_access_key"]))
    try:
        s3.list_buckets()
    except s3.exceptions.ClientError:
        return False
    return True


def test_keys_open_both_doors_until_they_are_revoked(admin, own_server, as_user):
    admin("users", "create", "grace")
    key = admin("keys", "create", "grace")
    assert sees(own_server, key)
    grace = as_user(key["token"], "grace")
    grace.endpoint = own_server.hub_endpoint
    grace.ok("buckets", "create", "models")
    s3 = clients.boto3_client(
        own_server.endpoint, server.Credentials(key["access_key_id"], key["secret_access_key"])
    )
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["models"]

    own_server.restart()
    assert sees(own_server, key)
    rotated = admin("keys", "rotate", key["access_key_id"])
    assert not sees(own_server, key) and sees(own_server, rotated)
    assert grace.hf("buckets", "list").code == 1
    listed = admin("keys", "list", "grace")
    assert [each["access_key_id"] for each in listed] == [key["access_key_id"]] and "token" not in listed[0]
    admin("keys", "revoke", key["access_key_id"])
    assert not sees(own_server, rotated)
    metadata = (own_server.data_dir / "meta.redb").read_bytes()
    for secret in (key["secret_access_key"], key["token"], rotated["token"]):
        assert secret.encode() not in metadata


def test_organisations_permissions_lists_and_expiry_hold(admin, own_server, as_user):
    admin("users", "create", "grace")
    admin("orgs", "create", "lab", "--member", "grace")

    def user(name: str, *options: str):
        made = as_user(admin("keys", "create", "grace", *options)["token"], name)
        made.endpoint = own_server.hub_endpoint
        return made

    full = user("full")
    full.ok("buckets", "create", "lab/shared")
    full.ok("buckets", "create", "mine", "--private")
    full.ok("buckets", "create", "other", "--private")
    reader = user("reader", "--permission", "read")
    reader.ok("buckets", "info", "grace/mine")
    assert reader.hf("buckets", "create", "more").code == 1
    only = user("only", "--bucket", "mine")
    only.ok("buckets", "info", "grace/mine")
    assert only.hf("buckets", "info", "grace/other").code == 1
    assert user("late", "--expires", "2020-01-01T00:00:00Z").hf("auth", "whoami").code == 1

    admin("orgs", "members", "lab")
    assert full.hf("buckets", "create", "lab/more").code == 1
    assert admin("orgs", "show", "lab")["members"] == []
    assert "still has buckets" in admin("orgs", "remove", "lab", code=1)
    assert "not an admin token" in admin("users", "list", code=1, token=full.token)
    assert "does not exist" in admin("users", "show", "nobody", code=1)


def test_without_options_the_root_token_of_the_data_folder_is_used(own_server):
    line = [str(server.binary()), "admin", "--endpoint", own_server.hub_endpoint, "users", "list"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=server.environment())
    assert done.returncode == 0 and {"root", "user"} <= set(done.stdout.splitlines()[1].split()), done
