"""A small Hub with its CAS, in memory and on one port: it judges clients alone, whatever servers can do.

It keeps what it is sent and believes it, but for what a client must get right: xorbs and files must add up.
"""

import datetime
import http.server
import json
import re
import struct
import threading
import time
import urllib.parse

TOKEN = "hf_standin"
USER = "username"
EMPTY = "0" * 64
# Everything is created and uploaded at this moment, so that outputs can be compared byte for byte.
NOW_MS = 1_768_473_000_000
PAGE = 1000
BUCKET = r"/api/buckets/([^/]+)/([^/]+)"


def iso(ms: int) -> str:
    at = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def hash_text(raw: bytes) -> str:
    """A hash as the API spells it: each eight bytes as a little-endian number."""
    return "".join(f"{n:016x}" for n in struct.unpack("<4Q", raw))


def record_ends(xorb: bytes) -> list[int]:
    """Where each chunk's record ends in a xorb."""
    ends, at = [], 0
    while at < len(xorb) and xorb[at : at + 7] != b"XETBLOB":
        at += 8 + int.from_bytes(xorb[at + 1 : at + 4], "little")
        assert at <= len(xorb), "a record runs over the end of its xorb"
        ends.append(at)
    return ends


def files_of_shard(shard: bytes) -> dict[str, list[tuple[str, int, int, int]]]:
    """Terms of each file: xorb, uncompressed bytes, first chunk, one past the last. Source: Xet, "Shard format"."""
    files, at = {}, 48
    while shard[at : at + 32] != b"\xff" * 32:
        name, flags, count = hash_text(shard[at : at + 32]), *struct.unpack("<2I", shard[at + 32 : at + 40])
        at += 48
        terms = []
        for row in range(count):
            xorb = shard[at + 48 * row :][:48]
            _, size, start, end = struct.unpack("<4I", xorb[32:])
            terms.append((hash_text(xorb[:32]), size, start, end))
        at += 48 * count * (2 if flags >> 31 else 1) + (48 if flags >> 30 & 1 else 0)
        files[name] = terms
    return files


class State:
    """What the stand-in keeps, and what it was asked."""

    def __init__(self):
        self.lock = threading.Lock()
        self.buckets: dict[str, dict] = {}
        self.xorbs: dict[str, bytes] = {}
        self.ends: dict[str, list[int]] = {}
        self.files: dict[str, list] = {EMPTY: []}
        self.requests: list[str] = []
        # Set by tests: xorbs whose bytes come out wrong, and how many more xorbs are taken before sending fails.
        self.damaged = False
        self.cut_after: int | None = None
        # Seconds before each answer with bytes of a xorb, and how many bytes were answered.
        self.rest_secs = 0.0
        self.sent = 0

    def size(self, name: str) -> int:
        return sum(term[1] for term in self.files[name])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY: small answers are not held back

    def answer(self, status: int, body=None, **headers):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, message: str, code: str | None = None, **more):
        headers = {"X_Error_Code": code, "X_Error_Message": message} if code else {}
        self.answer(status, {"error": message, **more}, **headers)

    def dispatch(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with self.state.lock:
            self.state.requests.append(f"{self.command} {self.path}")
        is_signed = url.path.startswith("/xorb/")
        if not is_signed and self.headers.get("Authorization") not in (f"Bearer {TOKEN}", "Bearer cas"):
            return self.refuse(401, "Invalid credentials in Authorization header")
        for methods, pattern, act in ROUTES:
            found = re.fullmatch(pattern, url.path)
            if found and self.command in methods:
                return act(self, *(urllib.parse.unquote(part or "") for part in found.groups()), body=body, query=query)
        return self.refuse(404, "no such route")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = dispatch

    @property
    def base(self) -> str:
        return f"http://{self.headers['Host']}"

    def bucket(self, ns: str, name: str) -> dict | None:
        found = self.state.buckets.get(f"{ns}/{name}")
        if found is None:
            self.refuse(404, "Repository not found", "RepoNotFound")
        return found

    def info(self, name: str) -> dict:
        bucket = self.state.buckets[name]
        size = sum(f["size"] for f in bucket["files"].values())
        total = len(bucket["files"])
        return {"id": name, "private": bucket["private"], "createdAt": iso(NOW_MS), "size": size, "totalFiles": total}


def create(self, ns, name, body, query):
    ns = USER if ns == "me" else ns
    url = f"{self.base}/buckets/{ns}/{name}"
    if f"{ns}/{name}" in self.state.buckets:
        return self.refuse(409, "You already created this bucket", url=url)
    private = json.loads(body or b"{}").get("visibility") == "private"
    self.state.buckets[f"{ns}/{name}"] = {"private": private, "files": {}}
    self.answer(200, {"url": url})


def info(self, ns, name, body, query):
    if self.bucket(ns, name) is not None:
        self.answer(200, self.info(f"{ns}/{name}"))


def list_buckets(self, ns, body, query):
    ns = USER if ns == "me" else ns
    names = sorted(n for n in self.state.buckets if n.startswith(f"{ns}/") and query.get("search", "") in n)
    self.answer(200, [self.info(name) for name in names])


def delete(self, ns, name, body, query):
    if self.bucket(ns, name) is not None:
        del self.state.buckets[f"{ns}/{name}"]
        self.answer(200, {})


def move(self, body, query):
    asked = json.loads(body)
    if asked["fromRepo"] not in self.state.buckets:
        return self.refuse(404, "Repository not found", "RepoNotFound")
    self.state.buckets[asked["toRepo"]] = self.state.buckets.pop(asked["fromRepo"])
    self.answer(200, {})


def settings(self, ns, name, body, query):
    if (bucket := self.bucket(ns, name)) is not None:
        bucket["private"] = json.loads(body)["private"]
        self.answer(200, {})


def tree(self, ns, name, prefix, body, query):
    if (bucket := self.bucket(ns, name)) is None:
        return None
    prefix = prefix.removeprefix("/")
    entries = {path: file for path, file in bucket["files"].items() if path.startswith(prefix)}
    if query.get("recursive") == "false":
        below = {}
        for path, file in entries.items():
            at = path.find("/", len(prefix) + 1 if prefix else 0)
            folder = {"type": "directory", "path": path[:at], "uploadedAt": iso(NOW_MS)}
            below[path if at < 0 else path[:at]] = file if at < 0 else folder
        entries = below
    found = [entries[path] for path in sorted(entries)]
    start = int(query.get("cursor", 0))
    more = {}
    if len(found) > start + PAGE:
        again = urllib.parse.urlencode({**query, "cursor": start + PAGE})
        more["Link"] = f'<{self.base}{urllib.parse.urlsplit(self.path).path}?{again}>; rel="next"'
    self.answer(200, found[start : start + PAGE], **more)


def paths_info(self, ns, name, body, query):
    if (bucket := self.bucket(ns, name)) is not None:
        asked = json.loads(body)["paths"]
        self.answer(200, [bucket["files"][path] for path in asked if path in bucket["files"]])


def batch(self, ns, name, body, query):
    if (bucket := self.bucket(ns, name)) is None:
        return None
    failed = []
    lines = [json.loads(line) for line in body.splitlines()]
    assert len(lines) <= 1000, "a batch has at most 1000 lines"
    for line in lines:
        path = line["path"]
        if line["type"] == "deleteFile":
            bucket["files"].pop(path, None)
        elif line["xetHash"] not in self.state.files:
            failed.append({"path": path, "error": "the file is not registered"})
        else:
            size = self.state.size(line["xetHash"])
            file = {"type": "file", "path": path, "size": size, "xetHash": line["xetHash"]}
            bucket["files"][path] = file | {"mtime": iso(line["mtime"]), "uploadedAt": iso(NOW_MS)}
    self.answer(200, {"success": not failed, "failed": failed})


def token(self, ns, name, reach, body, query):
    if self.bucket(ns, name) is not None:
        exp = int(time.time()) + 3600
        headers = {"X_Xet_Cas_Url": f"{self.base}/cas", "X_Xet_Access_Token": "cas", "X_Xet_Token_Expiration": str(exp)}
        self.answer(200, {"casUrl": f"{self.base}/cas", "exp": exp, "accessToken": "cas"}, **headers)


def resolve(self, ns, name, path, body, query):
    file = self.state.buckets.get(f"{ns}/{name}", {"files": {}})["files"].get(path)
    if file is None:
        return self.refuse(404, "Entry not found", "EntryNotFound")
    link = f'<{self.base}/api/buckets/{ns}/{name}/xet-read-token>; rel="xet-auth"'
    self.answer(200, None, X_Xet_Hash=file["xetHash"], X_Linked_Size=str(file["size"]), Link=link)


def put_xorb(self, name, body, query):
    with self.state.lock:
        if self.state.cut_after is not None:
            if self.state.cut_after <= 0:
                return self.refuse(400, "no more xorbs today")
            self.state.cut_after -= 1
        is_new = name not in self.state.xorbs
        self.state.xorbs[name], self.state.ends[name] = body, record_ends(body)
    self.answer(200, {"was_inserted": is_new})


def put_shard(self, body, query):
    for name, terms in files_of_shard(body).items():
        for xorb, _, start, end in terms:
            if not start < end <= len(self.state.ends.get(xorb, [])):
                return self.refuse(400, f"file {name} names chunks that are not there")
        self.state.files[name] = terms
    self.answer(200, {"result": 1})


def reconstruction(self, name, body, query):
    if name not in self.state.files:
        return self.refuse(404, "no such file")
    first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "bytes=0-9999999999999").groups())
    terms, fetches, at, skip = [], {}, 0, 0
    for xorb, size, start, end in self.state.files[name]:
        if at + size > first and at <= last:
            skip = first - at if not terms else skip
            ends = [0, *self.state.ends[xorb]]
            reach = {"start": ends[start], "end": ends[end] - 1}
            terms.append({"hash": xorb, "unpacked_length": size, "range": {"start": start, "end": end}})
            fetch = {"range": {"start": start, "end": end}, "url": f"{self.base}/xorb/{xorb}", "url_range": reach}
            if fetch not in fetches.setdefault(xorb, []):
                fetches[xorb].append(fetch)
        at += size
    self.answer(200, {"offset_into_first_range": skip, "terms": terms, "fetch_info": fetches})


def get_xorb(self, name, body, query):
    first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
    data = bytearray(self.state.xorbs[name][first : last + 1])
    if self.state.damaged:
        data[-1] ^= 1
    time.sleep(self.state.rest_secs)
    self.state.sent += len(data)
    self.answer(206, bytes(data), Content_Range=f"bytes {first}-{last}/{len(self.state.xorbs[name])}")


ROUTES = [
    (("POST",), "/api/repos/move", move),
    (("GET",), r"/api/buckets/([^/]+)", list_buckets),
    (("POST",), BUCKET, create),
    (("GET",), BUCKET, info),
    (("DELETE",), BUCKET, delete),
    (("PUT",), BUCKET + "/settings", settings),
    (("GET",), BUCKET + "/tree(/.*)?", tree),
    (("POST",), BUCKET + "/paths-info", paths_info),
    (("POST",), BUCKET + "/batch", batch),
    (("GET",), BUCKET + "/xet-(read|write)-token", token),
    (("GET", "HEAD"), "/buckets/([^/]+)/([^/]+)/resolve/(.+)", resolve),
    (("POST",), "/cas/v1/xorbs/default/([0-9a-f]{64})", put_xorb),
    (("POST",), "/cas/v1/shards", put_shard),
    (("GET",), "/cas/v1/reconstructions/([0-9a-f]{64})", reconstruction),
    (("GET",), "/xorb/([0-9a-f]{64})", get_xorb),
]

class StandIn:
    """A stand-in on a free port, until it is stopped."""

    def __init__(self):
        self.state = State()
        handler = type("Bound", (Handler,), {"state": self.state})
        http.server.ThreadingHTTPServer.request_queue_size = 128
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        # Clients that are interrupted hang up in the middle, as they should.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def files(self, bucket: str) -> dict[str, dict]:
        return self.state.buckets[bucket]["files"]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    running = StandIn()
    print(running.endpoint, flush=True)
    threading.Event().wait()
