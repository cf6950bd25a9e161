"""The tables of client by feature in docs/s3-compatibility.md are what a run gives."""

import pytest

from support import table
from support.offers import TABLES


@pytest.mark.after_all
@pytest.mark.parametrize("of", TABLES, ids=lambda of: of.name)
def test_the_table_in_the_document_is_what_this_run_gave(request, of):
    shown = table.rows(request.config, of)
    if request.config.getoption("--write-client-table"):
        everyone = {kind.name for kind in of.everyone}
        assert set(shown) == everyone, "a table needs every client: set XETGATE_EXTENDED=1"
        table.write(request.config, of)
    lines = table.written(of).splitlines()
    assert shown, "no test of a feature has run"
    assert lines[:2] == table.head(of).splitlines()
    assert [line for line in shown.values() if line not in lines] == []
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [kind.name for kind in of.everyone]
