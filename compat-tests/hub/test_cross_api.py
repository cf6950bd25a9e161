"""What goes in by one API comes out by the other, at once and as the same."""

import random

DATA = random.Random(2).randbytes(2_500_000)


def stored_bytes(server) -> int:
    """Bytes in the packs."""
    return sum(path.stat().st_size for path in (server.data_dir / "packs").rglob("*") if path.is_file())


def xet_hash(ada_s3, bucket: str, key: str) -> str:
    return ada_s3.head_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPHeaders"]["x-xet-hash"]


def tree(user, bucket: str) -> dict[str, tuple[int, str]]:
    """Paths, sizes and hashes as the Hub's client lists them."""
    out = user.python(f"""
        from huggingface_hub import list_bucket_tree
        for f in list_bucket_tree("ada/{bucket}"):
            print(f.path, f.size, f.xet_hash)
    """)
    return {path: (int(size), hash) for path, size, hash in (line.split() for line in out.splitlines())}


def s3_listing(ada_s3, bucket: str) -> dict[str, int]:
    return {o["Key"]: o["Size"] for o in ada_s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_put_by_s3_is_read_and_deleted_by_hf(ada, ada_s3, bk):
    ada_s3.put_object(Bucket=bk, Key="dir/data.bin", Body=DATA, ContentType="image/png", Metadata={"mtime": "1600000000.5"})
    assert tree(ada, bk) == {"dir/data.bin": (len(DATA), xet_hash(ada_s3, bk, "dir/data.bin"))}
    ada.python(f"""
        from huggingface_hub import HfFileSystem, list_bucket_tree
        entry = next(iter(list_bucket_tree("ada/{bk}")))
        assert entry.mtime.timestamp() == 1600000000.5, entry.mtime
        with HfFileSystem().open("buckets/ada/{bk}/dir/data.bin", "rb") as file:
            open("read.bin", "wb").write(file.read())
    """)
    assert (ada.folder / "read.bin").read_bytes() == DATA
    ada.ok("buckets", "rm", f"ada/{bk}/dir/data.bin", "-y")
    assert s3_listing(ada_s3, bk) == {} and tree(ada, bk) == {}


def test_keys_that_only_s3_can_make_lead_no_client_astray_and_can_be_removed(ada, ada_s3, bk):
    for key in ("mark/", "a//b", "/top", "../out", "plain"):
        ada_s3.put_object(Bucket=bk, Key=key, Body=b"x")
    ada.python(f"""
        from huggingface_hub import batch_bucket_files, bucket_info, list_bucket_tree, sync_bucket
        assert [f.path for f in list_bucket_tree("ada/{bk}")] == ["a//b", "plain"]
        sync_bucket("hf://buckets/ada/{bk}", "./down")
        assert ("directory", "mark") in [(e.type, e.path) for e in list_bucket_tree("ada/{bk}", recursive=False)]
        batch_bucket_files("ada/{bk}", delete=["/top", "../out", "a//b", "mark/"])
        assert bucket_info("ada/{bk}").total_files == 1
    """)
    assert s3_listing(ada_s3, bk) == {"plain": 1}
    assert not (ada.folder / "out").exists()


def test_put_by_s3_is_downloaded_by_hf_and_the_reverse(ada, ada_s3, bk):
    ada_s3.put_object(Bucket=bk, Key="by-s3", Body=DATA)
    ada.ok("buckets", "cp", f"hf://buckets/ada/{bk}/by-s3", "down.bin")
    assert (ada.folder / "down.bin").read_bytes() == DATA

    ada.write({"up.bin": DATA[::-1]})
    ada.ok("buckets", "cp", "up.bin", f"hf://buckets/ada/{bk}/by-hf")
    got = ada_s3.get_object(Bucket=bk, Key="by-hf")
    assert got["Body"].read() == DATA[::-1]
    hashes = {path: hash for path, (_, hash) in tree(ada, bk).items()}
    assert hashes == {key: xet_hash(ada_s3, bk, key) for key in ("by-s3", "by-hf")}
    assert got["ETag"] == f'"{hashes["by-hf"]}"', "no MD5 is known of it"
    assert s3_listing(ada_s3, bk) == {"by-hf": len(DATA), "by-s3": len(DATA)}


def test_each_overwrites_and_deletes_what_the_other_put(ada, ada_s3, bk):
    ada.write({"one": b"by hf, 1", "two": b"by hf, 22"})
    ada.ok("buckets", "cp", "one", f"hf://buckets/ada/{bk}/k")
    ada_s3.put_object(Bucket=bk, Key="k", Body=b"by s3, 333")
    assert ada.ok("buckets", "cp", f"hf://buckets/ada/{bk}/k", "-") == "by s3, 333"
    ada.ok("buckets", "cp", "two", f"hf://buckets/ada/{bk}/k")
    assert ada_s3.get_object(Bucket=bk, Key="k")["Body"].read() == b"by hf, 22"
    ada_s3.delete_object(Bucket=bk, Key="k")
    assert tree(ada, bk) == {}


def test_a_byte_equal_upload_by_s3_stores_nothing_new(ada, ada_s3, bk, hub_server):
    data = random.Random(3).randbytes(8_000_000)
    ada.write({"up.bin": data})
    ada.ok("buckets", "cp", "up.bin", f"hf://buckets/ada/{bk}/by-hf")
    before = stored_bytes(hub_server)
    ada_s3.upload_file(str(ada.folder / "up.bin"), bk, "by-s3")
    assert stored_bytes(hub_server) - before < 100_000
    assert xet_hash(ada_s3, bk, "by-hf") == xet_hash(ada_s3, bk, "by-s3")



def test_a_copy_by_hf_that_keeps_the_path_keeps_what_s3_said_of_its_source(ada, ada_s3, bk):
    ada_s3.put_object(Bucket=bk, Key="dir/a.png", Body=DATA[:1000], ContentType="image/png", Metadata={"color": "blue"})

    def said(key: str) -> tuple:
        head = ada_s3.head_object(Bucket=bk, Key=key)
        return head["ETag"], head["ContentType"], head["Metadata"].get("color")

    for copy in ("copies/a.png", "copies/dir/a.png", "other.png"):
        ada.ok("buckets", "cp", f"hf://buckets/ada/{bk}/dir/a.png", f"hf://buckets/ada/{bk}/{copy}")
    assert said("copies/dir/a.png") == said("dir/a.png")
    # `dir/` is not at the end of these, so only the content is known.
    for copy in ("copies/a.png", "other.png"):
        assert said(copy) == (f'"{xet_hash(ada_s3, bk, "dir/a.png")}"', "binary/octet-stream", None)
