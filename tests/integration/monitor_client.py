"""An operator's program: the monitor's HTTP with the token."""
import re

import requests


class Monitor:
    """with Monitor(stack) as monitor: monitor.json("/api/overview")"""

    def __init__(self, stack):
        self.url = stack.monitor_url
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {stack.monitor_token}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def get(self, path, **kwargs):
        return self.http.get(self.url + path, timeout=60, **kwargs)

    def post(self, path, **kwargs):
        return self.http.post(self.url + path, timeout=60, **kwargs)

    def json(self, path):
        answer = self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def overview(self):
        return self.json("/api/overview")

    def workers(self):
        return self.json("/api/workers")

    def metric(self, name):
        return float(re.search(rf"^{name} (\S+)$", self.get("/metrics").text, re.M).group(1))
