"""What no schema sees of deploy/: each setting that units, image and Compose file name exists, each
service gets the secrets that it uses and no others."""
import json
import re
import shutil
import subprocess

import pytest

from stack import ROOT

SERVICES = ("broker", "auth", "jobs", "worker", "gateway", "monitor")
SYSTEMD, DOCKER, COMPOSE = (ROOT / "deploy" / name for name in ("systemd", "docker", "compose"))


def read(path):
    return path.read_text(encoding="utf-8")


def settings():
    """{name: (field, type)}"""
    rows = re.findall(r"SETTING\((\w+), (\w+), (\w+)", read(ROOT / "services/settings.def"))
    return {name: (field, kind) for name, field, kind in rows}


SETTINGS = settings()
# Of the runtime that all services share, and nothing that a deployment has to have.
EVERYWHERE = {"OTEL_EXPORTER_OTLP_HEADERS"}
SECRETS = {name for name, (_, kind) in SETTINGS.items() if kind == "SECRET"} - EVERYWHERE


def used_by(service):
    """Secrets whose field the service's own sources, or what they share, read."""
    text = "".join(map(read, (ROOT / "services" / service).glob("*.c")))
    shared = read(ROOT / "services/token_keys.c") if "token_keys" in text else ""
    return {name for name in SECRETS if re.search(rf"->{SETTINGS[name][0]}\b", text + shared)}


def unit(name):
    return read(SYSTEMD / f"mcpbus-{name}.service")


def values(text, key):
    return " ".join(re.findall(rf"(?m)^{key}=(.*)$", text)).split()


def service_of(compose, name):
    """The part of the Compose file about one service, with what it takes over."""
    part = re.search(rf"(?ms)^  {name}:\n(.*?)(?=^\S|^  \S|\Z)", compose).group(1)
    for anchor in re.findall(r"\*(\w+)", part):
        block = re.search(rf"(?ms)^x-\S+: &{anchor}\n(.*?)(?=^\S|\Z)", compose)
        part += block.group(1) if block else ""
    return part


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_passes_on_the_secrets_that_its_service_uses(service):
    unset = set(values(unit(f"{service}@"), "UnsetEnvironment"))
    assert unset <= SECRETS
    assert used_by(service) <= SECRETS - unset
    assert SECRETS - unset <= used_by(service) | ({"GOOGLE_CLIENT_SECRET"} & SECRETS if
                                                  service == "worker" else set())


@pytest.mark.parametrize("service", SERVICES)
def test_compose_gives_the_same_secrets(service):
    part = service_of(read(COMPOSE / "docker-compose.yml"), service if service != "broker" else
                      "broker-1")
    given = set(re.findall(r"\b([A-Z_]+)_FILE: ", part))
    kept = SECRETS - set(values(unit(f"{service}@"), "UnsetEnvironment"))
    assert given <= kept
    assert {name for name in kept if not name.endswith("_PREVIOUS")} <= given


def test_every_name_is_a_setting():
    compose = read(COMPOSE / "docker-compose.yml")
    names = set(re.findall(r"(?m)^ +([A-Z][A-Z_]+): ", compose))
    names = {name.removesuffix("_FILE") for name in names if not name.startswith("POSTGRES_")}
    names |= set(re.findall(r"(?m)^#?([A-Z_]+)=", read(ROOT / "deploy/package/mcpbus.env")))
    names |= set(re.findall(r"\b([A-Z_]+)=", re.search(r"(?m)^ENV (.*)$",
                                                       read(DOCKER / "Dockerfile")).group(1)))
    for service in SERVICES:
        names |= set(re.findall(r"\b([A-Z_]+)=", " ".join(
            values(unit(f"{service}@"), "Environment"))))
    assert names - {"HOME", "TMPDIR"} <= set(SETTINGS)


def test_an_image_is_built_without_the_secrets_of_a_stack():
    left_out = read(ROOT / ".dockerignore").partition("!deploy\n")[2].splitlines()
    for name in read(COMPOSE / ".gitignore").split():
        assert f"deploy/compose/{name.rstrip('/')}" in left_out


def test_only_who_calls_outside_is_on_a_network_that_leads_there():
    compose = read(COMPOSE / "docker-compose.yml")
    for line in re.findall(r"(?m)^ +networks: (.*)$", compose):
        assert re.findall(r"\w+", line), "none named is the default network"
    for name in ("postgres", "keys", "migrate", "cli", "broker-1", "broker-2"):
        assert not re.search(r"networks: .*outside", service_of(compose, name)), name
    inside = re.findall(r"(?m)^  (\w+): {internal: true}", compose)
    assert sorted(inside) == ["apart", "bus", "database"]


def test_secrets_are_made_once_and_none_is_empty(tmp_path):
    def made(answers):
        done = subprocess.run(["sh", tmp_path / "secrets.sh"], input=answers, text=True,
                              capture_output=True, check=False)
        return done.returncode == 0

    shutil.copy(COMPOSE / "secrets.sh", tmp_path)
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    assert not made("one\n\n")
    assert folder.stat().st_mode & 0o077 == 0
    before = read(folder / "jwt_secret")
    assert made("two")
    assert read(folder / "google_client_secret") == "one" and read(folder / "openai_api_key") == "two"
    assert len(before) == 64 and read(folder / "jwt_secret") == before
    named = set(re.findall(r"file: \./secrets/(\w+)", read(COMPOSE / "docker-compose.yml")))
    assert {file.name for file in folder.iterdir() if file.stat().st_size} == named


def test_compose_opens_ports_to_this_host_alone():
    compose = read(COMPOSE / "docker-compose.yml")
    opened = re.findall(r"(?m)^    ports: (.*)$", compose)
    assert len(opened) == compose.count("ports:")
    assert all(re.search(r":-127\.0\.0\.1:\d+}", one) for one in opened)


def test_the_entrypoint_takes_every_secret_as_a_file():
    loop = re.search(r"(?s)for name in (.*?); do", read(DOCKER / "entrypoint")).group(1)
    assert set(loop.replace("\\", " ").split()) == SECRETS | EVERYWHERE


def test_units_are_confined_alike():
    """All but the worker in everything; the worker in what its namespaces allow."""
    def lines(name):
        part = unit(name).partition("DynamicUser")[2].partition("[Install]")[0]
        return {line for line in part.splitlines() if line and not line.startswith("#")}

    for name in ("auth@", "jobs@", "gateway@", "monitor@", "migrate"):
        assert lines(name) == lines("broker@"), name
    for line in lines("broker@") - lines("worker@"):
        assert line.partition("=")[0] in {
            "PrivateUsers", "ProtectProc", "ProcSubset", "ProtectHostname", "ProtectKernelLogs",
            "ProtectKernelTunables", "RestrictNamespaces", "MemoryDenyWriteExecute",
            "SystemCallFilter"}, line


def test_time_to_stop_covers_the_drain():
    for service in SERVICES:
        text = "".join(map(read, (ROOT / "services" / service).glob("*.[ch]")))
        drain = max(map(int, re.findall(r"(?:drain_ms|DRAIN_MS) = (\d+)", text)), default=5000)
        assert int(values(unit(f"{service}@"), "TimeoutStopSec")[0]) * 1000 >= drain + 4000


def test_the_workers_seccomp_profile_leaves_what_its_namespaces_need():
    profile = json.loads(read(DOCKER / "seccomp-worker.json"))
    denied = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert not denied & {"unshare", "setns", "mount", "clone", "clone3", "capset", "seccomp"}
    assert {"bpf", "kexec_load", "init_module", "ptrace", "keyctl"} <= denied
