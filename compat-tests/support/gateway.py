"""A gateway in hub mode before a standalone server, with a recorder between them."""

import contextlib
import pathlib

import boto3
import botocore.config

from support import cas, recorder, server
from support.hub import ADA


class Gateway(server.Server):
    """`serve --mode hub` as ada, at the Hub of an address."""

    def __init__(self, folder: pathlib.Path, endpoint: str, *more: str):
        super().__init__(folder / "data", folder / "log", "--mode", "hub", *more)
        self.hub, self.behind = None, endpoint

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in server.environment().items() if k not in ("XETGATE_ROOT_USER", "XETGATE_ROOT_TOKEN")}
        return kept | {"HF_ENDPOINT": self.behind, "HF_TOKEN": ADA}


class Row:
    """Gateway, recorder and Hub. `s3` speaks to the gateway and never tries again; `place` is the Hub."""

    def __init__(self, folder: pathlib.Path, place: cas.Place):
        self.place = place
        self.recorder = recorder.Recorder(place.running.hub_port)
        (folder / "gateway").mkdir()
        self.gateway = Gateway(folder / "gateway", self.recorder.endpoint).start()
        self.s3 = boto3.client(
            "s3",
            endpoint_url=self.gateway.endpoint,
            region_name=server.REGION,
            aws_access_key_id=server.ROOT.access_key,
            aws_secret_access_key=server.ROOT.secret_key,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )


@contextlib.contextmanager
def row(folder: pathlib.Path):
    """A row that does not outlive its use."""
    with cas.place(folder) as place:
        made = Row(folder, place)
        try:
            yield made
        finally:
            made.recorder.stop()
            if made.gateway.process:
                made.gateway.kill()
