"""Listings of objects: prefixes, delimiters, pages and markers, the same in both versions where both have them."""

import pytest

from support.replays import replays

# A Hub holds no key with `/` at an end and no control characters.
NO_SUCH_KEY_ON_A_HUB = pytest.mark.hub_refuses("InvalidArgument")

KEYS = ["bar", "baz", "foo", "quxx"]
TREE = ["foo/bar", "foo/baz", "quux"]


@pytest.fixture
def filled(s3, bucket):
    """Fills the bucket with small objects, whose content is their key."""

    def fill(keys):
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        return bucket

    return fill


def listing(s3, version, bucket, **asked):
    call = s3.list_objects if version == 1 else s3.list_objects_v2
    return call(Bucket=bucket, **asked)


def keys_of(page):
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes_of(page):
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def case(names, keys, asked, found, rolled=(), marks=()):
    return pytest.param(keys, asked, list(found), list(rolled), marks=[names, *marks], id=names.args[0])


WHOLE = [
    case(
        replays("test_bucket_list_delimiter_basic", "test_bucket_listv2_delimiter_basic"),
        ["foo/bar", "foo/bar/xyzzy", "quux/thud", "asdf"], {"Delimiter": "/"}, ["asdf"], ["foo/", "quux/"],
    ),
    case(
        replays("test_bucket_list_delimiter_alt", "test_bucket_listv2_delimiter_alt"),
        ["bar", "baz", "cab", "foo"], {"Delimiter": "a"}, ["foo"], ["ba", "ca"],
    ),
    case(
        replays("test_bucket_list_delimiter_dot", "test_bucket_listv2_delimiter_dot"),
        ["b.ar", "b.az", "c.ab", "foo"], {"Delimiter": "."}, ["foo"], ["b.", "c."],
    ),
    case(
        replays("test_bucket_list_delimiter_percentage", "test_bucket_listv2_delimiter_percentage"),
        ["b%ar", "b%az", "c%ab", "foo"], {"Delimiter": "%"}, ["foo"], ["b%", "c%"],
    ),
    case(
        replays("test_bucket_list_delimiter_whitespace", "test_bucket_listv2_delimiter_whitespace"),
        ["b ar", "b az", "c ab", "foo"], {"Delimiter": " "}, ["foo"], ["b ", "c "],
    ),
    case(
        replays("test_bucket_list_delimiter_unreadable", "test_bucket_listv2_delimiter_unreadable"),
        ["bar", "baz", "cab", "foo"], {"Delimiter": "\n"}, ["bar", "baz", "cab", "foo"],
    ),
    case(
        replays("test_bucket_list_delimiter_not_exist", "test_bucket_listv2_delimiter_not_exist"),
        ["bar", "baz", "cab", "foo"], {"Delimiter": "/"}, ["bar", "baz", "cab", "foo"],
    ),
    case(
        replays(
            "test_bucket_list_delimiter_prefix_ends_with_delimiter",
            "test_bucket_listv2_delimiter_prefix_ends_with_delimiter",
        ),
        ["asdf/"], {"Prefix": "asdf/", "Delimiter": "/"}, ["asdf/"], marks=[NO_SUCH_KEY_ON_A_HUB],
    ),
    case(
        replays("test_bucket_list_prefix_basic", "test_bucket_listv2_prefix_basic"),
        TREE, {"Prefix": "foo/"}, ["foo/bar", "foo/baz"],
    ),
    case(
        replays("test_bucket_list_prefix_alt", "test_bucket_listv2_prefix_alt"),
        ["bar", "baz", "foo"], {"Prefix": "ba"}, ["bar", "baz"],
    ),
    case(replays("test_bucket_list_prefix_empty", "test_bucket_listv2_prefix_empty"), TREE, {"Prefix": ""}, TREE),
    case(replays("test_bucket_list_prefix_none", "test_bucket_listv2_prefix_none"), TREE, {}, TREE),
    case(replays("test_bucket_list_prefix_not_exist", "test_bucket_listv2_prefix_not_exist"), TREE, {"Prefix": "d"}, []),
    case(
        replays("test_bucket_list_prefix_unreadable", "test_bucket_listv2_prefix_unreadable"),
        TREE, {"Prefix": "\n"}, [],
    ),
    case(
        replays("test_bucket_list_special_prefix"),
        ["_bla/1", "_bla/2", "_bla/3", "_bla/4", "abcd"], {"Prefix": "_bla/"}, ["_bla/1", "_bla/2", "_bla/3", "_bla/4"],
    ),
    case(
        replays("test_bucket_list_prefix_delimiter_basic", "test_bucket_listv2_prefix_delimiter_basic"),
        ["foo/bar", "foo/baz/xyzzy", "quux/thud", "asdf"], {"Prefix": "foo/", "Delimiter": "/"},
        ["foo/bar"], ["foo/baz/"],
    ),
    case(
        replays("test_bucket_list_prefix_delimiter_alt", "test_bucket_listv2_prefix_delimiter_alt"),
        ["bar", "bazar", "cab", "foo"], {"Prefix": "ba", "Delimiter": "a"}, ["bar"], ["baza"],
    ),
    case(
        replays(
            "test_bucket_list_prefix_delimiter_prefix_not_exist", "test_bucket_listv2_prefix_delimiter_prefix_not_exist"
        ),
        ["b/a/r", "b/a/c", "b/a/g", "g"], {"Prefix": "/", "Delimiter": "d"}, [],
    ),
    case(
        replays(
            "test_bucket_list_prefix_delimiter_delimiter_not_exist",
            "test_bucket_listv2_prefix_delimiter_delimiter_not_exist",
        ),
        ["b/a/c", "b/a/g", "b/a/r", "g"], {"Prefix": "b", "Delimiter": "z"}, ["b/a/c", "b/a/g", "b/a/r"],
    ),
    case(
        replays(
            "test_bucket_list_prefix_delimiter_prefix_delimiter_not_exist",
            "test_bucket_listv2_prefix_delimiter_prefix_delimiter_not_exist",
        ),
        ["b/a/c", "b/a/g", "b/a/r", "g"], {"Prefix": "y", "Delimiter": "z"}, [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "asked", "found", "rolled"), WHOLE)
def test_prefix_and_delimiter_choose_and_roll_up(s3, filled, keys, asked, found, rolled):
    bucket = filled(keys)
    for version in (1, 2):
        page = listing(s3, version, bucket, **asked)
        assert (keys_of(page), prefixes_of(page), page["IsTruncated"]) == (found, rolled, False)
        for name in ("Prefix", "Delimiter"):
            assert page.get(name, "") == asked.get(name, "")
        if version == 2:
            assert page["KeyCount"] == len(found) + len(rolled)


@replays("test_bucket_list_delimiter_none", "test_bucket_listv2_delimiter_none",
         "test_bucket_list_delimiter_empty", "test_bucket_listv2_delimiter_empty")  # fmt: skip
@pytest.mark.parametrize("asked", [{}, {"Delimiter": ""}])
def test_no_delimiter_and_an_empty_one_are_the_same(s3, filled, asked):
    bucket = filled(KEYS)
    for version in (1, 2):
        page = listing(s3, version, bucket, **asked)
        assert (keys_of(page), prefixes_of(page)) == (KEYS, [])
        assert "Delimiter" not in page


@NO_SUCH_KEY_ON_A_HUB
@replays("test_bucket_list_delimiter_not_skip_special")
def test_keys_behind_a_rolled_up_run_are_not_skipped(s3, filled):
    behind = ["1999", "1999#", "1999+", "2000"]
    bucket = filled(["0/"] + [f"0/{i}" for i in range(100)] + behind)
    page = s3.list_objects(Bucket=bucket, Delimiter="/")
    assert (keys_of(page), prefixes_of(page)) == (behind, ["0/"])


@replays("test_bucket_list_encoding_basic", "test_bucket_listv2_encoding_basic")
def test_encoding_type_url_encodes_names(s3, filled):
    bucket = filled(["foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b"])
    for version in (1, 2):
        page = listing(s3, version, bucket, Delimiter="/", EncodingType="url")
        assert keys_of(page) == ["asdf%2Bb"]
        assert prefixes_of(page) == ["foo%2B1/", "foo/", "quux%20ab/"]


PAGES = [
    pytest.param(
        ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla"], "boo/", ["asdf", "boo/", "cquux/"],
        marks=replays("test_bucket_list_delimiter_prefix", "test_bucket_listv2_delimiter_prefix"), id="plain",
    ),
    pytest.param(
        ["_obj1_", "_under1/bar", "_under1/baz/xyzzy", "_under2/thud", "_under2/bla"], "_under1/",
        ["_obj1_", "_under1/", "_under2/"],
        marks=replays(
            "test_bucket_list_delimiter_prefix_underscore", "test_bucket_listv2_delimiter_prefix_underscore"
        ),
        id="underscore",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "prefix", "level"), PAGES)
def test_pages_of_a_level_go_on_behind_keys_and_prefixes(s3, filled, keys, prefix, level):
    bucket = filled(keys)

    def pages(version, size, **asked):
        """Each page's entries; V1 goes on at `NextMarker`, V2 at its token."""
        seen, more = [], {}
        while True:
            page = listing(s3, version, bucket, Delimiter="/", MaxKeys=size, **asked, **more)
            seen.append(sorted(keys_of(page) + prefixes_of(page)))
            if not page["IsTruncated"]:
                assert "NextMarker" not in page
                assert "NextContinuationToken" not in page
                return seen
            if version == 1:
                assert page["NextMarker"] == seen[-1][-1]
                more = {"Marker": page["NextMarker"]}
            else:
                more = {"ContinuationToken": page["NextContinuationToken"]}

    below = [f"{prefix}bar", f"{prefix}baz/"]
    for version in (1, 2):
        assert pages(version, 1) == [[name] for name in level]
        assert pages(version, 2) == [level[:2], level[2:]]
        assert pages(version, 1, Prefix=prefix) == [[name] for name in below]
        assert pages(version, 2, Prefix=prefix) == [below]


@replays("test_bucket_list_many", "test_bucket_listv2_many")
def test_a_listing_goes_on_behind_its_last_key(s3, filled):
    bucket = filled(["bar", "baz", "foo"])
    page = s3.list_objects(Bucket=bucket, MaxKeys=2)
    assert (keys_of(page), page["IsTruncated"]) == (["bar", "baz"], True)
    page = s3.list_objects(Bucket=bucket, Marker="baz", MaxKeys=2)
    assert (keys_of(page), page["IsTruncated"]) == (["foo"], False)
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=2)
    assert (keys_of(page), page["IsTruncated"]) == (["bar", "baz"], True)
    page = s3.list_objects_v2(Bucket=bucket, StartAfter="baz", MaxKeys=2)
    assert (keys_of(page), page["IsTruncated"]) == (["foo"], False)


@replays("test_bucket_list_maxkeys_one", "test_bucket_list_maxkeys_zero", "test_bucket_list_maxkeys_none",
         "test_bucket_listv2_maxkeys_one", "test_bucket_listv2_maxkeys_zero",
         "test_bucket_listv2_maxkeys_none")  # fmt: skip
def test_max_keys_bounds_a_page_and_is_told(s3, filled):
    bucket = filled(KEYS)
    for version in (1, 2):
        one = listing(s3, version, bucket, MaxKeys=1)
        assert (keys_of(one), one["IsTruncated"], one["MaxKeys"]) == (["bar"], True, 1)
        none = listing(s3, version, bucket, MaxKeys=0)
        assert (keys_of(none), none["IsTruncated"], none["MaxKeys"]) == ([], False, 0)
        unasked = listing(s3, version, bucket)
        assert (keys_of(unasked), unasked["IsTruncated"], unasked["MaxKeys"]) == (KEYS, False, 1000)
    rest = s3.list_objects(Bucket=bucket, Marker="bar")
    assert (keys_of(rest), rest["IsTruncated"]) == (KEYS[1:], False)


@replays("test_bucket_list_maxkeys_invalid")
@pytest.mark.parametrize("bad", ["blah", "-1", "1.5"])
def test_max_keys_that_is_no_number_is_refused(http, bucket, bad):
    for query in ({"max-keys": bad}, {"list-type": "2", "max-keys": bad}):
        assert http.call("GET", f"/{bucket}", query=query).outcome == (400, "InvalidArgument")


MARKERS = [
    ("", KEYS),
    ("\n", KEYS),
    ("blah", ["foo", "quxx"]),
    ("zzz", []),
    ("bar", ["baz", "foo", "quxx"]),
]


@replays("test_bucket_list_marker_none", "test_bucket_list_marker_empty", "test_bucket_list_marker_unreadable",
         "test_bucket_list_marker_not_in_list", "test_bucket_list_marker_after_list",
         "test_bucket_listv2_startafter_unreadable", "test_bucket_listv2_startafter_not_in_list",
         "test_bucket_listv2_startafter_after_list")  # fmt: skip
@pytest.mark.parametrize(("marker", "found"), MARKERS)
def test_a_marker_need_not_be_a_key(s3, filled, marker, found):
    bucket = filled(KEYS)
    page = s3.list_objects(Bucket=bucket, Marker=marker)
    assert (keys_of(page), page["Marker"], page["IsTruncated"]) == (found, marker, False)
    page = s3.list_objects_v2(Bucket=bucket, StartAfter=marker)
    assert (keys_of(page), page.get("StartAfter", ""), page["IsTruncated"]) == (found, marker, False)
    assert s3.list_objects(Bucket=bucket)["Marker"] == ""


@replays("test_bucket_listv2_continuationtoken", "test_bucket_listv2_continuationtoken_empty",
         "test_bucket_listv2_both_continuationtoken_startafter")  # fmt: skip
def test_a_token_goes_on_where_its_page_ended(s3, filled):
    bucket = filled(KEYS)
    empty = s3.list_objects_v2(Bucket=bucket, ContinuationToken="")
    assert (empty["ContinuationToken"], keys_of(empty)) == ("", KEYS)
    for start, rest in (({}, ["baz", "foo", "quxx"]), ({"StartAfter": "bar"}, ["foo", "quxx"])):
        token = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, **start)["NextContinuationToken"]
        page = s3.list_objects_v2(Bucket=bucket, ContinuationToken=token, **start)
        assert (page["ContinuationToken"], keys_of(page), page["IsTruncated"]) == (token, rest, False)
        assert page.get("StartAfter") == start.get("StartAfter")


@replays("test_bucket_listv2_fetchowner_notempty", "test_bucket_listv2_fetchowner_defaultempty",
         "test_bucket_listv2_fetchowner_empty")  # fmt: skip
def test_the_owner_is_told_where_it_is_asked_for(s3, filled):
    bucket = filled(TREE)
    assert "Owner" in s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket, FetchOwner=False)["Contents"][0]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]


@replays("test_bucket_list_return_data")
def test_an_entry_tells_what_the_object_does(s3, filled):
    bucket = filled(["bar", "baz", "foo"])
    owner = s3.list_buckets()["Owner"]
    for entry in s3.list_objects(Bucket=bucket)["Contents"]:
        head = s3.head_object(Bucket=bucket, Key=entry["Key"])
        assert (entry["ETag"], entry["Size"]) == (head["ETag"], head["ContentLength"])
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert (entry["Owner"]["ID"], entry["Owner"]["DisplayName"]) == (owner["ID"], owner["DisplayName"])


@replays("test_bucket_list_unordered", "test_bucket_listv2_unordered")
def test_unordered_listings_are_ordered_and_know_no_delimiter(http, filled):
    bucket = filled(["b/1", "a", "b/2"])
    for version in ({}, {"list-type": "2"}):
        unordered = version | {"allow-unordered": "true"}
        page = http.call("GET", f"/{bucket}", query=unordered)
        assert page.status == 200
        assert page.body.index(b">a<") < page.body.index(b">b/1<") < page.body.index(b">b/2<")
        refused = http.call("GET", f"/{bucket}", query=unordered | {"delimiter": "/"})
        assert refused.outcome == (400, "InvalidArgument")


@replays("test_bucket_list_empty", "test_bucket_list_distinct", "test_bucket_list_long_name")
def test_a_bucket_lists_its_own_objects_only(s3, bucket, new_name):
    other = f"{new_name()}-{'a' * 61}"[:61]
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=bucket, Key="asdf", Body=b"str")
    for version in (1, 2):
        assert keys_of(listing(s3, version, other)) == []
        assert keys_of(listing(s3, version, bucket)) == ["asdf"]


@replays("test_basic_key_count")
def test_keys_and_prefixes_are_counted(s3, filled):
    bucket = filled([str(number) for number in range(5)])
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 5


@replays("test_bucket_notexist", "test_bucketv2_notexist")
def test_a_bucket_that_is_not_there_cannot_be_listed(s3, new_name):
    for version in (1, 2):
        with pytest.raises(s3.exceptions.NoSuchBucket):
            listing(s3, version, new_name())


@replays("test_bucket_create_special_key_names")
def test_special_names_are_keys_like_others(s3, filled):
    keys = [" ", '"', "$", "%", "&", "'", "<", ">", "_", "_ ", "_ _", "__"]
    bucket = filled(keys)
    assert keys_of(s3.list_objects(Bucket=bucket)) == keys
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


AWKWARD = ["//", "/", "../x", "./x", "a//b", "a/../b", "trailing/", "%", "%2F", "a+b", "a b", "ключ", "é", "e\u0301",
           "\x01", "tab\t", "new\nline", "\x7f", "\ufffe", "\U0001f600", "back\\slash", "q?x=y#z"]  # fmt: skip


@NO_SUCH_KEY_ON_A_HUB
def test_any_utf8_is_a_key_and_comes_back_as_it_was(s3, filled):
    bucket = filled(AWKWARD)
    by_bytes = sorted(AWKWARD, key=lambda key: key.encode())
    for version in (1, 2):
        # boto3 asks for encoding-type=url and decodes, because XML cannot carry all of these.
        assert keys_of(listing(s3, version, bucket)) == by_bytes
        assert keys_of(listing(s3, version, bucket, MaxKeys=5)) == by_bytes[:5]
    for key in AWKWARD:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in AWKWARD if key.isprintable()]})
    left = [key for key in by_bytes if not key.isprintable()]
    assert keys_of(s3.list_objects_v2(Bucket=bucket)) == left
