"""Bad days of transfers: what is cut off goes on, what is damaged is told, and nothing half is ever under its name."""

import hashlib
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import pytest

PARTS = ".xetgate-part"


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def place(ours, work) -> str:
    ours.text("buckets", "create", "b", cwd=work)
    return "hf://buckets/username/b"


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_small_files_share_xorbs_shards_and_batches(hub, ours, work, place):
    (work / "many").mkdir()
    for n in range(2100):
        (work / "many" / f"{n:04}").write_bytes(noise(500, n))
    ours.text("sync", "many", place, "--jobs", "1", cwd=work)
    asked = [line.split("?")[0] for line in hub.state.requests]
    count = lambda part: sum(part in line for line in asked)  # noqa: E731
    assert (count("/xorbs/"), count("/batch"), count("POST /cas/v1/shards")) == (3, 3, 3)
    assert count("/chunks/") <= 10, "small files are not worth asking for"
    ours.text("sync", place, "down", cwd=work)
    for n in range(2100):
        assert (work / "down" / f"{n:04}").read_bytes() == noise(500, n)


def test_an_interrupted_upload_costs_what_was_not_stored(hub, ours, work, place):
    (work / "d").mkdir()
    for n in range(2):
        (work / "d" / f"{n}").write_bytes(noise(20 << 20, n))
    hub.state.cut_after = 1
    err = ours.text("sync", "d", place, "--jobs", "1", cwd=work, rc=1)[1]
    assert err.startswith("Error: ") and err.count("\n") == 1
    hub.state.cut_after = None
    ours.text("sync", "d", place, "--jobs", "1", cwd=work)
    assert len(hub.files("username/b")) == 2


def test_a_file_that_changes_is_an_error_for_that_file(hub, ours, work, place):
    (work / "d").mkdir()
    (work / "d/steady").write_bytes(b"steady")
    (work / "d/changing").write_bytes(noise(60 << 20))
    stop = threading.Event()

    def change():
        with open(work / "d/changing", "ab") as file:
            while not stop.is_set():
                file.write(b"x")
                file.flush()
                time.sleep(0.002)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        err = ours.text("sync", "d", place, cwd=work, rc=1)[1]
    finally:
        stop.set()
        changer.join()
    assert err.startswith("Error: 1 of 2 file(s) could not be uploaded: changing: it changed while it was uploaded.")
    assert list(hub.files("username/b")) == ["steady"]


def test_damaged_bytes_are_an_error_and_leave_the_old_file(hub, ours, work, place):
    (work / "f").write_bytes(noise(300_000))
    ours.text("buckets", "cp", "f", f"{place}/f", cwd=work)
    (work / "f").write_bytes(b"old")
    hub.state.damaged = True
    err = ours.text("buckets", "cp", f"{place}/f", "f", cwd=work, rc=1)[1]
    assert err.startswith("Error: 1 of 1 file(s) could not be downloaded: f: ") and err.count("\n") == 1
    assert (work / "f").read_bytes() == b"old" and names(work) == ["f"]


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_ctrl_c_leaves_no_half_file_and_the_next_download_goes_on(hub, ours, work, place):
    data = noise(96 << 20)
    (work / "f").write_bytes(data)
    ours.text("buckets", "cp", "f", f"{place}/f", cwd=work)
    down = work / "down"
    down.mkdir()
    hub.state.rest_secs = 1.0
    command = ours.command("buckets", "cp", f"{place}/f", "down/f")
    part = lambda: [path for path in down.iterdir() if path.name.endswith(PARTS)]  # noqa: E731
    process = subprocess.Popen(command, cwd=work, env=ours.env, stderr=subprocess.PIPE)
    wait_for(lambda: part() and part()[0].stat().st_size > 16 << 20 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1].decode()
    assert (process.returncode, err) == (130, "Interrupted. Run the command again to go on.\n")
    assert not (down / "f").exists() and len(part()) == 1
    have = part()[0].stat().st_size

    hub.state.sent, hub.state.rest_secs = 0, 0.0
    ours.text("buckets", "cp", f"{place}/f", "down/f", cwd=work)
    assert hashlib.sha256((down / "f").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert names(down) == ["f"]
    assert have > 16 << 20 and hub.state.sent < len(data) - have + (32 << 20), "what was there is not fetched again"


def test_a_damaged_beginning_is_fetched_again(hub, ours, work, place):
    data = noise(24 << 20)
    (work / "f").write_bytes(data)
    ours.text("buckets", "cp", "f", f"{place}/f", cwd=work)
    (work / "down").mkdir()
    command = ours.command("buckets", "cp", f"{place}/f", "down/f")
    process = subprocess.Popen(command, cwd=work, env=ours.env, stderr=subprocess.DEVNULL)
    found = lambda: [path for path in (work / "down").iterdir() if path.name.endswith(PARTS)]  # noqa: E731
    wait_for(lambda: found() and found()[0].stat().st_size > 9 << 20 or process.poll() is not None)
    process.kill()
    process.wait()
    assert found(), "killed in the middle"
    with open(found()[0], "r+b") as part:
        part.write(b"damage")
    ours.text("buckets", "cp", f"{place}/f", "down/f", cwd=work)
    assert (work / "down/f").read_bytes() == data


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/abs", "C:/x", "a\\..\\..\\out", "nul\0byte"])
def test_names_that_lead_out_write_nothing(hub, ours, work, place, name):
    (work / "x").write_bytes(b"x")
    ours.text("buckets", "cp", "x", f"{place}/good", cwd=work)
    hub.files("username/b")[name] = hub.files("username/b")["good"] | {"path": name}
    before = sorted(work.parent.rglob("*"))
    err = ours.text("sync", place, "down", cwd=work, rc=1)[1]
    assert err.startswith("Error: Invalid value. Invalid filename '") and err.count("\n") == 1
    assert sorted(work.parent.rglob("*")) == before
    plan = f'{{"type": "header", "source": "{place}", "dest": "down", "timestamp": "t"}}\n'
    (work / "p").write_text(plan + '{"type": "operation", "action": "download", "path": "../out"}\n')
    assert "Invalid filename '../out'" in ours.text("sync", "--apply", "p", cwd=work, rc=1)[1]
    assert not (work / "out").exists() and not (work.parent / "out").exists()


def test_pipes(hub, ours, work, place):
    data = noise(5 << 20)
    ours.text("buckets", "cp", "-", f"{place}/piped", cwd=work, stdin=data)
    assert hub.files("username/b")["piped"]["size"] == len(data)
    assert ours.run("buckets", "cp", f"{place}/piped", "-", cwd=work).stdout == data
    ours.text("buckets", "cp", "-", f"{place}/nothing", cwd=work)
    assert ours.run("buckets", "cp", f"{place}/nothing", "-", cwd=work).stdout == b""


def test_missing_buckets_and_files_are_one_line(ours, work, place):
    (work / "x").write_bytes(b"x")
    err = ours.text("buckets", "cp", "x", "hf://buckets/username/nope/x", cwd=work, rc=1)[1]
    assert err.startswith("Error: Bucket 'username/nope' not found. ") and err.count("\n") == 1
    err = ours.text("buckets", "cp", f"{place}/zzz", ".", cwd=work, rc=1)[1]
    assert err == "Error: 1 file(s) not found in bucket 'username/b': zzz\n"
    assert "cannot read" in ours.text("sync", "--apply", "nofile", cwd=work, rc=1)[1].lower()


def test_a_terminal_sees_progress_and_a_pipe_does_not(hub, ours, work, place, tmp_path):
    (work / "f").write_bytes(noise(8 << 20))
    quiet = ours.text("buckets", "cp", "f", f"{place}/f", cwd=work, HF_HUB_DISABLE_PROGRESS_BARS="")
    assert quiet[1] == ""
    master, slave = os.openpty()
    env = {name: value for name, value in ours.env.items() if name != "HF_HUB_DISABLE_PROGRESS_BARS"}
    command = ours.command("buckets", "cp", "-", f"{place}/slow")
    process = subprocess.Popen(command, cwd=work, env=env, stdin=subprocess.PIPE, stderr=slave, stdout=subprocess.PIPE)
    for _ in range(16):
        process.stdin.write(noise(100_000))
        process.stdin.flush()
        time.sleep(0.1)
    process.stdin.close()
    process.stdout.read()
    assert process.wait(60) == 0
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 65536):
            shown += piece
    except OSError:
        pass
    assert b"Uploading" in shown and b"files" in shown, shown
