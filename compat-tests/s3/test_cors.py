"""CORS: what a browser is told of a bucket, in preflights, which nobody signs, and on answers."""

import pytest
import requests
from botocore.exceptions import ClientError

from support.replays import replays


@pytest.fixture
def shared(s3, xetgate, new_name):
    """Answers a public bucket's URL once it has these rules."""

    def made(*rules: dict) -> str:
        name = new_name()
        s3.create_bucket(Bucket=name, ACL="public-read")
        s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": list(rules)})
        return f"{xetgate.endpoint}/{name}"

    return made


def told(method: str, url: str, **headers) -> tuple:
    """The status, and which origin and methods are allowed."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = requests.request(method, url, headers=headers, timeout=60)
    allowed = [answer.headers.get(f"access-control-allow-{what}") for what in ("origin", "methods")]
    return answer.status_code, *allowed


@replays("test_set_cors")
def test_a_configuration_is_kept_until_it_is_deleted(s3, bucket):
    rule = {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*.get", "*.put"]}
    for _ in range(2):
        with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
            s3.get_bucket_cors(Bucket=bucket)
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
        assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
        s3.delete_bucket_cors(Bucket=bucket)


@replays("test_cors_origin_wildcard")
def test_a_star_allows_every_origin_that_says_who_it_is(shared):
    url = shared({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]})
    assert told("GET", url) == (200, None, None)
    assert told("GET", url, Origin="example.origin") == (200, "*", "GET")


@replays("test_cors_header_option")
def test_a_preflight_for_a_header_that_no_rule_allows_is_refused(shared):
    url = shared({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ExposeHeaders": ["x-amz-meta-header1"]})
    asked = {"Access_Control_Request_Headers": "x-amz-meta-header2", "Access_Control_Request_Method": "GET"}
    assert told("OPTIONS", f"{url}/bar", Origin="example.origin", **asked) == (403, None, None)


PATTERNS = (
    {"AllowedMethods": ["GET"], "AllowedOrigins": ["*suffix"]},
    {"AllowedMethods": ["GET"], "AllowedOrigins": ["start*end"]},
    {"AllowedMethods": ["GET"], "AllowedOrigins": ["prefix*"]},
    {"AllowedMethods": ["PUT"], "AllowedOrigins": ["*.put"]},
)
MATCHING = ["foo.suffix", "startend", "start1end", "start12end", "prefix", "prefix.suffix"]
OTHERS = ["foo.bar", "foo.suffix.get", "0start12end", "bla.prefix"]


@replays("test_cors_origin_response")
def test_an_origin_is_matched_with_one_star_anywhere(shared):
    url = shared(*PATTERNS)
    assert told("GET", url) == (200, None, None)
    for origin in MATCHING:
        assert told("GET", url, Origin=origin) == (200, origin, "GET"), origin
        asked = {"Origin": origin, "Access_Control_Request_Method": "GET"}
        assert told("OPTIONS", url, **asked) == (200, origin, "GET"), origin
    for origin in OTHERS:
        assert told("GET", url, Origin=origin) == (200, None, None), origin
        asked = {"Origin": origin, "Access_Control_Request_Method": "GET"}
        assert told("OPTIONS", url, **asked) == (403, None, None), origin


@replays("test_cors_origin_response")
def test_an_answer_that_is_an_error_tells_the_browser_too(shared):
    url = f"{shared(*PATTERNS)}/bar"
    assert told("GET", url, Origin="foo.suffix") == (404, "foo.suffix", "GET")
    asked = {"Origin": "foo.suffix", "Access_Control_Request_Method": "GET"}
    assert told("PUT", url, **asked) == (403, "foo.suffix", "GET")
    for method in ("PUT", "DELETE"):
        asked = {"Origin": "foo.suffix", "Access_Control_Request_Method": method}
        assert told("PUT", url, **asked) == (403, None, None)
    assert told("PUT", url, Origin="foo.suffix") == (403, None, None)
    assert told("PUT", url, Origin="foo.put") == (403, "foo.put", "PUT")


@replays("test_cors_origin_response")
def test_a_preflight_says_who_asks_and_for_what(shared):
    url = shared(*PATTERNS)
    for headers in ({}, {"Origin": "foo.suffix"}, {"Origin": "bla"}):
        assert told("OPTIONS", url, **headers) == (400, None, None)
    asked = {"Origin": "foo.suffix", "Access_Control_Request_Method": "GET"}
    assert told("OPTIONS", f"{url}/bar", **asked) == (200, "foo.suffix", "GET")
    assert told("OPTIONS", url, Origin="foo.put", Access_Control_Request_Method="GET") == (403, None, None)
    assert told("OPTIONS", url, Origin="foo.put", Access_Control_Request_Method="PUT") == (200, "foo.put", "PUT")


@replays("test_cors_presigned_get_object", "test_cors_presigned_get_object_tenant", "test_cors_presigned_put_object",
         "test_cors_presigned_put_object_tenant", "test_cors_presigned_put_object_with_acl",
         "test_cors_presigned_put_object_tenant_with_acl")  # fmt: skip
@pytest.mark.parametrize("call, method, more", [
    ("get_object", "GET", {}), ("put_object", "PUT", {}), ("put_object", "PUT", {"ACL": "private"}),
])  # fmt: skip
def test_a_presigned_url_has_a_preflight(account, new_name, call, method, more):
    foo = {"Bucket": new_name(), "Key": "foo"}
    account.s3.create_bucket(Bucket=foo["Bucket"], ACL="public-read")
    account.s3.put_object(**foo, ACL="public-read")
    url = account.s3.generate_presigned_url(call, Params=foo | more, ExpiresIn=100_000, HttpMethod=method)
    assert told("OPTIONS", url)[0] == 400
    rule = {"AllowedMethods": [method], "AllowedOrigins": ["example"]}
    account.s3.put_bucket_cors(Bucket=foo["Bucket"], CORSConfiguration={"CORSRules": [rule]})
    asked = {"Origin": "example", "Access_Control_Request_Method": method}
    assert told("OPTIONS", url, **asked) == (200, "example", method)
