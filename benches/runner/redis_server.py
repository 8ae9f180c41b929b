"""A redis-server for one contestant, and what it counted."""

import shutil
import socket
import subprocess
import time

import measure


class Redis:
    """An empty redis without a disk, on a free port, until `stop`."""

    def __init__(self, scratch):
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("redis-server is not installed")
        self.port = measure.free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        with (scratch / "redis.log").open("w") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", program, "--port", str(self.port), "--bind",
                 "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(scratch)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self):
        """Waits for the first answer."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.info()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("redis-server does not answer")

    def stop(self):
        """Ends it; there is nothing to save."""
        self.process.kill()
        self.process.wait()

    def cpu_seconds(self):
        """User and system time so far."""
        return measure.cpu_of(self.process.pid)

    def info(self):
        """What INFO says, as text by name."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"INFO everything\r\n")
            with connection.makefile("rb") as answers:
                length = int(answers.readline()[1:])
                lines = answers.read(length).decode(errors="replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def reads(self):
        """How often it has found something on a connection. A lone client's round trip is one."""
        return int(self.info()["total_reads_processed"])


def commands_between(before, after, requests):
    """Calls of each command per request, scripts' own calls included, between two INFOs."""
    calls = {}
    for name, text in after.items():
        if name.startswith("cmdstat_") and name != "cmdstat_info":
            number = calls_of(text) - calls_of(before.get(name, "calls=0"))
            if number / requests >= 0.005:
                calls[name.removeprefix("cmdstat_")] = number / requests
    return calls


def calls_of(text):
    """The first figure of `calls=12,usec=...`."""
    return int(text.split(",")[0].removeprefix("calls="))
