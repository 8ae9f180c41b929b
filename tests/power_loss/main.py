"""Simulated power losses: a real server on a file system that stops dead.

For each store and `fsync` policy: an ext4 file system in a file (a loop device), a real server with
its sessions there, clients that count in sessions and remember outside the device what was
acknowledged and when. Then EXT4_IOC_SHUTDOWN without a log flush: from that instant nothing more
reaches the device, and what lay in memory only is lost. The server is killed, the file system is
mounted again (its journal recovers), the server starts again, and every session is asked.

    always    nothing that was acknowledged before the shutdown is lost
    interval  every session that is there is whole, and what is missing was acknowledged within the
              interval before the shutdown, plus the time the sync passes take on this disk: a save
              may just miss a pass, and has to wait for the end of the next. How long one fdatasync
              took meanwhile is printed; beyond `--slack` it counts as wrong

What it cannot show: a disk that lies about its own cache. Linux, root, e2fsprogs. See `run`.
"""

import argparse
import fcntl
import http.client
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = 2
INTERVAL = 0.1


class Session:
    """One visitor: the cookie, and each acknowledged count with its time."""

    def __init__(self):
        self.cookie = None
        self.acknowledged = []


class Client(threading.Thread):
    """Counts in one session after another until the server fails."""

    def __init__(self, port, stop, each):
        super().__init__(daemon=True)
        self.port, self.stop, self.each = port, stop, each
        self.sessions = []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.stop.is_set():
            session = Session()
            self.sessions.append(session)
            for _ in range(self.each):
                if self.stop.is_set() or not self.count(connection, session):
                    return

    @staticmethod
    def count(connection, session):
        try:
            status, text, cookie = ask(connection, "/count", session.cookie)
        except OSError:
            return False
        except http.client.HTTPException:
            return False
        if status != 200:
            return False
        session.cookie = cookie or session.cookie
        session.acknowledged.append((time.monotonic(), int(text)))
        return True


def ask(connection, path, cookie):
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    response = connection.getresponse()
    text = response.read().decode()
    line = response.getheader("Set-Cookie")
    return response.status, text, line.split(";")[0] if line else None


class Probe(threading.Thread):
    """How long one small fdatasync takes on the device while it is busy."""

    def __init__(self, where, stop):
        super().__init__(daemon=True)
        self.path, self.stop = f"{where}/probe", stop
        self.begun, self.longest = time.monotonic(), 0.0

    def run(self):
        try:
            with open(self.path, "wb", buffering=0) as file:
                while not self.stop.wait(0.2):
                    self.begun = time.monotonic()
                    os.pwrite(file.fileno(), b"x" * 4096, 0)
                    os.fdatasync(file.fileno())
                    self.longest = max(self.longest, time.monotonic() - self.begun)
        except OSError:
            # The disk has gone; the one that was under way took at least so long.
            self.longest = max(self.longest, time.monotonic() - self.begun)


class Server:
    def __init__(self, testee, where, store, fsync):
        env = {
            "MAYPOLE_SERVER_LISTEN": "127.0.0.1:0",
            "MAYPOLE_SESSION_BACKEND": store,
            f"MAYPOLE_SESSION_{store.upper()}_FSYNC": fsync,
            "MAYPOLE_SESSION_FILE_PATH": f"{where}/sessions",
            "MAYPOLE_SESSION_TABLE_PATH": f"{where}/table",
            "MAYPOLE_SESSION_NEW_SESSIONS_PER_MINUTE": "0",
            "MAYPOLE_LOG_ACCESS": "false",
        }
        # Its words go to a file outside the device: nobody need read them while it runs.
        self.words = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([testee], env=env, cwd="/", stderr=self.words)
        deadline = time.monotonic() + 30
        while "listens on http://" not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server did not start: {self.said()}")
            time.sleep(0.01)
        self.port = int(self.said().split("http://")[1].split(",")[0].split()[0].rsplit(":", 1)[1])

    def said(self):
        self.words.seek(0)
        return self.words.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def shut_down(where):
    descriptor = os.open(where, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    finally:
        os.close(descriptor)


def unmount(where):
    """A process that was just killed may hold its files for a moment more."""
    for _ in range(100):
        if subprocess.run(["umount", where], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.05)
    subprocess.run(["umount", where], check=True)


def one_loss(options, scratch, store, fsync):
    image, where = f"{scratch}/disk", f"{scratch}/mounted"
    with open(image, "wb") as file:
        file.truncate(512 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    os.makedirs(where, exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, where], check=True)
    try:
        server = Server(options.testee, where, store, fsync)
        try:
            stop = threading.Event()
            clients = [Client(server.port, stop, options.each) for _ in range(options.clients)]
            probe = Probe(where, stop)
            for thread in [probe, *clients]:
                thread.start()
            time.sleep(options.seconds)
            before = time.monotonic()
            shut_down(where)
            stop.set()
            for thread in [probe, *clients]:
                thread.join()
        finally:
            server.kill()
    finally:
        unmount(where)
    subprocess.run(["mount", "-o", "loop", image, where], check=True)
    try:
        server = Server(options.testee, where, store, fsync)
        try:
            sessions = [session for client in clients for session in client.sessions]
            found = compare(server.port, sessions, before, server.said())
            return found | {"fdatasync": probe.longest}
        finally:
            server.kill()
    finally:
        unmount(where)


def compare(port, sessions, before, said):
    """What was acknowledged before the loss, against what is there after it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    found = {"sessions": 0, "acknowledged": 0, "lost": 0, "absent": 0, "oldest": 0.0, "odd": 0}
    for session in sessions:
        counts = [(at, count) for at, count in session.acknowledged if at < before]
        if not counts:
            continue
        found["sessions"] += 1
        found["acknowledged"] += len(counts)
        status, text, _ = ask(connection, "/read", session.cookie)
        if status != 200:
            found["odd"] += 1
            continue
        there = int(text)
        # At most one more than was acknowledged: the request that was under way.
        highest = session.acknowledged[-1][1]
        found["odd"] += there > highest + 1
        missing = [at for at, count in counts if count > there]
        found["lost"] += len(missing)
        found["absent"] += there == 0
        if missing:
            found["oldest"] = max(found["oldest"], before - missing[0])
    found["quarantined"] = said.count("quarantine")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("testee")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--each", type=int, default=40, help="counts in one session")
    parser.add_argument("--slack", type=float, default=5.0)
    options = parser.parse_args()
    failed = False
    for store in ["file", "table"]:
        for fsync in ["always", "interval"]:
            for number in range(options.rounds):
                with tempfile.TemporaryDirectory(prefix="maypole-power-") as scratch:
                    found = one_loss(options, scratch, store, fsync)
                allowed = 0 if fsync == "always" else INTERVAL + options.slack
                is_bad = found["oldest"] > allowed or found["odd"] + found["quarantined"] > 0
                is_bad |= found["sessions"] == 0 or fsync == "always" and found["lost"] > 0
                failed |= is_bad
                print(
                    f"{store:5} {fsync:8} round {number + 1}: {found['acknowledged']:6} counts in"
                    f" {found['sessions']:4} sessions acknowledged, {found['lost']:4} lost"
                    f" ({found['absent']} sessions), the oldest {found['oldest'] * 1000:.0f} ms"
                    f" before the loss (an fdatasync took up to {found['fdatasync'] * 1000:.0f} ms)"
                    f"{', WRONG: ' + str(found) if is_bad else ''}",
                    flush=True,
                )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
