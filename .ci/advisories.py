#!/usr/bin/env python3
"""Writes .ci/advisories.tsv from a clone of https://github.com/rustsec/advisory-db.

    git clone --depth 1 https://github.com/rustsec/advisory-db /tmp/advisory-db
    .ci/advisories.py /tmp/advisory-db

The table is committed, so that the check (tests/dependencies.rs) needs no network and says the same everywhere.
"""

import pathlib
import subprocess
import sys
import tomllib

clone = pathlib.Path(sys.argv[1])
git = ["git", "-C", str(clone)]
date = subprocess.check_output([*git, "log", "-1", "--format=%cs"], text=True).strip()
names = subprocess.check_output([*git, "ls-tree", "-r", "--name-only", "HEAD", "crates/"], text=True).split()
rows = []
# One process reads all of them, from the commit and not from a work tree.
with subprocess.Popen([*git, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
    for name in names:
        if not pathlib.PurePath(name).name.startswith("RUSTSEC-"):
            continue
        reader.stdin.write(f"HEAD:{name}\n".encode())
        reader.stdin.flush()
        size = int(reader.stdout.readline().split()[2])
        text = reader.stdout.read(size + 1).decode()
        entry = tomllib.loads(text.split("```toml", 1)[1].split("```", 1)[0])
        advisory, versions = entry["advisory"], entry["versions"]
        if "withdrawn" in advisory:
            continue
        fine = versions.get("patched", []) + versions.get("unaffected", [])
        row = [advisory["package"], advisory["id"], advisory.get("informational", "vulnerability")]
        rows.append("\t".join([*row, " | ".join(fine)]))
    reader.stdin.close()

table = pathlib.Path(__file__).with_name("advisories.tsv")
head = f"# rustsec/advisory-db (CC0-1.0) of {date}; written by .ci/advisories.py: crate, id, kind, versions that are fine\n"
table.write_text(head + "\n".join(sorted(rows)) + "\n")
print(f"{len(rows)} advisories of {date}")
