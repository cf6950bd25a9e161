"""Buckets by the Hub's clients: every example of the bucket guide that is about buckets themselves."""

import json
import re

from support.hub import BOB, READER

DATE = r"20\d\d-\d\d-\d\d"


def test_create_tells_where_the_bucket_is(ada, new_name):
    name = new_name()
    ada.python(f"""
        from huggingface_hub import bucket_info, create_bucket
        from huggingface_hub.errors import HfHubHTTPError

        url = create_bucket("{name}")
        assert url.bucket_id == "ada/{name}", url
        # The guide calls it `handle`; in the published client it is `uri`.
        assert url.uri.to_uri() == "hf://buckets/ada/{name}", url.uri
        assert bucket_info("ada/{name}").private is False
        create_bucket("{name}-private", private=True)
        assert bucket_info("ada/{name}-private").private is True
        assert create_bucket("{name}", exist_ok=True) == url
        try:
            create_bucket("{name}")
        except HfHubHTTPError as error:
            assert error.response.status_code == 409 and "You already created this bucket" in str(error)
        else:
            raise AssertionError("created twice")
        assert create_bucket("team/{name}").bucket_id == "team/{name}"
    """)


def test_create_on_the_command_line(ada, new_name):
    name = new_name()
    out = ada.ok("buckets", "create", name)
    assert out == (
        f"✓ Bucket created\n  uri: hf://buckets/ada/{name}\n  url: {ada.endpoint}/buckets/ada/{name}\n"
    )
    again = ada.hf("buckets", "create", name)
    assert again.code == 1 and "409 Conflict" in again.err and "You already created this bucket" in again.err
    assert re.search(r"\(Request ID: [0-9A-F]{16}\)", again.err)
    told = ada.ok("buckets", "create", name, "--exist-ok", "--format", "json")
    assert json.loads(told) == {"uri": f"hf://buckets/ada/{name}", "url": f"{ada.endpoint}/buckets/ada/{name}"}
    ada.ok("buckets", "create", f"{name}-p", "--private")
    assert json.loads(ada.ok("buckets", "info", f"ada/{name}-p", "--format", "json"))["private"] is True
    ada.ok("buckets", "create", f"team/{name}")
    assert ada.ok("buckets", "list", "team", "--search", name, "--quiet") == f"team/{name}\n"


def test_info_counts_what_is_in_the_bucket(ada, ada_s3, bk):
    for key, size in [("a", 5), ("b/c", 2048)]:
        ada_s3.put_object(Bucket=bk, Key=key, Body=b"x" * size)
    ada.python(f"""
        import datetime
        from huggingface_hub import bucket_info
        info = bucket_info("ada/{bk}")
        assert (info.id, info.private, info.size, info.total_files) == ("ada/{bk}", True, 2053, 2), info
        age = datetime.datetime.now(datetime.timezone.utc) - info.created_at
        assert age < datetime.timedelta(minutes=5), age
    """)
    told = json.loads(ada.ok("buckets", "info", f"ada/{bk}"))
    assert {k: told[k] for k in ("id", "private", "size", "total_files")} == {
        "id": f"ada/{bk}",
        "private": True,
        "size": 2053,
        "total_files": 2,
    }


def test_what_is_not_there_is_said_in_the_clients_words(ada):
    missing = ada.hf("buckets", "info", "ada/none")
    assert missing.code == 1 and missing.err.startswith("Error: Bucket 'ada/none' not found.")
    assert ada.hf("buckets", "list", "ada/none").err.startswith("Error: Bucket 'ada/none' not found.")
    ada.python("""
        from huggingface_hub import bucket_info, delete_bucket, list_bucket_tree
        from huggingface_hub.errors import BucketNotFoundError, HfHubHTTPError
        for ask in [bucket_info, delete_bucket, lambda id: list(list_bucket_tree(id))]:
            try:
                ask("ada/none")
            except BucketNotFoundError as error:
                assert error.bucket_id == "ada/none"
            else:
                raise AssertionError("found")
        try:
            bucket_info("name-without-namespace")
        except HfHubHTTPError as error:
            assert error.response.status_code == 404
        delete_bucket("ada/none", missing_ok=True)
    """)


def test_list_shows_a_namespace(ada, ada_s3, new_name):
    name = new_name()
    for each in ("one", "two"):
        ada.ok("buckets", "create", f"{name}-{each}")
    ada_s3.put_object(Bucket=f"{name}-one", Key="k", Body=b"x" * 117_609)
    ada.python(f"""
        from huggingface_hub import list_buckets
        found = [(b.id, b.size, b.total_files) for b in list_buckets() if b.id.startswith("ada/{name}-")]
        assert found == [("ada/{name}-one", 117609, 1), ("ada/{name}-two", 0, 0)], found
        assert all(b.id.startswith("team/") for b in list_buckets(namespace="team"))
    """)
    table = ada.ok("buckets", "list", "--search", name).splitlines()
    assert table[0].split() == ["ID", "PRIVATE", "SIZE", "TOTAL_FILES", "CREATED_AT"]
    assert re.fullmatch(rf"ada/{name}-one +117609 +1 {DATE}", table[2]), table
    human = ada.ok("buckets", "list", "-h", "--search", name).splitlines()
    assert re.fullmatch(rf"ada/{name}-one +117\.6 KB +1 {DATE}", human[2]), human
    quiet = ada.ok("buckets", "list", "--search", name, "--quiet")
    assert quiet == f"ada/{name}-one\nada/{name}-two\n"
    shown = json.loads(ada.ok("buckets", "list", "--search", name, "--format", "json"))
    assert [(b["id"], b["private"], b["size"], b["total_files"]) for b in shown] == [
        (f"ada/{name}-one", False, 117609, 1),
        (f"ada/{name}-two", False, 0, 0),
    ]


def test_delete_takes_all_that_is_in_the_bucket(ada, ada_s3, bk, new_name):
    ada_s3.put_object(Bucket=bk, Key="k", Body=b"x")
    assert ada.ok("buckets", "delete", f"ada/{bk}", "--yes") == f"✓ Bucket deleted\n  bucket_id: ada/{bk}\n"
    gone = ada.hf("buckets", "delete", f"ada/{bk}", "--yes")
    assert gone.code == 1 and f"Bucket 'ada/{bk}' not found." in gone.err
    ada.ok("buckets", "delete", f"ada/{bk}", "--yes", "--missing-ok")
    asked = ada.hf("buckets", "delete", f"ada/{bk}", given=b"n\n")
    assert asked.code == 1 and "Are you sure you want to delete bucket" in asked.out
    ada.python(f"""
        from huggingface_hub import create_bucket, delete_bucket, list_buckets
        create_bucket("{bk}")
        delete_bucket("ada/{bk}")
        assert "ada/{bk}" not in [b.id for b in list_buckets()]
    """)


def test_move_renames_and_hands_over(ada, ada_s3, bk):
    ada_s3.put_object(Bucket=bk, Key="k", Body=b"content")
    ada.python(f"""
        from huggingface_hub import bucket_info, list_bucket_tree, move_bucket
        from huggingface_hub.errors import BucketNotFoundError
        move_bucket(from_id="ada/{bk}", to_id="ada/{bk}-new")
        assert [f.path for f in list_bucket_tree("ada/{bk}-new")] == ["k"]
        try:
            bucket_info("ada/{bk}")
        except BucketNotFoundError:
            pass
        else:
            raise AssertionError("still there")
    """)
    ada.ok("buckets", "move", f"ada/{bk}-new", f"team/{bk}")
    ada.ok("buckets", "move", f"hf://buckets/team/{bk}", f"hf://buckets/team/{bk}-again")
    assert json.loads(ada.ok("buckets", "info", f"team/{bk}-again"))["total_files"] == 1
    assert ada.hf("buckets", "move", f"team/{bk}-again", f"bob/{bk}").code == 1


def test_settings_change_who_may_read(ada, as_user, ada_s3, bk):
    ada_s3.put_object(Bucket=bk, Key="k", Body=b"content")
    bob, stranger = as_user(BOB, "bob"), as_user(None, "stranger")
    reads = f"""
        from huggingface_hub import HfFileSystem
        assert HfFileSystem().cat("buckets/ada/{bk}/k") == b"content"
    """
    for user in (bob, stranger):
        assert user.hf("buckets", "info", f"ada/{bk}").code == 1
    told = ada.ok("buckets", "settings", f"ada/{bk}", "--public")
    assert f"bucket_id: ada/{bk}" in told and "private: False" in told
    for user in (bob, stranger):
        user.python(reads)
        assert user.ok("buckets", "list", "ada", "--search", bk, "-q") == f"ada/{bk}\n"
    ada.ok("buckets", "settings", f"ada/{bk}", "--private")
    assert bob.hf("buckets", "info", f"ada/{bk}").code == 1
    assert bob.ok("buckets", "list", "ada", "--search", bk, "-q") == ""


def test_rules_of_access_have_the_statuses_that_clients_know(ada, as_user, bk):
    ask = """
        import sys
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
        try:
            {}
        except HfHubHTTPError as error:
            print(type(error).__name__, error.response.status_code)
    """
    info = ask.format(f"HfApi().bucket_info('ada/{bk}')")
    delete = ask.format(f"HfApi().batch_bucket_files('ada/{bk}', delete=['k'])")
    bob, reader, stranger = as_user(BOB, "bob"), as_user(READER, "reader"), as_user(None, "stranger")
    assert bob.python(info) == "BucketNotFoundError 404\n"
    assert stranger.python(info).endswith(" 401\n")
    assert reader.python(info) == ""
    assert reader.python(delete).endswith(" 403\n")
    assert as_user("hf_wrongToken0001", "wrong").python(info).endswith(" 401\n")


def test_whoami_tells_account_and_organisations(ada, as_user):
    out = ada.ok("auth", "whoami")
    assert "ada" in out and "team" in out
    ada.python("""
        from huggingface_hub import whoami
        who = whoami()
        assert who["name"] == "ada" and [org["name"] for org in who["orgs"]] == ["team"]
        assert who["auth"]["accessToken"]["role"] == "write"
    """)
