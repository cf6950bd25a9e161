#!/usr/bin/env python3
"""Runs tests of Ceph's s3-tests, by name, against the server of XETGATE_BIN, and writes who passed and who failed.

    XETGATE_BIN=target/debug/xetgate python3 compat-tests/s3_tests/run.py CHECKOUT [--names FILE] [--out FOLDER]

CHECKOUT is a checkout of https://github.com/ceph/s3-tests at commit 8f0ae7b4. Nothing of it is changed and nothing of
it is kept here. The suite's packages go into a virtual environment of their own, OUT/venv; the server's data and log
are beside it.

The suite wants three accounts, `main`, `alt` and `tenant`, whose ids are their display names: that is what owners look
like here. The server has them declared in its configuration.
"""

import argparse
import ast
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import server  # noqa: E402

FILES = ("s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py")
TEST_SECS_MAX = 120

ACCOUNTS = {
    "main": ("S3TESTSMAIN000000001", "s3tests/main+secret/only=for0the1tests"),
    "alt": ("S3TESTSALT0000000001", "s3tests/alt+secret/only=for0the1tests2"),
    "tenant": ("S3TESTSTENANT0000001", "s3tests/tenant+secret/only=for0the1te3"),
}

# What the suite calls a day when it waits for lifecycle rules.
DAY_SECS = 4


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of server, and which tests get it."""

    name: str
    region: str
    more: str
    tests: str


# The last one takes what no other does. Buckets of us-east-1 may be created again and have no location constraint; those of
# other regions the reverse: the suite asks for both, so the one test that wants a location gets a server elsewhere. Tests that
# wait for lifecycle rules want short days; those of what answers say of rules want true ones.
KINDS = (
    Kind("eu-west-1", "eu-west-1", "", "^test_bucket_get_location$"),
    Kind(
        "short-days",
        "us-east-1",
        f"[lifecycle]\ninterval_secs = 1\ndebug_day_secs = {DAY_SECS}\n\n",
        "^test_(?!.*header).*(lifecycle|delete_marker_expiration)",
    ),
    Kind("us-east-1", "us-east-1", "", ""),
)


def server_configuration(kind: Kind) -> str:
    text = f'[s3]\nregion = "{kind.region}"\n\n{kind.more}'
    for name, (access_key, secret_key) in ACCOUNTS.items():
        text += f'[[accounts]]\nname = "{name}"\n\n[[accounts.credentials]]\n'
        text += f'access_key_id = "{access_key}"\nsecret_access_key = "{secret_key}"\npermission = "admin"\n\n'
    return text


def suite_configuration(port: int, region: str) -> str:
    def section(title: str, account: str, **more: str) -> str:
        access_key, secret_key = ACCOUNTS[account]
        lines = {"display_name": account, "user_id": account, "email": f"{account}@example.com"}
        lines |= {"access_key": access_key, "secret_key": secret_key} | more
        return f"[{title}]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()) + "\n"

    return (
        f"[DEFAULT]\nhost = 127.0.0.1\nport = {port}\nis_secure = False\nssl_verify = False\n\n"
        + "[fixtures]\nbucket prefix = s3-tests-{random}-\n\n"
        + section("s3 main", "main", api_name=region, lc_debug_interval=str(DAY_SECS))
        + section("s3 alt", "alt")
        + section("s3 tenant", "tenant", tenant="tenant")
        # Asked for by the suite's set-up, used by tests of what is not S3.
        + section("iam", "main")
        + section("iam root", "main")
        + section("iam alt root", "alt")
    )


def environment_with_packages(out: pathlib.Path) -> pathlib.Path:
    """The suite's Python, with its packages: made now, or the one made before."""
    python, mark = out / "venv/bin/python", out / "venv/made-for"
    requirements = HERE / "requirements.txt"
    if not mark.exists() or mark.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", out / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        mark.write_text(requirements.read_text())
    return python


def nodes(checkout: pathlib.Path, names: list[str]) -> dict[str, str]:
    """Where pytest finds each name. A name that the suite does not have is an error: it would count as nothing."""
    found = {}
    for file in FILES:
        for item in ast.parse((checkout / file).read_text()).body:
            if isinstance(item, ast.FunctionDef):
                found[item.name] = f"{file}::{item.name}"
    if unknown := [name for name in names if name not in found]:
        sys.exit(f"not in this checkout of s3-tests: {' '.join(unknown)}")
    return {name: found[name] for name in names}


def outcomes(report: pathlib.Path) -> dict[str, str]:
    """For each name, why it failed; empty if all of its cases passed. A skipped test has not passed."""
    why: dict[str, str] = {}
    for case in xml.parse(report).iter("testcase"):
        name = case.get("name", "").partition("[")[0]
        problems = [problem for problem in case if problem.tag in ("failure", "error", "skipped")]
        told = " ".join((problems[0].get("message") or problems[0].tag).split()) if problems else ""
        why[name] = why.get(name) or told
    return why


def run(python: pathlib.Path, checkout: pathlib.Path, out: pathlib.Path, kind: Kind, selected: list[str]):
    """One run of pytest against a server of its own."""
    place, region = out / kind.name, kind.region
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / "xetgate.toml").write_text(server_configuration(kind))
    running = server.Server(place / "data", place / "log", "--config", str(place / "xetgate.toml")).start()
    try:
        (place / "s3tests.conf").write_text(suite_configuration(running.port, region))
        env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        env |= {"S3TEST_CONF": str(place / "s3tests.conf"), "AWS_MAX_ATTEMPTS": "1", "AWS_DEFAULT_REGION": region}
        options = ["-p", "no:cacheprovider", "-q", "--tb=short", f"--timeout={TEST_SECS_MAX}"]
        options += [f"--junitxml={place / 'report.xml'}", f"--basetemp={place / 'tmp'}"]
        with open(place / "pytest.log", "w") as log:
            line = [python, "-B", "-m", "pytest", *options, *selected]
            subprocess.run(line, cwd=checkout, env=env, stdout=log, stderr=log)
    finally:
        running.stop()
    return outcomes(place / "report.xml")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("checkout", type=pathlib.Path)
    options.add_argument("--names", type=pathlib.Path, default=HERE / "core.txt", help="a name a line")
    options.add_argument("--only", help="of these only the names that this regular expression finds")
    options.add_argument("--out", type=pathlib.Path, default=HERE.parents[1] / "target/s3-tests")
    given = options.parse_args()
    checkout, out = given.checkout.resolve(), given.out.resolve()
    names = [name for name in given.names.read_text().split() if re.search(given.only or "", name)]
    selected = nodes(checkout, names)

    python, why = environment_with_packages(out), {}
    left = list(names)
    for kind in KINDS:
        here = [name for name in left if re.search(kind.tests, name)]
        left = [name for name in left if name not in here]
        if here:
            why |= run(python, checkout, out, kind, [selected[name] for name in here])
    failed = {name: why.get(name, "did not run") for name in names if why.get(name, "did not run")}
    (out / "passed.txt").write_text("".join(f"{name}\n" for name in names if name not in failed))
    (out / "failed.txt").write_text("".join(f"{name}\t{reason}\n" for name, reason in failed.items()))
    print(f"{len(names) - len(failed)} of {len(names)} passed; see {out}/passed.txt and failed.txt")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
