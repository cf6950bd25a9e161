"""A proxy that writes down what a client and its server say to each other, and can be told to hold or break it.

The `Host` header is handed on as the client sent it. So a Hub behind the proxy builds its links (the CAS, signed
addresses, next pages) with the proxy's own address, and everything a client does passes through here.
"""

import dataclasses
import http.client
import http.server
import threading
import urllib.parse
from collections.abc import Callable

PIECE_BYTES = 64 << 10
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


@dataclasses.dataclass
class Exchange:
    """A request, and what was answered to it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int = 0
    answer_headers: dict[str, str] = dataclasses.field(default_factory=dict)
    answer: bytes = b""
    # Bytes of the answer's body that went to the client.
    sent: int = 0

    @property
    def is_xorb_upload(self) -> bool:
        return self.method in ("POST", "PUT") and "/v1/xorbs/" in self.path

    @property
    def is_xorb_download(self) -> bool:
        return self.method == "GET" and "/cas/" in self.path and "/v1/ranges/" in self.path


class Refused(Exception):
    """Raised by a hook: the client gets this status instead of an answer; 0 breaks the connection."""

    def __init__(self, status: int, body: bytes = b"", **headers: str):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorder: "Recorder"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY: small answers are not held back

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _forward(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        exchange = Exchange(self.command, url.path, query, headers, self._body())
        with self.recorder.lock:
            self.recorder.exchanges.append(exchange)
        try:
            self.recorder.before(exchange)
        except Refused as refused:
            return self._refuse(exchange, refused)
        upstream = http.client.HTTPConnection(*self.recorder.upstream)
        try:
            kept = {name: value for name, value in headers.items() if name not in HOP_BY_HOP}
            if exchange.body or "content-length" in headers or "transfer-encoding" in headers:
                kept["content-length"] = str(len(exchange.body))
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in kept.items():
                upstream.putheader(name, value)
            upstream.endheaders(exchange.body or None)
            self._answer(exchange, upstream.getresponse())
        finally:
            upstream.close()

    def _answer(self, exchange: Exchange, response: http.client.HTTPResponse):
        exchange.status = response.status
        exchange.answer_headers = {name.lower(): value for name, value in response.getheaders()}
        has_body = self.command != "HEAD" and response.status not in (204, 304)
        rewritten = None
        if has_body and self.recorder.rewrite and not exchange.is_xorb_download:
            rewritten = self.recorder.rewrite(exchange, response.read())
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP and not (rewritten is not None and name.lower() == "content-length"):
                self.send_header(name, value)
        if rewritten is not None:
            self.send_header("Content-Length", str(len(rewritten)))
        chunked = has_body and rewritten is None and "content-length" not in exchange.answer_headers
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if rewritten is not None:
            exchange.answer, exchange.sent = rewritten, len(rewritten)
            self.wfile.write(rewritten)
        elif has_body:
            self._pass_on(exchange, response, chunked)

    def _pass_on(self, exchange: Exchange, response: http.client.HTTPResponse, chunked: bool):
        while piece := response.read(PIECE_BYTES):
            try:
                piece = self.recorder.piece(exchange, piece)
            except Refused:
                self.close_connection = True
                return
            if not exchange.is_xorb_download:
                exchange.answer += piece
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            exchange.sent += len(piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, exchange: Exchange, refused: Refused):
        exchange.status = refused.status
        if not refused.status:
            self.close_connection = True
            return
        self.send_response_only(refused.status)
        for name, value in refused.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(refused.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(refused.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _forward


class Recorder:
    """A recorder on a free port in front of a server's Hub listener, until it is stopped.

    `before` is called with each request before it is passed on; `piece` with each piece of an answer, and gives what to
    send for it; both may wait, and raise [`Refused`]. `rewrite`, if it is set, gets whole answers, but for bytes of xorbs.
    """

    def __init__(self, upstream_port: int):
        self.upstream = ("127.0.0.1", upstream_port)
        self.lock = threading.Lock()
        self.exchanges: list[Exchange] = []
        self.before: Callable[[Exchange], None] = lambda exchange: None
        self.piece: Callable[[Exchange, bytes], bytes] = lambda exchange, piece: piece
        self.rewrite: Callable[[Exchange, bytes], bytes] | None = None
        handler = type("Bound", (Handler,), {"recorder": self})
        listening = type("Listening", (http.server.ThreadingHTTPServer,), {"request_queue_size": 128})
        self.server = listening(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        # Clients that are interrupted hang up in the middle, as they should.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def count(self, method: str, part: str) -> int:
        """How many requests had this method and this in their path."""
        return sum(e.method == method and part in e.path for e in self.exchanges)

    def uploaded(self) -> int:
        """Bytes of xorbs that the server has taken since [`Recorder.forget`]."""
        return sum(len(e.body) for e in self.exchanges if e.is_xorb_upload and 200 <= e.status < 300)

    def downloaded(self) -> int:
        """Bytes of xorbs that went to the client."""
        return sum(e.sent for e in self.exchanges if e.is_xorb_download)

    def forget(self) -> None:
        with self.lock:
            self.exchanges = []

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
