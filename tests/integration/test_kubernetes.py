"""deploy/kubernetes: rendered, judged by the API's schemas, and checked for what its objects mean to
each other."""
import os
import re
import subprocess
from urllib.parse import urlsplit

import pytest

import npm_servers
from kube import (FOLDER, NAME, OVERLAYS, component, containers, documented, environment,
                  main_container, matches, pod, pods, ports, rendered, schema_faults, secrets)
from stack import ROOT

pytestmark = pytest.mark.once

SERVICES = {"broker", "auth", "jobs", "worker", "gateway", "monitor"}
# What a service needs, and who must not have it.
NEEDS = {
    "broker": set(),
    "auth": {"DATABASE_URL", "JWT_SECRET", "JWT_SECRET_PREVIOUS", "TOKEN_ENCRYPTION_KEY",
             "TOKEN_ENCRYPTION_KEY_PREVIOUS", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"},
    "jobs": {"DATABASE_URL", "WEBHOOK_SECRET"},
    "worker": {"OPENAI_API_KEY", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"},
    "gateway": {"JWT_SECRET", "JWT_SECRET_PREVIOUS", "WEBHOOK_SECRET"},
    "monitor": {"MONITOR_TOKEN", "MONITOR_TOKEN_PREVIOUS"},
    "migrate": {"DATABASE_URL"},
}
# What an installation may do without.
OPTIONAL = {"JWT_SECRET_PREVIOUS", "TOKEN_ENCRYPTION_KEY_PREVIOUS", "WEBHOOK_SECRET",
            "MONITOR_TOKEN_PREVIOUS"}
OTHERS = {"HOME"}  # what tools read, not mcpbus


@pytest.fixture(name="objects", params=OVERLAYS)
def _objects(request):
    return rendered(f"overlays/{request.param}")


def defined():
    return set(re.findall(r"^SETTING\((\w+),", (ROOT / "services" / "settings.def").read_text(),
                          re.M))


def drain_seconds(service):
    """From the program's own source."""
    text = "".join(file.read_text() for name in ("main.c", "worker.h")
                   for file in (ROOT / "services" / service).glob(name))
    found = re.search(r"(?:drain_ms = |WORKER_DRAIN_MS = )(\d+)", text)
    return int(found.group(1)) / 1000 if found else 5


def test_objects_fit_the_schemas(objects):
    modules = npm_servers.installed() / "node_modules"
    assert schema_faults(objects, npm_servers.node(), modules) == []
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    for one in objects:
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "mcpbus", names


def test_the_schemas_find_faults():
    modules = npm_servers.installed() / "node_modules"
    good = rendered("base").one("Deployment", "gateway")
    for path, value in ((("spec", "replicas"), "two"), (("spec", "replica"), 2),
                        (("metadata", "labels"), [])):
        bad = {**good, path[0]: {**good[path[0]], path[1]: value}}
        faults = schema_faults([bad], npm_servers.node(), modules)
        assert any(f"/{path[1]}" in fault for fault in faults), (path, faults)


def test_every_service_is_there(objects):
    assert {component(one) for one in objects.workloads()} == SERVICES | {"migrate"}
    images = {one["image"] for workload in objects.workloads() for one in containers(workload)}
    assert len(images) == 1, images
    for workload in objects.workloads():
        labels = pod(workload)["metadata"]["labels"]
        assert labels[NAME] == "mcpbus"
        if workload["kind"] != "Job":
            assert matches(workload["spec"]["selector"], labels)
            assert main_container(workload)["command"] == [f"mcpbus-{component(workload)}"]
            for one in pod(workload)["spec"]["topologySpreadConstraints"]:
                assert matches(one["labelSelector"], labels)


def test_settings_are_settings(objects):
    settings, names = objects.settings(), defined()
    for workload in objects.workloads():
        for one in containers(workload):
            found = environment(one, settings)
            assert set(found) - OTHERS <= names, set(found) - names
        given = environment(main_container(workload), settings)
        secret = {name for name, value in given.items() if isinstance(value, tuple)}
        assert secret == NEEDS[component(workload)], component(workload)
        assert {one["name"] for one in main_container(workload).get("env", [])
                if one.get("valueFrom", {}).get("secretKeyRef", {}).get("optional")} == \
            secret & OPTIONAL


def test_secrets_are_those_that_the_readme_makes(objects):
    made, settings = documented(), objects.settings()
    roles = SERVICES
    for workload in objects.workloads():
        name = component(workload)
        for secret, key in secrets(workload, settings):
            as_made = (secret, key)
            if secret.startswith("mcpbus-key-"):
                assert secret == f"mcpbus-key-{name}" and key == f"{name}.key_secret", \
                    "a pod has the secret key of its own role alone"
                as_made = ("mcpbus-key-ROLE", "ROLE.key_secret")
            assert as_made in made, f"{name}: README.md makes no {secret} with {key}"
        if name == "migrate":
            continue
        volume = {one["name"]: one for one in pod(workload)["spec"]["volumes"]}["keys"]
        mount = {one["name"]: one for one in main_container(workload)["volumeMounts"]}["keys"]
        assert mount["mountPath"] == settings["data"]["BUS_KEYS"] and mount["readOnly"]
        assert volume["projected"]["defaultMode"] == 0o440, "its loader refuses what others read"
        assert "mcpbus-bus-keys" in str(volume)
    public = {key for name, key in made if name == "mcpbus-bus-keys"}
    assert {f"{role}.key" for role in roles} <= public
    assert not any(key.endswith("_secret") for key in public)


def test_probes_and_ports(objects):
    settings = objects.settings()["data"]
    for workload in objects.workloads():
        if workload["kind"] == "Job":
            continue
        one, numbers = main_container(workload), ports(workload)
        assert numbers["health"] == int(settings["HEALTH_PORT"])
        assert settings["HEALTH_ADDRESS"] == "0.0.0.0", "probes come from outside of the pod"
        for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz"),
                            ("startupProbe", "/healthz")):
            assert one[probe]["httpGet"] == {"path": path, "port": "health"}
    assert ports(objects.one("StatefulSet", "broker"))["bus"] == int(settings["BROKER_PORT"])
    for name in ("gateway", "monitor"):
        assert ports(objects.one("Deployment", name))["http"] == int(settings[f"{name.upper()}_PORT"])
    for service in objects.of("Service"):
        (name,) = pods(objects, {"matchLabels": service["spec"]["selector"]})
        target = [one for one in objects.workloads() if component(one) == name][0]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports(target)
    for ingress in objects.of("Ingress"):
        hosts = {host for tls in ingress["spec"]["tls"] for host in tls["hosts"]}
        for rule in ingress["spec"]["rules"]:
            assert rule["host"] in hosts
            assert settings["PUBLIC_URL"] == f"https://{rule['host']}"
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = objects.one("Service", backend["name"])
                assert backend["port"]["name"] in [p["name"] for p in service["spec"]["ports"]]


def test_brokers_are_all_listed(objects):
    broker = objects.one("StatefulSet", "broker")
    service = objects.one("Service", broker["spec"]["serviceName"])
    assert broker["spec"]["minReadySeconds"] >= 30, "as long as a name is remembered"
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"]
    port = objects.settings()["data"]["BROKER_PORT"]
    assert objects.settings()["data"]["BROKER_ENDPOINT"].split(",") == [
        f"tcp://broker-{n}.{service['metadata']['name']}:{port}"
        for n in range(broker["spec"]["replicas"])]


def test_budgets_and_scalers_have_their_targets(objects):
    budgets = {name for one in objects.of("PodDisruptionBudget")
               for name in pods(objects, one["spec"]["selector"])}
    assert budgets == SERVICES
    scaled = []
    for one in objects.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = one["spec"]["scaleTargetRef"]
        found = objects.one(target.get("kind", "Deployment"), target["name"])
        scaled.append(component(found))
        assert "replicas" not in found["spec"], "every apply would undo what the scaler did"
        if one["kind"] == "HorizontalPodAutoscaler":
            assert main_container(found)["resources"]["requests"]["cpu"], "use is a share of it"
            assert one["spec"]["minReplicas"] <= one["spec"]["maxReplicas"]
            continue
        for trigger in one["spec"]["triggers"]:
            url = urlsplit(trigger["metadata"]["url"])
            service, namespace, _ = url.hostname.split(".")
            assert namespace == "mcpbus" and url.path == "/health"
            assert objects.one("Service", service)["spec"]["ports"][0]["port"] == 80
            concurrency = environment(main_container(found), objects.settings())
            assert int(trigger["metadata"]["targetValue"]) < int(concurrency["WORKER_CONCURRENCY"])
    assert len(scaled) == len(set(scaled)), "two scalers of one deployment fight"


def allowed(objects, direction, name):
    """{port: [peers]} that policies allow a component's pods; each peer is a set of components, or
    the object as it stands."""
    found = {}
    workload = [one for one in objects.workloads() if component(one) == name][0]
    for policy in objects.of("NetworkPolicy"):
        spec = policy["spec"]
        if not matches(spec["podSelector"], pod(workload)["metadata"]["labels"]):
            continue
        for rule in spec.get(direction, []):
            for port in rule["ports"]:
                for peer in rule["from" if direction == "ingress" else "to"]:
                    inside = set(peer) == {"podSelector"}
                    found.setdefault(port["port"], []).append(
                        pods(objects, peer["podSelector"]) if inside else peer)
    return found


def test_only_what_is_needed_passes(objects):
    nothing = objects.one("NetworkPolicy", "nothing")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert allowed(objects, "ingress", "broker") == {5550: [SERVICES - {"broker"}]}
    for name in SERVICES | {"migrate"}:
        out = allowed(objects, "egress", name)
        wanted = {53} | ({5550} if name in SERVICES - {"broker"} else set())
        wanted |= {5432} if name in ("auth", "jobs", "migrate") else set()
        wanted |= {443} if name in ("auth", "jobs", "worker") else set()
        assert set(out) == wanted, name
        assert out.get(5550, [{"broker"}]) == [{"broker"}]
        assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in out[53], "a node's own DNS cache"
        assert {one["ipBlock"]["cidr"] for one in out.get(5432, [])} in (set(), {"0.0.0.0/0", "::/0"})
        for peer in out.get(443, []):
            assert "169.254.0.0/16" in peer["ipBlock"]["except"]
        inward = allowed(objects, "ingress", name)
        assert set(inward) == {"broker": {5550}, "gateway": {8000}}.get(name, set()), name
    for peer in allowed(objects, "ingress", "gateway")[8000]:
        assert set(peer) == {"namespaceSelector"}


def test_pods_are_confined_and_have_time_to_drain(objects):
    for workload in objects.workloads():
        spec = pod(workload)["spec"]
        assert spec["automountServiceAccountToken"] is False
        context = spec["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] > 0 and context["fsGroup"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in containers(workload):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]}}
            assert one["resources"]["requests"]["memory"] and one["resources"]["limits"]["memory"]
        if workload["kind"] == "Job":
            continue
        name, before = component(workload), 0
        hook = main_container(workload).get("lifecycle", {}).get("preStop", {})
        if hook:
            before = int(hook["exec"]["command"][1])
        assert spec["terminationGracePeriodSeconds"] > before + drain_seconds(name) + 2, name


def test_tables_come_before_the_services(objects):
    (job,) = objects.of("Job")
    version = re.search(r"project\(mcpbus VERSION ([\d.]+)",
                        (ROOT / "CMakeLists.txt").read_text()).group(1)
    assert job["metadata"]["name"] == f"migrate-{version.replace('.', '-')}"
    assert main_container(job)["image"].endswith(f"mcpbus:{version}")
    assert main_container(job)["command"] == ["mcpbus", "migrate"]
    for name in ("auth", "jobs"):
        (wait,) = pod(objects.one("Deployment", name))["spec"]["initContainers"]
        assert wait["command"][:3] == ["mcpbus", "migrate", "--wait"]
    readme = (FOLDER / "README.md").read_text()
    assert f"job/{job['metadata']['name']}" in readme
    for overlay in OVERLAYS:
        assert f"overlays/{overlay}" in readme


def test_the_programs_know_the_options():
    """The commands of the manifests, of the programs as they are built."""
    folder = os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin"
    text = subprocess.run([f"{folder}/mcpbus", "migrate", "--help"], capture_output=True, text=True,
                          timeout=30, check=False)
    assert "--wait" in text.stdout + text.stderr
