"""Each test of a feature with every client that offers it, and the tables that such a run gives.

`XETGATE_EXTENDED=1` adds the clients that no Python package brings (restic, pgBackRest, those for Node and Rust);
`--write-client-table` writes the tables into docs/s3-compatibility.md, for which all of them must run.
"""

import os

import pytest

from support import offers, server, table, tls


def _takes_part(kind) -> bool:
    return not kind.EXTENDED or bool(os.environ.get("XETGATE_EXTENDED"))


def pytest_generate_tests(metafunc):
    mark = metafunc.definition.get_closest_marker("feature")
    if mark is None:
        return
    of = offers.table_of(mark.args[0])
    able = [kind for kind in of.everyone if _takes_part(kind) and of.offered(kind, mark.args[0])]
    if chosen := mark.kwargs.get("of"):
        able = [kind for kind in able if kind.name == chosen]
    metafunc.parametrize("user", able, ids=lambda kind: kind.name, indirect=True, scope="session")


@pytest.fixture(scope="session")
def _started():
    """Clients that have been started, by their class; all are closed at the end."""
    started = {}
    yield started
    for user in started.values():
        if hasattr(user, "close"):
            user.close()


@pytest.fixture(scope="session")
def secure(tmp_path_factory):
    """A server with TLS, for clients that speak nothing else."""
    made = tls.Secure(tmp_path_factory.mktemp("secure"))
    yield made
    made.running.stop()


@pytest.fixture(scope="session")
def user(request, _started, xetgate, tmp_path_factory):
    """A client that offers what the test's mark says, with its default settings."""
    kind = request.param
    if kind not in _started:
        home = tmp_path_factory.mktemp("home")
        if hasattr(kind, "SECURE"):
            _started[kind] = kind(request.getfixturevalue("secure"), server.ROOT, home)
        else:
            of = next(of for of in offers.TABLES if kind in of.everyone)
            _started[kind] = kind(*of.reach(xetgate), home)
    return _started[kind]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    mark = item.get_closest_marker("feature")
    if mark is not None:
        kind = item.callspec.params["user"]
        table.note(item.config, kind.name, mark.args[0], report)
    return report


def pytest_collection_modifyitems(items):
    # The table is looked at when all else has run.
    items.sort(key=lambda item: item.get_closest_marker("after_all") is not None)
