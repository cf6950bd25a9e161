"""Published clients and what each of them offers, for the table of client by feature.

A client is a class; it offers a feature when it has that feature's methods. Each is set up as its user has it on the
first day: endpoint, credential, region, and nothing else. One that needs an option more says why beside it.
"""

from support.offers import driven, libraries, programs

# What is a column of the table: its title, and the methods that a client needs for it.
FEATURES = {
    "buckets": ("buckets made and listed", ("make_bucket", "list_buckets")),
    "objects": ("put and get", ("upload", "download")),
    "large": ("large files", ("upload", "download", "LARGE")),
    "ranges": ("ranges", ("upload", "read_range")),
    "listing": ("list by prefix", ("upload", "names")),
    "copy": ("copy", ("upload", "download", "copy")),
    "metadata sent": ("metadata sent", ("upload_with_metadata",)),
    "metadata read": ("metadata read", ("metadata",)),
    "presign": ("presigned URLs", ("upload", "presign_get")),
    "delete": ("delete", ("upload", "delete")),
    "folders": ("folders kept in step", ("mirror_up", "mirror_down")),
}

# The order of the table's rows.
EVERYONE = (*programs.ALL, *libraries.ALL, *driven.ALL)


def offers(kind: type, feature: str) -> bool:
    return all(hasattr(kind, method) for method in FEATURES[feature][1])
