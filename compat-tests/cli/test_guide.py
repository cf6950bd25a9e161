"""Every command of the guide, in every form, byte for byte: `xetgate` where the guide says `hf`."""

import json
import os

import pytest

NOT_FOUND = (
    "Error: Bucket 'username/nope' not found. If the bucket is private, make sure you are authenticated and your token "
    "has the required permissions. If the bucket does not exist, create it with: xetgate buckets create username/nope\n"
)
WHEN = 1_768_473_000  # 2026-01-15 10:30:00 UTC
SIZES = {"big.bin": 2048, "file.txt": 5, "sub/deep/file.txt": 4, "sub/nested.txt": 14}


@pytest.fixture
def bucket(ours, work):
    """The bucket of the guide's listings."""
    for name, size in SIZES.items():
        path = work / "guide" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name[:1].encode() * size)
        os.utime(path, (WHEN, WHEN))
    ours.text("buckets", "create", "my-bucket", cwd=work)
    ours.text("sync", "guide", "hf://buckets/username/my-bucket", cwd=work)
    return "username/my-bucket"


def test_create(ours, hub, work):
    url = f"{hub.endpoint}/buckets/username/my-bucket"
    handle = "hf://buckets/username/my-bucket"
    assert ours.text("buckets", "create", "my-bucket", cwd=work) == (f"Bucket created: {url} (handle: {handle})\n", "")
    out, err = ours.text("buckets", "create", "my-bucket", cwd=work, rc=1)
    assert (out, err) == ("", "Error: You already created this bucket.\n")
    again = ["buckets", "create", "username/my-bucket", "--exist-ok"]
    assert ours.text(*again, cwd=work)[0] == f"Bucket created: {url} (handle: {handle})\n"
    assert ours.text(*again, "--format", "json", cwd=work)[0] == json.dumps({"uri": handle, "url": url}) + "\n"
    assert ours.text(*again, "--quiet", cwd=work)[0] == f"{handle}\n"
    assert ours.text(*again, "--format", "agent", cwd=work)[0] == f"uri={handle} url={url}\n"
    ours.text("buckets", "create", "hf://buckets/my-org/shared-bucket", "--private", cwd=work)
    assert hub.state.buckets["my-org/shared-bucket"]["private"]


def test_info(ours, bucket, work):
    expected = {"id": bucket, "private": False, "created_at": "2026-01-15T10:30:00+00:00", "size": 2071, "total_files": 4}
    for name in (bucket, f"hf://buckets/{bucket}", f"{ours.env['HF_ENDPOINT']}/buckets/{bucket}"):
        assert ours.text("buckets", "info", name, cwd=work)[0] == json.dumps(expected, indent=2) + "\n"
    assert ours.text("buckets", "info", bucket, "--json", cwd=work)[0] == json.dumps(expected) + "\n"
    assert ours.text("buckets", "info", bucket, "-q", cwd=work)[0] == f"{bucket}\n"
    assert ours.text("buckets", "info", "username/nope", cwd=work, rc=1)[1] == NOT_FOUND


def test_list_of_buckets(ours, bucket, work):
    ours.text("buckets", "create", "secret", "--private", cwd=work)
    assert ours.text("buckets", "list", cwd=work)[0] == (
        "ID                 PRIVATE SIZE TOTAL_FILES CREATED_AT\n"
        "------------------ ------- ---- ----------- ----------\n"
        "username/my-bucket         2071           4 2026-01-15\n"
        "username/secret    ✔          0           0 2026-01-15\n"
    )
    assert ours.text("buckets", "list", "-h", cwd=work)[0].splitlines()[2:] == [
        "username/my-bucket         2.1 KB           4 2026-01-15",
        "username/secret    ✔          0 B           0 2026-01-15",
    ]
    assert ours.text("buckets", "ls", "username", "--quiet", cwd=work)[0] == f"{bucket}\nusername/secret\n"
    assert ours.text("buckets", "list", "--search", "sec", "-q", cwd=work)[0] == "username/secret\n"
    listed = {"id": bucket, "private": False, "created_at": "2026-01-15T10:30:00+00:00", "size": 2071, "total_files": 4}
    assert ours.text("buckets", "list", "--search", "my", "--format", "json", cwd=work)[0] == json.dumps([listed], indent=2) + "\n"
    assert ours.text("buckets", "ls", "huggingface", cwd=work)[0] == "No results found.\n"
    out, err = ours.text("buckets", "list", cwd=work, COLUMNS="50")
    assert out.splitlines()[2].startswith("username/my...") and "--no-truncate" in err
    assert ours.text("buckets", "list", "--no-truncate", cwd=work, COLUMNS="50")[1] == ""


def test_list_of_files(ours, bucket, work):
    hint = "Hint: Use -R to list files recursively.\n"
    assert ours.text("buckets", "list", bucket, cwd=work) == (
        "        2048  2026-01-15 10:30:00  big.bin\n"
        "           5  2026-01-15 10:30:00  file.txt\n"
        "              2026-01-15 10:30:00  sub/\n",
        hint,
    )
    assert ours.text("buckets", "list", bucket, "-R", cwd=work)[0] == (
        "        2048  2026-01-15 10:30:00  big.bin\n"
        "           5  2026-01-15 10:30:00  file.txt\n"
        "           4  2026-01-15 10:30:00  sub/deep/file.txt\n"
        "          14  2026-01-15 10:30:00  sub/nested.txt\n"
    )
    assert ours.text("buckets", "list", bucket, "-R", "-h", cwd=work)[0].splitlines()[0] == (
        "      2.0 KB         Jan 15 10:30  big.bin"
    )
    assert ours.text("buckets", "list", bucket, "--tree", "-h", "-R", cwd=work)[0] == (
        "2.0 KB  Jan 15 10:30  ├── big.bin\n"
        "   5 B  Jan 15 10:30  ├── file.txt\n"
        "                      └── sub/\n"
        "                          ├── deep/\n"
        "   4 B  Jan 15 10:30      │   └── file.txt\n"
        "  14 B  Jan 15 10:30      └── nested.txt\n"
    )
    assert ours.text("buckets", "list", bucket, "--tree", "--quiet", "-R", cwd=work)[0] == (
        "├── big.bin\n├── file.txt\n└── sub/\n    ├── deep/\n    │   └── file.txt\n    └── nested.txt\n"
    )
    assert ours.text("buckets", "list", bucket, "-q", cwd=work) == ("big.bin\nfile.txt\nsub/\n", "")
    for place in (f"{bucket}/sub", f"hf://buckets/{bucket}/sub/"):
        assert ours.text("buckets", "list", place, "-R", "-q", cwd=work)[0] == "sub/deep/file.txt\nsub/nested.txt\n"
    assert ours.text("buckets", "list", f"{bucket}/none", cwd=work)[0] == "(empty)\n"
    assert ours.text("buckets", "list", "username/nope/", cwd=work, rc=1)[1] == NOT_FOUND


def test_remove(ours, hub, bucket, work):
    one = f"{bucket}/file.txt"
    assert ours.text("buckets", "rm", one, cwd=work, rc=1) == ("Remove 'file.txt' from 'username/my-bucket'? [y/N]: ", "Aborted!\n")
    refused = "Error: Remove 'file.txt' from 'username/my-bucket'? Use --yes to skip confirmation.\n"
    assert ours.text("buckets", "rm", one, "--json", cwd=work, rc=1) == ("", refused)
    assert ours.text("buckets", "rm", one, "--dry-run", cwd=work)[0] == (
        "delete: hf://buckets/username/my-bucket/file.txt\n(dry run) 1 file would be removed.\n"
    )
    assert ours.text("buckets", "rm", one, cwd=work, stdin=b"y\n")[0].endswith(
        "✓ File removed\n  path: file.txt\n  bucket_id: username/my-bucket\n"
    )
    assert ours.text("buckets", "rm", f"{bucket}/sub/", "--recursive", "--dry-run", "--exclude", "*nested*", cwd=work)[0] == (
        "delete: hf://buckets/username/my-bucket/sub/deep/file.txt\n(dry run) 1 file(s) totaling 4 B would be removed.\n"
    )
    assert ours.text("buckets", "rm", bucket, "-R", "--include", "*.tmp", cwd=work)[0] == "No files to remove.\n"
    assert ours.text("buckets", "rm", bucket, "--recursive", cwd=work, stdin=b"n\n", rc=1)[0] == (
        "  big.bin\n  sub/deep/file.txt\n  sub/nested.txt\nRemove 3 file(s) totaling 2.1 KB from 'username/my-bucket'? [y/N]: "
    )
    assert ours.text("buckets", "rm", bucket, "-R", "-y", "--json", cwd=work)[0] == (
        '{"bucket_id": "username/my-bucket", "files_deleted": 3, "size": "2.1 KB"}\n'
    )
    assert hub.files(bucket) == {}


def test_delete_move_settings(ours, hub, bucket, work):
    question = "Are you sure you want to delete bucket 'username/my-bucket'?"
    assert ours.text("buckets", "delete", bucket, cwd=work, rc=1) == (f"{question} [y/N]: ", "Aborted!\n")
    assert ours.text("buckets", "settings", bucket, "--private", cwd=work) == (
        "✓ Bucket settings updated\n  bucket_id: username/my-bucket\n  private: True\n",
        "Hint: Run `xetgate buckets info username/my-bucket` to view bucket details.\n",
    )
    assert ours.text("buckets", "settings", bucket, "--public", "--json", cwd=work)[0] == (
        '{"bucket_id": "username/my-bucket", "private": false}\n'
    )
    assert ours.text("buckets", "move", bucket, "hf://buckets/my-org/my-bucket", cwd=work)[0] == (
        "✓ Bucket moved\n  from_id: username/my-bucket\n  to_id: my-org/my-bucket\n"
    )
    assert ours.text("buckets", "delete", "my-org/my-bucket", "--yes", cwd=work)[0] == "✓ Bucket deleted\n  bucket_id: my-org/my-bucket\n"
    assert ours.text("buckets", "delete", "username/nope", "-y", cwd=work, rc=1)[1] == NOT_FOUND
    ours.text("buckets", "delete", "username/nope", "--yes", "--missing-ok", cwd=work)


def test_copy(ours, hub, bucket, work):
    remote = f"hf://buckets/{bucket}"
    (work / "config.json").write_bytes(b'{"a": 1}\n')
    assert ours.text("buckets", "cp", "./config.json", remote, cwd=work)[0] == (
        f"✓ Uploaded\n  src: ./config.json\n  dst: {remote}/config.json\n"
    )
    ours.text("buckets", "cp", "./config.json", f"{remote}/logs/", cwd=work)
    ours.text("buckets", "cp", "./config.json", f"{remote}/v2/model.json", "-q", cwd=work)
    out = ours.text("buckets", "cp", "-", f"{remote}/hello.txt", "--json", cwd=work, stdin=b"hello\n")[0]
    assert out == json.dumps({"src": "stdin", "dst": f"{remote}/hello.txt"}) + "\n"
    assert {"config.json", "logs/config.json", "v2/model.json", "hello.txt"} < set(hub.files(bucket))

    ours.text("buckets", "cp", f"{remote}/config.json", "./copy.json", cwd=work)
    (work / "data").mkdir()
    out = ours.text("buckets", "cp", f"{remote}/config.json", "./data/", cwd=work)[0]
    assert out == f"✓ Downloaded\n  src: {remote}/config.json\n  dst: ./data/config.json\n"
    assert (work / "copy.json").read_bytes() == (work / "data/config.json").read_bytes() == b'{"a": 1}\n'
    assert ours.text("buckets", "cp", f"{remote}/hello.txt", "-", cwd=work) == ("hello\n", "")
    ours.text("buckets", "cp", f"{remote}/hello.txt", cwd=work)
    assert (work / "hello.txt").read_bytes() == b"hello\n"

    ours.text("buckets", "create", "other", cwd=work)
    assert ours.text("buckets", "cp", f"{remote}/sub", "hf://buckets/username/other/", cwd=work)[0] == (
        f"✓ Copied\n  src: {remote}/sub\n  dst: hf://buckets/username/other/\n"
    )
    ours.text("buckets", "cp", f"{remote}/sub/", "hf://buckets/username/other/plain", cwd=work)
    ours.text("buckets", "cp", f"{remote}/file.txt", "hf://buckets/username/other/x.txt", cwd=work)
    assert set(hub.files("username/other")) == {
        "sub/deep/file.txt", "sub/nested.txt", "plain/deep/file.txt", "plain/nested.txt", "x.txt"
    }


def test_copy_of_folders(ours, hub, bucket, work):
    remote = f"hf://buckets/{bucket}"
    ours.text("buckets", "cp", "-r", "guide", remote, cwd=work)
    ours.text("buckets", "cp", "-r", "guide/", f"{remote}/copy", cwd=work)
    assert {f"guide/{name}" for name in SIZES} | {f"copy/{name}" for name in SIZES} | set(SIZES) == set(hub.files(bucket))
    ours.text("buckets", "cp", "-r", f"{remote}/sub", cwd=work)
    assert (work / "sub/deep/file.txt").read_bytes() == b"ssss"
    ours.text("buckets", "cp", "-r", f"{remote}/sub/", "fresh", cwd=work)
    assert (work / "fresh/nested.txt").read_bytes() == b"s" * 14


def test_sync_says_what_it_does(ours, bucket, work):
    remote = "hf://buckets/username/my-bucket"
    head = f"Sync plan: ./guide -> {remote}\n  Uploads: {{}}\n  Downloads: 0\n  Deletes: 0\n  Skips: {{}}\n"
    assert ours.text("buckets", "sync", "./guide", remote, cwd=work)[0] == head.format(0, 4) + "Nothing to sync.\n"
    (work / "guide/new.txt").write_text("new")
    out, err = ours.text("buckets", "sync", "./guide", remote, "--plan", "p.jsonl", cwd=work)
    assert out == head.format(1, 4) + "Plan saved to: p.jsonl\n"
    assert err == "Hint: Run `xetgate buckets sync --apply p.jsonl` to execute this plan.\n"
    out = ours.text("sync", "--apply", "p.jsonl", "--verbose", cwd=work)[0]
    assert out.startswith(head.format(1, 4) + "Executing plan...\n  Skipping: big.bin (identical)\n")
    assert "  Uploading: new.txt (new file)\n" in out and out.endswith("\nSync completed.\n")
    (work / "guide/new.txt").write_text("newer")
    assert ours.text("sync", "./guide", remote, cwd=work)[0] == head.format(1, 4) + "Syncing...\nSync completed.\n"
    assert ours.text("sync", "./guide", remote, "--quiet", cwd=work) == ("", "")
    lines = ours.text("sync", "./guide", remote, "--dry-run", "-q", cwd=work)[0].splitlines()
    assert [json.loads(line).get("action") for line in lines] == [None] + ["skip"] * 5


def test_sync_by_checksum(ours, hub, bucket, work):
    (work / "guide/file.txt").write_bytes(b"other")
    os.utime(work / "guide/file.txt", (WHEN, WHEN))
    os.utime(work / "guide/big.bin")
    remote = "hf://buckets/username/my-bucket"
    lines = ours.text("sync", "guide", remote, "--checksum", "--dry-run", "--jobs", "2", cwd=work)[0].splitlines()[1:]
    reasons = {(op := json.loads(line))["path"]: (op["action"], op["reason"]) for line in lines}
    assert reasons["file.txt"] == ("upload", "content differs")
    assert reasons["big.bin"] == ("skip", "same content")


USAGE = [
    (["create", "hf://buckets/u/c/x"], "create", "BUCKET_ID", "Cannot specify a prefix for bucket creation: hf://buckets/u/c/x. Use namespace/bucket_name or hf://buckets/namespace/bucket_name."),
    (["delete", "c1"], "delete", "BUCKET_ID", "Invalid bucket ID: c1. Must be in format namespace/bucket_name or hf://buckets/namespace/bucket_name."),
    (["list", "--tree"], "list", "[ARGUMENT]", "Cannot use --tree when listing buckets."),
    (["list", "-R"], "list", "[ARGUMENT]", "Cannot use --recursive when listing buckets."),
    (["ls", "u/b", "--search", "x"], "ls", "[ARGUMENT]", "Cannot use --search when listing files."),
    (["list", "u/b", "--tree", "--json"], "list", "[ARGUMENT]", "Cannot use --tree with --format json."),
    (["rm", "u/c1"], "rm", "ARGUMENT", "No file path specified. To remove files, provide a path (e.g. 'u/c1/FILE') or use --recursive to remove all files. To delete the entire bucket, use `hf buckets delete u/c1`."),
    (["rm", "u/c1/x", "--include", "*"], "rm", "ARGUMENT", "--include and --exclude require --recursive."),
    (["settings", "u/b"], "settings", "BUCKET_ID", "Specify exactly one of --private or --public."),
    (["cp", "a", "b"], "cp", "SRC [DST]", "One of SRC or DST must be a repo (hf://username/...) or bucket (hf://buckets/...) URI."),
    (["cp", "a"], "cp", "SRC [DST]", "Missing destination. Provide a repo or bucket hf:// URI as DST."),
    (["cp", "-", "hf://buckets/u/b/"], "cp", "SRC [DST]", "Stdin upload requires a full destination path including filename."),
    (["cp", "missing", "hf://buckets/u/b/"], "cp", "SRC [DST]", "Source file not found: missing"),
]


@pytest.mark.parametrize(("args", "typed", "operands", "message"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_usage_errors_are_those_of_hf(hf_link, theirs, work, args, typed, operands, message):
    expected = f"Usage: hf buckets {typed} [OPTIONS] {operands}\nTry 'hf buckets {typed} --help' for help.\n\nError: Invalid value: {message}\n"
    assert hf_link.text("buckets", *args, cwd=work, rc=2) == ("", expected)
    if args in (["rm", "u/c1"], ["cp", "a", "b"]):
        # The original, for a sample: a process of it takes half a second.
        assert theirs.text("buckets", *args, cwd=work, rc=2) == ("", expected)


VALUES = [
    (["d", "hf://buckets/u/c", "--ignore-times", "--ignore-sizes"], "Cannot specify both ignore_times and ignore_sizes."),
    (["d", "hf://buckets/u/c", "--existing", "--ignore-existing"], "Cannot specify both existing and ignore_existing."),
    (["d", "hf://buckets/u/c", "--dry-run", "--plan", "p"], "Cannot specify both dry_run and plan."),
    (["d", "e"], "One of source or dest must be a bucket path (hf://buckets/...)."),
    (["hf://buckets/u/c", "hf://buckets/u/d"], "Remote to remote sync is not supported. One path must be local."),
    ([], "Both source and dest are required (unless using apply)."),
    (["nodir", "hf://buckets/u/c"], "Source must be an existing directory: nodir"),
    (["hf://buckets/u/c", "file"], "Destination must be a directory: file"),
    (["d", "--apply", "p"], "Cannot specify source/dest when using apply."),
    (["--apply", "p", "--plan", "p"], "Cannot specify both plan and apply."),
    (["--apply", "p", "--filter-from", "p"], "Cannot specify filter_from when using apply."),
]


@pytest.mark.parametrize(("args", "message"), VALUES, ids=[" ".join(args) or "nothing" for args, _ in VALUES])
def test_options_of_sync_that_do_not_go_together(ours, work, args, message):
    (work / "d").mkdir()
    (work / "file").touch()
    assert ours.text("sync", *args, cwd=work, rc=1) == ("", f"Error: Invalid value. {message}\n")


def test_nobody_there_and_wrong_tokens_are_one_line(ours, work):
    err = ours.text("buckets", "list", "--endpoint", "http://127.0.0.1:1", cwd=work, rc=1)[1]
    assert err.startswith("Error: Cannot reach http://127.0.0.1:1: ") and "`xetgate serve`" in err and err.count("\n") == 1
    err = ours.text("buckets", "list", "--token", "hf_wrong", cwd=work, rc=1)[1]
    assert "does not accept the token (from --token)" in err and err.count("\n") == 1


def test_colours_end_with_no_color(ours, bucket, work):
    out, err = ours.text("buckets", "settings", bucket, "--private", cwd=work, NO_COLOR="")
    assert out.startswith("\x1b[32m✓ Bucket settings updated\x1b[0m\n") and err.startswith("\x1b[90mHint: ")
    err = ours.text("buckets", "info", "username/nope", cwd=work, NO_COLOR="", rc=1)[1]
    assert err.startswith("\x1b[1m\x1b[31mError: Bucket ") and err.endswith("\x1b[0m\n")


def test_every_command_has_help_completions_and_a_page(ours, work):
    for command in ("cp", "create", "delete", "info", "list", "move", "remove", "settings", "sync"):
        out = ours.text("buckets", command, "--help", cwd=work)[0]
        assert "Examples:\n  $ xetgate buckets " in out or "Examples:\n  $ xetgate " in out
        assert ".TH" in ours.text("man", "buckets", command, cwd=work)[0]
    for shell in ("bash", "zsh", "fish"):
        assert "buckets" in ours.text("completions", shell, cwd=work)[0]
    ours.text("man", "--dir", "pages", cwd=work)
    assert (work / "pages/xetgate-buckets-sync.1").exists()
