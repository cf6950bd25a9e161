"""AWS Signature Version 4, written out, so that a test can break any one piece of it.

Follows "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference: headers, query (presigned), and
the aws-chunked streams with their optional trailer. `test_support.py` holds it against the examples printed there.
"""

import base64
import dataclasses
import datetime
import hashlib
import hmac
import urllib.parse
from collections.abc import Iterable

from support.server import REGION, Credentials

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def encode(text: str | bytes, safe: str = "-_.~") -> str:
    return urllib.parse.quote(text, safe=safe)


def query_string(query: dict[str, str]) -> str:
    return "&".join(f"{encode(k)}={encode(v)}" for k, v in sorted(query.items()))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


@dataclasses.dataclass(frozen=True)
class Signer:
    """One credential at one moment in one region; the moment may be wrong on purpose."""

    who: Credentials
    when: datetime.datetime
    region: str = REGION

    @property
    def amz_date(self) -> str:
        return self.when.strftime("%Y%m%dT%H%M%SZ")

    @property
    def scope(self) -> str:
        return f"{self.amz_date[:8]}/{self.region}/s3/aws4_request"

    def _sign(self, text: str) -> str:
        key = _hmac(f"AWS4{self.who.secret_key}".encode(), self.amz_date[:8])
        for step in (self.region, "s3", "aws4_request"):
            key = _hmac(key, step)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def request_signature(self, method: str, path: str, query: dict, headers: dict, payload_hash: str) -> str:
        """The signature of a request; `path` is already encoded, all of `headers` are signed."""
        lower = {k.lower(): " ".join(v.split()) for k, v in headers.items()}
        canonical_headers = "".join(f"{k}:{lower[k]}\n" for k in sorted(lower))
        parts = (method, path, query_string(query), canonical_headers, ";".join(sorted(lower)), payload_hash)
        hashed = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self._sign("\n".join(("AWS4-HMAC-SHA256", self.amz_date, self.scope, hashed)))

    def sign(self, method: str, path: str, query: dict, headers: dict, payload_hash: str) -> tuple[dict, str]:
        """The headers with those of the signature added, and the signature alone (the seed of a chunk chain)."""
        headers = headers | {"x-amz-date": self.amz_date, "x-amz-content-sha256": payload_hash}
        signature = self.request_signature(method, path, query, headers, payload_hash)
        signed = ";".join(sorted(k.lower() for k in headers))
        value = f"AWS4-HMAC-SHA256 Credential={self.who.access_key}/{self.scope},SignedHeaders={signed}"
        return headers | {"Authorization": f"{value},Signature={signature}"}, signature

    def presign(self, method: str, path: str, host: str, expires_secs: int | str) -> str:
        """The path and query of a presigned URL."""
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.who.access_key}/{self.scope}",
            "X-Amz-Date": self.amz_date,
            "X-Amz-Expires": str(expires_secs),
            "X-Amz-SignedHeaders": "host",
        }
        signature = self.request_signature(method, path, query, {"host": host}, UNSIGNED)
        return f"{path}?{query_string(query)}&X-Amz-Signature={signature}"

    def chunk_signatures(self, seed: str, chunks: Iterable[bytes]) -> list[str]:
        """The chain of chunk signatures; the last of `chunks` must be the empty one."""
        signatures, previous = [], seed
        for chunk in chunks:
            head = ("AWS4-HMAC-SHA256-PAYLOAD", self.amz_date, self.scope, previous, EMPTY_SHA256)
            previous = self._sign("\n".join((*head, hashlib.sha256(chunk).hexdigest())))
            signatures.append(previous)
        return signatures

    def trailer_signature(self, previous: str, trailer: str) -> str:
        """The signature of a trailer given as `name:value\\n` lines."""
        hashed = hashlib.sha256(trailer.encode()).hexdigest()
        return self._sign("\n".join(("AWS4-HMAC-SHA256-TRAILER", self.amz_date, self.scope, previous, hashed)))


def split(body: bytes, size: int) -> list[bytes]:
    """The body in chunks of `size`, then the empty chunk that ends every stream."""
    return [body[i : i + size] for i in range(0, len(body), size)] + [b""]


def frame_signed(chunks: list[bytes], signatures: list[str], trailer: str = "", trailer_signature: str = "") -> bytes:
    """The aws-chunked body of a signed stream."""
    out = bytearray()
    for chunk, signature in zip(chunks, signatures, strict=True):
        out += f"{len(chunk):x};chunk-signature={signature}\r\n".encode()
        out += chunk + b"\r\n" if chunk else b""
    if trailer:
        out += f"{trailer}\r\nx-amz-trailer-signature:{trailer_signature}\r\n".encode()
    return bytes(out + b"\r\n")


def frame_unsigned(chunks: list[bytes], trailer: str) -> bytes:
    """The aws-chunked body of an unsigned stream, as every current AWS SDK sends it over TLS."""
    out = bytearray()
    for chunk in chunks:
        out += f"{len(chunk):x}\r\n".encode()
        out += chunk + b"\r\n" if chunk else b""
    return bytes(out + (f"{trailer}\r\n".encode() if trailer else b"") + b"\r\n")


def _crc_table(polynomial: int) -> list[int]:
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ polynomial if n & 1 else n >> 1
        table.append(n)
    return table


_CRC = {  # name: (reflected polynomial's table, width in bits)
    "crc32": (_crc_table(0xEDB88320), 32),
    "crc32c": (_crc_table(0x82F63B78), 32),
    "crc64nvme": (_crc_table(0x9A6C9329AC4BC9B5), 64),
}
CHECKSUMS = (*_CRC, "sha1", "sha256")


def digest(name: str, body: bytes) -> bytes:
    """One of the five checksums of S3, in the byte order of its header."""
    if name not in _CRC:
        return hashlib.new(name, body).digest()
    table, bits = _CRC[name]
    crc = ones = (1 << bits) - 1
    for byte in body:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return (crc ^ ones).to_bytes(bits // 8, "big")


def checksum(name: str, body: bytes) -> str:
    """The value of the header `x-amz-checksum-{name}`."""
    return base64.b64encode(digest(name, body)).decode()
