"""The client processes: started, told to finish, counted."""
import contextlib
import json
import pathlib
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
PROCESSES, ACTORS = 3, 8


class Clients:
    def __init__(self, folder, config):
        self.folder, self.config = folder, config
        self.running, self.latest, self.readers = [], {}, []

    def start(self):
        """Each process has users and spare tokens of its own, so that it knows all their jobs."""
        for n in range(1, PROCESSES + 1):
            process = subprocess.Popen([sys.executable, str(HERE / "load.py")], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=open(self.folder / f"client-{n}.err", "w"),
                                       start_new_session=True)
            own = {**self.config, "name": f"c{n}", "actors": ACTORS,
                   "rate": self.config["rate"] / PROCESSES,
                   "users": self.config["users"][n - 1::PROCESSES],
                   "spare": self.config["spare"][n - 1::PROCESSES],
                   "log": str(self.folder / f"client-{n}.jsonl")}
            process.stdin.write(json.dumps(own) + "\n")
            process.stdin.flush()
            self.running.append(process)
            reader = threading.Thread(target=self.read, args=(n, process))
            reader.start()
            self.readers.append(reader)

    def read(self, n, process):
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                self.latest[n] = json.loads(line)

    def counts(self):
        total = {}
        for counters in list(self.latest.values()):
            for name, value in counters.items():
                total[name] = total.get(name, 0) + value
        return total

    def errors(self):
        """What the processes said of themselves: a client that broke has seen too little."""
        for n in range(1, PROCESSES + 1):
            text = (self.folder / f"client-{n}.err").read_text()
            if text:
                yield f"client-{n}: " + text.strip().splitlines()[-1]

    def finish(self):
        for process in self.running:
            with contextlib.suppress(OSError):
                process.stdin.write("finish\n")
                process.stdin.flush()

    def are_busy(self):
        return any(process.poll() is None for process in self.running)

    def close(self):
        for process in self.running:
            with contextlib.suppress(OSError):
                process.stdin.close()
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reader in self.readers:
            reader.join()
