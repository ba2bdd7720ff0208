"""deploy/kubernetes, rendered, and what its objects mean to each other."""
import functools
import json
import pathlib
import shutil
import subprocess

import yaml

from stack import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("small", "production", "production-cpu", "production-keda")
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
WORKLOADS = ("Deployment", "StatefulSet", "Job")


def kubectl():
    path = shutil.which("kubectl")
    assert path, "kubectl is missing (Debian's package kubernetes-client)"
    return path


@functools.cache
def rendered(folder):
    """The objects of a folder below deploy/kubernetes."""
    done = subprocess.run([kubectl(), "kustomize", str(FOLDER / folder)], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return Objects(yaml.safe_load_all(done.stdout))


class Objects(list):
    def __init__(self, objects):
        super().__init__(one for one in objects if one)

    def of(self, *kinds):
        return [one for one in self if one["kind"] in kinds]

    def one(self, kind, name):
        found = [one for one in self.of(kind) if one["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of {kind}/{name}"
        return found[0]

    def workloads(self):
        return self.of(*WORKLOADS)

    def settings(self):
        """The ConfigMap of settings."""
        found = [one for one in self.of("ConfigMap")
                 if one["metadata"]["name"].startswith("mcpbus-settings-")]
        assert len(found) == 1
        return found[0]


def component(workload):
    return pod(workload)["metadata"]["labels"][COMPONENT]


def pod(workload):
    return workload["spec"]["template"]


def containers(workload):
    spec = pod(workload)["spec"]
    return spec.get("initContainers", []) + spec["containers"]


def main_container(workload):
    assert len(pod(workload)["spec"]["containers"]) == 1
    return pod(workload)["spec"]["containers"][0]


def ports(workload):
    """{name: number} of the service's own container."""
    return {one["name"]: one["containerPort"] for one in main_container(workload).get("ports", [])}


def matches(selector, labels):
    """A label selector, on labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In"
        if labels.get(one["key"]) not in one["values"]:
            return False
    return True


def environment(container, settings):
    """{name: value, or the (secret, key) it comes from}."""
    found = {}
    for source in container.get("envFrom", []):
        assert source["configMapRef"]["name"] == settings["metadata"]["name"], source
        found |= settings["data"]
    for one in container.get("env", []):
        if "value" in one:
            found[one["name"]] = one["value"]
        else:
            ref = one["valueFrom"]["secretKeyRef"]
            found[one["name"]] = (ref["name"], ref["key"])
    return found


def secrets(workload, settings):
    """Secrets that the pod is given: {(name, key)}."""
    found = {value for one in containers(workload)
             for value in environment(one, settings).values() if isinstance(value, tuple)}
    for volume in pod(workload)["spec"].get("volumes", []):
        for source in volume.get("projected", {}).get("sources", []):
            if "secret" in source:
                found |= {(source["secret"]["name"], item["key"])
                          for item in source["secret"]["items"]}
        assert "secret" not in volume, "secrets come by projection, each key by its name"
    return found


def pods(objects, selector):
    """Components whose pods a selector takes."""
    return {component(one) for one in objects.workloads()
            if matches(selector, pod(one)["metadata"]["labels"])}


def documented():
    """Secrets and ConfigMaps that README.md makes: {(name, key)}, as kubectl itself understands its
    commands, and the keys that `mcpbus keygen` writes."""
    made = set()
    for command in readme_commands("kubectl -n mcpbus create "):
        words = command.replace("$role", "ROLE").split()
        name = words[words.index("configmap" if "configmap" in words else "generic") + 1]
        for word in words:
            kind, _, rest = word.partition("=")
            if kind == "--from-literal":
                made.add((name, rest.partition("=")[0]))
            elif kind == "--from-file":
                made.add((name, pathlib.PurePath(rest).name))
    return made


def readme_commands(begin):
    """Commands of README.md's blocks that begin so, continued lines joined."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = text.split("```")[1::2]
    return [line.strip() for block in blocks for line in block.splitlines()
            if line.strip().startswith(begin)]


def schema_faults(objects, node, modules):
    script = ROOT / "tests" / "fixtures" / "kubernetes_schema.mjs"
    done = subprocess.run([str(node), str(script), str(modules)], input=json.dumps(objects),
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    return done.stdout.splitlines()
