"""The tables of client by feature: what a run has shown, as it stands in docs/s3-compatibility.md."""

import pathlib

import pytest

from support.offers import Table

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/s3-compatibility.md"
END = "<!-- end of table -->\n"

_SHOWN = pytest.StashKey[dict]()


def note(config, client: str, feature: str, report) -> None:
    """One phase of a test: a feature works when every phase of each of its tests has passed."""
    shown = config.stash.setdefault(_SHOWN, {})
    shown[client, feature] = shown.get((client, feature), True) and report.passed


def rows(config, table: Table) -> dict[str, str]:
    """A line for each client that took part in this run."""
    shown = config.stash.get(_SHOWN, {})
    words = {True: "yes", False: "no", None: "-"}
    took_part = {client for client, _ in shown}
    return {
        kind.name: f"| {kind.name} | " + " | ".join(words[shown.get((kind.name, f))] for f in table.features) + " |"
        for kind in table.everyone
        if kind.name in took_part
    }


def head(table: Table) -> str:
    titles = " | ".join(title for title, _ in table.features.values())
    return f"| | {titles} |\n" + "|---" * (len(table.features) + 1) + "|\n"


def _start(table: Table) -> str:
    return f"<!-- table: {table.name} -->\n"


def written(table: Table) -> str:
    """The table as it is in the document."""
    return DOCUMENT.read_text().partition(_start(table))[2].partition(END)[0]


def write(config, table: Table) -> None:
    """Puts what this run gave in the document's place for it."""
    before, start, rest = DOCUMENT.read_text().partition(_start(table))
    _, end, after = rest.partition(END)
    lines = "".join(f"{line}\n" for line in rows(config, table).values())
    DOCUMENT.write_text(before + start + head(table) + lines + end + after)
