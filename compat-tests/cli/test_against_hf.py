"""The same syncs by the published `hf` and by ours, on random trees and against the same server: the same plans, the
same final states, and plans that each applies of the other."""

import json
import os
import random
import shutil

import pytest

NAMES = ["a.txt", ".hidden", "é 😀.bin", "sub/b.txt", "sub/.h", "sub/deep/c.json", "x-y", "x/y", "Z", "tab\tname", "log.tmp"]
BASE = 1_768_473_000


def write(path, data: bytes, at: float):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(int(at * 1e9), int(at * 1e9)))


def grow(root, dice: random.Random):
    """Files with sizes from nothing to several chunks, times around the second that counts as the same, and links."""
    for name in NAMES:
        if dice.random() < 0.7:
            data = dice.randbytes(dice.choice([0, 1, 7, 5_000, 200_000]))
            write(root / name, data, BASE + dice.choice([0, 0.5, 0.999, 1, 1.001, 2, 60]))
    root.mkdir(parents=True, exist_ok=True)
    (root / "link.txt").symlink_to("a.txt")
    (root / "broken").symlink_to("nowhere")
    (root / "folder-link").symlink_to(root)
    (root / "empty").mkdir(exist_ok=True)


def tree(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}


def remote(hub, bucket: str) -> dict[str, tuple]:
    files = hub.files(f"username/{bucket}")
    return {path: (file["xetHash"], file["size"], file["mtime"]) for path, file in files.items()}


def plan(program, work, *args: str) -> list[str]:
    lines = program.text("sync", *args, "--dry-run", cwd=work)[0].splitlines()
    header = json.loads(lines[0])
    assert list(header) == ["type", "source", "dest", "timestamp", "summary"]
    return [lines[0].replace(header["timestamp"], "T"), *lines[1:]]


OPTIONS = [
    [],
    ["--delete"],
    ["--ignore-times", "--delete"],
    ["--ignore-sizes"],
    ["--existing"],
    ["--ignore-existing", "--include", "*.txt", "--include", "*.json"],
    ["--delete", "--exclude", "*.tmp", "--exclude", "sub/*"],
]


@pytest.fixture
def pair(ours, work, new_name) -> dict[str, str]:
    """A bucket for each of the two."""
    names = {"ours": new_name(), "theirs": new_name()}
    for name in names.values():
        ours.text("buckets", "create", name, cwd=work)
    return names


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_plans_and_the_same_final_states(hub, ours, theirs, work, pair, seed):
    dice = random.Random(seed)
    grow(work / "first", dice)
    grow(work / "second", dice)
    for name, program in (("ours", ours), ("theirs", theirs)):
        program.text("sync", "first", f"hf://buckets/username/{pair[name]}/in/side", cwd=work)
    assert remote(hub, pair["ours"]) == remote(hub, pair["theirs"])

    for options in OPTIONS if seed == 1 else dice.sample(OPTIONS, 2):
        place = f"hf://buckets/username/{pair['ours']}/in/side"
        for args in (["second", place, *options], [place, "second", *options]):
            assert plan(ours, work, *args) == plan(theirs, work, *args), args

    options = dice.choice(OPTIONS)
    for name, program in (("ours", ours), ("theirs", theirs)):
        program.text("sync", "second", f"hf://buckets/username/{pair[name]}/in/side", *options, cwd=work)
        shutil.copytree(work / "first", work / f"down-{name}", symlinks=True)
        program.text("sync", f"hf://buckets/username/{pair[name]}/in", f"down-{name}", "--delete", cwd=work)
    assert remote(hub, pair["ours"]) == remote(hub, pair["theirs"]), options
    assert tree(work / "down-ours") == tree(work / "down-theirs"), options


def test_each_applies_the_others_plan(hub, ours, theirs, work, pair):
    grow(work / "d", random.Random(3))
    states = []
    for maker, applier, name in ((ours, theirs, "ours"), (theirs, ours, "theirs")):
        place = f"hf://buckets/username/{pair[name]}"
        ours.text("buckets", "cp", "-", f"{place}/gone.txt", cwd=work, stdin=b"gone")
        maker.text("sync", "d", place, "--delete", "--plan", "p.jsonl", cwd=work)
        out = applier.text("sync", "--apply", "p.jsonl", cwd=work)[0]
        assert "Executing plan...\n" in out and out.endswith("Sync completed.\n")
        states.append(remote(hub, pair[name]))

        down = f"down-{name}"
        write(work / down / "old/file", b"old", BASE)
        maker.text("sync", place, down, "--delete", "--plan", "p.jsonl", cwd=work)
        applier.text("sync", "--apply", "p.jsonl", cwd=work)
        assert not (work / down / "old").exists()
    assert states[0] == states[1] and "gone.txt" not in states[0]
    assert tree(work / "down-ours") == tree(work / "down-theirs")


def test_the_same_copies_between_buckets(hub, ours, theirs, work, pair):
    grow(work / "d", random.Random(5))
    source = f"hf://buckets/username/{pair['ours']}"
    ours.text("sync", "d", f"{source}/from", cwd=work)
    states = {}
    for name, program in (("ours", ours), ("theirs", theirs)):
        program.text("buckets", "cp", f"{source}/from", f"hf://buckets/username/{pair['theirs']}/{name}/", cwd=work)
        program.text("buckets", "cp", f"{source}/from/", f"hf://buckets/username/{pair['theirs']}/{name}/plain", cwd=work)
        every = remote(hub, pair["theirs"])
        states[name] = {path.removeprefix(f"{name}/"): file[:2] for path, file in every.items() if path.startswith(f"{name}/")}
    assert states["ours"] == states["theirs"] and states["ours"]
