"""Bad days of transfers: what is cut off goes on, what is damaged is told, and nothing half is ever under its name. The
programs reach the server through a recorder, which counts, holds and damages what passes."""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import pytest

from support import recorder
from support.inputs import MIB

PARTS = ".xetgate-part"


class Recorded(recorder.Recorder):
    """The server behind a recorder."""

    def __init__(self, gate):
        super().__init__(gate.port)
        self.token = gate.token


@pytest.fixture
def hub(gate):
    running = Recorded(gate)
    yield running
    running.stop()


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_small_files_share_xorbs_shards_and_batches(hub, ours, work, place):
    (work / "many").mkdir()
    for n in range(2100):
        (work / "many" / f"{n:04}").write_bytes(noise(500, n))
    hub.forget()
    ours.text("sync", "many", place, "--jobs", "1", cwd=work)
    assert [hub.count("POST", part) for part in ("/v1/xorbs/", "/batch", "/shards")] == [3, 3, 3]
    assert hub.count("GET", "/chunks/") <= 10, "small files are not worth asking for"
    ours.text("sync", place, "down", cwd=work)
    for n in range(2100):
        assert (work / "down" / f"{n:04}").read_bytes() == noise(500, n)


def interrupt(ours, work, *words: str, when) -> None:
    """Starts a command, and stops it as Ctrl-C does as soon as `when` says so."""
    process = subprocess.Popen(ours.command(*words), cwd=work, env=ours.env, stderr=subprocess.PIPE)
    wait_for(lambda: when() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1].decode()
    assert (process.returncode, err) == (130, "Interrupted. Run the command again to go on.\n")


def test_an_interrupted_upload_sends_only_what_was_not_stored(gate, hub, ours, work, bucket, place):
    size = 96 * MIB
    (work / "d").mkdir()
    for n in range(2):
        (work / "d" / f"{n}").write_bytes(noise(size // 2, 100 + n))
    # The fourth xorb waits until nobody wants it any more.
    held = threading.Event()

    def hold(exchange):
        if exchange.is_xorb_upload and hub.uploaded() >= 30 * MIB:
            held.wait(60)
            raise recorder.Refused(0)

    hub.before = hold
    interrupt(ours, work, "sync", "d", place, when=lambda: hub.uploaded() >= 30 * MIB)
    held.set()
    stored = hub.uploaded()
    assert 30 * MIB <= stored < size and gate.files(f"username/{bucket}") == {}

    hub.before = lambda exchange: None
    hub.forget()
    ours.text("sync", "d", place, cwd=work)
    assert hub.uploaded() < size - stored + MIB, "what is stored is not sent again"
    assert len(gate.files(f"username/{bucket}")) == 2
    hub.forget()
    ours.text("sync", "d", f"{place}/again", cwd=work)
    assert hub.uploaded() < MIB


def test_a_broken_connection_is_one_line_and_the_old_state(gate, hub, ours, work, bucket, place):
    (work / "f").write_bytes(noise(20 * MIB, 3))

    def refuse(exchange):
        if exchange.is_xorb_upload:
            raise recorder.Refused(400, b"no xorbs today")

    hub.before = refuse
    err = ours.text("buckets", "cp", "f", f"{place}/f", cwd=work, rc=1)[1]
    assert err.startswith("Error: ") and "no xorbs today" in err and err.count("\n") == 1
    assert gate.files(f"username/{bucket}") == {}


def test_ctrl_c_leaves_no_half_file_and_the_next_download_goes_on(hub, ours, work, place):
    data = noise(96 * MIB, 4)
    (work / "f").write_bytes(data)
    ours.text("buckets", "cp", "f", f"{place}/f", cwd=work)
    down = work / "down"
    down.mkdir()

    def rest(exchange, piece):
        time.sleep(0.002 if hub.downloaded() < 40 * MIB else 0.2)
        return piece

    hub.piece = rest
    part = lambda: [path for path in down.iterdir() if path.name.endswith(PARTS)]  # noqa: E731
    begun = lambda: part() and part()[0].stat().st_size > 16 * MIB  # noqa: E731
    interrupt(ours, work, "buckets", "cp", f"{place}/f", "down/f", when=begun)
    assert not (down / "f").exists() and len(part()) == 1
    have = part()[0].stat().st_size

    hub.piece = lambda exchange, piece: piece
    hub.forget()
    ours.text("buckets", "cp", f"{place}/f", "down/f", cwd=work)
    assert hashlib.sha256((down / "f").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert names(down) == ["f"]
    assert have > 16 * MIB and hub.downloaded() < len(data) - have + MIB, "what was there is not fetched again"


def test_a_damaged_beginning_is_fetched_again(hub, ours, work, place):
    data = noise(24 * MIB, 5)
    (work / "f").write_bytes(data)
    ours.text("buckets", "cp", "f", f"{place}/f", cwd=work)
    (work / "down").mkdir()
    hub.piece = lambda exchange, piece: time.sleep(0.005) or piece
    process = subprocess.Popen(ours.command("buckets", "cp", f"{place}/f", "down/f"), cwd=work, env=ours.env)
    found = lambda: [path for path in (work / "down").iterdir() if path.name.endswith(PARTS)]  # noqa: E731
    wait_for(lambda: found() and found()[0].stat().st_size > 9 * MIB or process.poll() is not None)
    process.kill()
    process.wait()
    assert found(), "killed in the middle"
    with open(found()[0], "r+b") as part:
        part.write(b"damage")
    ours.text("buckets", "cp", f"{place}/f", "down/f", cwd=work)
    assert (work / "down/f").read_bytes() == data


def test_damaged_bytes_are_an_error_and_leave_the_old_file(hub, ours, work, place):
    (work / "f").write_bytes(noise(300_000, 6))
    ours.text("buckets", "cp", "f", f"{place}/f", cwd=work)
    (work / "f").write_bytes(b"old")
    hub.piece = lambda exchange, piece: piece[:-1] + bytes([piece[-1] ^ 1]) if exchange.is_xorb_download else piece
    err = ours.text("buckets", "cp", f"{place}/f", "f", cwd=work, rc=1)[1]
    assert err.startswith("Error: 1 of 1 file(s) could not be downloaded: f: ") and err.count("\n") == 1
    assert (work / "f").read_bytes() == b"old" and names(work) == ["f"]


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/abs", "C:/x", "a\\..\\..\\out", "nul\0byte"])
def test_names_that_lead_out_write_nothing(hub, ours, work, place, name):
    (work / "x").write_bytes(b"x")
    ours.text("buckets", "cp", "x", f"{place}/good", cwd=work)
    # A server that means harm.
    hub.rewrite = lambda exchange, body: body.replace(b'"good"', json.dumps(name).encode()) if "/tree" in exchange.path else body
    before = sorted(work.parent.rglob("*"))
    err = ours.text("sync", place, "down", cwd=work, rc=1)[1]
    assert err.startswith("Error: Invalid value. Invalid filename '") and err.count("\n") == 1
    assert sorted(work.parent.rglob("*")) == before
    plan = f'{{"type": "header", "source": "{place}", "dest": "down", "timestamp": "t"}}\n'
    (work / "p").write_text(plan + '{"type": "operation", "action": "download", "path": "../out"}\n')
    assert "Invalid filename '../out'" in ours.text("sync", "--apply", "p", cwd=work, rc=1)[1]
    assert not (work / "out").exists() and not (work.parent / "out").exists()


@pytest.mark.parametrize("command", ["cp", "sync", "cp -r"])
def test_a_download_keeps_modes_and_links_as_hf_does(hub, ours, theirs, work, place, command):
    (work / "up/d").mkdir(parents=True)
    for name in ("mode", "link", "dangling", "empty", "new"):
        (work / "up/d" / name).write_bytes(b"" if name == "empty" else b"new")
    ours.text("sync", "up", place, cwd=work)

    def down(program, root: pathlib.Path) -> dict:
        (root / "d").mkdir(parents=True)
        (root / "elsewhere").mkdir()
        for path, mode in (("d/mode", 0o600), ("d/empty", 0o640), ("elsewhere/target", 0o700)):
            (root / path).write_bytes(b"old content")
            (root / path).chmod(mode)
        (root / "d/link").symlink_to("../elsewhere/target")
        (root / "d/dangling").symlink_to("../elsewhere/made")
        if command == "sync":
            program.text("sync", place, str(root), cwd=work)
        elif command == "cp -r" and program is ours:
            program.text("cp", "-r", f"{place}/", str(root), cwd=work)
        else:
            for name in ("mode", "link", "dangling", "empty", "new"):
                program.text("cp", f"{place}/d/{name}", str(root / "d" / name), cwd=work)
        every = {path.relative_to(root): path for path in root.rglob("*") if not path.is_dir()}
        return {str(name): (path.read_bytes(), path.is_symlink(), oct(path.stat().st_mode)) for name, path in every.items()}

    found = down(ours, work / "ours")
    assert found == down(theirs, work / "theirs")
    assert found["d/link"] == (b"new", True, oct(0o100700)) and found["d/mode"][2] == oct(0o100600)
    assert found["elsewhere/made"][0] == b"new"


def test_devices_are_written_into(hub, ours, work, place):
    (work / "f").write_bytes(b"through")
    ours.text("cp", "f", f"{place}/f", cwd=work)
    ours.text("cp", f"{place}/f", "/dev/null", cwd=work)
    assert pathlib.Path("/dev/null").is_char_device()
    os.mkfifo(work / "pipe")
    with subprocess.Popen(["cat", "pipe"], cwd=work, stdout=subprocess.PIPE) as reader:
        ours.text("cp", f"{place}/f", "pipe", cwd=work)
        assert reader.stdout.read() == b"through"
    assert (work / "pipe").is_fifo()
    (work / "folder").mkdir()
    (work / "link").symlink_to("folder")
    ours.text("cp", f"{place}/f", "link", cwd=work)
    assert (work / "link").is_symlink() and (work / "folder/f").read_bytes() == b"through"


def test_names_that_are_too_long_are_told_and_left_out_every_time(hub, ours, work, place):
    (work / "x").write_bytes(b"x")
    ours.text("cp", "x", f"{place}/good", cwd=work)
    long = "n" * 256
    ours.text("cp", "x", f"{place}/sub/{long}", cwd=work)
    for _ in range(2):
        for command in (["sync", place, "down"], ["sync", place, "down", "--delete"], ["cp", "-r", f"{place}/", "down"]):
            err = ours.text(*command, cwd=work)[1]
            assert err.startswith("Warning: 1 name(s) in the bucket have a part of more than 255 bytes") and "'sub/nnnn" in err
    assert names(work / "down") == ["good"]
    err = ours.text("cp", f"{place}/sub/{long}", "down/", cwd=work, rc=1)[1]
    assert "Give a full destination path" in err
    ours.text("cp", f"{place}/sub/{long}", "down/short", cwd=work)
    header = f'{{"type": "header", "source": "{place}", "dest": "down", "timestamp": "t"}}\n'
    (work / "p").write_text(header + f'{{"type": "operation", "action": "download", "path": "sub/{long}"}}\n')
    assert "more than 255 bytes" in ours.text("sync", "--apply", "p", cwd=work)[1]


def test_what_is_excluded_is_not_judged(gate, ours, work, bucket, place):
    (work / "d/data").mkdir(parents=True)
    (work / "d/a.txt").write_bytes(b"a")
    bad = os.fsencode(work / "d/data") + b"/\xff.tmp"
    with open(bad, "wb") as file:
        file.write(b"bad")
    err = ours.text("sync", "d", place, cwd=work, rc=1)[1]
    assert "is not a UTF-8 name" in err and "--exclude" in err
    for pattern in ("*.tmp", "data/*", "d*/?.tmp"):
        ours.text("sync", "d", place, "--exclude", pattern, "--delete", cwd=work)
        assert list(gate.files(f"username/{bucket}")) == ["a.txt"], pattern


def test_a_plan_in_the_wrong_direction_is_refused(gate, ours, work, bucket, place):
    (work / "d").mkdir()
    (work / "d/f").write_bytes(b"f")
    ours.text("sync", "d", place, cwd=work)
    for source, dest, action in (("d", place, "download"), (place, "d", "upload")):
        lines = [{"type": "header", "source": source, "dest": dest, "timestamp": "t"}]
        lines += [{"type": "operation", "action": what, "path": "f"} for what in ("delete", action)]
        (work / "p").write_text("".join(json.dumps(line) + "\n" for line in lines))
        out, err = ours.text("sync", "--apply", "p", cwd=work, rc=1)
        assert out == "" and f"but 'f' is to be {action}ed. Nothing was done" in err
        assert (work / "d/f").exists() and list(gate.files(f"username/{bucket}")) == ["f"]


def test_a_file_that_changes_is_an_error_for_that_file(gate, ours, work, bucket, place):
    (work / "d").mkdir()
    (work / "d/steady").write_bytes(b"steady")
    (work / "d/changing").write_bytes(noise(60 * MIB, 7))
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
    assert list(gate.files(f"username/{bucket}")) == ["steady"]


def test_pipes(gate, ours, work, bucket, place):
    data = noise(5 * MIB, 8)
    ours.text("buckets", "cp", "-", f"{place}/piped", cwd=work, stdin=data)
    assert gate.files(f"username/{bucket}")["piped"]["size"] == len(data)
    assert ours.run("buckets", "cp", f"{place}/piped", "-", cwd=work).stdout == data
    ours.text("buckets", "cp", "-", f"{place}/nothing", cwd=work)
    assert ours.run("buckets", "cp", f"{place}/nothing", "-", cwd=work).stdout == b""


def test_missing_buckets_and_files_are_one_line(ours, work, bucket, place):
    (work / "x").write_bytes(b"x")
    err = ours.text("buckets", "cp", "x", "hf://buckets/username/nope/x", cwd=work, rc=1)[1]
    assert err.startswith("Error: Bucket 'username/nope' not found. ") and err.count("\n") == 1
    err = ours.text("buckets", "cp", f"{place}/zzz", ".", cwd=work, rc=1)[1]
    assert err == f"Error: 1 file(s) not found in bucket 'username/{bucket}': zzz\n"
    assert "cannot read" in ours.text("sync", "--apply", "nofile", cwd=work, rc=1)[1].lower()


def test_a_terminal_sees_progress_and_a_pipe_does_not(ours, work, place, tmp_path):
    (work / "f").write_bytes(noise(8 * MIB, 9))
    quiet = ours.text("buckets", "cp", "f", f"{place}/f", cwd=work, HF_HUB_DISABLE_PROGRESS_BARS="")
    assert quiet[1] == ""
    master, slave = os.openpty()
    env = {name: value for name, value in ours.env.items() if name != "HF_HUB_DISABLE_PROGRESS_BARS"}
    command = ours.command("buckets", "cp", "-", f"{place}/slow")
    process = subprocess.Popen(command, cwd=work, env=env, stdin=subprocess.PIPE, stderr=slave, stdout=subprocess.PIPE)
    for _ in range(16):
        process.stdin.write(noise(100_000, 10))
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
