"""Each test of a feature with every client that offers it, and the table that such a run gives.

`XETGATE_EXTENDED=1` adds the clients that no Python package brings (restic, the SDK for JavaScript);
`--write-client-table` writes the table into docs/s3-compatibility.md, for which all of them must run.
"""

import os

import pytest

from support import offers, server, table

KINDS = [kind for kind in offers.EVERYONE if not kind.EXTENDED or os.environ.get("XETGATE_EXTENDED")]


def pytest_generate_tests(metafunc):
    mark = metafunc.definition.get_closest_marker("feature")
    if mark is None:
        return
    able = [kind for kind in KINDS if offers.offers(kind, mark.args[0])]
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
def user(request, _started, xetgate, tmp_path_factory):
    """A client that offers what the test's mark says, with its default settings."""
    kind = request.param
    if kind not in _started:
        home = tmp_path_factory.mktemp("home")
        _started[kind] = kind(xetgate.endpoint, server.ROOT, home)
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
