"""The local server of the soak, in a process of its own.

It listens on 64 addresses of the loopback interface, at one port, and at a second port that is closed for a part of each
second, so that connections are refused there.
"""

import asyncio
import collections
import gzip
import json
import signal
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak.pages import body

ADDRESSES = [f"127.0.0.{number}" for number in range(1, 65)]

# How long the second port is open and closed, seconds.
OPEN, CLOSED = 0.7, 0.08

# Between the pieces of a slow body, seconds.
PAUSE = 0.02

# How long a stalled connection is held at the most, seconds.
PATIENCE = 120


class Origin:
    """The server, from the outside: started and ended with a `with` block."""

    def __enter__(self):
        command = [sys.executable, "-B", str(Path(__file__).resolve())]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ports = json.loads(self.process.stdout.readline())
        self.hosts = [f"{address}:{ports['steady']}" for address in ADDRESSES]
        self.flapping = f"{ADDRESSES[0]}:{ports['flapping']}"
        self.dead = f"127.0.0.1:{ports['dead']}"
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Connection(asyncio.Protocol):
    """One connection: requests are answered in turn, each according to its path."""

    # How often each path was asked for, as far as that counts.
    asked = collections.Counter()

    # The port that is never closed.
    port = None

    def connection_made(self, transport):
        self.transport = transport
        self.received = b""
        self.task = None
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _):
        if self.task:
            self.task.cancel()

    def data_received(self, data):
        self.received += data
        if self.task is None:
            self.serve()

    def serve(self):
        """Answers what was asked; a slow answer goes on in a task."""
        while self.task is None and b"\r\n\r\n" in self.received and not self.transport.is_closing():
            head, self.received = self.received.split(b"\r\n\r\n", 1)
            slowly = self.answer(head.decode("latin-1"))
            if slowly:
                self.task = asyncio.ensure_future(slowly)
                self.task.add_done_callback(self.go_on)

    def go_on(self, task):
        if not task.cancelled():
            task.exception()
            self.task = None
            self.serve()

    def answer(self, head):
        line, *fields = head.split("\r\n")
        _, path, _ = line.split(" ")
        fields = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
        size, kind, times, name = path[1:].split("/")
        if self.asked[path] < int(times):
            self.asked[path] += 1
        elif int(times):
            kind = "plain"
        answer = getattr(self, "send_" + kind.replace("-", "_"))
        return answer(Asked(fields, body(int(size), name), f'"{name}-{size}"', path))

    def send(self, *parts):
        self.transport.write(b"".join(part.encode() if isinstance(part, str) else part for part in parts))

    def status(self, status, *fields, text=b"no\n"):
        fields = "".join(field + "\r\n" for field in fields)
        self.send(f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(text)}\r\n\r\n", text)

    def send_503(self, _):
        self.status("503 Service Unavailable")

    def send_503_after(self, _):
        self.status("503 Service Unavailable", "Retry-After: 1")

    def send_429(self, _):
        self.status("429 Too Many Requests", "Retry-After: 0")

    def send_404(self, _):
        self.status("404 Not Found")

    def send_410(self, _):
        self.status("410 Gone")

    def send_loop(self, asked):
        self.status("302 Found", f"Location: {asked.path}")

    def send_redirect(self, asked):
        _, size, _, _, name = asked.path.split("/")
        host = ADDRESSES[zlib.crc32(name.encode()) % len(ADDRESSES)]
        self.status("302 Found", f"Location: http://{host}:{self.port}/{size}/plain/0/{name}")

    def send_reset(self, _):
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def send_reset_in_body(self, asked):
        self.send(asked.head(), asked.half())
        return self.after(PAUSE, self.send_reset, asked)

    def send_cut(self, asked):
        self.send(asked.head(), asked.half())
        self.transport.close()

    send_always_cut = send_cut

    def send_cut_chunks(self, asked):
        half = asked.half()
        self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(half) if half else b"")
        self.transport.close()

    def send_cut_gzip(self, asked):
        if not asked.takes_gzip:
            return self.send_cut(asked)
        coded = gzip.compress(asked.body, 1)
        self.send(f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(coded)}\r\n\r\n", coded[:-9])
        self.transport.close()

    def send_too_long(self, asked):
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(asked.body) + 1}\r\n\r\n", asked.body)
        return asyncio.sleep(PATIENCE)

    def send_stall(self, _):
        return asyncio.sleep(PATIENCE)

    def send_stall_in_body(self, asked):
        self.send(asked.head(), asked.half())
        return asyncio.sleep(PATIENCE)

    def send_garbage(self, _):
        self.send("this is not HTTP\r\n\r\n")
        self.transport.close()

    def send_plain(self, asked):
        start = asked.start
        if start is None:
            self.send(asked.head(), asked.body)
        elif start < len(asked.body):
            rest = asked.body[start:asked.end]
            range_ = f"Content-Range: bytes {start}-{start + len(rest) - 1}/{len(asked.body)}\r\n"
            self.send("HTTP/1.1 206 Partial Content\r\n", asked.validators, range_,
                      f"Content-Length: {len(rest)}\r\n\r\n", rest)
        else:
            self.status("416 Range Not Satisfiable", f"Content-Range: bytes */{len(asked.body)}")

    send_ranges = send_plain

    def send_chunked(self, asked):
        half = len(asked.half())
        pieces = [piece for piece in (asked.body[:half], asked.body[half:]) if piece]
        self.send("HTTP/1.1 200 OK\r\n", asked.validators, "Transfer-Encoding: chunked\r\n\r\n",
                  *map(chunk, pieces), "0\r\n\r\n")

    def send_gzip(self, asked):
        if not asked.takes_gzip:
            return self.send_plain(asked)
        coded = gzip.compress(asked.body, 1)
        self.send(f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(coded)}\r\n\r\n", coded)

    def send_early_hints(self, asked):
        self.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n", asked.head(), asked.body)

    def send_no_length(self, asked):
        self.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", asked.body)
        self.transport.close()

    async def send_slow(self, asked):
        head = asked.head()
        pieces = [head[:20], head[20:]] + [piece for piece in thirds(asked.body) if piece]
        for piece in pieces:
            self.send(piece)
            await asyncio.sleep(PAUSE)

    async def after(self, seconds, action, asked):
        await asyncio.sleep(seconds)
        action(asked)


class Asked:
    """A request for a body."""

    def __init__(self, fields, whole, etag, path):
        self.body, self.path = whole, path
        self.takes_gzip = "gzip" in fields.get("accept-encoding", "")
        self.validators = f"ETag: {etag}\r\nAccept-Ranges: bytes\r\n"
        self.start, self.end = None, None
        range_ = fields.get("range", "")
        if range_.startswith("bytes=") and fields.get("if-range", etag) == etag:
            start, end = range_[6:].split("-")
            self.start, self.end = int(start), int(end) + 1 if end else None

    def head(self):
        return f"HTTP/1.1 200 OK\r\n{self.validators}Content-Length: {len(self.body)}\r\n\r\n"

    def half(self):
        return self.body[:len(self.body) // 2]


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def thirds(data):
    third = len(data) // 3
    return data[:third], data[third:2 * third], data[2 * third:]


def bound(address, port=0):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    return listener


async def main():
    loop = asyncio.get_running_loop()
    first = bound(ADDRESSES[0])
    port = Connection.port = first.getsockname()[1]
    for listener in [first] + [bound(address, port) for address in ADDRESSES[1:]]:
        await loop.create_server(Connection, sock=listener, backlog=4096)
    # A socket that is bound and does not listen keeps the port from others, and refuses.
    closed, dead = bound(ADDRESSES[0]), bound(ADDRESSES[0])
    ports = {"steady": port, "flapping": closed.getsockname()[1], "dead": dead.getsockname()[1]}
    print(json.dumps(ports), flush=True)
    while True:
        listener = bound(ADDRESSES[0], ports["flapping"])
        server = await loop.create_server(Connection, sock=listener, backlog=4096)
        await asyncio.sleep(OPEN)
        server.close()
        await asyncio.sleep(CLOSED)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(main())
