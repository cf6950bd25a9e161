"""Bytes up and down by the Hub's clients through hf_xet: every example of the bucket guide that moves files."""

import json
import os
import random

import pytest

MODEL = random.Random(1).randbytes(3_000_000)
CONFIG = b'{"key": "value"}'
TREE = {"a.txt": b"first\n", "b.log": b"noise\n", "sub/c.safetensors": MODEL, "sub/d.tmp": b"gone\n", "empty": b""}


def listed(user, bucket: str, prefix: str = "") -> dict[str, int]:
    """Paths and sizes as the command line lists them."""
    where = f"ada/{bucket}/{prefix}" if prefix else f"ada/{bucket}"
    # Of nothing, the client prints nothing, not an empty list.
    return {f["path"]: f["size"] for f in json.loads(user.ok("buckets", "list", where, "-R", "--json") or "[]")}


def sizes(files: dict[str, bytes], prefix: str = "") -> dict[str, int]:
    return {prefix + name: len(body) for name, body in files.items()}


@pytest.fixture
def up(ada, bk) -> str:
    """A bucket that ada has synced TREE to from ./data."""
    ada.write({f"data/{name}": body for name, body in TREE.items()})
    ada.ok("buckets", "sync", "data", f"hf://buckets/ada/{bk}")
    return bk


def test_a_batch_uploads_paths_and_bytes_and_deletes(ada, bk):
    ada.write({"model.safetensors": MODEL, "config.json": CONFIG})
    ada.python(f"""
        from huggingface_hub import batch_bucket_files, download_bucket_files, list_bucket_tree
        batch_bucket_files("ada/{bk}", add=[
            ("./model.safetensors", "models/model.safetensors"), ("./config.json", "models/config.json"),
        ])
        batch_bucket_files("ada/{bk}", add=[(b'{CONFIG.decode()}', "config.json"), (b"", "empty")])
        found = [(f.path, f.size) for f in list_bucket_tree("ada/{bk}")]
        assert found == [
            ("config.json", 16), ("empty", 0), ("models/config.json", 16), ("models/model.safetensors", {len(MODEL)}),
        ], found
        batch_bucket_files("ada/{bk}", add=[("./model.safetensors", "model.safetensors")], delete=["empty"])
        assert "empty" not in [f.path for f in list_bucket_tree("ada/{bk}")]

        download_bucket_files("ada/{bk}", files=[
            ("models/model.safetensors", "./local/model.safetensors"), ("config.json", "./local/config.json"),
        ])
        chosen = [f for f in list_bucket_tree("ada/{bk}", recursive=True) if f.path.endswith(".safetensors")]
        assert len(chosen) == 2
        download_bucket_files("ada/{bk}", files=[(f, f"./listed/{{f.path}}") for f in chosen])
    """)
    for name in ("local/model.safetensors", "listed/model.safetensors", "listed/models/model.safetensors"):
        assert (ada.folder / name).read_bytes() == MODEL
    assert (ada.folder / "local/config.json").read_bytes() == CONFIG


def test_cp_uploads_and_downloads_single_files(ada, bk):
    root = f"hf://buckets/ada/{bk}"
    ada.write({"config.json": CONFIG, "data.csv": b"a,b\n1,2\n", "model.safetensors": MODEL})
    out = ada.ok("buckets", "cp", "./config.json", root)
    assert out == f"✓ Uploaded\n  src: ./config.json\n  dst: {root}/config.json\n"
    ada.ok("buckets", "cp", "./data.csv", f"{root}/logs/")
    ada.ok("buckets", "cp", "./model.safetensors", f"{root}/v2/model.safetensors")
    ada.ok("buckets", "cp", "-", f"{root}/hello.txt", given=b"hello\n")
    assert listed(ada, bk) == {
        "config.json": 16,
        "hello.txt": 6,
        "logs/data.csv": 8,
        "v2/model.safetensors": len(MODEL),
    }
    ada.ok("buckets", "cp", f"{root}/config.json", "./again.json")
    (ada.folder / "into").mkdir()
    ada.ok("buckets", "cp", f"{root}/logs/data.csv", "./into/")
    (ada.folder / "model.safetensors").unlink()
    ada.ok("buckets", "cp", f"{root}/v2/model.safetensors")
    assert (ada.folder / "again.json").read_bytes() == CONFIG
    assert (ada.folder / "into/data.csv").read_bytes() == b"a,b\n1,2\n"
    assert (ada.folder / "model.safetensors").read_bytes() == MODEL
    assert ada.ok("buckets", "cp", f"{root}/config.json", "-") == CONFIG.decode()
    assert ada.ok("buckets", "cp", f"{root}/config.json", f"{root}/copy.json").startswith("✓ Copied\n")
    assert ada.ok("buckets", "cp", f"{root}/copy.json", "-") == CONFIG.decode()
    lost = ada.hf("buckets", "cp", f"{root}/none", ".")
    assert lost.code == 1 and f"1 file(s) not found in bucket 'ada/{bk}': none" in lost.err


def test_sync_goes_up_and_down(ada, up):
    assert listed(ada, up) == sizes(TREE)
    again = ada.ok("buckets", "sync", "data", f"hf://buckets/ada/{up}")
    assert "  Uploads: 0\n" in again and "  Skips: 5\n" in again
    ada.ok("buckets", "sync", "data", f"hf://buckets/ada/{up}/train")
    assert listed(ada, up, "train") == sizes(TREE, "train/")
    ada.ok("sync", f"hf://buckets/ada/{up}/sub", "down")
    assert (ada.folder / "down/c.safetensors").read_bytes() == MODEL
    ada.python(f"""
        from huggingface_hub import sync_bucket
        sync_bucket("hf://buckets/ada/{up}", "./all")
        sync_bucket("./data", "hf://buckets/ada/{up}")
    """)
    for name, body in TREE.items():
        assert (ada.folder / "all" / name).read_bytes() == body


def test_sync_deletes_only_when_told(ada, up):
    bucket = f"hf://buckets/ada/{up}"
    (ada.folder / "data/b.log").unlink()
    assert "  Deletes: 0\n" in ada.ok("buckets", "sync", "data", bucket)
    assert "  Deletes: 1\n" in ada.ok("buckets", "sync", "data", bucket, "--delete")
    assert "b.log" not in listed(ada, up)
    ada.write({"data/only-here": b"x"})
    ada.python(f"""
        from huggingface_hub import sync_bucket
        sync_bucket("{bucket}", "./data", delete=True)
    """)
    assert not (ada.folder / "data/only-here").exists()


def test_sync_filters(ada, bk):
    ada.write({f"data/{name}": body for name, body in TREE.items()})
    ada.write({"filters.txt": b"# order decides\n- *.log\n- *.tmp\n+ *.safetensors\n+ *.txt\n"})
    for options, expected in [
        (["--include", "*.txt"], {"a.txt"}),
        (["--exclude", "*.log"], {"a.txt", "empty", "sub/c.safetensors", "sub/d.tmp"}),
        (["--include", "*.safetensors", "--exclude", "*.tmp"], {"sub/c.safetensors"}),
        (["--filter-from", "filters.txt"], {"a.txt", "sub/c.safetensors"}),
    ]:
        plan = ada.ok("buckets", "sync", "data", f"hf://buckets/ada/{bk}", "--dry-run", *options)
        lines = [json.loads(line) for line in plan.splitlines()]
        uploads = {line["path"] for line in lines if line.get("action") == "upload"}
        assert uploads >= expected and not uploads & {"b.log"}, (options, uploads)
    ada.ok("buckets", "sync", "data", f"hf://buckets/ada/{bk}", "--include", "*.txt")
    assert set(listed(ada, bk)) == {"a.txt"}


def test_sync_compares_as_told(ada, up):
    bucket = f"hf://buckets/ada/{up}"
    ada.write({"data/a.txt": b"FIRST\n", "data/new.txt": b"new\n"})
    # Of the same size, and later by more than the client overlooks.
    later = os.stat(ada.folder / "data/a.txt").st_mtime + 60
    os.utime(ada.folder / "data/a.txt", (later, later))

    def planned(*options: str) -> set[str]:
        lines = [json.loads(line) for line in ada.ok("buckets", "sync", "data", bucket, "--dry-run", *options).splitlines()]
        return {line["path"] for line in lines if line.get("action") == "upload"}

    assert planned() == {"a.txt", "new.txt"}
    assert planned("--ignore-times") == {"new.txt"}
    assert planned("--ignore-sizes") == {"a.txt", "new.txt"}
    assert planned("--existing") == {"a.txt"}
    assert planned("--ignore-existing") == {"new.txt"}


def test_a_plan_is_saved_reviewed_and_applied(ada, bk):
    ada.write({f"data/{name}": body for name, body in TREE.items()})
    bucket = f"hf://buckets/ada/{bk}"
    out = ada.ok("buckets", "sync", "data", bucket, "--plan", "plan.jsonl")
    assert out == (
        f"Sync plan: data -> {bucket}\n  Uploads: 5\n  Downloads: 0\n  Deletes: 0\n  Skips: 0\n"
        "Plan saved to: plan.jsonl\n"
    )
    assert listed(ada, bk) == {}
    header = json.loads((ada.folder / "plan.jsonl").read_text().splitlines()[0])
    assert header["summary"]["uploads"] == 5
    applied = ada.ok("buckets", "sync", "--apply", "plan.jsonl", "--verbose")
    assert "  Uploading: a.txt (new file)\n" in applied and applied.endswith("Sync completed.\n")
    assert listed(ada, bk) == sizes(TREE)
    ada.python(f"""
        from huggingface_hub import sync_bucket
        plan = sync_bucket("./data", "{bucket}", dry_run=True)
        assert plan.summary() == {{"uploads": 0, "downloads": 0, "deletes": 0, "skips": 5, "total_size": 0}}, plan.summary()
        sync_bucket("./data", "{bucket}", quiet=True)
    """)
    assert ada.ok("buckets", "sync", "data", bucket, "--quiet") == ""


def test_times_and_types_are_kept(ada, ada_s3, bk):
    ada.write({"page.html": b"<p>hello</p>"})
    stamp = 1_600_000_000.25
    os.utime(ada.folder / "page.html", (stamp, stamp))
    ada.ok("buckets", "cp", "page.html", f"hf://buckets/ada/{bk}/page.html")
    head = ada_s3.head_object(Bucket=bk, Key="page.html")
    assert head["ContentType"] == "text/html"
    assert float(head["Metadata"]["mtime"]) == stamp


def test_the_file_system_writes_copies_and_removes(ada, bk):
    ada.write({"up.bin": MODEL})
    ada.python(f"""
        from huggingface_hub import HfFileSystem
        fs, root = HfFileSystem(), "hf://buckets/ada/{bk}"
        with fs.open(root + "/written.txt", "w") as file:
            file.write("by the file system")
        assert fs.cat(root + "/written.txt") == b"by the file system"
        fs.put_file("up.bin", root + "/up.bin")
        fs.cp(root + "/up.bin", root + "/copy.bin")
        fs.get_file(root + "/copy.bin", "down.bin")
        fs.rm(root + "/up.bin")
        assert not fs.exists(root + "/up.bin") and fs.exists(root + "/copy.bin")
    """)
    assert (ada.folder / "down.bin").read_bytes() == MODEL


def test_pandas_and_pyarrow_read_and_write_by_address(ada, bk):
    ada.python(f"""
        import pandas as pd, pyarrow.parquet as pq
        from huggingface_hub import HfFileSystem
        root = "hf://buckets/ada/{bk}"
        frame = pd.DataFrame({{"n": range(1000), "text": [str(n) for n in range(1000)]}})
        frame.to_csv(root + "/frame.csv", index=False)
        assert pd.read_csv(root + "/frame.csv").n.sum() == 499500
        frame.to_parquet(root + "/frame.parquet")
        assert pd.read_parquet(root + "/frame.parquet").equals(frame)
        table = pq.read_table("buckets/ada/{bk}/frame.parquet", filesystem=HfFileSystem(), columns=["n"])
        assert table.num_rows == 1000 and table.column_names == ["n"]
        pq.write_table(table, "buckets/ada/{bk}/n.parquet", filesystem=HfFileSystem())
        assert pd.read_parquet(root + "/n.parquet").n.sum() == 499500
    """)
