"""Which tests of Ceph's s3-tests a test of ours replays: `@replays("test_bucket_head", ...)`.

A replay is written from what the other asks for, not from its code. `s3/test_replays.py` fails if a name of
`s3_tests/passing.txt` is replayed by none.
"""

import ast
import pathlib

import pytest

HERE = pathlib.Path(__file__).resolve().parents[1]


def replays(*names: str):
    """Marks a test, or one case of it, with the names that it replays."""
    return pytest.mark.replays(*names)


def all_replayed() -> set[str]:
    """The names in all calls of `replays`, read from the tests' text, so that a part of the suite knows them too."""
    names = set()
    for path in sorted((HERE / "s3").glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "replays":
                names |= {text.value for text in ast.walk(node) if isinstance(text, ast.Constant)}
    return names


def listed(name: str) -> list[str]:
    """A list of names in `s3_tests`."""
    return (HERE / "s3_tests" / name).read_text().split()
