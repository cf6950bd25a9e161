"""A server that cannot start says why in one line, and does not disturb the one that runs."""

import socket
import subprocess

import pytest

from support import clients, server


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


def configured(tmp_path, text: str, *words: str, **more: str) -> subprocess.CompletedProcess:
    config = tmp_path / "xetgate.toml"
    config.write_text(text)
    line = [str(server.binary()), "config", "--config", str(config), *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=20, env=server.environment() | more)


def test_a_configuration_is_checked_without_starting_anything(tmp_path):
    assert configured(tmp_path, '[s3]\nregion = "eu-1"\n', "check").returncode == 0
    for text, named in [
        ("[s3]\nregoin = 1\n", "s3.regoin"),
        ('[tls]\ncert_file = "/nowhere"\n', "`tls.cert_file` and `tls.key_file` must be given together"),
        ('[tls]\ncert_file = "/nowhere"\nkey_file = "/nowhere"\n', "cannot read /nowhere"),
        ('[metrics]\nlisten = "127.0.0.1:9000"\n', "`s3.listen` and `metrics.listen` must not be one address"),
        ('[log]\nfilter = "a=b=c"\n', "log filter"),
        ('[[accounts]]\nname = "a"\n[[accounts.credentials]]\naccess_key_id = "AK"\npermission = "read"\n'
         'secret_access_key_file = "/nowhere"\n', "cannot read /nowhere"),
    ]:
        assert named in refusal(configured(tmp_path, text, "check")), text
    both = {"XETGATE_ROOT_TOKEN_FILE": "/nowhere"}
    assert "XETGATE_ROOT_TOKEN or XETGATE_ROOT_TOKEN_FILE" in refusal(configured(tmp_path, "", "check", **both))


def test_a_configuration_is_shown_with_its_sources_and_without_secrets(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("kept-in-a-file\n")
    text = (
        f'[s3]\nregion = "eu-1"\n[[accounts]]\nname = "ada"\n[[accounts.credentials]]\naccess_key_id = "AK"\n'
        f'permission = "read"\ntoken = "hf_not-for-eyes"\nsecret_access_key_file = "{secret}"\n'
    )
    told = configured(tmp_path, text, "show", XETGATE__HUB__MAX_CONNECTIONS="7")
    assert told.returncode == 0, told.stderr
    lines = dict(line.split(" = ", 1) for line in told.stdout.splitlines())
    sources = {key: [part.strip() for part in rest.rsplit("  # ", 1)] for key, rest in lines.items()}
    assert sources["s3.region"] == ['"eu-1"', str(tmp_path / "xetgate.toml")]
    assert sources["hub.max_connections"] == ["7", "environment variable XETGATE__HUB__MAX_CONNECTIONS"]
    assert sources["s3.max_connections"] == ["1024", "default"]
    assert sources["accounts.0.credentials.0.token"][0] == "***"
    assert "not-for-eyes" not in told.stdout and "kept-in-a-file" not in told.stdout


def test_secrets_of_the_root_credential_come_from_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("kept-in-a-file\n")
    vars = {name: value for name, value in server.environment().items() if not name.startswith("XETGATE_ROOT")}
    vars |= {"XETGATE_ROOT_ACCESS_KEY_ID": "AKFILE", "XETGATE_ROOT_SECRET_ACCESS_KEY_FILE": str(secret)}
    port = server.free_port()
    running = subprocess.Popen(server.command(port, tmp_path / "data"), env=vars, stderr=subprocess.PIPE, text=True)
    try:
        assert any("listening" in line for line in running.stderr)
        s3 = clients.boto3_client(f"http://127.0.0.1:{port}", server.Credentials("AKFILE", "kept-in-a-file"))
        assert s3.list_buckets()["Buckets"] == []
    finally:
        running.kill()
        running.wait()
