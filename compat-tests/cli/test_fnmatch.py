"""`--include` against Python's own fnmatch, on thousands of random patterns."""

import concurrent.futures
import fnmatch
import json
import random

PATTERNS = 2000
# Several in one run, for a process costs more than a match.
TOGETHER = 8
LETTERS = "ab-]![^*?/.\\z&~|é😀 "
NAMES = [
    "a", "b", "ab", "a-b", "-", "]", "[", "!", "^", "a]", "z", "*", "?", "a.b", "b.a", ".a", "é", "😀", "a b", "&", "~", "|",
    "a\nb", "dir/a", "dir/b.a", "dir/sub/ab", "dir/z-a", "[a]", "!a", "^b", "aé", "b😀a",
]  # fmt: skip


def random_pattern(dice: random.Random) -> str:
    if dice.random() < 0.5:
        inner = "".join(dice.choices("abz-]!^[&é\\", k=dice.randint(0, 6)))
        return "".join(dice.choices("ab*?", k=dice.randint(0, 2))) + f"[{inner}]" + dice.choice(["", "*", "a", "/*"])
    return "".join(dice.choices(LETTERS, k=dice.randint(1, 8)))


def test_includes_match_as_python_does(ours, work):
    for name in NAMES:
        path = work / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    dice = random.Random(7)
    patterns = [random_pattern(dice) for _ in range(PATTERNS)]

    def included(some: list[str]) -> set[str]:
        given = [f"--include={pattern}" for pattern in some]
        out = ours.text("sync", "tree", "hf://buckets/username/none", "--dry-run", *given, cwd=work)[0]
        return {json.loads(line)["path"] for line in out.splitlines()[1:]}

    groups = [patterns[at : at + TOGETHER] for at in range(0, len(patterns), TOGETHER)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for group, found in zip(groups, pool.map(included, groups), strict=True):
            # `hf` reads a backslash as a slash.
            read = [pattern.replace("\\", "/") for pattern in group]
            wanted = {name for name in NAMES if any(fnmatch.fnmatchcase(name, pattern) for pattern in read)}
            assert found == wanted, f"{group!r}: {found ^ wanted}"


def test_filter_files_are_read_as_hf_reads_them(ours, theirs, work):
    for name in ["a.log", "keep.log", "x.tmp", "m.safetensors", "c.json", "sub/d.json", "sub/e.bin"]:
        path = work / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    rules = ["+ keep.log", "- *.log", "  -*.tmp", "# note", "", "+ *.safetensors", "*.json", "- sub/*"]
    for count in (2, len(rules)):
        (work / "f.txt").write_text("\n".join(rules[:count]) + "\n")
        args = ["sync", "tree", "hf://buckets/username/none", "--dry-run", "--filter-from", "f.txt", "--include", "*.json"]
        plans = [program.text(*args, cwd=work)[0].splitlines()[1:] for program in (ours, theirs)]
        assert plans[0] == plans[1], rules[:count]
