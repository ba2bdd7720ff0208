#!/usr/bin/python3
"""Writes the commands' reference into docs/cli.md, as build/bin/mcpbus (or $MCPBUS_BIN/mcpbus) has it."""
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("MCPBUS_BIN") or ROOT / "build" / "bin") / "mcpbus"
DOC = ROOT / "docs" / "cli.md"

made = subprocess.run([PROGRAM, "help", "--markdown"], check=True, capture_output=True, text=True).stdout
text, count = re.subn(r"(<!-- begin commands -->\n).*?(<!-- end commands -->)",
                      lambda found: found[1] + made + found[2], DOC.read_text(), flags=re.S)
assert count == 1, DOC
DOC.write_text(text)
