"""The table of client by feature: what a run has shown, as it stands in docs/s3-compatibility.md."""

import pathlib

import pytest

from support.offers import EVERYONE, FEATURES

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/s3-compatibility.md"
START, END = "<!-- table: clients -->\n", "<!-- end of table -->\n"

_SHOWN = pytest.StashKey[dict]()


def note(config, client: str, feature: str, report) -> None:
    """One phase of a test: a feature works when every phase of each of its tests has passed."""
    shown = config.stash.setdefault(_SHOWN, {})
    shown[client, feature] = shown.get((client, feature), True) and report.passed


def rows(config) -> dict[str, str]:
    """A line for each client that took part in this run."""
    shown = config.stash.get(_SHOWN, {})
    words = {True: "yes", False: "no", None: "-"}
    took_part = {client for client, _ in shown}
    return {
        kind.name: f"| {kind.name} | " + " | ".join(words[shown.get((kind.name, f))] for f in FEATURES) + " |"
        for kind in EVERYONE
        if kind.name in took_part
    }


def head() -> str:
    return "| | " + " | ".join(title for title, _ in FEATURES.values()) + " |\n" + "|---" * (len(FEATURES) + 1) + "|\n"


def written() -> str:
    """The table as it is in the document."""
    return DOCUMENT.read_text().partition(START)[2].partition(END)[0]


def write(config) -> None:
    """Puts what this run gave in the document's place for it."""
    before, start, rest = DOCUMENT.read_text().partition(START)
    _, end, after = rest.partition(END)
    lines = "".join(f"{line}\n" for line in rows(config).values())
    DOCUMENT.write_text(before + start + head() + lines + end + after)
