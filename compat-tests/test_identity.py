"""One object, one identity: the same bytes have the same Xet hash whichever API they came in by.

Each input goes through every method that its size gives a meaning to; `x-xet-hash` of HEAD and of GET must be what the
published hf_xet computes offline, and for the recorded vectors also what was recorded. The bytes are compared as well.
"""

import hashlib
import pathlib

import pytest
from botocore.exceptions import ClientError

from support import inputs
from support.inputs import MIB

FILES = [*inputs.vectors(), *inputs.random_files()]
# Not a multiple of anything: the seams of copied parts then fall inside chunks.
COPY_PART_BYTES = 5 * MIB + 12_347


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """Answers path and published hash of an input; makes each once."""
    base, made = tmp_path_factory.mktemp("identity"), {}

    def get(file) -> tuple[pathlib.Path, str]:
        if file.name not in made:
            path = base / file.name
            path.write_bytes(file.bytes())
            made[file.name] = path, inputs.published_hash(path)
        return made[file.name]

    return get


@pytest.fixture(scope="module")
def home_bucket(s3) -> str:
    s3.create_bucket(Bucket="identity")
    return "identity"


def put(s3, bucket, key, path):
    with open(path, "rb") as body:
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def _complete(s3, upload, parts):
    ordered = [{"PartNumber": n, "ETag": parts[n]} for n in sorted(parts)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": ordered})


def _begin(s3, bucket, key) -> dict:
    started = s3.create_multipart_upload(Bucket=bucket, Key=key)
    return {"Bucket": bucket, "Key": key, "UploadId": started["UploadId"]}


def _offsets(size: int, part_bytes: int) -> list[tuple[int, int]]:
    """Part number and offset of each part; an empty object is one empty part."""
    return list(enumerate(range(0, max(size, 1), part_bytes), start=1))


def multipart(part_bytes: int, *, reverse: bool = False):
    """An upload method: parts of one size, sent first to last or last to first."""

    def upload(s3, bucket, key, path):
        into, parts = _begin(s3, bucket, key), {}
        offsets = _offsets(path.stat().st_size, part_bytes)
        with open(path, "rb") as f:
            for number, offset in reversed(offsets) if reverse else offsets:
                f.seek(offset)
                told = s3.upload_part(**into, PartNumber=number, Body=f.read(part_bytes))
                parts[number] = told["ETag"]
        _complete(s3, into, parts)

    return upload


def copy_object(s3, bucket, key, path):
    put(s3, bucket, key + ".source", path)
    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key + ".source"})


def part_copy(s3, bucket, key, path):
    """UploadPartCopy of ranges that no chunk edge agrees with."""
    put(s3, bucket, key + ".source", path)
    size, into, parts = path.stat().st_size, _begin(s3, bucket, key), {}
    source = {"Bucket": bucket, "Key": key + ".source"}
    for number, offset in _offsets(size, COPY_PART_BYTES):
        wanted = f"bytes={offset}-{min(offset + COPY_PART_BYTES, size) - 1}"
        told = s3.upload_part_copy(**into, PartNumber=number, CopySource=source, CopySourceRange=wanted)
        parts[number] = told["CopyPartResult"]["ETag"]
    _complete(s3, into, parts)


def mixed_parts(s3, bucket, key, path):
    """Parts that were sent and parts that were copied, in turn."""
    put(s3, bucket, key + ".source", path)
    data, into, parts = path.read_bytes(), _begin(s3, bucket, key), {}
    source = {"Bucket": bucket, "Key": key + ".source"}
    for number, offset in _offsets(len(data), COPY_PART_BYTES):
        part = data[offset : offset + COPY_PART_BYTES]
        if number % 2:
            parts[number] = s3.upload_part(**into, PartNumber=number, Body=part)["ETag"]
        else:
            wanted = f"bytes={offset}-{offset + len(part) - 1}"
            told = s3.upload_part_copy(**into, PartNumber=number, CopySource=source, CopySourceRange=wanted)
            parts[number] = told["CopyPartResult"]["ETag"]
    _complete(s3, into, parts)


METHODS = {
    "single-put": put,
    "parts-of-5MiB": multipart(5 * MIB),
    "parts-of-8MiB": multipart(8 * MIB),
    "parts-of-64MiB": multipart(64 * MIB),
    "parts-of-5MiB-in-reverse": multipart(5 * MIB, reverse=True),
    "parts-of-8MiB-in-reverse": multipart(8 * MIB, reverse=True),
    "copy": copy_object,
    "part-copy": part_copy,
    "sent-and-copied-parts": mixed_parts,
}


def _methods_for(size: int) -> list[str]:
    """The methods that differ for an object of this size."""
    if size <= 5 * MIB:  # One part, whatever the part size.
        return ["single-put", "parts-of-5MiB", "copy"]
    if size <= 8 * MIB:
        return [m for m in METHODS if "8MiB" not in m]
    if size < 64 * MIB:
        return list(METHODS)
    return ["single-put", "parts-of-8MiB", "parts-of-64MiB", "parts-of-8MiB-in-reverse", "copy", "part-copy"]


CASES = [pytest.param(f, m, id=f"{f.name}-{m}") for f in FILES for m in _methods_for(f.size)]


@pytest.mark.parametrize(("file", "method"), CASES)
def test_the_hash_does_not_depend_on_the_api(s3, home_bucket, on_disk, file, method):
    path, published = on_disk(file)
    if isinstance(file, inputs.Vector):
        assert published == file.xet_hash
    key = f"{file.name}/{method}"
    METHODS[method](s3, home_bucket, key, path)

    head = s3.head_object(Bucket=home_bucket, Key=key)
    assert _told_hash(head) == published
    assert head["ContentLength"] == file.size
    got = s3.get_object(Bucket=home_bucket, Key=key)
    assert _told_hash(got) == published
    assert _sha256_of_body(got["Body"]) == inputs.sha256_of_file(path)


def test_an_overwrite_changes_the_hash_and_a_repeat_gives_it_back(s3, bucket, on_disk):
    vectors = {v.name: v for v in inputs.vectors()}
    for name in ("03_hello", "12_1MiB_sm42", "03_hello"):
        put(s3, bucket, "key", on_disk(vectors[name])[0])
        assert _told_hash(s3.head_object(Bucket=bucket, Key="key")) == vectors[name].xet_hash


def test_an_error_tells_no_hash(s3, bucket):
    with pytest.raises(ClientError) as missing:
        s3.head_object(Bucket=bucket, Key="missing")
    assert "x-xet-hash" not in missing.value.response["ResponseMetadata"]["HTTPHeaders"]


def _told_hash(answer: dict) -> str:
    return answer["ResponseMetadata"]["HTTPHeaders"].get("x-xet-hash", "no x-xet-hash header")


def _sha256_of_body(body) -> str:
    digest = hashlib.sha256()
    for piece in body.iter_chunks(MIB):
        digest.update(piece)
    return digest.hexdigest()
