"""mcpbus keygen: what it writes, and what it refuses."""
import os
import subprocess

import pytest

from bus_peer import certificate
from cli import FAILED, MCPBUS, OK, USAGE


def keygen(folder, *args):
    return subprocess.run([MCPBUS, "keygen", "--env-file", "/dev/null", "--dir", folder, *args],
                          capture_output=True, text=True, check=False)


def test_a_rotation_keeps_the_rights_that_brokers_go_by(tmp_path):
    """Those of the public certificate: taken away there, they must not come back with the new key."""
    keygen(tmp_path, "--name", "billing", "--role", "client", "--call", "jobs.submit,jobs.get")
    public = tmp_path / "billing.key"
    public.write_text(public.read_text().replace("jobs.submit,", ""))
    assert keygen(tmp_path, "--rotate", "billing").returncode == OK
    new, secret = certificate(public), certificate(tmp_path / "billing.key_secret")
    assert new["call"] == secret["call"] == "jobs.get"
    assert new["public-key"] == secret["public-key"]
    assert new["public-key"] != certificate(tmp_path / "billing.old.key")["public-key"]


def test_a_rotation_lets_in_who_could_read_the_old_secret(tmp_path):
    """A service's own user, by the file's group, or it would not start again."""
    keygen(tmp_path, "worker")
    secret = tmp_path / "worker.key_secret"
    group = 4321 if os.geteuid() == 0 else os.getegid()
    os.chown(secret, -1, group)
    secret.chmod(0o640)
    assert keygen(tmp_path, "--rotate", "worker").returncode == OK
    now = secret.stat()
    assert (now.st_gid, now.st_mode & 0o777) == (group, 0o640)
    assert not (tmp_path / "worker.key").stat().st_mode & 0o022


def test_a_rotation_names_the_old_key_before_the_new_one(tmp_path):
    """Copied in that order to a broker elsewhere, neither is ever missing there."""
    keygen(tmp_path, "worker")
    told = keygen(tmp_path, "--rotate", "worker").stdout.partition("next: copy ")[2]
    assert 0 < told.find("worker.old.key") < told.find("worker.key ")


def test_a_key_whose_public_certificate_is_another_is_not_rotated(tmp_path):
    keygen(tmp_path, "worker", "jobs")
    (tmp_path / "jobs.key").replace(tmp_path / "worker.key")
    done = keygen(tmp_path, "--rotate", "worker")
    assert done.returncode == FAILED and "its public certificate is not in" in done.stderr
    assert not (tmp_path / "worker.old.key").exists()


@pytest.mark.parametrize("name", [".hidden", "worker.old", "a b", "../up"])
def test_names_that_are_none(tmp_path, name):
    """Brokers overlook hidden files, and NAME.old is a key that was rotated."""
    done = keygen(tmp_path, "--name", name, "--role", "client")
    assert done.returncode == FAILED and "name" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("args", [("--rotate", "worker", "--retire", "worker"),
                                  ("--rotate", "worker", "--name", "other"),
                                  ("--retire", "worker", "jobs"), ("--name", "x")])
def test_what_does_not_go_together(tmp_path, args):
    keygen(tmp_path, "worker")
    assert keygen(tmp_path, *args).returncode == USAGE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker.key", "worker.key_secret"]
