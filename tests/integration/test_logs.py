"""Logs of ./dev up: bounded, and no line is lost when they are rotated."""
import contextlib
import os
import re
import subprocess
import threading

import pytest

from stack import DEV, wait_until

SIZE, FILES = 100_000, 5


def files_of(stack, name):
    """Old and current, in order."""
    folder = stack.run / "logs" / name
    return [*sorted(folder.glob("@*")), folder / "current"]


def numbers(stack, name, mark):
    text = ""
    for file in files_of(stack, name):
        with contextlib.suppress(FileNotFoundError):  # the oldest goes at any time
            text += file.read_text(errors="replace")
    return [int(number) for number in re.findall(rf"^{mark} (\d+) x+$", text, re.MULTILINE)]


@pytest.mark.slow
def test_rotated_without_loss(stack):
    """Several threads write into the pipe that the sandbox writes to; what comes is all there, in
    order, until the oldest file is dropped; ./dev logs -f follows through all that."""
    name = "sandbox-1"
    folder = stack.run / "logs" / name
    kept = (folder / "config").read_text()
    (folder / "config").write_text(f"s{SIZE}\nn{FILES}\n")
    log = f"{stack.run}/sv/{name}/log"
    subprocess.run(["sv", "hup", log], check=True, capture_output=True)
    follower = subprocess.Popen([DEV, "logs", name, "-f"], env=stack.environ, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    pipe = os.open(f"/proc/{stack.pid(name)}/fd/2", os.O_WRONLY)
    try:
        def write(mark, count):
            for n in range(count):
                os.write(pipe, f"{mark} {n} {'x' * 40}\n".encode())

        def is_rotated():
            write("first", 100)
            return len(files_of(stack, name)) > 1

        wait_until(is_rotated, 20, "the new settings hold")
        threads = [threading.Thread(target=write, args=(mark, 1500)) for mark in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: all(len(numbers(stack, name, mark)) == 1500 for mark in ("one", "two")),
                   20, "all lines are there")
        for mark in ("one", "two"):
            assert numbers(stack, name, mark) == list(range(1500))

        write("many", 10_000)
        wait_until(lambda: numbers(stack, name, "many")[-1:] == [9999], 20, "the last line")
        files = files_of(stack, name)
        assert len(files) <= FILES + 1
        assert all(file.stat().st_size <= 2 * SIZE for file in files)
        many = numbers(stack, name, "many")
        assert many == list(range(many[0], 10_000))
        assert (stack.run / "logs" / f"{name}.log").read_text().endswith(f"many 9999 {'x' * 40}\n")
        assert any(line.startswith("many 9999 ") for line in follower.stdout)
    finally:
        os.close(pipe)
        follower.terminate()
        follower.wait()
        (folder / "config").write_text(kept)
        subprocess.run(["sv", "hup", log], check=True, capture_output=True)
