"""Published clients and what each of them offers, for the tables of client by feature.

A client is a class; it offers a feature when it has that feature's methods. Each is set up as its user has it on the
first day: endpoint, credential, region, and nothing else. One that needs an option more says why beside it.
"""

import dataclasses
from collections.abc import Callable

from support import server
from support.offers import driven, hub, libraries, pgbackrest, programs


@dataclasses.dataclass(frozen=True)
class Table:
    """Clients of one API. Both tables are in docs/s3-compatibility.md, between marks that have their name."""

    name: str
    # What is a column of the table: its title, and the methods that a client needs for it.
    features: dict[str, tuple[str, tuple[str, ...]]]
    # The order of the table's rows.
    everyone: tuple[type, ...]
    # The endpoint and the credential that a client is given.
    reach: Callable[[server.Server], tuple]

    def offered(self, kind: type, feature: str) -> bool:
        return all(getattr(kind, method, None) for method in self.features[feature][1])


S3 = Table(
    "clients",
    {
        "buckets": ("buckets made and listed", ("make_bucket", "list_buckets")),
        "objects": ("put and get", ("upload", "download")),
        "large": ("large files", ("upload", "download", "LARGE")),
        "ranges": ("ranges", ("upload", "read_range")),
        "listing": ("list by prefix", ("upload", "names")),
        "copy": ("copy", ("upload", "download", "copy")),
        "metadata sent": ("metadata sent", ("upload_with_metadata",)),
        "metadata read": ("metadata read", ("metadata",)),
        "presign": ("presigned URLs", ("upload", "presign_get")),
        "presigned put": ("presigned uploads", ("presign_put",)),
        "delete": ("delete", ("upload", "delete")),
        "versions": ("versions", ("keep_versions", "contents_of_versions", "forget_old_versions")),
        "folders": ("folders kept in step", ("mirror_up", "mirror_down")),
        "tables": ("tables", ("write_table", "append", "read_table")),
        "databases": ("databases backed up", ("back_up", "restore")),
    },
    (*programs.ALL, *pgbackrest.ALL, *libraries.ALL, *driven.ALL),
    lambda running: (running.endpoint, server.ROOT),
)

HUB = Table(
    "clients of the Hub",
    {
        "hub private": ("private buckets made", ("make_private",)),
        "hub refused": ("refused without a token", ("download",)),
        "hub upload": ("upload", ("upload",)),
        "hub list": ("list", ("names",)),
        "hub stat": ("stat", ("size",)),
        "hub read": ("read", ("download",)),
        "hub ranges": ("ranges", ("read_range",)),
        "hub empty": ("empty files", ("upload", "download", "EMPTY")),
        "hub delete": ("delete", ("delete",)),
        "hub many": ("3,500 deleted", ("delete",)),
    },
    hub.ALL,
    lambda running: (running.hub_endpoint, server.ROOT_TOKEN),
)

TABLES = (S3, HUB)


def table_of(feature: str) -> Table:
    return next(table for table in TABLES if feature in table.features)
