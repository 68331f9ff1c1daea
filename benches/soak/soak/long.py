"""The long run: many URLs, killed at random and run again until all is done."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from .checks import ensure, ensure_complete
from .pages import HOPELESS, draw, draw_hopeless

# How often the memory and the descriptors of a run are read, seconds.
SAMPLE = 0.05

# One URL of so many can never be saved.
HOPELESS_OF = 100

# What a URL that is saved takes in memory under flat names, bytes: 24 are stated, and a table that grows is there twice.
BYTES_PER_URL = 48

# Connections that a run keeps open though it does not use them, to all hosts together.
IDLE = 256

# Memory that a run may take beyond a plain one, bytes.
SLACK = 16 << 20


def soak(fetch, origin, folder, random, urls, kills, mode, jobs):
    """Runs it; raises `Wrong` if anything is."""
    pages = [draw(random, origin.hosts, origin.flapping, f"u{number:06}") if number % HOPELESS_OF else
             draw_hopeless(random, origin.hosts, f"u{number:06}") for number in range(urls)]
    dead = [page for page in pages if page.kind == "404"][:len(pages) // 5000 + 1]
    pages = [page if page not in dead else type(page)(origin.dead, page.size, "dead", 0, page.name) for page in pages]
    (folder / "list").write_text("".join(page.url + "\n" for page in pages))
    command = [fetch, "--no-config", "--mode", mode, "--jobs", str(jobs), "--json", "--compressed",
               "--retry", "6", "--retry-delay", "10ms", "--stall-timeout", "1s", "--host-patience", "10s",
               "--dir", str(folder / "saved"), str(folder / "list")]
    plain = Watched(command[:-3] + ["--dir", str(folder / "plain"), "-"], folder / "plain.jsonl",
                    "".join(f"{page.url}?{again}\n" for again in range(20) for page in pages[:500] if page.kind == "plain"))
    plain.wait()
    print(f"plain run: {plain.figures()}", flush=True)

    # In terms of entries of the manifest, so that all parts of the list are hit; a quarter soon after the start.
    soon = kills // 4
    marks = [("entries", mark) for mark in sorted(random.randrange(urls * 9 // 10) for _ in range(kills - soon))]
    for _ in range(soon):
        marks.insert(random.randrange(len(marks) + 1), ("seconds", random.random()))
    entered = Lines(folder / "saved/.fetch/manifest.jsonl")
    runs, started = [], time.monotonic()
    for kind, mark in marks:
        run = Watched(command, folder / "report.jsonl")
        run.kill_at(entered, **{kind: mark})
        runs.append(run)
        print(f"killed, {entered.read()} entries: {run.figures()}", flush=True)
        ensure(run.was_killed, f"the run ended before it was killed, exit code {run.code}")
    last = Watched(command, folder / "report.jsonl")
    last.wait()
    print(f"last run, exit code {last.code}: {last.figures()}", flush=True)
    seconds = time.monotonic() - started

    ensure(last.code == 1, f"exit code {last.code}, not 1 (some URLs can never be saved)")
    failed = ensure_accounted(folder / "report.jsonl", pages)
    expected = {page.name: page for page in pages if page.kind not in HOPELESS and page.kind != "dead"}
    ensure_complete(folder / "saved", expected,
                    may_be_begun=[page.name for page in pages if page.kind == "always-cut"])
    ensure_flat(plain, runs + [last], urls, jobs, len(origin.hosts) + 2)
    again = Watched(command, folder / "again.jsonl")
    again.wait()
    print(f"once more: {again.figures()}", flush=True)
    ensure_accounted(folder / "again.jsonl", pages)
    ensure(all(line["outcome"] in ("skipped", "failed") for line in results(folder / "again.jsonl")),
           "a run after the last one fetched a file again")
    print(f"{urls} URLs, {len(runs)} kills, mode {mode}, {jobs} jobs: {len(expected)} saved and right, {failed} failed as "
          f"they must, in {seconds:.0f} s; peak {max(run.memory for run in runs + [last]) / 2**20:.1f} MiB "
          f"(plain: {plain.memory / 2**20:.1f}), descriptors {max(run.descriptors for run in runs + [last])}")


class Watched:
    """A run whose memory and descriptors are sampled; those of its children count with it."""

    def __init__(self, command, report, text=None):
        self.memory = self.descriptors = 0
        self.started = time.monotonic()
        self.code = None
        with open(report, "wb") as output, open(report.with_suffix(".stderr"), "wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE if text else subprocess.DEVNULL,
                                            stdout=output, stderr=errors, start_new_session=True)
        if text:
            self.process.stdin.write(text.encode())
            self.process.stdin.close()

    def is_over(self, seconds):
        """Waits this long, or for the end; whether it has ended."""
        try:
            self.code = self.process.wait(seconds)
            self.seconds = time.monotonic() - self.started
            return True
        except subprocess.TimeoutExpired:
            return False

    def sample(self):
        family = [self.process.pid, *children_of(self.process.pid)]
        each = [usage for usage in map(usage_of, family) if usage]
        memory, descriptors = (sum(usage[part] for usage in each) for part in (0, 1))
        self.memory = max(self.memory, memory)
        self.descriptors = max(self.descriptors, descriptors)

    def wait(self):
        self.sample()
        while not self.is_over(SAMPLE):
            self.sample()

    def kill_at(self, entered, entries=None, seconds=None):
        """Kills it once the manifest has that many entries, or that many seconds after its start."""
        if seconds is not None:
            self.is_over(seconds)
        while self.code is None and entries is not None:
            self.sample()
            if entered.read() >= entries:
                break
            self.is_over(SAMPLE)
        if self.code is None:
            self.sample()
            self.process.send_signal(signal.SIGKILL)
            self.is_over(None)
        ensure(ends_soon(self.process.pid), "child processes are left behind")

    @property
    def was_killed(self):
        return self.code == -signal.SIGKILL

    def figures(self):
        return f"{self.seconds:.1f} s, {self.memory / 2**20:.1f} MiB, {self.descriptors} descriptors"


def children_of(parent):
    try:
        tasks = os.listdir(f"/proc/{parent}/task")
        return [int(child) for task in tasks
                for child in Path(f"/proc/{parent}/task/{task}/children").read_text().split()]
    except OSError:
        return []


def usage_of(process):
    """The peak of the resident memory of a process in bytes, and its descriptors; `None` once it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return int(kib) << 10, len(os.listdir(f"/proc/{process}/fd"))
    except (OSError, StopIteration):
        return None


def ends_soon(group, patience=10):
    """Whether nothing of a process group runs any more, after a moment at the most."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if not any(is_running(process) for process in members_of(group)):
            return True
        time.sleep(0.01)
    return False


def members_of(group):
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getpgid(int(name)) == group:
                    yield int(name)
            except OSError:
                pass


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except (OSError, IndexError):
        return False


class Lines:
    """Counts the lines of a file that grows."""

    def __init__(self, path):
        self.path, self.at, self.count = path, 0, 0

    def read(self):
        """How many there are now."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self.at)
                new = file.read()
            self.at += len(new)
            self.count += new.count(b"\n")
        return self.count


def results(report):
    with open(report) as lines:
        for line in lines:
            line = json.loads(line)
            if line["type"] == "result":
                yield line


def ensure_accounted(report, pages):
    """Each entry has one record with the right outcome; returns how many failed."""
    seen, failed = Counter(), 0
    for record in results(report):
        seen[record["index"]] += 1
        page = pages[record["index"] - 1]
        expected = "connect" if page.kind == "dead" else HOPELESS.get(page.kind)
        outcome = record["error"]["class"] if record["outcome"] == "failed" else None
        if page.kind == "dead" and outcome == "host_down":
            outcome = expected
        ensure(outcome == expected, f"{page.url}: {record['outcome']} {record['error']}, expected {expected}")
        failed += outcome is not None
    ensure(seen == Counter(range(1, len(pages) + 1)), "not every entry has exactly one record")
    return failed


def ensure_flat(plain, runs, urls, jobs, hosts):
    """No run took more memory or descriptors than its plan explains."""
    most = plain.memory + SLACK + BYTES_PER_URL * urls
    fat = [run for run in runs if run.memory > most]
    ensure(not fat, f"a run took {fat[0].memory >> 20} MiB, more than {most >> 20}" if fat else "")
    many = max(run.descriptors for run in runs)
    most = 100 + 2 * jobs + min(IDLE, jobs * hosts)
    ensure(many <= most, f"{many} descriptors with {jobs} jobs and {hosts} hosts, more than {most}")
