"""Clients that are programs."""

import json
import pathlib
import shutil

from support import clients
from support.clients import Program
from support.inputs import MIB
from support.offers import driven
from support.server import REGION


class AwsCli(clients.AwsCli):
    EXTENDED = False
    # Bytes, and the parts that it makes of them with the part size it chooses itself.
    LARGE = (20 * MIB, 3)

    def names(self, bucket, prefix):
        return set(self.list_all(bucket, prefix))

    def upload_with_metadata(self, path, bucket, key, metadata):
        given = ",".join(f"{name}={value}" for name, value in metadata.items())
        self.run("s3", "cp", "--metadata", given, path, f"s3://{bucket}/{key}")

    def metadata(self, bucket, key):
        return json.loads(self.run("s3api", "head-object", "--bucket", bucket, "--key", key))["Metadata"]

    def s3api(self, operation, bucket, *more):
        said = self.run("s3api", operation, "--bucket", bucket, "--output", "json", *more)
        return json.loads(said) if said.strip() else {}

    def keep_versions(self, bucket):
        self.s3api("put-bucket-versioning", bucket, "--versioning-configuration", "Status=Enabled")

    def _versions(self, bucket, key):
        return self.s3api("list-object-versions", bucket, "--prefix", key)

    def contents_of_versions(self, bucket, key):
        contents = []
        for version in self._versions(bucket, key)["Versions"]:
            out = self.home / "version"
            self.s3api("get-object", bucket, "--key", key, "--version-id", version["VersionId"], str(out))
            contents.append(out.read_bytes())
        return contents

    def forget_old_versions(self, bucket, key):
        for version in self._versions(bucket, key)["Versions"]:
            if not version["IsLatest"]:
                self.s3api("delete-object", bucket, "--key", key, "--version-id", version["VersionId"])

    def mirror_up(self, root, bucket, prefix):
        self.run("s3", "sync", "--delete", root, f"s3://{bucket}/{prefix}")

    def mirror_down(self, bucket, prefix, root):
        self.run("s3", "sync", "--delete", f"s3://{bucket}/{prefix}", root)


class Rclone(clients.Rclone):
    EXTENDED = False
    # It sends up to 200 MiB in one piece.
    LARGE = (201 * MIB, 41)

    def names(self, bucket, prefix):
        return set(self.list_all(bucket, prefix))

    def upload_with_metadata(self, path, bucket, key, metadata):
        given = [word for name, value in metadata.items() for word in ("--metadata-set", f"{name}={value}")]
        self.run("copyto", "--metadata", *given, path, f"X:{bucket}/{key}")

    def metadata(self, bucket, key):
        return json.loads(self.run("lsjson", "--metadata", "--stat", f"X:{bucket}/{key}"))["Metadata"]

    def keep_versions(self, bucket):
        self.run("backend", "versioning", f"X:{bucket}", "Enabled")

    def contents_of_versions(self, bucket, key):
        """Old versions have their time in their names; one that has none is the newest."""
        base, _, ending = key.rpartition(".")
        listed = self.run("lsf", "--s3-versions", f"X:{bucket}").decode().splitlines()
        old = sorted((name for name in listed if name.startswith(f"{base}-v") and name.endswith(ending)), reverse=True)
        newest = [key] if key in listed else []
        return [self.run("cat", "--s3-versions", f"X:{bucket}/{name}") for name in newest + old]

    def forget_old_versions(self, bucket, key):
        self.run("backend", "cleanup-hidden", f"X:{bucket}")

    def mirror_up(self, root, bucket, prefix):
        self.run("sync", root, f"X:{bucket}/{prefix}")
        self.check(root, bucket, prefix)

    def mirror_down(self, bucket, prefix, root):
        self.run("sync", f"X:{bucket}/{prefix}", root)

    def check(self, root, bucket, prefix):
        """Reads both sides whole and compares."""
        self.run("check", "--download", root, f"X:{bucket}/{prefix}")


class _WithAwsEnvironment(Program):
    def settings(self):
        return {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.who.access_key,
            "AWS_SECRET_ACCESS_KEY": self.who.secret_key,
        }


class S5cmd(_WithAwsEnvironment):
    name = "s5cmd"
    EXTENDED = False
    LARGE = (60 * MIB, 2)
    program = "s5cmd"

    def run(self, *words):
        return super().run("--endpoint-url", self.endpoint, *words)

    def make_bucket(self, bucket):
        self.run("mb", f"s3://{bucket}")

    def list_buckets(self):
        return {line.split("s3://")[1] for line in self.run("ls").decode().splitlines()}

    def upload(self, path, bucket, key):
        self.run("cp", path, f"s3://{bucket}/{key}")

    def download(self, bucket, key, path):
        self.run("cp", f"s3://{bucket}/{key}", path)

    def names(self, bucket, prefix):
        start = f"s3://{bucket}/{prefix}/"
        lines = self.run("--json", "ls", f"{start}*").decode().splitlines()
        return {json.loads(line)["key"].removeprefix(start) for line in lines}

    def copy(self, bucket, key, to_key):
        self.run("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{to_key}")

    def upload_with_metadata(self, path, bucket, key, metadata):
        given = [word for name, value in metadata.items() for word in ("--metadata", f"{name}={value}")]
        self.run("cp", *given, path, f"s3://{bucket}/{key}")

    def metadata(self, bucket, key):
        return json.loads(self.run("head", f"s3://{bucket}/{key}"))["metadata"]

    def presign_get(self, bucket, key):
        return self.run("presign", "--expire", "10m", f"s3://{bucket}/{key}").decode().strip()

    def delete(self, bucket, key):
        self.run("rm", f"s3://{bucket}/{key}")

    def mirror_up(self, root, bucket, prefix):
        self.run("sync", "--delete", f"{root}/", f"s3://{bucket}/{prefix}/")

    def mirror_down(self, bucket, prefix, root):
        self.run("sync", "--delete", f"s3://{bucket}/{prefix}/*", f"{root}/")


class S3cmd(Program):
    name = "s3cmd"
    EXTENDED = False
    LARGE = (20 * MIB, 2)
    program = "s3cmd"

    def settings(self):
        host = self.endpoint.removeprefix("http://")
        # What its first questions ask for: keys, the host, the host of a bucket (the same: path style), no TLS.
        lines = {
            "access_key": self.who.access_key,
            "secret_key": self.who.secret_key,
            "bucket_location": REGION,
            "host_base": host,
            "host_bucket": host,
            "use_https": "False",
        }
        text = "[default]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())
        (self.home / ".s3cfg").write_text(text)
        return {}

    def make_bucket(self, bucket):
        self.run("mb", f"s3://{bucket}")

    def list_buckets(self):
        return {line.split("s3://")[1] for line in self.run("ls").decode().splitlines()}

    def upload(self, path, bucket, key):
        self.run("put", path, f"s3://{bucket}/{key}")

    def download(self, bucket, key, path):
        self.run("get", "--force", f"s3://{bucket}/{key}", path)

    def names(self, bucket, prefix):
        start = f"s3://{bucket}/{prefix}/"
        lines = self.run("ls", "--recursive", start).decode().splitlines()
        return {line.split(start)[1] for line in lines}

    def copy(self, bucket, key, to_key):
        self.run("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{to_key}")

    def upload_with_metadata(self, path, bucket, key, metadata):
        given = [f"--add-header=x-amz-meta-{name}:{value}" for name, value in metadata.items()]
        self.run("put", *given, path, f"s3://{bucket}/{key}")

    def metadata(self, bucket, key):
        lines = [line.strip() for line in self.run("info", f"s3://{bucket}/{key}").decode().splitlines()]
        pairs = [line.removeprefix("x-amz-meta-").split(":", 1) for line in lines if line.startswith("x-amz-meta-")]
        return {name: value.strip() for name, value in pairs}

    def presign_get(self, bucket, key):
        return self.run("signurl", f"s3://{bucket}/{key}", "+600").decode().strip()

    def delete(self, bucket, key):
        self.run("del", f"s3://{bucket}/{key}")

    def mirror_up(self, root, bucket, prefix):
        self.run("sync", "--delete-removed", f"{root}/", f"s3://{bucket}/{prefix}/")

    def mirror_down(self, bucket, prefix, root):
        self.run("sync", "--delete-removed", f"s3://{bucket}/{prefix}/", f"{root}/")


class Restic(_WithAwsEnvironment):
    """Backups. It makes the bucket itself."""

    name = "restic"
    EXTENDED = True
    program = "restic"

    def settings(self):
        return super().settings() | {"RESTIC_PASSWORD": "compat", "RESTIC_CACHE_DIR": str(self.home / "cache")}

    def restic(self, bucket, prefix, *words):
        return self.run("--repo", f"s3:{self.endpoint}/{bucket}/{prefix}", *words)

    def mirror_up(self, root: pathlib.Path, bucket, prefix):
        marker = self.home / f"{bucket}-{prefix}"
        if not marker.exists():
            self.restic(bucket, prefix, "init")
            marker.touch()
        self.restic(bucket, prefix, "backup", root)
        self.restic(bucket, prefix, "check", "--read-data")

    def mirror_down(self, bucket, prefix, root):
        last = json.loads(self.restic(bucket, prefix, "snapshots", "--json", "--latest", "1"))[-1]
        inside = self.home / "restored"
        shutil.rmtree(inside, ignore_errors=True)
        self.restic(bucket, prefix, "restore", last["id"], "--target", inside)
        shutil.rmtree(root, ignore_errors=True)
        shutil.move(inside / last["paths"][0].lstrip("/"), root)


class Dvc(_WithAwsEnvironment):
    """Versions of data: what is added in one project and pushed is pulled in a clone of it."""

    name = "DVC"
    EXTENDED = False
    program = "dvc"

    def found(self):
        return [driven.python("XETGATE_S3FS_PYTHON", "requirements-s3fs.txt"), "-m", "dvc"]

    def settings(self):
        return super().settings() | {"DVC_NO_ANALYTICS": "1"}

    def dvc(self, project: pathlib.Path, *words):
        self.run("--cd", project, *words)

    def mirror_up(self, root: pathlib.Path, bucket, prefix):
        project = self.home / bucket
        if not project.exists():
            project.mkdir()
            self.dvc(project, "init", "--no-scm")
            self.dvc(project, "remote", "add", "-d", "xet", f"s3://{bucket}/{prefix}")
            self.dvc(project, "remote", "modify", "xet", "endpointurl", self.endpoint)
        shutil.rmtree(project / "tree", ignore_errors=True)
        shutil.copytree(root, project / "tree")
        self.dvc(project, "add", "tree")
        self.dvc(project, "push")

    def mirror_down(self, bucket, prefix, root):
        project, clone = self.home / bucket, self.home / f"{bucket}-clone"
        (clone / ".dvc").mkdir(parents=True, exist_ok=True)
        for name in ("tree.dvc", ".dvc/config"):
            shutil.copy(project / name, clone / name)
        self.dvc(clone, "pull")
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(clone / "tree", root)


ALL = (AwsCli, Rclone, S5cmd, S3cmd, Dvc, Restic)
