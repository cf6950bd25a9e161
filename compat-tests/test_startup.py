"""A server that cannot start says why in one line, and does not disturb the one that runs."""

import socket

import pytest

from support import server


def refusal(told) -> str:
    """The one line of a refusal: exit code 1, nothing else on stderr."""
    assert told.returncode == 1, told
    lines = told.stderr.splitlines()
    assert len(lines) == 1, told.stderr
    return lines[0]


def test_a_second_process_on_the_same_folder_is_refused_by_name(xetgate, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    told = server.run_to_exit(server.free_port(), xetgate.data_dir)
    assert str(xetgate.data_dir) in refusal(told)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"


def test_a_folder_is_free_again_after_a_kill(own_server):
    own_server.kill()
    own_server.start()


def test_a_port_in_use_is_refused_by_number(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in refusal(server.run_to_exit(port, tmp_path / "data"))


def test_a_config_file_that_cannot_be_read_is_named(tmp_path):
    missing = tmp_path / "nonexistent.toml"
    told = server.run_to_exit(server.free_port(), tmp_path / "data", "--config", str(missing))
    assert str(missing) in refusal(told)


@pytest.mark.parametrize(
    ("text", "key"),
    [('colour = "red"\n', "colour"), ("[s3]\nadressing = 1\n", "adressing")],
    ids=["top-level", "in-a-table"],
)
def test_an_unknown_key_in_the_config_file_is_named(tmp_path, text, key):
    config = tmp_path / "xetgate.toml"
    config.write_text(text)
    told = server.run_to_exit(server.free_port(), tmp_path / "data", "--config", str(config))
    assert key in refusal(told)


def test_a_config_file_that_is_not_toml_is_named(tmp_path):
    config = tmp_path / "xetgate.toml"
    config.write_text("this is = = not toml\n")
    told = server.run_to_exit(server.free_port(), tmp_path / "data", "--config", str(config))
    assert str(config) in refusal(told)


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "data"
    assert str(folder) in refusal(server.run_to_exit(server.free_port(), folder))


def test_sigterm_ends_an_idle_server_cleanly(own_server):
    own_server.stop()


def test_sigterm_ends_a_server_with_an_idle_connection(own_server):
    with socket.create_connection(("127.0.0.1", own_server.port)):
        own_server.stop()
