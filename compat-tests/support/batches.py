"""Very many objects, by the Hub API's batches: one content under many names, a thousand lines a request."""

import http.client
import json

from support import server

LINES = 1000


def call(running: server.Server, method: str, path: str, body: bytes = b"") -> object:
    connection = http.client.HTTPConnection("127.0.0.1", running.hub_port)
    connection.request(method, path, body, {"Authorization": f"Bearer {server.ROOT_TOKEN}"})
    answer = connection.getresponse()
    given = answer.read()
    assert answer.status == 200, (answer.status, given)
    return json.loads(given)


def content(running: server.Server, s3, bucket: str, body: bytes) -> str:
    """The Xet hash of a content, which the bucket has from now on (under the key `content`)."""
    s3.put_object(Bucket=bucket, Key="content", Body=body)
    (entry,) = call(running, "POST", f"/api/buckets/root/{bucket}/paths-info", json.dumps({"paths": ["content"]}).encode())
    return entry["xetHash"]


def put(running: server.Server, bucket: str, keys: list[str], xet_hash: str) -> None:
    """Gives all these keys this content."""
    for start in range(0, len(keys), LINES):
        lines = (json.dumps({"type": "addFile", "path": key, "xetHash": xet_hash, "mtime": 0}) for key in keys[start : start + LINES])
        call(running, "POST", f"/api/buckets/root/{bucket}/batch", "\n".join(lines).encode())
