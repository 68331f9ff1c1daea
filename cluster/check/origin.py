#!/usr/bin/env python3
"""A server for the checks: any 127.x.y.z is a host of it. It counts requests, and how many a host has at a time.

    origin.py [--latency SECONDS] [--broken-every N]

    /n/NUMBER         a page with this number, after --latency; those divisible by --broken-every are 404 until /repair
    /slow/NUMBER      the same, after ten times as long
    /redirect/NUMBER  leads to /n/NUMBER
    /stats            counts as JSON: requests, URLs, URLs asked for twice, hosts, the most requests and the most
                      connections that one host had at a time
    /repair           nothing is broken any more
    /reset            counts of requests begin anew
"""

import argparse
import asyncio
import json
import resource
import sys
from collections import Counter


class Counts:
    """What all connections share."""

    def __init__(self, options):
        self.latency = options.latency
        self.broken_every = options.broken_every
        self.connections, self.most_connections = Counter(), Counter()
        self.open, self.most_open = Counter(), Counter()
        self.requests = Counter()
        self.all, self.twice = 0, 0

    def ask(self, number):
        self.requests[number] += 1
        self.all += 1
        self.twice += self.requests[number] == 2

    def forget(self):
        self.requests.clear()
        self.all, self.twice = 0, 0

    def stats(self):
        return {
            "requests": self.all,
            "urls": len(self.requests),
            "twice": self.twice,
            "hosts": len(self.most_open),
            "most_requests": max(self.most_open.values(), default=0),
            "most_connections": max(self.most_connections.values(), default=0),
        }

    def add(self, now, most, host):
        now[host] += 1
        most[host] = max(most[host], now[host])


class Connection(asyncio.Protocol):
    """One connection, which is kept until the client closes it."""

    def __init__(self, counts):
        self.counts = counts
        self.received = b""

    def connection_made(self, transport):
        self.transport = transport
        self.host = transport.get_extra_info("sockname")[0]
        self.open = 0
        self.counts.add(self.counts.connections, self.counts.most_connections, self.host)

    def connection_lost(self, _):
        self.counts.connections[self.host] -= 1
        self.counts.open[self.host] -= self.open
        self.open = 0

    def data_received(self, data):
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, self.received = self.received.split(b"\r\n\r\n", 1)
            self.answer(head.split(b" ", 2)[1].decode())

    def answer(self, path):
        counts = self.counts
        _, kind, *rest = path.partition("?")[0].split("/")
        if kind == "stats":
            self.send(200, json.dumps(counts.stats()))
        elif kind == "repair":
            counts.broken_every = 0
            self.send(200, "")
        elif kind == "reset":
            counts.forget()
            self.send(200, "")
        elif kind == "redirect":
            self.send(302, "", f"Location: /n/{rest[0]}\r\n")
        else:
            counts.ask(int(rest[0]))
            self.open += 1
            counts.add(counts.open, counts.most_open, self.host)
            wait = counts.latency * (10 if kind == "slow" else 1)
            asyncio.get_running_loop().call_later(wait, self.page, int(rest[0]))

    def page(self, number):
        counts = self.counts
        if not self.open:
            # The client has gone.
            return
        self.open -= 1
        counts.open[self.host] -= 1
        if counts.broken_every and number % counts.broken_every == 0:
            self.send(404, "broken")
        else:
            self.send(200, f"page {number} of {self.host}\n" * 4)

    def send(self, status, body, fields=""):
        reason = {200: "OK", 302: "Found", 404: "Not Found"}[status]
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
        self.transport.write((head + body).encode())


async def serve(options):
    counts = Counts(options)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counts), "0.0.0.0", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    # It ends when the one who started it does.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, metavar="SECONDS", default=0.01)
    parser.add_argument("--broken-every", type=int, metavar="N", default=50)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
