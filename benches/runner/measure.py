"""Starts one contestant, loads it, and reads what that cost."""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass

import redis_server

TICK = 1 / os.sysconf("SC_CLK_TCK")
CONNECTIONS = 64
# One after the other, to count round trips.
ALONE = 1000


@dataclass
class Sample:
    """One run of one contestant. Latencies and CPU in microseconds."""

    requests: int
    rps: float
    cpu_us: float
    p50_us: float
    p99_us: float
    refused: int
    lost: int | None
    foreign: float  # share of the machine that others took meanwhile
    redis_us: float = 0.0  # CPU of its redis-server, per request
    reads: float = 0.0  # of redis per request under load: one read may bring many requests' commands
    trips: float = 0.0  # round trips to redis per request of one lone connection
    commands: dict | None = None  # and redis's commands per such request, if it has a redis

    @property
    def total_us(self):
        """CPU of server and redis together."""
        return self.cpu_us + self.redis_us


class Server:
    """A running contestant with its own scratch directory; leaving the block ends both."""

    def __init__(self, contestant, bin_dir, wrapper=()):
        self.contestant, self.bin_dir, self.wrapper = contestant, bin_dir, wrapper
        self.processes, self.redis = [], None

    def __enter__(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="maypole-bench-"))
        # PHP's workers are another user and have to get through to their own directory.
        self.scratch.chmod(0o711)
        try:
            if self.contestant.redis:
                self.redis = redis_server.Redis(self.scratch)
            self.port = free_port()
            launch = self.contestant.launch(
                self.bin_dir, self.port, self.scratch, self.redis and self.redis.url)
            for command in launch.commands:
                # setpriv: should the runner be killed outright, its servers still end.
                self.processes.append(subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", *self.wrapper, *command],
                    env=os.environ | launch.env,
                    cwd=self.scratch,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=(self.scratch / "stderr").open("a"),
                    start_new_session=True,
                ))
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def stop(self):
        """Ends all processes, politely first."""
        for process in reversed(self.processes):
            try:
                process.terminate()
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            finally:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
        self.processes = []
        if self.redis:
            self.redis.stop()
            self.redis = None

    def wait_until_ready(self):
        """Waits for the right answer to `GET /`, so that all do the same work."""
        deadline, answer = time.monotonic() + 30, b""
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self.processes):
                break
            try:
                answer = self.get("/")
                if answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nHello, World!"):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise SystemExit(f"{self.contestant.key} does not serve: {answer!r}\n{self.errors()}")

    def errors(self):
        """The end of what the server complained about."""
        return (self.scratch / "stderr").read_text(errors="replace")[-2000:]

    def get(self, path):
        """One request by hand."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"!"):
                piece = connection.recv(65536)
                if not piece:
                    break
                answer += piece
            return answer

    def cpu_seconds(self):
        """User and system time of the counted process tree so far."""
        return sum(cpu_of(pid) for pid in tree(self.processes[0].pid))

    def helper_seconds(self):
        """The same of the processes that are not counted, such as nginx."""
        return sum(cpu_of(pid) for root in self.processes[1:] for pid in tree(root.pid)) + (
            self.redis_seconds())

    def redis_seconds(self):
        """The same of its redis-server."""
        return self.redis.cpu_seconds() if self.redis else 0.0

    def load(self, path, *options):
        """The own load generator, to its end."""
        command = [str(self.bin_dir / "load"), f"127.0.0.1:{self.port}", path, *map(str, options)]
        output = subprocess.run(command, capture_output=True, text=True, check=False)
        if output.returncode:
            raise SystemExit(f"{self.contestant.key}, {path}: {output.stderr}{self.errors()}")
        return json.loads(output.stdout)

    def wrk(self, seconds):
        """wrk on the plain route."""
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency",
                   f"http://127.0.0.1:{self.port}/"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        requests, took = re.search(r"(\d+) requests in ([\d.]+s)", text).groups()
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        socket_errors = re.search(r"Socket errors: (.*)", text)
        if socket_errors:
            raise SystemExit(f"{self.contestant.key}: {socket_errors[0]}")
        return {
            "requests": int(requests),
            "seconds": micros(took) / 1e6,
            "p50_us": micros(re.search(r" 50%\s+(\S+)", text)[1]),
            "p99_us": micros(re.search(r" 99%\s+(\S+)", text)[1]),
            "refused": int(bad[1]) if bad else 0,
            "lost": None,
        }


def sample(contestant, bin_dir, suite, seconds):
    """One measured run on a fresh server, after a short warm-up."""
    with Server(contestant, bin_dir) as server:
        server.load("/", "--seconds", 0.3)
        options = suite.options + (("--first", contestant.first) if contestant.first else ())
        reads, redis = server.redis and server.redis.reads(), server.redis_seconds()
        helpers, busy, loaders = server.helper_seconds(), busy_seconds(), loader_seconds()
        cpu = server.cpu_seconds()
        started = time.monotonic()
        seen = server.wrk(seconds) if suite.wrk else server.load(
            suite.path, "--connections", CONNECTIONS, "--seconds", seconds, *options)
        took = time.monotonic() - started
        cpu = server.cpu_seconds() - cpu
        helpers = server.helper_seconds() - helpers
        foreign = busy_seconds() - busy - (loader_seconds() - loaders) - cpu - helpers
        of_redis = {}
        if server.redis:
            of_redis = {
                "redis_us": (server.redis_seconds() - redis) * 1e6 / seen["requests"],
                "reads": (server.redis.reads() - reads) / seen["requests"],
            } | alone(server, suite.path, options)
        return Sample(
            **of_redis,
            requests=seen["requests"],
            rps=seen["requests"] / seen["seconds"],
            cpu_us=cpu * 1e6 / seen["requests"],
            p50_us=seen["p50_us"],
            p99_us=seen["p99_us"],
            refused=seen["refused"],
            lost=seen["lost"],
            foreign=max(0.0, foreign / (took * os.cpu_count())),
        )


def alone(server, path, options):
    """Round trips and commands per request, where nothing travels together."""
    pairs = zip(options[::2], options[1::2])
    options = [word for pair in pairs if pair[0] != "--check" for word in pair]
    before = server.redis.info()
    server.load(path, "--connections", 1, "--requests", ALONE, *options)
    after = server.redis.info()
    name = "total_reads_processed"
    return {
        # The second INFO was read too.
        "trips": (int(after[name]) - int(before[name]) - 1) / ALONE,
        "commands": redis_server.commands_between(before, after, ALONE),
    }


def instructions(contestant, bin_dir, path, requests, keep=None):
    """Instructions per request: a long run minus a short one, so that start and end cancel."""
    counts = []
    for number in (requests // 10, requests + requests // 10):
        # The file lies outside the server's directory, which goes first.
        with tempfile.TemporaryDirectory(prefix="maypole-callgrind-") as out:
            wrapper = ("valgrind", "--quiet", "--tool=callgrind",
                       f"--callgrind-out-file={out}/callgrind.%p")
            with Server(contestant, bin_dir, wrapper) as server:
                jar = () if path == "/" else ("--jar", "own")
                server.load(path, "--connections", 1, "--requests", number, *jar)
                server.stop()
            files = sorted(pathlib.Path(out).glob("callgrind.*"))
            counts.append(sum(summary(file) for file in files))
            if keep and number > requests:
                name = path.strip("/") or "plain"
                shutil.copy(files[0], keep / f"{contestant.key}-{name}.callgrind")
    return (counts[1] - counts[0]) / requests


def summary(file):
    """The instructions a callgrind file sums up."""
    found = re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.M)
    if found is None:
        raise SystemExit(f"{file} has no sum: the server did not end in good order")
    return int(found[1])


def free_port():
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(root):
    """`root` and all its descendants."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_of(pid):
    """User and system time of one process, its ended threads included."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK


def busy_seconds():
    """Time all cores spent in processes; interrupts belong to nobody and are left out."""
    user, nice, system, *_ = map(
        int, pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return (user + nice + system) * TICK


def loader_seconds():
    """Time of the load generators that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def micros(text):
    """wrk's `1.23ms` in microseconds."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}[unit]
