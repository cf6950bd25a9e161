"""The table of client by feature in docs/s3-compatibility.md is what a run gives."""

import pytest

from support import table
from support.offers import EVERYONE


@pytest.mark.after_all
def test_the_table_in_the_document_is_what_this_run_gave(request):
    shown = table.rows(request.config)
    if request.config.getoption("--write-client-table"):
        assert set(shown) == {kind.name for kind in EVERYONE}, "a table needs every client: set XETGATE_EXTENDED=1"
        table.write(request.config)
    lines = table.written().splitlines()
    assert shown, "no test of a feature has run"
    assert lines[:2] == table.head().splitlines()
    assert [line for line in shown.values() if line not in lines] == []
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [kind.name for kind in EVERYONE]
