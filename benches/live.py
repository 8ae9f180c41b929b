#!/usr/bin/env python3
"""Thousands of connections that stay, against one maypole-bench: memory, delays, ends.

  cargo build --release -p maypole-bench    in benches/, then
  benches/live.py TARGET/release/maypole-bench [memory|delays|nodes|deaf|cost|ends]...

One thread with epoll is all clients, and shares the machine with the server: delays hold its time
for reading, too. Only the standard library. Prints the tables of README.md, section "Live".
"""

import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SOCKETS = 5000
TABS = 1000
DEAF = 100
PATIENCE = 120


class Server:
    """A fresh server with sessions of its own."""

    def __init__(self, program, **settings):
        self.directory = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.log = open(self.directory.name + "/log", "w+")
        environment = {
            "MAYPOLE_SESSION_BACKEND": "table",
            "MAYPOLE_SESSION_TABLE_PATH": self.directory.name + "/table",
            "MAYPOLE_SESSION_NEW_SESSIONS_PER_MINUTE": "0",
            "MAYPOLE_WEBSOCKET_MAX_OPEN_PER_ADDRESS": "0",
            "MAYPOLE_LOG_ACCESS": "false",
            "MAYPOLE_LOG_LEVEL": "warn",
            "MAYPOLE_SERVER_HEADER_TIMEOUT": "10m",
            **settings,
        }
        self.process = subprocess.Popen(
            [program, str(self.port)], cwd=self.directory.name, env=environment,
            stdout=subprocess.DEVNULL, stderr=self.log)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.words()
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def words(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def rss(self):
        """Resident kilobytes, when they have come to rest."""
        seen = []
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with open(f"/proc/{self.process.pid}/status") as status:
                seen.append(next(int(line.split()[1]) for line in status if "VmRSS" in line))
            if len(seen) > 6 and max(seen[-6:]) - min(seen[-6:]) < 100:
                break
            time.sleep(0.25)
        return seen[-1]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wait_for(self, descriptors):
        deadline = time.monotonic() + PATIENCE
        while self.descriptors() > descriptors:
            assert time.monotonic() < deadline, f"{self.descriptors()} descriptors are left"
            time.sleep(0.01)

    def get(self, path, cookie=""):
        """The body of an answer, and the cookie that came with it."""
        with socket.create_connection(("127.0.0.1", self.port)) as wire:
            lines = f"Cookie: {cookie}\r\n" if cookie else ""
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())
            answer = b""
            while piece := wire.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] in (b"200", b"204", b"303"), answer
        new = [line[11:].split(b";")[0].strip() for line in head.split(b"\r\n")
               if line.lower().startswith(b"set-cookie:")]
        return body.decode(), new[0].decode() if new else cookie

    def open(self, path, count, cookies=("",), receive_buffer=None):
        """So many WebSockets, all switched."""
        tabs = []
        while len(tabs) < count:
            batch = []
            for at in range(len(tabs), min(count, len(tabs) + 200)):
                wire = socket.socket()
                if receive_buffer:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
                wire.connect(("127.0.0.1", self.port))
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                cookie = cookies[at % len(cookies)]
                lines = f"Cookie: {cookie}\r\n" if cookie else ""
                wire.sendall((f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                              "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                              f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n").encode())
                batch.append(wire)
            for wire in batch:
                unread = b""
                while b"\r\n\r\n" not in unread:
                    piece = wire.recv(65536)
                    assert piece, (unread, self.words())
                    unread += piece
                head, _, rest = unread.partition(b"\r\n\r\n")
                assert b" 101 " in head[:14], head
                wire.setblocking(False)
                tabs.append(Tab(wire, rest))
        return tabs


class Tab:
    def __init__(self, wire, unread):
        self.wire = wire
        self.unread = bytearray(unread)

    def send(self, opcode, payload=b""):
        """A masked frame of less than 126 bytes; the mask is zero."""
        self.wire.send(bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload)

    def read(self):
        """Reads what has come; false at the end."""
        try:
            piece = self.wire.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self.unread += piece
        return bool(piece)

    def frame(self):
        """The next whole frame that has come: opcode and payload."""
        if len(self.unread) < 2:
            return None
        length, at = self.unread[1], 2
        if length == 126:
            if len(self.unread) < 4:
                return None
            length, at = struct.unpack_from(">H", self.unread, 2)[0], 4
        if len(self.unread) < at + length:
            return None
        frame = self.unread[0] & 15, bytes(self.unread[at:at + length])
        del self.unread[:at + length]
        if frame[0] == 9:
            self.send(10, frame[1])
            return self.frame()
        return frame


def collect(tabs, count):
    """Waits until every tab has so many frames; gives when each last one came."""
    poll = select.epoll()
    by_number = {tab.wire.fileno(): tab for tab in tabs}
    missing = {}
    came = []

    def take(number):
        while missing.get(number) and by_number[number].frame():
            missing[number] -= 1
            if not missing[number]:
                del missing[number]
                came.append(time.monotonic())
                return

    for number in by_number:
        missing[number] = count
        poll.register(number, select.EPOLLIN)
        take(number)
    deadline = time.monotonic() + PATIENCE
    while missing:
        assert time.monotonic() < deadline, f"{len(missing)} tabs wait in vain"
        for number, _ in poll.poll(1, 1024):
            assert by_number[number].read(), "a tab was closed"
            take(number)
    poll.close()
    return came


def close(tabs):
    for tab in tabs:
        tab.wire.close()


def free_port():
    with socket.socket() as wire:
        wire.bind(("127.0.0.1", 0))
        return wire.getsockname()[1]


def spread(delays):
    delays = sorted(1000 * delay for delay in delays)
    return [delays[len(delays) // 2], delays[int(len(delays) * 0.99)], delays[-1]]


def row(*cells):
    print("| " + " | ".join(f"{cell:,.1f}" if isinstance(cell, float) else
                            f"{cell:,}" if isinstance(cell, int) else cell for cell in cells) + " |",
          flush=True)


def memory(program):
    print(f"\n#### Resident memory of {SOCKETS:,} open WebSockets, bytes each\n")
    row("sockets that", "open", "after a message each", "all closed", "opened again")
    row("---", "---:", "---:", "---:", "---:")
    kinds = [("wait", "/echo", 0), ("follow one session", "/follow", 1),
             ("follow a session each", "/follow", SOCKETS), ("follow one topic", "/topic/news", 0)]
    for name, path, sessions in kinds:
        with Server(program) as server:
            cookies = [server.get("/start")[1] for _ in range(sessions)] or [""]
            follows = path == "/follow"
            warm = server.open(path, 10, cookies)
            close(warm)
            time.sleep(1)
            base, descriptors = server.rss(), server.descriptors()

            def each():
                return (server.rss() - base) * 1024 // SOCKETS

            tabs = server.open(path, SOCKETS, cookies)
            if follows:
                collect(tabs, 1)
            opened = each()
            if path == "/echo":
                for tab in tabs:
                    tab.send(1, b"hello")
            elif follows:
                for cookie in cookies:
                    server.get("/bump", cookie)
            else:
                server.get("/publish/news/50")
            collect(tabs, 1)
            told = each()
            close(tabs)
            server.wait_for(descriptors)
            closed = each()
            tabs = server.open(path, SOCKETS, cookies)
            if follows:
                collect(tabs, 1)
            row(name, opened, told, closed, each())
            close(tabs)


def news(server, tabs, path, cookie, rounds):
    """From asking this server for news until each tab, of whatever server, has them."""
    delays, last, answered = [], [], []
    for _ in range(rounds):
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port)) as wire:
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie or 'a=b'}\r\n"
                         "Connection: close\r\n\r\n".encode())
            came = collect(tabs, 1)
            while wire.recv(65536):
                pass
        delays += [moment - begin for moment in came]
        last.append(max(came) - begin)
    return [*spread(delays), sorted(1000 * one for one in last)[rounds // 2]]


def delays(program):
    print(f"\n#### From the click to {TABS:,} tabs, ms\n")
    row("news", "p50", "p99", "max", "last tab, median of rounds")
    row("---", "---:", "---:", "---:", "---:")
    with Server(program) as server:
        _, cookie = server.get("/start")
        tabs = server.open("/follow", TABS, [cookie])
        collect(tabs, 1)
        news(server, tabs, "/bump", cookie, 5)
        row("a change of one session", *news(server, tabs, "/bump", cookie, 50))
        close(tabs)
    with Server(program) as server:
        tabs = server.open("/topic/news", TABS)
        news(server, tabs, "/publish/news/50", "", 5)
        row("a message of a topic, 50 bytes", *news(server, tabs, "/publish/news/50", "", 50))
        close(tabs)


def nodes(program):
    print(f"\n#### From a click on one server to {TABS:,} tabs on another, through one redis, ms\n")
    row("backend", "news", "p50", "p99", "max", "last tab, median of rounds")
    row("---", "---", "---:", "---:", "---:", "---:")
    port = free_port()
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--appendonly", "no",
                              "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL, cwd="/tmp")
    try:
        time.sleep(0.5)
        for backend in ("redis", "tiered"):
            settings = {"MAYPOLE_SESSION_BACKEND": backend,
                        "MAYPOLE_REDIS_DEFAULT_URL": f"redis://127.0.0.1:{port}"}
            with Server(program, **settings) as here, Server(program, **settings) as there:
                _, cookie = here.get("/start")
                tabs = there.open("/follow", TABS, [cookie])
                collect(tabs, 1)
                news(here, tabs, "/bump", cookie, 3)
                row(backend, "a change of one session", *news(here, tabs, "/bump", cookie, 50))
                close(tabs)
                tabs = there.open("/topic/news", TABS)
                time.sleep(0.5)
                news(here, tabs, "/publish/news/50", "", 3)
                row(backend, "a message of a topic", *news(here, tabs, "/publish/news/50", "", 50))
                close(tabs)
    finally:
        redis.kill()
        redis.wait()


def deaf(program):
    print(f"\n#### {DEAF} sockets that never read beside {TABS:,} that do, 400 messages of 16 KB, ms\n")
    row("", "p50", "p99", "max", "last tab, median of rounds", "deaf ones dropped")
    row("---", "---:", "---:", "---:", "---:", "---:")
    for count in (0, DEAF, 0, DEAF):
        with Server(program, MAYPOLE_SERVER_WRITE_TIMEOUT="5s") as server:
            tabs = server.open("/topic/news", TABS)
            silent = server.open("/topic/news", count, receive_buffer=4096)
            news(server, tabs, "/publish/news/16384", "", 3)
            figures = news(server, tabs, "/publish/news/16384", "", 400)
            deadline = time.monotonic() + 30
            while (left := int(server.get("/subscribers/news")[0]) - TABS) > 0:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            row(f"{count} deaf", *figures, count - left)
            close(tabs + silent)


def cost(program):
    print("\n#### Nanoseconds to publish to one subscriber and to read it\n")
    row("topics with a subscriber each", "ns")
    row("---:", "---:")
    with Server(program) as server:
        for topics in (1, 10_000, 1, 10_000):
            row(topics, int(server.get(f"/publish-cost/{topics}")[0]))


def ends(program):
    print(f"\n#### Storms and ends, {SOCKETS:,} sockets\n")
    row("what", "seconds", "resident KB before", "after")
    row("---", "---:", "---:", "---:")
    with Server(program) as server:
        _, cookie = server.get("/start")
        time.sleep(1)
        descriptors = server.descriptors()
        tabs = server.open("/follow", SOCKETS, [cookie])
        close(tabs)
        server.wait_for(descriptors)
        before = server.rss()
        for name, leave in (("vanish", vanish), ("leave within a frame", tear)):
            for _ in range(2):
                begin = time.monotonic()
                tabs = server.open("/follow", SOCKETS, [cookie])
                opened = time.monotonic() - begin
                leave(tabs)
                server.wait_for(descriptors)
                row(f"all connect (in {opened:.1f} s), {name}", time.monotonic() - begin, before,
                    server.rss())
        tabs = server.open("/follow", SOCKETS, [cookie])
        collect(tabs, 1)
        begin = time.monotonic()
        server.get("/end", cookie)
        codes = closes(tabs)
        row(f"logout closes all: {codes}", time.monotonic() - begin, before, server.rss())
    for path in ("/echo", "/topic/news"):
        with Server(program) as server:
            tabs = server.open(path, SOCKETS)
            before = server.rss()
            begin = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            codes = closes(tabs)
            told = time.monotonic() - begin
            status = server.process.wait(60)
            row(f"SIGTERM, {path}: {codes} told in {told:.2f} s, exit {status}",
                time.monotonic() - begin, before, 0)


def vanish(tabs):
    """As a killed client: a reset."""
    for tab in tabs:
        tab.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tab.wire.close()


def tear(tabs):
    """A part of a frame, then the end or only that of sending."""
    frame = bytes([0x81, 0x80 | 100]) + bytes(4) + b"x" * 100
    for tab in tabs:
        tab.wire.send(frame[:random.randrange(1, len(frame))])
        tab.wire.shutdown(socket.SHUT_WR)
    for tab in tabs[::2]:
        tab.wire.close()
    closes(tabs[1::2])


def closes(tabs):
    """Agrees to each close and waits for the end; how many came with which code."""
    poll = select.epoll()
    by_number = {tab.wire.fileno(): tab for tab in tabs}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    codes = {}
    left = set(by_number)
    deadline = time.monotonic() + PATIENCE
    while left:
        assert time.monotonic() < deadline, f"{len(left)} tabs were not closed; {codes}"
        for number, _ in poll.poll(1, 1024):
            tab = by_number[number]
            is_open = tab.read()
            while frame := tab.frame():
                if frame[0] == 8:
                    code = struct.unpack_from(">H", frame[1])[0] if frame[1] else 0
                    codes[code] = codes.get(code, 0) + 1
                    try:
                        tab.send(8, frame[1][:2])
                    except OSError:
                        pass
            if not is_open:
                left.discard(number)
                poll.unregister(number)
                tab.wire.close()
    poll.close()
    return ", ".join(f"{count} with {code}" for code, count in sorted(codes.items())) or "no code"


def main():
    program, *chosen = sys.argv[1:] or sys.exit(__doc__)
    for suite in (memory, delays, nodes, deaf, cost, ends):
        if not chosen or suite.__name__ in chosen:
            suite(os.path.abspath(program))


if __name__ == "__main__":
    main()
