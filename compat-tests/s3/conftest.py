"""A server with two accounts, each with a client, and callers without a credential."""

import dataclasses

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from support import clients, server

KEYS = {
    "ada": server.Credentials("AKADAS3TESTS00000001", "ada/secret+of=the0s3tests0000000000001"),
    "bob": server.Credentials("AKBOBS3TESTS00000001", "bob/secret+of=the0s3tests0000000000001"),
}


@pytest.fixture(scope="session")
def two_accounts(tmp_path_factory):
    """Answers the server, where ada and bob are at home; if it stands in front of a Hub, so they are there."""
    base = tmp_path_factory.mktemp("two-accounts")
    text = ""
    for name, keys in KEYS.items():
        text += f'[[accounts]]\nname = "{name}"\n[[accounts.credentials]]\npermission = "admin"\n'
        text += f'access_key_id = "{keys.access_key}"\nsecret_access_key = "{keys.secret_key}"\ntoken = "hf_s3tests_of_{name}"\n'
    (base / "xetgate.toml").write_text(text)
    config = ("--config", str(base / "xetgate.toml"))
    running = server.Server(base / "data", base / "log", *config, behind=config).start()
    yield running
    running.stop()
    if running.hub:
        running.hub.stop()


@dataclasses.dataclass
class Account:
    """An account's name, and boto3 with its keys."""

    name: str
    s3: object
    endpoint: str


@pytest.fixture(params=KEYS)
def account(request, two_accounts) -> Account:
    """Each of the two accounts."""
    keys = KEYS[request.param]
    s3 = boto3.client(
        "s3",
        endpoint_url=two_accounts.endpoint,
        region_name=server.REGION,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        # By default it presigns with Version 2, which signs no headers.
        config=Config(signature_version="s3v4"),
    )
    return Account(request.param, s3, two_accounts.endpoint)


def stranger(endpoint: str):
    """boto3 without a credential."""
    config = Config(signature_version=UNSIGNED)
    return boto3.client("s3", endpoint_url=endpoint, region_name=server.REGION, config=config)


@pytest.fixture(scope="session")
def anyone(xetgate):
    """A stranger at the session's server."""
    return stranger(xetgate.endpoint)


@pytest.fixture(scope="session")
def ada_bob_and_nobody(two_accounts) -> tuple:
    """boto3 with ada's keys, with bob's, and a stranger, at one server."""
    known = [clients.boto3_client(two_accounts.endpoint, keys) for keys in KEYS.values()]
    return *known, stranger(two_accounts.endpoint)
