"""What is fetched, how, and by whom."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# The pages of the lesson, in its order, by their lengths.
LESSON = (
    189658, 195629, 242087, 335213, 143121, 170746, 194867, 160215, 344283, 431421, 327230, 491525,
    183878, 62420, 322886,
)

# The lengths of the files of each set of pages.
PAGES = {
    "tiny": (KIB,) * 10_000,
    "small": (10 * KIB,) * 10_000,
    "medium": (300 * KIB,) * 1_000,
    "big": (GIB,),
    "slow": (40 * MIB,),
    "lesson": LESSON,
}


@dataclass(frozen=True)
class Case:
    """One list, fetched in one way by several contenders."""

    name: str
    title: str
    pages: str
    contenders: tuple
    # "http", "tls" (HTTP/1.1 over TLS 1.3) or "h2" (HTTP/2 over TLS 1.3).
    scheme: str = "http"
    # Where bodies go: None, "tmpfs" or "disk".
    save: str | None = None
    jobs: int = 16
    # Loopback addresses that the URLs are spread over.
    hosts: int = 1
    # Where on the server the pages are reached: "" or a folder with manners of its own.
    under: str = ""
    # Runs in a row that make one lap, for what is over too soon to be timed alone.
    repeat: int = 1
    # Whom all others are compared with.
    reference: str = "fetch async"
    # Whether it is run where no case is named.
    main: bool = False

    @property
    def lengths(self):
        return PAGES[self.pages] if self.repeat == 1 else PAGES[self.pages][:1]


ALL = (
    "fetch", "floor", "reqwest", "curl", "wget2", "aria2c", "wget", "xargs curl", "requests", "aiohttp",
)
SAVERS = ("fetch async", "fetch threads", "fetch processes", "floor", "reqwest", "curl", "wget2", "aria2c")
READERS = ("fetch", "floor", "reqwest", "curl", "wrk")
SECURE = ("fetch async", "fetch threads", "fetch processes", "reqwest", "curl", "wget2", "aria2c")
MULTIPLEXED = ("fetch async", "fetch threads", "fetch processes", "reqwest", "curl", "wget2")
ONE_FILE = ("fetch async", "floor", "reqwest", "curl", "wget2", "aria2c", "wget")

CASES = (
    Case("small", "10,000 x 10 KiB", "small", ALL, save="tmpfs", main=True),
    Case("small-read", "10,000 x 10 KiB", "small", READERS, main=True),
    Case("small-tls", "10,000 x 10 KiB", "small", SECURE, scheme="tls", save="tmpfs", main=True),
    Case("small-h2", "10,000 x 10 KiB", "small", MULTIPLEXED, scheme="h2", save="tmpfs", main=True),
    Case("medium", "1,000 x 300 KiB", "medium", SAVERS, save="tmpfs", main=True),
    Case("big", "1 GiB", "big", ONE_FILE, save="tmpfs", main=True),
    Case("big-read", "1 GiB", "big", ("fetch async", "floor", "curl"), main=True),
    Case(
        "latency", "10,000 x 1 KiB, 50 ms away", "tiny", ("fetch async", "curl"), jobs=64,
        under="after50", main=True,
    ),
    Case(
        "lesson", "the lesson's 15 pages, 100 ms away", "lesson",
        ("fetch threads", "fetch async", "requests", "aiohttp", "curl"), scheme="tls", jobs=5,
        under="after100", reference="fetch threads", main=True,
    ),
    Case("startup", "one URL", "tiny", ("fetch async", "curl"), repeat=20, main=True),
    Case(
        "split", "40 MiB at 5 MiB/s a connection", "slow",
        ("fetch async", "fetch split", "aria2c split"), save="tmpfs", under="limited", main=True,
    ),
    Case("tiny", "10,000 x 1 KiB", "tiny", SAVERS, save="tmpfs"),
    Case("tiny-read", "10,000 x 1 KiB", "tiny", READERS),
    Case("tiny-tls", "10,000 x 1 KiB", "tiny", SECURE, scheme="tls", save="tmpfs"),
    Case("tiny-h2", "10,000 x 1 KiB", "tiny", MULTIPLEXED, scheme="h2", save="tmpfs"),
    Case("small-disk", "10,000 x 10 KiB", "small", SAVERS, save="disk"),
    Case("small-1", "10,000 x 10 KiB", "small", SAVERS + ("wget",), save="tmpfs", jobs=1),
    Case("small-64", "10,000 x 10 KiB", "small", SAVERS, save="tmpfs", jobs=64),
    Case("small-read-1", "10,000 x 10 KiB", "small", READERS, jobs=1),
    Case("small-read-64", "10,000 x 10 KiB", "small", READERS, jobs=64),
    Case("hosts", "10,000 x 10 KiB, 1,000 hosts", "small", SAVERS, save="tmpfs", jobs=64, hosts=1000),
    Case("medium-read", "1,000 x 300 KiB", "medium", READERS),
    Case("medium-disk", "1,000 x 300 KiB", "medium", SAVERS, save="disk"),
    Case("medium-tls", "1,000 x 300 KiB", "medium", SECURE, scheme="tls", save="tmpfs"),
    Case("medium-h2", "1,000 x 300 KiB", "medium", MULTIPLEXED, scheme="h2", save="tmpfs"),
    Case("big-disk", "1 GiB", "big", ONE_FILE, save="disk"),
    Case("big-tls", "1 GiB", "big", ("fetch async", "curl", "wget2", "aria2c"), scheme="tls", save="tmpfs"),
    Case("big-h2", "1 GiB", "big", ("fetch async", "curl", "wget2"), scheme="h2", save="tmpfs"),
)


def described(case):
    """The case in a line."""
    scheme = {"http": "HTTP/1.1", "tls": "TLS 1.3", "h2": "HTTP/2"}[case.scheme]
    where = {None: "read", "tmpfs": "saved to memory", "disk": "saved to disk"}[case.save]
    jobs = f", {case.jobs} job{'s' if case.jobs > 1 else ''}" if len(case.lengths) > 1 else ""
    return f"{case.title}, {scheme}, {where}{jobs}"
