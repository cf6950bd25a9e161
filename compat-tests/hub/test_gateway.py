"""Hub mode in front of a real server: what it writes the published client reads and the reverse, ranges cost what they
must, and on bad days nothing but an error reaches the S3 client."""

import concurrent.futures
import os
import random
import time

import botocore.exceptions
import pytest

from support import gateway, recorder
from support.cas import write_noise
from support.inputs import MIB

RANGE_MIB = int(os.environ.get("XETGATE_RANGE_MIB", "256"))
BUCKET = "models"
ROOT = f"hf://buckets/ada/{BUCKET}"


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    with gateway.row(tmp_path_factory.mktemp("row")) as made:
        yield made


@pytest.fixture
def row(standing):
    """A row on a good day."""
    recorded = standing.recorder
    recorded.forget()
    yield standing
    recorded.before = lambda exchange: None
    recorded.piece = lambda exchange, piece: piece
    recorded.rewrite = None


def xet_hash(s3, key: str) -> str:
    return s3.head_object(Bucket=BUCKET, Key=key)["ResponseMetadata"]["HTTPHeaders"]["x-xet-hash"]


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 70_000, 5 * MIB + 3])
def test_what_it_writes_is_read_by_hf_and_the_reverse(row, size):
    data, user = noise(size, size), row.place.client()
    row.s3.put_object(Bucket=BUCKET, Key=f"s3-{size}", Body=data)
    (user.folder / "up").write_bytes(data)
    user.ok("buckets", "cp", "up", f"{ROOT}/hf-{size}")
    user.ok("buckets", "cp", f"{ROOT}/s3-{size}", "down")
    assert (user.folder / "down").read_bytes() == data
    assert row.s3.get_object(Bucket=BUCKET, Key=f"hf-{size}")["Body"].read() == data
    hashes = {xet_hash(s3, f"{by}-{size}") for s3 in (row.s3, row.place.s3) for by in ("s3", "hf")}
    assert len(hashes) == 1


def test_a_multipart_upload_is_one_file_to_hf(row):
    data, user = noise(17 * MIB, 1), row.place.client()
    upload = row.s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), 6 * MIB), 1):
        body = data[start : start + 6 * MIB]
        done = row.s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    row.s3.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    user.ok("buckets", "cp", f"{ROOT}/parts", "down")
    assert (user.folder / "down").read_bytes() == data
    row.place.s3.put_object(Bucket=BUCKET, Key="whole", Body=data)
    assert xet_hash(row.s3, "parts") == xet_hash(row.place.s3, "whole")


def test_a_range_is_fetched_once_and_little_more_than_it(row, tmp_path):
    write_noise(tmp_path / "large", RANGE_MIB)
    row.place.s3.upload_file(str(tmp_path / "large"), BUCKET, "large")
    dice = random.Random(2)
    for _ in range(8):
        start = dice.randrange((RANGE_MIB - 1) * MIB)
        asked = {"Bucket": BUCKET, "Key": "large", "Range": f"bytes={start}-{start + MIB - 1}"}
        row.recorder.forget()
        first = row.s3.get_object(**asked)["Body"].read()
        with open(tmp_path / "large", "rb") as file:
            file.seek(start)
            assert first == file.read(MIB)
        assert MIB <= row.recorder.downloaded() < 2 * MIB
        row.recorder.forget()
        assert row.s3.get_object(**asked)["Body"].read() == first
        assert row.recorder.downloaded() == 0


def on(method: str, part: str, status: int, times: int = 10**9, **headers: str):
    """A Hub that refuses some requests so many times."""
    left = [times]

    def refuse(exchange: recorder.Exchange):
        if exchange.method == method and part in exchange.path and left[0] > 0:
            left[0] -= 1
            raise recorder.Refused(status, b'{"error": "a bad day"}', **headers)

    return refuse


BAD_DAYS = {
    "no rights to write": (on("POST", "/batch", 403), "AccessDenied", 403),
    "a token that is no good": (on("POST", "/batch", 401), "AccessDenied", 403),
    "the bucket is gone": (on("POST", "/batch", 404, X_Error_Code="RepoNotFound"), "NoSuchBucket", 404),
    "too large": (on("POST", "/batch", 413), "InvalidRequest", 400),
    "a xorb is refused": (on("POST", "/v1/xorbs/", 400), "ServiceUnavailable", 503),
    "a shard is refused": (on("POST", "/shards", 400), "ServiceUnavailable", 503),
    "always busy": (on("POST", "/batch", 429), "SlowDown", 503),
    "always broken": (on("POST", "/batch", 500), "ServiceUnavailable", 503),
}


def outcome(call) -> tuple[str, int]:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call()
    answer = raised.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_write_on_a_bad_day_is_an_error_and_leaves_the_old_object(row, day):
    refuse, code, status = BAD_DAYS[day]
    key, old = f"day-{day}", noise(1000, 3)
    row.s3.put_object(Bucket=BUCKET, Key=key, Body=old, Metadata={"who": "old"})
    row.recorder.before = refuse
    new = noise(300_000, 50 + list(BAD_DAYS).index(day))
    assert outcome(lambda: row.s3.put_object(Bucket=BUCKET, Key=key, Body=new)) == (code, status)
    row.recorder.before = lambda exchange: None
    found = row.s3.get_object(Bucket=BUCKET, Key=key)
    assert found["Body"].read() == old and found["Metadata"] == {"who": "old"}
    row.s3.put_object(Bucket=BUCKET, Key=key, Body=new)
    assert row.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == new


def test_a_token_that_may_only_read_cannot_write(row):
    row.place.s3.create_bucket(Bucket="unwritable")
    row.place.s3.put_object(Bucket="unwritable", Key="k", Body=b"old")
    row.recorder.before = on("GET", "/xet-write-token", 403)
    write = lambda: row.s3.put_object(Bucket="unwritable", Key="k", Body=noise(100_000, 4))  # noqa: E731
    assert outcome(write) == ("AccessDenied", 403)
    assert row.s3.get_object(Bucket="unwritable", Key="k")["Body"].read() == b"old"


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503])
@pytest.mark.parametrize(("method", "part"), [("POST", "/batch"), ("POST", "/v1/xorbs/"), ("GET", "/xet-write-token")])
def test_a_fault_that_passes_is_not_seen(row, status, method, part):
    data = noise(100_000, status + len(part))
    row.place.s3.create_bucket(Bucket=f"fresh-{status}-{len(part)}")
    row.recorder.before = on(method, part, status, times=1, Retry_After="1")
    row.s3.put_object(Bucket=f"fresh-{status}-{len(part)}", Key="k", Body=data)
    assert row.s3.get_object(Bucket=f"fresh-{status}-{len(part)}", Key="k")["Body"].read() == data


def test_half_bodies_and_wrong_bytes_never_reach_a_reader(row):
    data = noise(3 * MIB, 5)
    row.place.s3.put_object(Bucket=BUCKET, Key="cut", Body=data)
    cuts = [2]

    def cut(exchange, piece):
        if exchange.is_xorb_download and exchange.sent > 500_000 and cuts[0] > 0:
            cuts[0] -= 1
            raise recorder.Refused(0)
        return piece

    row.recorder.piece = cut
    assert row.s3.get_object(Bucket=BUCKET, Key="cut")["Body"].read() == data
    assert cuts == [0], "it was cut off and went on"

    row.place.s3.put_object(Bucket=BUCKET, Key="wrong", Body=noise(3 * MIB, 6))
    row.recorder.piece = lambda exchange, piece: piece[:-9] + bytes(9) if exchange.is_xorb_download else piece
    with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)):
        row.s3.get_object(Bucket=BUCKET, Key="wrong")["Body"].read()
    row.recorder.piece = lambda exchange, piece: piece
    assert row.s3.get_object(Bucket=BUCKET, Key="wrong")["Body"].read() == noise(3 * MIB, 6)


def test_a_bucket_that_was_made_anew_by_others_is_that_bucket(row):
    data, user = noise(200_000, 8), row.place.client()
    row.s3.create_bucket(Bucket="anew")
    row.s3.put_object(Bucket="anew", Key="k", Body=data, Metadata={"who": "old"})
    assert row.s3.get_object(Bucket="anew", Key="k")["Body"].read() == data
    user.ok("buckets", "delete", "ada/anew", "--yes")
    assert outcome(lambda: row.s3.put_object(Bucket="anew", Key="k", Body=data)) == ("NoSuchBucket", 404)
    user.ok("buckets", "create", "anew")
    (user.folder / "up").write_bytes(data[:150_000])
    user.ok("buckets", "cp", "up", "hf://buckets/ada/anew/other")
    assert row.s3.get_object(Bucket="anew", Key="other")["Body"].read() == data[:150_000]
    row.s3.put_object(Bucket="anew", Key="k", Body=data)
    assert row.s3.get_object(Bucket="anew", Key="k")["Body"].read() == data


def test_a_slow_answer_holds_nobody_else(row):
    row.place.s3.put_object(Bucket=BUCKET, Key="slow", Body=noise(4 * MIB, 7))
    row.s3.put_object(Bucket=BUCKET, Key="quick", Body=b"quick")
    row.s3.get_object(Bucket=BUCKET, Key="quick")["Body"].read()

    def rest(exchange, piece):
        time.sleep(0.2 if exchange.is_xorb_download else 0)
        return piece

    row.recorder.piece = rest
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(lambda: row.s3.get_object(Bucket=BUCKET, Key="slow")["Body"].read())
        for n in range(5):
            row.s3.put_object(Bucket=BUCKET, Key=f"beside-{n}", Body=b"beside")
            assert row.s3.get_object(Bucket=BUCKET, Key="quick")["Body"].read() == b"quick"
        assert not slow.done()
        assert slow.result(90) == noise(4 * MIB, 7)
