"""URLs of the soak: a path says what its body is and what is wrong with it, `/SIZE/KIND/TIMES/NAME`.

The first TIMES requests of a path meet the fault KIND; later ones get the whole body. The body is determined by SIZE and
NAME alone, so every saved file can be compared.
"""

import hashlib
from dataclasses import dataclass

# Faults that a run gets over, as often as TIMES says.
FAULTS = ("503", "503-after", "429", "reset", "reset-in-body", "cut", "cut-chunks", "cut-gzip", "too-long", "stall",
          "stall-in-body")

# Those that hold up a job or its host for about a second; there are fewer of them.
HOLD_UP = ("503", "503-after", "429", "too-long", "stall", "stall-in-body")

# Ways to send a whole body.
MANNERS = ("plain", "chunked", "gzip", "redirect", "slow", "early-hints", "no-length", "ranges")

# What fails however often it is asked for, and the class of its record.
HOPELESS = {"404": "http_4xx", "410": "http_4xx", "always-cut": "truncated", "loop": "redirect", "garbage": "protocol"}

# A TIMES that no run reaches.
ALWAYS = 999_999


@dataclass(frozen=True)
class Page:
    """What one URL asks for."""
    host: str
    size: int
    kind: str
    times: int
    name: str

    @property
    def url(self):
        return f"http://{self.host}/{self.size}/{self.kind}/{self.times}/{self.name}"

    @property
    def body(self):
        return body(self.size, self.name)


def body(size, name):
    """The bytes of a body."""
    return hashlib.shake_128(f"{name} {size}".encode()).digest(size)


def draw(random, hosts, flapping, name):
    """A page that is saved in the end: a tenth has a fault, some are large."""
    size = random.choice((0, 1, 100, 1000, 4000, random.randrange(8000)))
    if random.random() < 0.005:
        size = random.randrange(100_000, 700_000)
    if random.random() < 0.1:
        kind, times = random.choice(FAULTS), random.randrange(1, 4)
        if kind in HOLD_UP and random.random() > 0.05:
            kind = "cut"
        if kind == "cut-gzip" and size < 100:
            size = 100
    else:
        kind, times = random.choice(MANNERS), 0
        if kind == "slow" and random.random() < 0.8:
            kind = "plain"
    host = flapping if random.random() < 0.02 else random.choice(hosts)
    return Page(host, max(size, 2) if "cut" in kind or "body" in kind else size, kind, times, name)


def draw_hopeless(random, hosts, name):
    """A page that is never saved."""
    return Page(random.choice(hosts), 1000, random.choice(tuple(HOPELESS)), ALWAYS, name)
