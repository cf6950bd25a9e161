"""A server that speaks TLS on both listeners, with the certificates of the server's own tests."""

import pathlib
import socket
import ssl

import boto3

from support import server

CERTIFICATES = pathlib.Path(__file__).resolve().parents[2] / "src/serve/http/tls"


class Secure:
    """A server with a certificate that may be replaced."""

    def __init__(self, folder: pathlib.Path):
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.trusted = folder / "trusted.pem"
        self.trusted.write_text("".join((CERTIFICATES / f"{name}.pem").read_text() for name in ("one", "two")))
        self.install("one")
        config = folder / "xetgate.toml"
        config.write_text(f'[tls]\ncert_file = "{self.cert}"\nkey_file = "{self.key}"\n')
        self.running = server.Server(folder / "data", folder / "log", "--config", str(config)).start()
        self.s3_url = self.running.endpoint.replace("http:", "https:")
        self.hub_url = self.running.hub_endpoint.replace("http:", "https:")

    def install(self, name: str):
        self.cert.write_text((CERTIFICATES / f"{name}.pem").read_text())
        self.key.write_text((CERTIFICATES / f"{name}.key").read_text())

    def s3(self):
        return boto3.client(
            "s3", endpoint_url=self.s3_url, region_name=server.REGION, verify=str(self.trusted),
            aws_access_key_id=server.ROOT.access_key, aws_secret_access_key=server.ROOT.secret_key,
        )  # fmt: skip

    def served(self, port: int) -> str:
        """Whose certificate a new connection gets."""
        context = ssl.create_default_context(cafile=str(self.trusted))
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                return dict(pair[0] for pair in stream.getpeercert()["subject"])["commonName"]
