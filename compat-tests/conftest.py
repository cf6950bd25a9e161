"""Fixtures shared by the suite: one server for the session, clients with their default settings, a fresh bucket."""

import itertools
import os

import pytest
from botocore.exceptions import ClientError

from support import clients, rawhttp, server

_names = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--write-client-table", action="store_true", help="write the clients' table into the document")


def pytest_configure(config):
    # Asked once, before anything runs: a suite without a server has proved nothing and must not look green.
    try:
        server.binary()
    except RuntimeError as why:
        raise pytest.UsageError(str(why)) from None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Through a gateway in front of a Hub, a test of what no Hub holds has to be refused, and as it says."""
    refuses = pyfuncitem.get_closest_marker("hub_refuses")
    if refuses is None or not server.in_front_of_a_hub():
        return (yield)
    with pytest.raises(ClientError) as refused:
        yield
    assert refused.value.response["Error"]["Code"] == refuses.args[0]
    return True


@pytest.fixture(scope="session")
def xetgate(tmp_path_factory) -> server.Server:
    """The session's server. A test may stop or restart it, and must leave it running."""
    base = tmp_path_factory.mktemp("server")
    running = server.Server(base / "data", base / "log").start()
    yield running
    running.stop()
    if running.hub:
        running.hub.stop()


@pytest.fixture
def own_server(tmp_path) -> server.Server:
    """A running server for one test, which may kill it; it does not outlive the test, however that ends."""
    running = server.Server(tmp_path / "data", tmp_path / "log").start()
    yield running
    for process in (running, running.hub):
        if process and process.process:
            process.kill()


@pytest.fixture(scope="session")
def s3(xetgate):
    """boto3 as a user gets it: endpoint, credential and region, no Config."""
    return clients.boto3_client(xetgate.endpoint, server.ROOT)


@pytest.fixture(scope="session")
def http(xetgate) -> rawhttp.RawS3:
    """Requests whose every byte the test decides."""
    return rawhttp.RawS3(xetgate.port, server.ROOT)


@pytest.fixture(scope="session", params=clients.ALL, ids=lambda kind: kind.name)
def client(request, xetgate, tmp_path_factory) -> clients.Client:
    """Each of aws-cli, boto3 and rclone, with its default settings."""
    return request.param(xetgate.endpoint, server.ROOT, tmp_path_factory.mktemp(request.param.name))


@pytest.fixture
def new_name():
    """Answers bucket names that no other test uses."""
    return lambda: f"compat-{os.getpid()}-{next(_names)}"


@pytest.fixture
def bucket(s3, new_name) -> str:
    """A fresh bucket, made by boto3."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    return name


def _server_of(item) -> server.Server | None:
    used = getattr(item, "funcargs", {})
    return used.get("own_server") or used.get("xetgate")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test shows the end of the server's log."""
    report = yield
    running = _server_of(item)
    if report.failed and running is not None:
        report.sections.append(("end of the server's log", running.log_tail()))
    return report
