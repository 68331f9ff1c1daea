"""Small runs that are killed at a random instant of their life, and run again."""

import ctypes
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

from .checks import Wrong, ensure, ensure_complete, ensure_whole, manifest_of
from .pages import Page

# Arguments that change what is done on the disk.
WAYS = ((), (), ("--fsync",), ("--split", "2", "--min-split-size", "64k"), ("--compressed",), ("--digest", "sha256"),
        ("--names", "tree"), ("--names", "hash"), ("--ordered",))

# What makes a run fetch again what is saved; only the run that is killed has it.
AGAIN = ((), (), (), ("--force",), ("--refresh",))

# Faults that take no second each, and the ways to send a body.
KINDS = ("plain", "plain", "plain", "chunked", "gzip", "redirect", "slow", "early-hints", "503", "429", "reset", "cut",
         "cut-chunks", "reset-in-body")

# Kills of one folder before it is finished.
ROW = (1, 1, 1, 2, 3)

# How long a run, or the end of its children, may take, seconds.
PATIENCE = 60

# prctl(2): orphaned children of the runs become children of this process, so that it sees all of them end.
PR_SET_CHILD_SUBREAPER = 36


def kill_small_runs(fetch, origin, folder, seed, kills, modes, workers):
    """Kills that many runs, in processes of their own; raises `Wrong` if anything is."""
    shares = [kills // workers + (number < kills % workers) for number in range(workers)]
    started, pipes = time.monotonic(), []
    for number, share in enumerate(shares):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            own = folder / f"worker{number}"
            os._exit(work(fetch, origin, own, f"{seed}/{number}", share, modes, writer))
        os.close(writer)
        pipes.append((child, reader))
    reached, ended_wrong = Counter(), False
    for child, reader in pipes:
        with open(reader) as text:
            reached.update(json.loads(text.read() or "{}"))
        ended_wrong |= os.waitpid(child, 0)[1] != 0
    if ended_wrong:
        raise Wrong("see above")
    seconds = time.monotonic() - started
    what = ", ".join(f"{count} {words}" for words, count in sorted(reached.items()))
    print(f"{kills} kills in {seconds:.0f} s, all right: {what}")


def work(fetch, origin, folder, seed, kills, modes, writer):
    """The exit code of a worker."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    random, lives, reached = Random(seed), defaultdict(lambda: 0.05), Counter()
    modes = itertools.cycle(modes)
    for number in itertools.count():
        if sum(reached[words] for words in Trial.REACHED) >= kills:
            break
        folder.mkdir()
        kind = OutputTrial if random.random() < 0.1 else Trial
        trial = kind(fetch, origin, folder, random, next(modes), f"t{seed.replace('/', '-')}-{number}", lives, reached)
        try:
            trial.run()
        except Exception as error:
            kept = Path(tempfile.mkdtemp(prefix="soak-wrong-")) / "folder"
            shutil.move(folder, kept)
            words = str(error) if isinstance(error, Wrong) else traceback.format_exc()
            print(f"Wrong: {words}\nseed {seed}, trial {number}, {' '.join(map(str, trial.last))}\nkept in {kept}",
                  file=sys.stderr, flush=True)
            return 1
        shutil.rmtree(folder)
    with open(writer, "w") as result:
        json.dump(reached, result)
    return 0


class Trial:
    """One folder: perhaps saved to before, killed once or a few times, and finished."""

    REACHED = ("before the first entry", "with some entries", "with all entries")

    def __init__(self, fetch, origin, folder, random, mode, name, lives, reached):
        self.fetch, self.folder, self.random, self.mode, self.reached = fetch, folder, random, mode, reached
        self.saved = folder / "saved"
        self.way = random.choice(WAYS)
        count = random.choice((1, 2, 3, 6, random.randrange(1, 21)))
        pages = [self.draw(origin, f"{name}-{number}") for number in range(count)]
        self.pages = {self.path_of(page): page for page in pages}
        self.list = folder / "list"
        self.list.write_text("".join(page.url + "\n" for page in pages))
        self.lives, self.last = lives, []
        takes_long = any(page.kind in ("slow", "reset-in-body") for page in pages)
        self.key = (mode, self.way, count.bit_length(), takes_long)

    def draw(self, origin, name):
        random = self.random
        size = random.choice((0, 100, 3000, random.randrange(20_000)))
        kind = random.choice(KINDS)
        if random.random() < 0.15:
            size, kind = random.randrange(400_000, 1_500_000), random.choice(("plain", "slow", "cut", "reset-in-body"))
        times = 1 if kind in ("503", "429", "reset", "cut", "cut-chunks", "reset-in-body") else 0
        return Page(random.choice(origin.hosts), max(size, 2), kind, times, name)

    def path_of(self, page):
        if "--names" not in self.way:
            return page.name
        if "hash" in self.way:
            digest = hashlib.sha256(page.url.encode()).hexdigest()
            return f"{digest[:2]}/{digest[2:4]}/{digest}"
        host = page.host.replace(":", "_")
        return page.url.replace(f"http://{page.host}", host)

    def run(self):
        if self.random.random() < 0.3:
            self.save_some()
        for _ in range(self.random.choice(ROW)):
            self.kill(self.random.choice(AGAIN))
        self.finish()

    def command(self, source, again=()):
        self.last = [self.fetch, "--no-config", "--json", "--mode", self.mode, "--jobs", "4", "--retry-delay", "2ms",
                     "--retry", "5", *self.way, *again, "--dir", self.saved, source]
        return self.last

    def start(self, command):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def save_some(self):
        """An earlier run of the first half of the list."""
        lines = self.list.read_text().splitlines(keepends=True)
        half = self.folder / "half"
        half.write_text("".join(lines[:len(lines) // 2 + 1]))
        self.whole(self.command(half))

    def whole(self, command):
        """A run that nothing happens to; returns its records."""
        process = self.start(command)
        output, errors = process.communicate(timeout=PATIENCE)
        ensure(process.returncode == 0, f"exit code {process.returncode}\n{output.decode()}{errors.decode()}")
        return [record for record in map(json.loads, output.splitlines()) if record["type"] == "result"]

    def kill(self, again):
        """A run that is killed at an instant of its life, unless it ends before."""
        before = self.whole_files()
        process = self.start(self.command(self.list, again))
        time.sleep(self.random.random() * self.lives[self.key])
        process.kill()
        if self.random.random() < 0.5:
            ensure_no_children(process)
        process.wait(PATIENCE)
        process.stdout.close()
        process.stderr.close()
        if process.returncode != -signal.SIGKILL:
            ensure(process.returncode == 0, f"exit code {process.returncode}")
            self.reached["ended before the kill"] += 1
            return
        now = self.entries()
        stage = 0 if not now else 1 if len(now) < len(self.pages) else 2
        self.reached[self.REACHED[stage]] += 1
        self.reached["in mode " + self.mode] += 1
        self.ensure_nothing_lost(before, now)

    def entries(self):
        """The paths of files that the manifest names as saved."""
        return {entry["path"] for entry in manifest_of(self.saved) if entry["type"] == "saved"}

    def whole_files(self):
        """The paths of files that are there, each whole and right; one that is entered may not have its name yet."""
        return ensure_whole(self.saved, self.pages) if self.saved.exists() else set()

    def ensure_nothing_lost(self, before, now):
        whole = self.whole_files()
        ensure(before <= whole, f"saved before and gone: {before - whole}")
        for path in now - whole:
            # Entered and not yet renamed: the next run does that.
            part = self.saved / (path + ".part")
            ensure(part.exists() and part.read_bytes() == self.pages[path].body, f"{path} is entered and not there")

    def finish(self):
        there = self.entries()
        latest = {entry["path"]: entry["type"] for entry in manifest_of(self.saved)}
        started = time.monotonic()
        records = self.whole(self.command(self.list))
        if not there:
            self.lives[self.key] += 0.3 * (time.monotonic() - started - self.lives[self.key])
        ensure_no_children(None)
        ensure(sorted(record["index"] for record in records) == list(range(1, len(self.pages) + 1)), "records")
        for record in records:
            path = record["path"]
            expected = ("skipped",) if latest.get(path) == "saved" else ("ok", "updated") if path in there else ("ok",)
            ensure(record["outcome"] in expected, f"{record['url']}: {record['outcome']}, not {expected}")
        ensure_complete(self.saved, self.pages, entries_each=0)
        again = self.whole(self.command(self.list))
        ensure(all(record["outcome"] == "skipped" for record in again), "a later run fetched again")


class OutputTrial(Trial):
    """The same with one URL that is saved as a file outside of any such folder."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.way = self.random.choice(((), ("--fsync",), ("--compressed",)))
        self.pages = dict([next(iter(self.pages.items()))])
        self.page, = self.pages.values()
        self.key = (self.mode, "output", self.page.kind)
        self.saved.mkdir()

    def save_some(self):
        """What is there before is somebody else's, and stays."""
        (self.saved / "other").write_text("other")

    def command(self, source, again=()):
        self.last = [self.fetch, "--no-config", "--json", "--mode", self.mode, "--retry-delay", "2ms", "--retry", "5",
                     *self.way, "--output", self.saved / "out", self.page.url]
        return self.last

    def entries(self):
        """Whether the file is there."""
        return {"out"} & set(os.listdir(self.saved))

    def whole_files(self):
        return self.entries()

    def ensure_nothing_lost(self, before, now):
        ensure(before <= now, "the file is gone")
        ensure(not now or (self.saved / "out").read_bytes() == self.page.body, "the file is not right")

    def finish(self):
        records = self.whole(self.command(None))
        ensure_no_children(None)
        ensure([record["outcome"] for record in records] in (["ok"], ["skipped"], ["updated"]), f"{records}")
        ensure((self.saved / "out").read_bytes() == self.page.body, "the file is not right")
        left = set(os.listdir(self.saved)) - {"out", "other"}
        ensure(not left, f"left behind: {left}")


def ensure_no_children(process):
    """Every process that the killed run had started ends, `process` and its children; they are children of this one."""
    until = time.monotonic() + PATIENCE
    if process:
        process.wait(PATIENCE)
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.0005)
        except ChildProcessError:
            return
        ensure(time.monotonic() < until, "child processes are left behind")
