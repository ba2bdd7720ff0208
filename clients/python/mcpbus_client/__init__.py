"""Client of mcpbus: start jobs, follow them, read their results. Standard library alone.

    bus = Client("http://localhost:8000", token)
    job_id = bus.run("List my recent emails")
    for event in bus.events(job_id):
        print(event.type, event.data)
    print(bus.job(job_id)["result"])
"""
from .client import Client, Event, McpbusError, has_ended

__all__ = ["Client", "Event", "McpbusError", "has_ended"]
