#!/usr/bin/python3 -SE
"""An MCP server (stdio) whose tools leave a trace of their acting in the file $TRACE: a line with
the tag, a number of this process, and the machine's monotonic clock, every 50 ms. `act_once` may not
be repeated, `act_again` may."""
import json
import os
import sys
import time

ME = os.urandom(6).hex()  # pids may come again in the next run's namespace
SCHEMA = {"type": "object", "required": ["tag", "seconds"], "properties": {
    "tag": {"type": "string"}, "seconds": {"type": "number"}}}
TOOLS = [{"name": name, "description": "Acts for some seconds.", "inputSchema": SCHEMA,
          "annotations": {"readOnlyHint": False, "idempotentHint": again}}
         for name, again in (("act_once", False), ("act_again", True))]


def act(tag, seconds):
    trace = os.open(os.environ["TRACE"], os.O_WRONLY | os.O_APPEND)
    end = time.monotonic() + seconds
    while True:
        os.write(trace, f"{tag} {ME} {time.monotonic():.3f}\n".encode())
        if time.monotonic() >= end:
            break
        time.sleep(0.05)
    os.close(trace)
    return f"acted for {tag}"


def answer(request):
    method, params = request["method"], request.get("params", {})
    if method == "initialize":
        return {"result": {"protocolVersion": params["protocolVersion"],
                           "capabilities": {"tools": {}},
                           "serverInfo": {"name": "acting", "version": "1"}}}
    if method == "tools/list":
        return {"result": {"tools": TOOLS}}
    if method == "tools/call":
        text = act(**params["arguments"])
        return {"result": {"content": [{"type": "text", "text": text}], "isError": False}}
    if method == "ping":
        return {"result": {}}
    return {"error": {"code": -32601, "message": "no such method"}}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer(message)}), flush=True)
