"""What every command says of a command line that makes no sense, of servers and tokens that are none, and of itself.
The guide's examples are typed in `tests/cli_guide.rs`."""

import time

import pytest

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
    if args[0] == "cp":
        bare = expected.replace("hf buckets cp", "hf cp")
        assert hf_link.text(*args, cwd=work, rc=2) == ("", bare)
        if args == ["cp", "a", "b"]:
            assert theirs.text(*args, cwd=work, rc=2) == ("", bare)
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
    begun = time.monotonic()
    err = ours.text("buckets", "list", "--endpoint", "http://127.0.0.1:1", cwd=work, rc=1)[1]
    assert time.monotonic() - begun < 1, "nobody waits for a server that was never there"
    assert err.startswith("Error: Cannot reach http://127.0.0.1:1: ") and "`xetgate serve`" in err and err.count("\n") == 1
    err = ours.text("buckets", "list", "--token", "hf_wrong", cwd=work, rc=1)[1]
    assert "does not accept the token (from --token)" in err and err.count("\n") == 1


@pytest.mark.parametrize("command", [["buckets", "ls"], ["buckets", "create", "new"], ["cp", "f", "hf://buckets/username/any/f"], ["sync", "d", "hf://buckets/username/any"]], ids=" ".join)
def test_who_has_no_token_is_told_what_to_do(ours, work, bucket, command):
    (work / "d").mkdir()
    for path in ("f", "d/f"):
        (work / path).write_bytes(b"x")
    command = [word.replace("any", bucket) for word in command]
    err = ours.text(*command, cwd=work, rc=1, HF_TOKEN="")[1]
    assert "asks for a token, and none was found. Give one with --token or HF_TOKEN" in err and err.count("\n") == 1
    for value in ("1", "true", "Yes"):
        err = ours.text(*command, cwd=work, rc=1, HF_HUB_DISABLE_IMPLICIT_TOKEN=value)[1]
        assert "none was sent, for HF_HUB_DISABLE_IMPLICIT_TOKEN is set. Give one with --token." in err
    ours.text(*command, "--token", ours.env["HF_TOKEN"], cwd=work, HF_HUB_DISABLE_IMPLICIT_TOKEN="1")
    err = ours.text(*command, "--token", "hf_wrong", cwd=work, rc=1)[1]
    assert "with the token (from --token)" in err or "does not accept the token (from --token)" in err
    assert err.count("\n") == 1


def test_an_unknown_namespace_is_one_line_that_says_what_to_do(ours, work):
    err = ours.text("buckets", "ls", "nobody", cwd=work, rc=1)[1]
    assert err.startswith("Error: There is no user or organization 'nobody' on http://") and "`xetgate buckets list`" in err
    assert err.count("\n") == 1


OFFLINE = [["buckets", "ls"], ["buckets", "rm", "username/b/f", "-y"], ["cp", "f", "hf://buckets/username/b/f"], ["sync", "d", "hf://buckets/username/b"]]


@pytest.mark.parametrize("command", OFFLINE, ids=" ".join)
def test_nothing_is_sent_where_that_is_forbidden(ours, theirs, work, command):
    (work / "d").mkdir()
    (work / "f").write_bytes(b"x")
    for env in ({"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "true"}, {"TRANSFORMERS_OFFLINE": "ON"}):
        err = ours.text(*command, cwd=work, rc=1, HF_ENDPOINT="http://127.0.0.1:1", **env)[1]
        assert err.startswith("Error: ") and err.count("\n") == 1
        name = next(iter(env))
        assert f"offline mode is enabled. To disable it, please unset the `{name}` environment variable." in err
    if command == OFFLINE[0]:
        assert "offline mode is enabled" in theirs.text(*command, cwd=work, rc=1, HF_HUB_OFFLINE="true")[1]
        # The first of the two decides.
        for program in (ours, theirs):
            program.text(*command, cwd=work, HF_HUB_OFFLINE="0", TRANSFORMERS_OFFLINE="1")


def test_tokens_are_read_as_hf_reads_them(ours, theirs, work):
    token = ours.env["HF_TOKEN"]
    for program in (ours, theirs):
        (work / "token").write_text(f"  {token[:5]}\n{token[5:]}\r\n")
        for env in (
            {"HF_TOKEN": f" {token[:9]}\r\n{token[9:]}\n"},
            {"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": f"{token}\n"},
            {"HF_TOKEN": " \n", "HUGGING_FACE_HUB_TOKEN": "hf_wrong", "HF_TOKEN_PATH": str(work / "token")},
            {"HF_TOKEN": "", "HF_HOME": "$WHERE/../work", "WHERE": str(work)},
        ):
            program.text("buckets", "list", cwd=work, **env)


def test_the_root_token_of_a_data_folder_stays_on_this_machine(ours, work):
    root = {"HF_TOKEN": "", "XETGATE_ROOT_TOKEN": "hf_rootTokenOfHere001"}
    expected = "no admin token for http://example.invalid: give --token (the root token is sent to no other machine)"
    for args, env in ((["--endpoint", "http://example.invalid"], {}), ([], {"HF_ENDPOINT": "http://example.invalid/"})):
        err = ours.text("admin", "keys", "list", "--data-dir", "none", *args, cwd=work, rc=1, **root, **env)[1]
        assert err == f"xetgate: {expected}\n"
    assert not (work / "none").exists()


def test_a_gateway_in_front_of_a_hub_obeys_offline_mode(ours, work):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        args = ["serve", "--mode", "hub", "--data-dir", "data", "--listen", "127.0.0.1:0"]
        err = ours.text(*args, cwd=work, rc=1, **{name: "yes"})[1]
        assert err.strip().endswith(f"hub mode: {name} forbids requests to the Hub: unset it to run a gateway in front of one")


EMPTY = ["username/{}//a.txt", "username/{}/x//a.txt", "username/{}/x//", "hf://buckets/username/{}//a.txt", "{endpoint}/buckets/username/{}/tree//a.txt"]


def test_an_empty_segment_names_nothing(hub, ours, work, bucket, place):
    (work / "a.txt").write_bytes(b"x")
    ours.text("cp", "a.txt", f"{place}/a.txt", cwd=work)
    ours.text("cp", "a.txt", f"{place}/x/a.txt", cwd=work)
    for spelling in EMPTY:
        path = spelling.format(bucket, endpoint=ours.env["HF_ENDPOINT"])
        for command in (["buckets", "rm", path, "-y"], ["buckets", "rm", path, "-R", "-y"], ["buckets", "ls", path]):
            assert "Path must not contain empty segments" in ours.text(*command, cwd=work, rc=1)[1], command
    for command in (["cp", "a.txt", f"{place}//b"], ["cp", f"{place}/a.txt", f"{place}/x//b"], ["cp", f"{place}//a.txt", "b"], ["sync", ".", f"{place}/x//y"]):
        assert "Path must not contain empty segments" in ours.text(*command, cwd=work, rc=1)[1], command
    # A slash at the end of the plain spelling names the mark of a folder, for both programs.
    ours.text("buckets", "rm", f"username/{bucket}/a.txt/", "-y", cwd=work)
    assert sorted(hub.files(f"username/{bucket}")) == ["a.txt", "x/a.txt"]
    assert sorted(path.name for path in work.iterdir()) == ["a.txt"]


def test_only_buckets_are_copied_and_synced(ours, work, place):
    err = ours.text("cp", f"{place}/a", "hf://datasets/u/d/a", cwd=work, rc=1)[1]
    assert err == "Error: `xetgate cp` only works with buckets. Name one as hf://buckets/namespace/bucket_name/path.\n"
    for other in ("hf://datasets/u/d", f"{ours.env['HF_ENDPOINT']}/buckets/u/b"):
        err = ours.text("sync", place, other, cwd=work, rc=1)[1]
        assert err.startswith("Error: Invalid value. Only buckets can be synced, named as hf://buckets/"), err
    assert list(work.iterdir()) == []


def test_colours_end_with_no_color(ours, bucket, work):
    out, err = ours.text("buckets", "settings", f"username/{bucket}", "--private", cwd=work, NO_COLOR="")
    assert out.startswith("\x1b[32m✓ Bucket settings updated\x1b[0m\n") and err.startswith("\x1b[90mHint: ")
    err = ours.text("buckets", "info", "username/nope", cwd=work, NO_COLOR="", rc=1)[1]
    assert err.startswith("\x1b[1m\x1b[31mError: Bucket ") and err.endswith("\x1b[0m\n")


def test_every_command_has_help_completions_and_a_page(ours, work):
    for command in ("cp", "create", "delete", "info", "list", "move", "remove", "restore", "settings", "sync", "versions"):
        out = ours.text("buckets", command, "--help", cwd=work)[0]
        assert "Examples:\n  $ xetgate buckets " in out or "Examples:\n  $ xetgate " in out
        assert ".TH" in ours.text("man", "buckets", command, cwd=work)[0]
    for shell in ("bash", "zsh", "fish"):
        assert "buckets" in ours.text("completions", shell, cwd=work)[0]
    ours.text("man", "--dir", "pages", cwd=work)
    assert (work / "pages/xetgate-buckets-sync.1").exists()
