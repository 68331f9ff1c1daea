"""What is to be reached, and whether it is."""

from collections.abc import Callable
from dataclasses import dataclass

FETCH = "fetch async"


@dataclass(frozen=True)
class Target:
    """A figure, what it has to be, and what it might be at best. Where more is better, `at_least` holds."""

    case: str
    what: str
    figure: Callable
    bound: float
    dream: float | None
    at_least: bool = False
    unit: str = ""

    def verdict(self, figure):
        if figure is None:
            return "not measured"
        if not self.is_within(self.bound, figure):
            return "not met"
        return "met" if self.dream is None or not self.is_within(self.dream, figure) else "**met, and the dream**"

    def is_within(self, bound, figure):
        return figure >= bound if self.at_least else figure <= bound

    def shown(self, bound):
        if bound is None:
            return "-"
        return f"{'≥' if self.at_least else '≤'} {bound:g}{self.unit}"


def of(case, other, field="wall", who=FETCH):
    """What fetch took, of what the other took."""
    return lambda figures: figures.ratio(case, who, other, field)


def against(case, other, who=FETCH):
    """How fast fetch is, of how fast the other is."""
    return lambda figures: figures.ratio(case, other, who)


def value(case, name):
    return lambda figures: figures.values(case).get(name)


def latency(figures):
    """The ideal: 64 replies every 50 ms."""
    took = figures.median("latency", FETCH)
    return 10_000 / 64 * 0.05 / took if took else None


SMALL = "10,000 x 10 KiB"

TARGETS = (
    Target("small", f"{SMALL}, saved: wall, of curl's", of("small", "curl"), 0.6, 0.45),
    Target("small", "the same, of wget2's", of("small", "wget2"), 0.45, 0.35),
    Target("small", "the same, of aria2's", of("small", "aria2c"), 0.15, 0.1),
    Target("small", "the same: CPU per URL, of curl's", of("small", "curl", "cpu"), 0.65, 0.5),
    Target("small-read", f"{SMALL}, read: requests a second, of wrk's", against("small-read", "wrk"), 0.75,
           0.9, at_least=True),
    Target("small-read", "the same: wall, of the blocking client's", of("small-read", "floor"), 1.2, 1.0),
    Target("small", f"{SMALL}, saved: wall, of the blocking client's", of("small", "floor"), 1.2, 1.0),
    Target("small", f"{SMALL}, saved: threads' URLs a second, of async's",
           against("small", FETCH, "fetch threads"), 0.8, 1.0, at_least=True),
    Target("small-read", f"{SMALL}, read: threads' URLs a second, of async's",
           against("small-read", FETCH, "fetch threads"), 0.8, 1.0, at_least=True),
    Target("small-tls", f"{SMALL}, TLS 1.3, saved: wall, of curl's", of("small-tls", "curl"), 0.6, 0.45),
    Target("small-h2", f"{SMALL}, HTTP/2, saved: wall, of curl's", of("small-h2", "curl"), 0.6, 0.45),
    Target("medium", "1,000 x 300 KiB, saved: wall, of curl's", of("medium", "curl"), 0.9, 0.7),
    Target("big-read", "1 GiB, read: wall, of curl's", of("big-read", "curl"), 1.0, 0.9),
    Target("big", "1 GiB, saved: wall, of curl's", of("big", "curl"), 0.7, 0.6),
    Target("memory", "memory, 1,000,000 lines, 16 jobs, saved",
           value("memory", "peak memory, 1,000,000 lines, 16 jobs, MiB"), 48, 24, unit=" MiB"),
    Target("memory", "memory for each further job", value("memory", "memory for each further job, KiB"), 100,
           None, unit=" KiB"),
    Target("first", "first request leaves, 1 line", value("first", "first request, 1 line, ms"), 10, 5,
           unit=" ms"),
    Target("first", "first request leaves, 1,000,000 lines",
           value("first", "first request, 1,000,000 lines, ms"), 10, 5, unit=" ms"),
    Target("startup", "one URL: wall, of curl's", of("startup", "curl"), 1.0, 0.8),
    Target("latency", "10,000 URLs 50 ms away, 64 jobs: speed, of the ideal", latency, 0.95, 0.99,
           at_least=True),
    Target("lesson", "the lesson, 5 threads: wall, of the Python program's",
           of("lesson", "requests", who="fetch threads"), 1.0, 0.9),
    Target("lesson", "the same: CPU", of("lesson", "requests", "cpu", "fetch threads"), 0.1, 0.05),
    Target("split", "four ranges of one file at once, where a connection is limited: speed, of one stream's",
           against("split", FETCH, "fetch split"), 3.6, None, at_least=True),
    Target("size", "the program, stripped", value("size", "size, stripped, MB"), 12, 8, unit=" MB"),
)
