"""What is wrong is refused with S3's own code, and the object that was there stays as it was."""

import base64
import contextlib
import datetime
import hashlib
import time
from email.utils import formatdate

import pytest

from support import sigv4
from support.rawhttp import RawS3
from support.server import Credentials

OLD = b"the object that must survive\n" * 5000
NEW = bytes(range(256)) * 800  # 200 KiB: several chunks of every kind.
WRONG = b"not these bytes"


@pytest.fixture
def kept(s3, bucket) -> str:
    """The path of an object with known bytes."""
    s3.put_object(Bucket=bucket, Key="kept", Body=OLD)
    return f"/{bucket}/kept"


@pytest.fixture
def nothing_changes(s3, bucket, kept):
    """A context after which the bucket must be what it was before: same keys, times, tags, bytes."""

    def listing():
        seen = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return [(o["Key"], o["ETag"], o["Size"], o["LastModified"]) for o in seen]

    @contextlib.contextmanager
    def check(settle_secs: float = 0):
        before = listing()
        yield
        time.sleep(settle_secs)  # A cut connection has no answer to wait for.
        assert listing() == before
        assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == OLD

    return check


def _ago(**delta) -> datetime.datetime:
    return sigv4.now() - datetime.timedelta(**delta)


# --- who is asking ---------------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_refused(http, kept, nothing_changes):
    signer = http.signer(who=Credentials(http.who.access_key, "wrong" + http.who.secret_key))
    with nothing_changes():
        assert http.call("PUT", kept, NEW, signer=signer).outcome == (403, "SignatureDoesNotMatch")
        assert http.call("GET", kept, signer=signer).outcome == (403, "SignatureDoesNotMatch")


def test_an_unknown_access_key_is_refused(http, kept, nothing_changes):
    signer = http.signer(who=Credentials("XGNOSUCHKEY000000000", http.who.secret_key))
    with nothing_changes():
        assert http.call("PUT", kept, NEW, signer=signer).outcome == (403, "InvalidAccessKeyId")
        assert http.call("GET", kept, signer=signer).outcome == (403, "InvalidAccessKeyId")


def test_a_request_without_a_signature_is_refused(http, kept, nothing_changes):
    with nothing_changes():
        assert http.fetch("GET", kept).outcome == (403, "AccessDenied")
        assert http.fetch("PUT", kept, NEW).outcome == (403, "AccessDenied")
        assert http.fetch("DELETE", kept).outcome == (403, "AccessDenied")


@pytest.mark.parametrize("minutes", [20, -20], ids=["slow", "fast"])
def test_a_skewed_clock_is_refused(http, kept, nothing_changes, minutes):
    signer = http.signer(when=_ago(minutes=minutes))
    with nothing_changes():
        assert http.call("PUT", kept, NEW, signer=signer).outcome == (403, "RequestTimeTooSkewed")
        assert http.call("GET", kept, signer=signer).outcome == (403, "RequestTimeTooSkewed")


def test_a_clock_within_fifteen_minutes_is_accepted(http, kept):
    for minutes in (13, -13):
        assert http.call("GET", kept, signer=http.signer(when=_ago(minutes=minutes))).body == OLD


def test_a_signature_for_another_region_is_refused(http, kept, nothing_changes):
    with nothing_changes():
        answer = http.call("PUT", kept, NEW, signer=http.signer(region="eu-west-3"))
        assert answer.outcome == (400, "AuthorizationHeaderMalformed")


def test_signature_version_2_is_refused(http, kept, nothing_changes):
    with nothing_changes():
        old_style = {"authorization": f"AWS {http.who.access_key}:c2lnbmF0dXJl", "date": formatdate(usegmt=True)}
        assert http.fetch("PUT", kept, NEW, headers=old_style).outcome == (400, "InvalidRequest")


# --- changed on the way ----------------------------------------------------------------------------------------------


def test_a_changed_header_is_refused(http, kept, nothing_changes):
    with nothing_changes():
        request = http.build("PUT", kept, NEW, headers={"x-amz-meta-owner": "ada"})
        request.headers["x-amz-meta-owner"] = "eve"
        assert http.send(request).outcome == (403, "SignatureDoesNotMatch")


def test_a_changed_path_or_query_is_refused(http, kept, nothing_changes):
    with nothing_changes():
        request = http.build("PUT", kept + "2", NEW)
        request.target = request.target.removesuffix("2")
        assert http.send(request).outcome == (403, "SignatureDoesNotMatch")
        request = http.build("GET", kept.removesuffix("/kept"), query={"list-type": "2", "prefix": "a"})
        request.target = request.target.replace("prefix=a", "prefix=")
        assert http.send(request).outcome == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("key", ["kept", "new"])
def test_a_changed_body_is_refused(http, kept, nothing_changes, key):
    with nothing_changes():
        request = http.build("PUT", kept.removesuffix("kept") + key, NEW)
        request.body = b"\xff" + request.body[1:]
        assert http.send(request).outcome == (400, "XAmzContentSHA256Mismatch")


def test_a_changed_multipart_part_is_refused_and_not_listed(http, s3, bucket, kept):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="kept")
    ids = {"Bucket": bucket, "Key": "kept", "UploadId": upload["UploadId"]}
    request = http.build("PUT", kept, NEW, query={"partNumber": "1", "uploadId": upload["UploadId"]})
    request.body = b"\xff" + request.body[1:]
    assert http.send(request).outcome == (400, "XAmzContentSHA256Mismatch")
    assert s3.list_parts(**ids).get("Parts", []) == []


# --- presigned URLs --------------------------------------------------------------------------------------------------


def test_a_presigned_url_works_until_it_expires(http, kept, nothing_changes):
    def presigned(method, expires, **age):
        return http.signer(when=_ago(**age)).presign(method, kept, http.host, expires)

    assert http.fetch("GET", presigned("GET", 3600, minutes=30)).body == OLD
    with nothing_changes():
        assert http.fetch("GET", presigned("GET", 60, minutes=2)).outcome == (403, "AccessDenied")
        assert http.fetch("PUT", presigned("PUT", 60, minutes=2), NEW).outcome == (403, "AccessDenied")


@pytest.mark.parametrize("expires", [604801, -1, "soon"])
def test_a_presigned_url_with_an_impossible_expiry_is_refused(http, kept, nothing_changes, expires):
    with nothing_changes():
        for method, body in (("GET", b""), ("PUT", NEW)):
            answer = http.fetch(method, http.signer().presign(method, kept, http.host, expires), body)
            status = 400 if expires == "soon" else 403
            assert answer.outcome == (status, "AuthorizationQueryParametersError")


def test_a_presigned_url_may_last_seven_days(http, kept):
    assert http.fetch("GET", http.signer().presign("GET", kept, http.host, 604800)).body == OLD


def test_a_presigned_url_does_not_serve_another_method_or_key(http, kept, nothing_changes):
    target = http.signer().presign("GET", kept, http.host, 600)
    with nothing_changes():
        assert http.fetch("PUT", target, NEW).outcome == (403, "SignatureDoesNotMatch")
        assert http.fetch("DELETE", target).outcome == (403, "SignatureDoesNotMatch")
        assert http.fetch("GET", target.replace("/kept?", "/kepT?")).outcome == (403, "SignatureDoesNotMatch")


# --- names -----------------------------------------------------------------------------------------------------------

BAD_BUCKETS = [
    "ab", "a" * 64, "Upper", "under_score", "-lead", "trail-", ".lead", "trail.", "two..dots", "192.168.5.4",
    "has space", "ünï", "xn--punycode", "sthree-thing", "amzn-s3-demo-thing", "thing-s3alias", "thing--ol-s3",
    "thing.mrap", "thing--x-s3", "thing--table-s3",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_BUCKETS)
def test_a_bucket_name_that_s3_forbids_is_refused(http, s3, name):
    assert http.call("PUT", f"/{name}").outcome == (400, "InvalidBucketName")
    assert name not in {b["Name"] for b in s3.list_buckets()["Buckets"]}


@pytest.mark.parametrize("name", ["abc", "b" * 63, "a.b.c", "1-2-3", "two--dashes", "192.168.5.4a", "xn-ok"])
def test_a_bucket_name_that_s3_allows_is_accepted(http, s3, name):
    assert http.call("PUT", f"/{name}").status == 200
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("letter", ["k", "é", "🦀"], ids=["1-byte", "2-bytes", "4-bytes"])
def test_a_key_may_have_1024_bytes_and_no_more(http, s3, bucket, kept, nothing_changes, letter):
    longest = letter * (1024 // len(letter.encode()))
    with nothing_changes():
        assert http.call("PUT", f"/{bucket}/{longest}k", NEW).outcome == (400, "KeyTooLongError")
    assert http.call("PUT", f"/{bucket}/{longest}", NEW).status == 200
    assert s3.get_object(Bucket=bucket, Key=longest)["Body"].read() == NEW


# --- cut off ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("sent", [0, 1, len(NEW) // 2, len(NEW) - 1])
def test_a_put_cut_off_in_its_body_leaves_the_old_object(http, kept, nothing_changes, sent, reset):
    for payload_hash in (None, sigv4.UNSIGNED):
        for path in (kept, kept + "-new"):
            with nothing_changes(settle_secs=0.1):
                request = http.build("PUT", path, NEW, payload_hash=payload_hash)
                answer = http.send_part_of(request, sent, reset=reset)
                assert answer is None or 400 <= answer.status < 500


def test_a_cut_off_part_is_not_listed(http, s3, bucket, kept):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="kept")
    query = {"partNumber": "1", "uploadId": upload["UploadId"]}
    http.send_part_of(http.build("PUT", kept, NEW, query=query), len(NEW) // 2, reset=True)
    time.sleep(0.3)
    assert s3.list_parts(Bucket=bucket, Key="kept", UploadId=upload["UploadId"]).get("Parts", []) == []


def test_a_large_put_cut_off_late_leaves_the_old_object(http, kept, nothing_changes):
    body = NEW * 100  # 20 MiB: by now chunks have gone to the disk.
    with nothing_changes(settle_secs=0.3):
        http.send_part_of(http.build("PUT", kept, body), len(body) - 5, reset=True)


# --- checksums in headers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sigv4.CHECKSUMS)
def test_a_checksum_header_is_checked(http, kept, nothing_changes, name):
    header = f"x-amz-checksum-{name}"
    with nothing_changes():
        answer = http.call("PUT", kept, NEW, headers={header: sigv4.checksum(name, WRONG)})
        assert answer.outcome == (400, "BadDigest")
        for malformed in ("!!!!", base64.b64encode(b"short"[:3]).decode()):
            assert http.call("PUT", kept, NEW, headers={header: malformed}).outcome == (400, "InvalidRequest")
    answer = http.call("PUT", kept, NEW, headers={header: sigv4.checksum(name, NEW)})
    assert (answer.status, answer.headers[header]) == (200, sigv4.checksum(name, NEW))
    assert http.call("GET", kept).body == NEW


def test_content_md5_is_checked(http, kept, nothing_changes):
    def md5(body):
        return base64.b64encode(hashlib.md5(body).digest()).decode()

    with nothing_changes():
        assert http.call("PUT", kept, NEW, headers={"content-md5": md5(WRONG)}).outcome == (400, "BadDigest")
        for malformed in ("not base64!", base64.b64encode(b"too short").decode(), ""):
            answer = http.call("PUT", kept, NEW, headers={"content-md5": malformed})
            assert answer.outcome == (400, "InvalidDigest"), malformed
    assert http.call("PUT", kept, NEW, headers={"content-md5": md5(NEW)}).status == 200


@pytest.mark.parametrize("name", sigv4.CHECKSUMS)
def test_a_wrong_checksum_of_a_part_is_refused_and_the_part_not_listed(http, s3, bucket, kept, name):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="kept", ChecksumAlgorithm=name.upper())
    query = {"partNumber": "1", "uploadId": upload["UploadId"]}
    headers = {f"x-amz-checksum-{name}": sigv4.checksum(name, WRONG)}
    assert http.call("PUT", kept, NEW, query=query, headers=headers).outcome == (400, "BadDigest")
    assert s3.list_parts(Bucket=bucket, Key="kept", UploadId=upload["UploadId"]).get("Parts", []) == []
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == OLD


# --- aws-chunked -----------------------------------------------------------------------------------------------------


def _stored(http: RawS3, path: str) -> bytes:
    answer = http.call("GET", path)
    assert "aws-chunked" not in (answer.headers["content-encoding"] or "")
    return answer.body


@pytest.mark.parametrize("chunk_bytes", [8 << 10, 64 << 10, 1 << 20])
def test_a_signed_stream_is_stored(http, kept, chunk_bytes):
    answer = http.stream(kept, NEW, sigv4.STREAMING, chunk_bytes=chunk_bytes)
    assert answer.status == 200, answer.body
    assert _stored(http, kept) == NEW


def test_an_empty_signed_stream_is_stored(http, kept):
    assert http.stream(kept, b"", sigv4.STREAMING).status == 200
    assert _stored(http, kept) == b""


def _flip_first_byte(chunks, signatures, _trailer):
    chunks[0] = b"\xff" + chunks[0][1:]


def _flip_last_byte(chunks, signatures, _trailer):
    chunks[-2] = chunks[-2][:-1] + b"\x00"


def _flip_first_signature(_chunks, signatures, _trailer):
    signatures[0] = "0" * 64


def _flip_final_signature(_chunks, signatures, _trailer):
    signatures[-1] = "0" * 64


def _swap_chunks(chunks, signatures, _trailer):
    chunks[0], chunks[1] = chunks[1], chunks[0]
    signatures[0], signatures[1] = signatures[1], signatures[0]


def _repeat_chunk(chunks, signatures, _trailer):
    chunks[1], signatures[1] = chunks[0], signatures[0]


SPOILS = [_flip_first_byte, _flip_last_byte, _flip_first_signature, _flip_final_signature, _swap_chunks, _repeat_chunk]


@pytest.mark.parametrize("key", ["kept", "new"])
@pytest.mark.parametrize("spoil", SPOILS, ids=lambda s: s.__name__.strip("_"))
def test_a_signed_stream_changed_in_any_chunk_is_refused(http, kept, nothing_changes, spoil, key):
    with nothing_changes():
        path = kept.removesuffix("kept") + key
        assert http.stream(path, NEW, sigv4.STREAMING, spoil=spoil).outcome == (403, "SignatureDoesNotMatch")


def _drop_last_data_chunk(chunks, signatures, _trailer):
    del chunks[-2:], signatures[-2:]
    chunks.append(b"")
    signatures.append("0" * 64)


def _drop_end(chunks, signatures, _trailer):
    del chunks[-1], signatures[-1]


@pytest.mark.parametrize("spoil", [_drop_last_data_chunk, _drop_end], ids=lambda s: s.__name__.strip("_"))
def test_a_signed_stream_that_ends_early_is_refused(http, kept, nothing_changes, spoil):
    with nothing_changes():
        assert 400 <= http.stream(kept, NEW, sigv4.STREAMING, spoil=spoil).status < 500


@pytest.mark.parametrize("told", [len(NEW) - 1, len(NEW) + 1], ids=["less", "more"])
@pytest.mark.parametrize("kind", [sigv4.STREAMING, sigv4.UNSIGNED_TRAILER])
def test_a_stream_of_another_length_than_told_is_refused(http, kept, nothing_changes, kind, told):
    with nothing_changes():
        trailer = ("x-amz-checksum-crc32", sigv4.checksum("crc32", NEW)) if kind == sigv4.UNSIGNED_TRAILER else None
        headers = {"x-amz-decoded-content-length": str(told)}
        assert http.stream(kept, NEW, kind, trailer=trailer, headers=headers).status == 400


TRAILED = [sigv4.UNSIGNED_TRAILER, sigv4.STREAMING_TRAILER]


@pytest.mark.parametrize("kind", TRAILED)
@pytest.mark.parametrize("name", sigv4.CHECKSUMS)
def test_a_trailing_checksum_is_checked(http, kept, nothing_changes, name, kind):
    header = f"x-amz-checksum-{name}"
    with nothing_changes():
        answer = http.stream(kept, NEW, kind, trailer=(header, sigv4.checksum(name, WRONG)))
        assert answer.outcome == (400, "BadDigest")
        answer = http.stream(kept + "-new", NEW, kind, trailer=(header, sigv4.checksum(name, WRONG)))
        assert answer.outcome == (400, "BadDigest")
    answer = http.stream(kept, NEW, kind, trailer=(header, sigv4.checksum(name, NEW)))
    assert answer.status == 200, answer.body
    assert _stored(http, kept) == NEW


def _spoil_trailer(_chunks, _signatures, trailer):
    trailer[1] = "0" * 64


@pytest.mark.parametrize("spoil", [*SPOILS, _spoil_trailer], ids=lambda s: s.__name__.strip("_"))
def test_a_signed_stream_with_trailer_is_refused_when_changed(http, kept, nothing_changes, spoil):
    # The trailer is right for the bytes that arrive, so that only the signatures can tell.
    def spoil_and_mend(chunks, signatures, trailer):
        spoil(chunks, signatures, trailer)
        trailer[0] = f"x-amz-checksum-sha256:{sigv4.checksum('sha256', b''.join(chunks))}"

    with nothing_changes():
        trailer = ("x-amz-checksum-sha256", sigv4.checksum("sha256", NEW))
        answer = http.stream(kept, NEW, sigv4.STREAMING_TRAILER, trailer=trailer, spoil=spoil_and_mend)
        assert answer.outcome == (403, "SignatureDoesNotMatch")


def _forget_trailer(_chunks, _signatures, trailer):
    trailer[0] = ""


@pytest.mark.parametrize("kind", TRAILED)
def test_a_stream_without_its_announced_trailer_is_refused(http, kept, nothing_changes, kind):
    with nothing_changes():
        trailer = ("x-amz-checksum-crc32", sigv4.checksum("crc32", NEW))
        assert http.stream(kept, NEW, kind, trailer=trailer, spoil=_forget_trailer).status == 400
