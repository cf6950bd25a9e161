"""A server with accounts of its own, and users of the Hub's clients."""

import pytest

from support import clients, server
from support.hub import ADA, ADA_KEYS, CONFIG, Hub


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory) -> server.Server:
    """A server with accounts of its own. It must be left running."""
    base = tmp_path_factory.mktemp("hub-server")
    (base / "config.toml").write_text(CONFIG)
    running = server.Server(base / "data", base / "log", "--config", str(base / "config.toml")).start()
    yield running
    running.stop()


@pytest.fixture
def as_user(hub_server, tmp_path):
    """Answers users: of a token, or of none."""

    def user(token: str | None, name: str = "user") -> Hub:
        folder = tmp_path / name
        folder.mkdir()
        return Hub(hub_server.hub_endpoint, token, folder)

    return user


@pytest.fixture
def ada(as_user) -> Hub:
    """ada, at her first start."""
    return as_user(ADA, "ada")


@pytest.fixture(scope="session")
def ada_s3(hub_server):
    """ada's key pair at the other API."""
    return clients.boto3_client(hub_server.endpoint, ADA_KEYS)


@pytest.fixture
def bk(ada_s3, new_name) -> str:
    """The name of a fresh, private bucket of ada's."""
    name = new_name()
    ada_s3.create_bucket(Bucket=name)
    return name
