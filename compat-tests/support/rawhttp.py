"""HTTP requests of which a test decides every byte, and what an S3 answer means."""

import contextlib
import dataclasses
import hashlib
import http.client
import socket
import struct
import xml.etree.ElementTree
from collections.abc import Callable

from support import sigv4
from support.server import Credentials

ANSWER_SECS_MAX = 30


@dataclasses.dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def field(self, name: str) -> str | None:
        """A child of the error document's root."""
        try:
            return xml.etree.ElementTree.fromstring(self.body).findtext(name)
        except xml.etree.ElementTree.ParseError:
            return None

    @property
    def outcome(self) -> tuple[int, str | None]:
        """Status and S3 error code: what a test compares."""
        return self.status, self.field("Code")


@dataclasses.dataclass
class Request:
    """A signed request that has not been sent: the place to break it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    seed: str = ""

    def head(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{k}: {v}" for k, v in self.headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class RawS3:
    """Signs and sends to one server as one credential."""

    def __init__(self, port: int, who: Credentials):
        self.port, self.who = port, who
        self.host = f"127.0.0.1:{port}"

    def signer(self, **changes) -> sigv4.Signer:
        return sigv4.Signer(**{"who": self.who, "when": sigv4.now()} | changes)

    def build(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        payload_hash: str | None = None,
        signer: sigv4.Signer | None = None,
    ) -> Request:
        """A correctly signed request; `path` is not yet encoded."""
        query = query or {}
        target = sigv4.encode(path, safe="/-_.~")
        signer = signer or self.signer()
        payload_hash = payload_hash or hashlib.sha256(body).hexdigest()
        signed, seed = signer.sign(method, target, query, {"host": self.host} | (headers or {}), payload_hash)
        signed["content-length"] = str(len(body))
        target += f"?{sigv4.query_string(query)}" if query else ""
        return Request(method, target, signed, body, seed)

    def send(self, request: Request) -> Answer:
        with self._connect() as s:
            # Refused before the body was read; the answer is waiting.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(request.head() + request.body)
            return read_answer(s, request.method)

    def call(self, method: str, path: str, body: bytes = b"", **more) -> Answer:
        return self.send(self.build(method, path, body, **more))

    def fetch(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """A request with no signature but what its target carries."""
        all_headers = {"host": self.host, "content-length": str(len(body))} | (headers or {})
        return self.send(Request(method, target, all_headers, body))

    def send_raw_and_read_all(self, request: Request) -> bytes:
        """Every byte of the answer up to the close that `connection: close` asks for."""
        request.headers["connection"] = "close"
        with self._connect() as s:
            s.sendall(request.head() + request.body)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def send_part_of(self, request: Request, body_bytes: int, *, reset: bool) -> Answer | None:
        """Sends the head and the first `body_bytes` of the body, then goes away: at once with a reset, or by closing
        the sending side and waiting for an answer, which need not come."""
        with self._connect() as s:
            s.sendall(request.head() + request.body[:body_bytes])
            if reset:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return None
            s.shutdown(socket.SHUT_WR)
            try:
                return read_answer(s, request.method)
            except (http.client.HTTPException, OSError):
                return None

    def stream(
        self,
        path: str,
        body: bytes,
        kind: str,
        *,
        chunk_bytes: int = 64 << 10,
        trailer: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
        spoil: Callable[[list[bytes], list[str], list[str]], None] = lambda chunks, signatures, trailer: None,
    ) -> Answer:
        """An aws-chunked PUT of one of the three streaming kinds.

        `spoil` may change the chunks, their signatures and `[trailer text, trailer signature]` after signing.
        """
        signer = self.signer()
        extra = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(body))} | (headers or {})
        if trailer:
            extra["x-amz-trailer"] = trailer[0]
        request = self.build("PUT", path, headers=extra, payload_hash=kind, signer=signer)
        chunks = sigv4.split(body, chunk_bytes)
        signatures = signer.chunk_signatures(request.seed, chunks)
        # The signed form of the trailer ends in \n, the sent one in \r\n.
        text = f"{trailer[0]}:{trailer[1]}" if trailer else ""
        ending = [text, signer.trailer_signature(signatures[-1], text + "\n")]
        spoil(chunks, signatures, ending)
        if kind == sigv4.UNSIGNED_TRAILER:
            request.body = sigv4.frame_unsigned(chunks, ending[0])
        else:
            request.body = sigv4.frame_signed(chunks, signatures, *ending)
        request.headers["content-length"] = str(len(request.body))
        return self.send(request)

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECS_MAX)


def read_answer(s: socket.socket, method: str) -> Answer:
    response = http.client.HTTPResponse(s, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())
