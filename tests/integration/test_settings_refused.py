"""A malformed value stops the service at once, with one line that names the variable and holds no
secret."""
import os
import pathlib
import subprocess

import pytest

from stack import ROOT

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin")
GOOD = {
    "PATH": os.environ["PATH"], "HOME": "/tmp", "GATEWAY_PORT": "0",
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "BROKER_ENDPOINT": "tcp://127.0.0.1:1",
    "JWT_SECRET": "0123456789abcdef", "GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "secret",
    "OPENAI_API_KEY": "key", "BUS_SECURITY": "plain",
}


@pytest.mark.parametrize("service, name, value", [
    ("gateway", "CORS_ORIGINS", "example.com"),
    ("gateway", "CORS_ORIGINS", "https://a.example, https://b.example/path"),
    ("gateway", "GATEWAY_ADDRESS", "localhost"),
    ("gateway", "GATEWAY_ADDRESS", "300.1.1.1"),
    ("gateway", "GATEWAY_PORT", "65536"),
    ("gateway", "TRUSTED_PROXIES", "10.0.0.0/33"),
    ("gateway", "TRUSTED_PROXIES", "127.0.0.1, proxy.example"),
    ("gateway", "TRUSTED_PROXY_HEADER", "via"),
    ("gateway", "JWT_SECRET", "too-short"),
    ("gateway", "BROKER_ENDPOINT", "nowhere"),
    ("auth", "DATABASE_URL", "mysql://u:hunter2@h/x"),
    ("auth", "DATABASE_URL", "hunter2"),
    ("auth", "HTTPS_PROXY", "http://u:hunter2@proxy:99999"),
    ("auth", "CA_BUNDLE", "/nonexistent/ca.pem"),
    ("auth", "TOKEN_ENCRYPTION_KEY", "hunter2"),
    ("jobs", "DATABASE_URL", "hunter2"),
    ("jobs", "BROKER_ENDPOINT", "tcp://127.0.0.1:0"),
    ("jobs", "BROKER_ENDPOINT", "tcp://127.0.0.1:1,tcp://127.0.0.1:65536"),
    ("worker", "HTTPS_PROXY", "ftp://u:hunter2@proxy"),
    ("worker", "CA_BUNDLE", "/nonexistent/ca.pem"),
    ("worker", "WORKER_CONCURRENCY", "10001"),
])
def test_refused(service, name, value):
    done = subprocess.run([BIN / f"mcpbus-{service}", "--env-file", "/dev/null"],
                          env={**GOOD, name: value}, capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert f"{name} takes " in lines[0]
    assert "hunter2" not in lines[0] and "too-short" not in lines[0]


@pytest.mark.parametrize("service", ["broker", "gateway", "auth", "jobs", "worker"])
@pytest.mark.parametrize("env, said", [
    ({"BUS_KEYS": "/nonexistent"}, "/nonexistent"),
    ({"BUS_SECURITY": "plain", "BROKER_ENDPOINT": "tcp://192.0.2.1:1", "BROKER_ADDRESS": "0.0.0.0",
      "BROKER_PORT": "0"}, "loopback"),
])
def test_no_bus_without_keys_or_beyond_loopback(service, env, said):
    done = subprocess.run([BIN / f"mcpbus-{service}", "--env-file", "/dev/null"],
                          env={**GOOD, "BUS_SECURITY": "curve", **env}, capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert said in done.stderr
