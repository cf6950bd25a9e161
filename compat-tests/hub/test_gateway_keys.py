"""Access keys of a gateway in hub mode: each leads to a namespace and a token, and several may lead to one token."""

import subprocess

import pytest
from botocore.exceptions import ClientError

from support import cas, clients, gateway, server
from support.hub import ADA


def keys(name: str) -> server.Credentials:
    return server.Credentials(f"AK{name}0001", f"secret-of-{name}")


def declared(name: str, permission: str) -> str:
    """A credential with ada's token."""
    pair = keys(name)
    return f"""
[[accounts.credentials]]
access_key_id = "{pair.access_key}"
secret_access_key = "{pair.secret_key}"
token = "{ADA}"
permission = "{permission}"
"""


# At the Hub, ada is a member of team.
ACCOUNTS = f"""
[[accounts]]
name = "ada"
{declared("WRITER", "write")}
{declared("READER", "read")}buckets = ["models"]

[[accounts]]
name = "team"
{declared("TEAM", "write")}
"""


def refusal(call, **arguments) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_keys_that_share_a_token_have_namespaces_and_limits_of_their_own(tmp_path):
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway.toml").write_text(ACCOUNTS)
    with cas.place(tmp_path) as place:
        config = ("--config", str(tmp_path / "gateway.toml"))
        running = gateway.Gateway(tmp_path / "gateway", place.running.hub_endpoint, *config).start()
        try:
            writer, reader, team, root = (
                clients.boto3_client(running.endpoint, pair)
                for pair in (keys("WRITER"), keys("READER"), keys("TEAM"), server.ROOT)
            )
            foo = {"Bucket": "models", "Key": "foo"}
            writer.create_bucket(Bucket="other")
            writer.put_object(**foo, Body=b"of ada")
            assert [s3.get_object(**foo)["Body"].read() for s3 in (reader, root)] == [b"of ada"] * 2
            assert refusal(reader.put_object, **foo, Body=b"") == "AccessDenied"
            assert refusal(reader.list_objects_v2, Bucket="other") == "AccessDenied"
            team.create_bucket(Bucket="models")
            team.put_object(**foo, Body=b"of team")
            assert writer.get_object(**foo)["Body"].read() == b"of ada"
            assert [bucket["Name"] for bucket in team.list_buckets()["Buckets"]] == ["models"]
            assert [bucket["Name"] for bucket in writer.list_buckets()["Buckets"]] == ["models", "other"]
        finally:
            running.kill()


def test_two_keys_of_one_token_are_right_in_hub_mode_and_in_no_other(tmp_path):
    def checked(mode: str) -> subprocess.CompletedProcess:
        (tmp_path / "xetgate.toml").write_text(f'mode = "{mode}"\n' + ACCOUNTS)
        line = [server.binary(), "config", "--config", tmp_path / "xetgate.toml", "check"]
        return subprocess.run(line, capture_output=True, text=True, timeout=20, env=server.environment())

    assert checked("hub").returncode == 0
    refused = checked("standalone")
    assert refused.returncode != 0
    assert "the token of access key id AKREADER0001 is another's too" in refused.stderr
