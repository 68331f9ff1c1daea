#!/usr/bin/env python3
"""Calculates what a billion URLs cost on a hundred machines, for the chapter `scale` of the manual.

    scale.py             prints the tables
    scale.py --check     fails unless src/manual/scale.md has them as they are printed

The hosts of the first ranks are put into shards one by one, with the hash of `fetch --shard`; the others, which are
small and many, as their average.
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "spark"))
from fetch_job import shard_of  # noqa: E402

CHAPTER = Path(__file__).resolve().parents[1] / "src" / "manual" / "scale.md"

URLS = 1_000_000_000
HOSTS = 50_000_000
NODES = 100
RANKED = 100_000
PER_HOST, SECONDS = 6, 0.5
JOBS = 1_000
BODY = 30 * 1024  # compressed, with its headers
RECORD, MANIFEST, LINE = 1_100, 850, 80  # bytes for each URL: --json, manifest.jsonl, the list
TRANSFER, KNOWN = 1.3 * 1024**2, 72  # bytes of memory for each transfer and each URL of an archive
IDLE, LOOKED_UP = 256, 60  # idle connections; seconds for which an address is used
SPILL = 1024**3


class Sizes:
    """URLs of a host by its rank: the number is `scale / (rank + offset) ** exponent`."""

    def __init__(self, name, exponent, offset):
        self.name, self.exponent, self.offset = name, exponent, offset
        self.scale = 1
        self.scale = URLS / self.sum(1, HOSTS)

    def of(self, rank):
        return self.scale / (rank + self.offset) ** self.exponent

    def sum(self, first, last):
        """The sum from one rank to another: term by term, then by the integral between half ranks."""
        exact = min(last, first + RANKED - 1)
        total = sum(self.of(rank) for rank in range(first, exact + 1))
        low, high = exact + 0.5 + self.offset, last + 0.5 + self.offset
        if last <= exact:
            return total
        if self.exponent == 1:
            return total + self.scale * math.log(high / low)
        power = 1 - self.exponent
        return total + self.scale * (high**power - low**power) / power

    def rank_of(self, size):
        """The last rank with at least this many URLs."""
        return max(0, int((self.scale / size) ** (1 / self.exponent) - self.offset))


CRAWLED = Sizes("as crawled", 0.75, 2)
LINKED = Sizes("as linked", 1, 0)


class Shards:
    """The URLs of each shard, and its largest host."""

    def __init__(self, sizes, count):
        ranked = [0.0] * count
        self.largest = [0.0] * count
        for rank in range(1, RANKED + 1):
            shard = shard_of(f"host{rank}.example", count)
            ranked[shard] += sizes.of(rank)
            self.largest[shard] = max(self.largest[shard], sizes.of(rank))
        rest = sizes.sum(RANKED + 1, HOSTS) / count
        self.urls = [urls + rest for urls in ranked]

    def hours(self):
        """When each shard ends: its machine is busy until then, or its largest host is."""
        return [
            max(urls * SECONDS / JOBS, host * SECONDS / PER_HOST) / 3600 for urls, host in zip(self.urls, self.largest)
        ]


def looked_up(sizes, hours):
    """Look-ups of all machines in this time, for URLs in random order: one for each minute in which a host is asked."""
    minutes = hours * 3600 / LOOKED_UP
    total, first = 0.0, 1
    while first <= HOSTS:
        last = min(HOSTS, int(first * 1.1) + 1)
        urls = (sizes.of(first) + sizes.of(last)) / 2
        total += (last - first + 1) * minutes * -math.expm1(urls * math.log1p(-1 / minutes))
        first = last + 1
    return total


def number(value):
    if value >= 1e9:
        return f"{value / 1e9:.1f} billion"
    if value >= 1e6:
        return f"{value / 1e6:.1f} million"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def size(value):
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
        value /= 1024


def time(hours):
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h"


def table(heading, rows):
    lines = [f"| {heading} | {CRAWLED.name} | {LINKED.name} |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {one} | {two} |" for name, one, two in rows])


def rows(*makers):
    return [(name, make(CRAWLED), make(LINKED)) for name, make in makers]


def tables():
    shards = {sizes: Shards(sizes, NODES) for sizes in (CRAWLED, LINKED)}
    busy = URLS / NODES * SECONDS / JOBS / 3600
    spread = {sizes: sorted(shards[sizes].urls) for sizes in shards}
    hours = {sizes: sorted(shards[sizes].hours()) for sizes in shards}
    per_node = URLS / NODES
    yield table("Hosts", rows(
        ("URLs of the largest host", lambda s: number(s.of(1))),
        ("of the one of rank 1,000", lambda s: number(s.of(1000))),
        ("of the median host", lambda s: number(s.of(HOSTS / 2))),
        ("hosts with more than 50,000 URLs", lambda s: number(s.rank_of(50_000))),
        ("URLs on the largest 1 % of hosts", lambda s: f"{100 * s.sum(1, HOSTS // 100) / URLS:.0f} %"),
    ))  # fmt: skip
    yield table(f"{NODES} shards", rows(
        ("hosts of a shard", lambda s: number(HOSTS / NODES)),
        ("URLs of the smallest shard", lambda s: number(spread[s][0])),
        ("of the median one", lambda s: number(spread[s][NODES // 2])),
        ("of the largest one", lambda s: number(spread[s][-1])),
    ))  # fmt: skip
    yield table("Time", rows(
        ("the largest host alone", lambda s: time(s.of(1) * SECONDS / PER_HOST / 3600)),
        ("a machine that is always busy", lambda s: time(busy)),
        ("the first shard ends after", lambda s: time(hours[s][0])),
        ("half of the shards", lambda s: time(hours[s][NODES // 2])),
        ("nine of ten", lambda s: time(hours[s][NODES * 9 // 10])),
        ("all", lambda s: time(hours[s][-1])),
        ("machines that are busy on average until then", lambda s: f"{100 * busy / hours[s][-1]:.1f} %"),
    ))  # fmt: skip
    yield table("One machine, while it is busy", rows(
        ("requests a second", lambda s: number(JOBS / SECONDS)),
        ("received", lambda s: f"{JOBS / SECONDS * BODY * 8 / 1e6:.0f} Mbit/s"),
        ("look-ups a second, list by host", lambda s: number(HOSTS / NODES / busy / 3600)),
        ("look-ups a second, random order", lambda s: number(looked_up(s, busy) / NODES / busy / 3600)),
        ("of all machines, list by host", lambda s: number(HOSTS / busy / 3600)),
        ("of all machines, random order", lambda s: number(looked_up(s, busy) / busy / 3600)),
        ("descriptors", lambda s: number(2 * JOBS + IDLE + 100)),
        ("memory of transfers, at most", lambda s: size(JOBS * TRANSFER)),
        ("memory of known URLs", lambda s: size(per_node * KNOWN)),
        ("lines of the largest host", lambda s: size(s.of(1) * LINE)),
    ))  # fmt: skip
    yield table("Written", rows(
        ("WARC files of a machine", lambda s: f"{size(per_node * BODY)} in {number(per_node * BODY / 1024**3)} files"),
        ("manifest of a machine", lambda s: size(per_node * MANIFEST)),
        ("records of a machine", lambda s: size(per_node * RECORD)),
        ("WARC files of all", lambda s: size(URLS * BODY)),
        ("manifests and records of all", lambda s: size(URLS * (MANIFEST + RECORD))),
    ))  # fmt: skip


def main():
    printed = list(tables())
    if sys.argv[1:] == ["--check"]:
        chapter = CHAPTER.read_text()
        missing = [one for one in printed if one not in chapter]
        if missing:
            sys.exit("scale.py: src/manual/scale.md does not have:\n\n" + "\n\n".join(missing))
        print(f"scale.py: the {len(printed)} tables of the chapter are those that are printed")
    else:
        print("\n\n".join(printed))


if __name__ == "__main__":
    main()
