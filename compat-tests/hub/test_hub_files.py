"""Files in a bucket by the Hub's clients, as far as no bytes go through the CAS: listings, lookups, deletes, reads."""

import hashlib
import json
import re

import pytest

FILES = {"big.bin": b"b" * 2048, "file.txt": b"five\n", "sub/nested.txt": b"fourteen bytes", "sub/deep/file.txt": b"four"}
STAMP = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def filled(ada_s3, bk) -> str:
    """A bucket with the files of the guide."""
    for key, body in FILES.items():
        ada_s3.put_object(Bucket=bk, Key=key, Body=body, Metadata={"mtime": "1767323045.678"})
    return bk


def test_tree_lists_files_and_folders(ada, filled):
    ada.python(f"""
        from datetime import datetime, timezone
        from huggingface_hub import list_bucket_tree
        tree = lambda **asked: list(list_bucket_tree("ada/{filled}", **asked))
        all = [(f.path, f.size) for f in tree()]
        assert all == [("big.bin", 2048), ("file.txt", 5), ("sub/deep/file.txt", 4), ("sub/nested.txt", 14)], all
        assert [f.path for f in tree(recursive=True)] == [path for path, _ in all]
        top = [(item.type, item.path) for item in tree(recursive=False)]
        assert top == [("file", "big.bin"), ("file", "file.txt"), ("directory", "sub")], top
        assert tree(recursive=False)[2].uploaded_at is not None
        assert [f.path for f in tree(prefix="sub")] == ["sub/deep/file.txt", "sub/nested.txt"]
        assert [f.path for f in tree(prefix="file.txt")] == ["file.txt"]
        assert tree(prefix="none") == []
        assert all and tree()[0].mtime == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc), tree()[0]
    """)


def test_list_prints_what_the_guide_shows(ada, filled):
    ls = lambda *more: ada.ok("buckets", "list", f"ada/{filled}", *more)
    lines = [line.split("  ") for line in ls().splitlines()]
    assert [(line[0].strip() or line[-3].strip(), line[-1]) for line in lines][0] == ("2048", "big.bin")
    assert re.fullmatch(rf" +2048  {STAMP}  big.bin\n +5  {STAMP}  file.txt\n +{STAMP}  sub/\n", ls())
    paths = [line.split()[-1] for line in ls("-R").splitlines()]
    assert paths == ["big.bin", "file.txt", "sub/deep/file.txt", "sub/nested.txt"]
    assert re.search(r"2\.0 KB +\w\w\w +\d+ \d\d:\d\d +big.bin", ls("-R", "-h"))
    assert ls("-q") == "big.bin\nfile.txt\nsub/\n"
    assert ls("--tree", "--quiet", "-R") == (
        "├── big.bin\n├── file.txt\n└── sub/\n    ├── deep/\n    │   └── file.txt\n    └── nested.txt\n"
    )
    assert "└── nested.txt" in ls("--tree", "-h", "-R")
    under = ada.ok("buckets", "list", f"ada/{filled}/sub", "-R", "-q")
    assert under == "sub/deep/file.txt\nsub/nested.txt\n"
    handle = ada.ok("buckets", "ls", f"hf://buckets/ada/{filled}/sub", "-q")
    assert handle == "sub/deep/\nsub/nested.txt\n"
    shown = json.loads(ls("--json"))
    assert [entry["type"] for entry in shown] == ["file", "file", "directory"]
    assert shown[0]["mtime"] == "2026-01-02T03:04:05.678000+00:00"


def test_a_tree_of_more_than_a_page_is_whole(ada, ada_s3, bk):
    ada_s3.put_object(Bucket=bk, Key="f0000", Body=b"x")
    ada.python(f"""
        from huggingface_hub import HfApi, list_bucket_tree
        first = next(iter(list_bucket_tree("ada/{bk}")))
        copies = [("bucket", "ada/{bk}", first.xet_hash, f"f{{n:04}}") for n in range(1, 1100)]
        api = HfApi()
        api.batch_bucket_files("ada/{bk}", copy=copies)
        paths = [f.path for f in list_bucket_tree("ada/{bk}")]
        assert paths == [f"f{{n:04}}" for n in range(1100)], (len(paths), paths[-1])
        assert api.bucket_info("ada/{bk}").total_files == 1100
    """)


def test_paths_info_tells_of_files_that_are_there(ada, ada_s3, filled):
    head = ada_s3.head_object(Bucket=filled, Key="big.bin")
    xet_hash = head["ResponseMetadata"]["HTTPHeaders"]["x-xet-hash"]
    ada.python(f"""
        from huggingface_hub import get_bucket_file_metadata, get_bucket_paths_info
        found = list(get_bucket_paths_info("ada/{filled}", ["big.bin", "sub/nested.txt", "none", "sub"]))
        assert [(f.path, f.size) for f in found] == [("big.bin", 2048), ("sub/nested.txt", 14)], found
        assert found[0].xet_hash == "{xet_hash}"
        metadata = get_bucket_file_metadata("ada/{filled}", "sub/nested.txt")
        assert metadata.size == 14
        assert metadata.xet_file_data.file_hash == found[1].xet_hash
        assert metadata.xet_file_data.refresh_route == "{ada.endpoint}/api/buckets/ada/{filled}/xet-read-token"
        from huggingface_hub.errors import EntryNotFoundError
        try:
            get_bucket_file_metadata("ada/{filled}", "none")
        except EntryNotFoundError:
            pass
        else:
            raise AssertionError("found")
    """)


def test_delete_removes_files_and_nothing_else(ada, filled):
    ada.python(f"""
        from huggingface_hub import batch_bucket_files, list_bucket_tree
        batch_bucket_files("ada/{filled}", delete=["file.txt", "was-never-there"])
        assert [f.path for f in list_bucket_tree("ada/{filled}")] == ["big.bin", "sub/deep/file.txt", "sub/nested.txt"]
    """)


def test_rm_asks_shows_and_removes(ada, ada_s3, filled):
    ada_s3.put_object(Bucket=filled, Key="sub/x.tmp", Body=b"t")
    paths = lambda: ada.ok("buckets", "list", f"ada/{filled}", "-R", "-q").split()
    asked = ada.hf("buckets", "rm", f"ada/{filled}/file.txt", given=b"n\n")
    assert asked.code == 1 and "Remove 'file.txt'" in asked.out and "file.txt" in paths()
    dry = ada.ok("buckets", "rm", f"ada/{filled}/sub/", "--recursive", "--dry-run")
    assert dry.splitlines()[0] == f"delete: hf://buckets/ada/{filled}/sub/deep/file.txt"
    assert dry.splitlines()[-1] == "(dry run) 3 file(s) totaling 19 B would be removed."
    removed = ada.ok("buckets", "rm", f"ada/{filled}/file.txt", "-y")
    assert removed == f"✓ File removed\n  path: file.txt\n  bucket_id: ada/{filled}\n"
    ada.ok("buckets", "rm", f"ada/{filled}", "--recursive", "--include", "*.tmp", "-y")
    assert paths() == ["big.bin", "sub/deep/file.txt", "sub/nested.txt"]
    ada.ok("buckets", "rm", f"ada/{filled}/sub/", "--recursive", "--exclude", "*nested*", "-y")
    assert paths() == ["big.bin", "sub/nested.txt"]
    assert ada.ok("buckets", "rm", f"ada/{filled}/none", "-R", "-y") == "No files to remove.\n"
    assert "Removed 2 file(s)" in ada.ok("buckets", "rm", f"ada/{filled}", "-R", "-y")
    assert paths() == []


def test_a_batch_that_fails_in_part_says_which(ada, filled):
    ada.python(f"""
        from huggingface_hub import HfApi, list_bucket_tree
        from huggingface_hub.errors import BucketBatchError, HfHubHTTPError
        there = next(iter(list_bucket_tree("ada/{filled}"))).xet_hash
        api = HfApi()
        for copies, failed in [
            ([("bucket", "ada/{filled}", there, "copy"), ("bucket", "ada/{filled}", "1" * 64, "lost")], "1 out of 2"),
            ([("bucket", "ada/{filled}", "1" * 64, "lost")], "1 out of 1"),
            ([("bucket", "ada/none", there, "lost")], "1 out of 1"),
        ]:
            try:
                api.batch_bucket_files("ada/{filled}", copy=copies)
            except BucketBatchError as error:
                assert failed in str(error) and "lost: " in str(error), error
            else:
                raise AssertionError("succeeded")
        paths = [f.path for f in list_bucket_tree("ada/{filled}")]
        assert "copy" in paths and "lost" not in paths, paths
        try:
            api.batch_bucket_files("ada/{filled}", copy=[("bucket", "ada/{filled}", there, "../out")])
        except HfHubHTTPError as error:
            assert error.response.status_code == 400 and "'..'" in str(error), error
        else:
            raise AssertionError("stored")
    """)


def test_the_file_system_lists_and_reads(ada, ada_s3, filled):
    content = bytes(range(256)) * 8192
    ada_s3.put_object(Bucket=filled, Key="data/big é.bin", Body=content)
    digest = hashlib.sha256(content).hexdigest()
    ada.python(f"""
        import hashlib
        from huggingface_hub import HfFileSystem
        fs, root = HfFileSystem(), "buckets/ada/{filled}"
        assert sorted(fs.ls(root, detail=False)) == [root + "/" + n for n in ["big.bin", "data", "file.txt", "sub"]]
        assert fs.ls(root + "/sub", detail=False) == [root + "/sub/deep", root + "/sub/nested.txt"]
        assert sorted(fs.glob("hf://" + root + "/**/*.txt")) == [
            root + "/" + n for n in ["file.txt", "sub/deep/file.txt", "sub/nested.txt"]
        ]
        assert fs.exists(root + "/file.txt") and not fs.exists(root + "/none")
        info = fs.info(root + "/sub")
        assert info["type"] == "directory" and info["uploaded_at"] is not None, info
        assert fs.info(root + "/big.bin")["size"] == 2048
        with fs.open("hf://" + root + "/data/big é.bin", "rb") as file:
            assert hashlib.sha256(file.read()).hexdigest() == "{digest}"
            file.seek(1_000_000)
            assert file.read(5) == {content[1_000_000:1_000_005]!r}
            file.seek(-3, 2)
            assert file.read() == {content[-3:]!r}
        try:
            fs.open(root + "/none", "rb").read()
        except FileNotFoundError:
            pass
        else:
            raise AssertionError("found")
        fs.rm(root + "/sub", recursive=True)
        assert not fs.exists(root + "/sub/nested.txt")
        fs.cp_file(root + "/file.txt", root + "/copies/file.txt")
        assert fs.cat(root + "/copies/file.txt") == b"five\\n"
    """)
