"""What is no race: how soon a run begins, what memory it takes, how large the program is."""

import re
import shutil
import socket
import statistics
import subprocess
import time

from . import clock
from .cases import Case
from .contenders import Task, environment, fetch_command

LINES = 1_000_000
# The lists whose difference says what one more URL takes.
SHORT_AND_LONG = (500, 2500)
# What a million files of a page and its bookkeeping take in memory.
ROOM = 8 << 30


def first(track, rounds):
    """From the start of the program until the first bytes of a request arrive, in milliseconds, by lines."""
    figures = {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        for lines in (1, LINES):
            listed = list_of(track, f"http://127.0.0.1:{server.getsockname()[1]}/", lines)
            waits = []
            for round in range(rounds):
                track.say(f"first: round {round + 1} of {rounds}, {lines:,} lines")
                waits.append(until_first_request(track.fetch, listed, server))
            figures[f"first request, {lines:,} line{'s' * (lines > 1)}, ms"] = 1000 * statistics.median(waits)
    return figures


def until_first_request(fetch, listed, server):
    command = [fetch, "--no-config", "-q", "--retry", "0", listed]
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        stream, _ = server.accept()
        with stream:
            stream.settimeout(60)
            stream.recv(1)
            took = time.monotonic() - start
    finally:
        process.kill()
        process.wait()
    drain(server)
    return took


def drain(server):
    """Connections that came beside the first one are of no interest to the next round."""
    server.settimeout(0)
    try:
        while True:
            server.accept()[0].close()
    except BlockingIOError:
        server.settimeout(60)


def memory(track, _rounds):
    """Peak memory of saving a list under flat names, in MiB; and what each further job adds, in KiB."""
    if shutil.disk_usage(track.memory).free < ROOM:
        raise clock.Wrong(f"there is no room for {LINES:,} files in {track.memory}")
    track.origin.make("tiny")
    figures = {}
    peaks = {}
    for lines, jobs in ((LINES // 10, 16), (LINES // 10, 256), (LINES, 16)):
        track.say(f"memory: {lines:,} lines, {jobs} jobs")
        lap = save(track, lines, jobs)
        peaks[lines, jobs] = lap.peak
        figures[f"peak memory, {lines:,} lines, {jobs} jobs, MiB"] = lap.peak / (1 << 20)
        figures[f"URLs a second, {lines:,} lines, {jobs} jobs"] = lines / lap.wall
    added = peaks[LINES // 10, 256] - peaks[LINES // 10, 16]
    figures["memory for each further job, KiB"] = added / 240 / 1024
    return figures


def save(track, lines, jobs):
    listed = list_of(track, f"http://127.0.0.1:{track.origin.http}/many/", lines)
    case = Case("memory", "", "tiny", (), save="tmpfs", jobs=jobs)
    folder = track.folder("tmpfs")
    task = Task(case, [], listed, folder, track.scratch, track.origin.authority)
    try:
        lap, _ = clock.time(track.stopwatch, fetch_command(track.fetch, "async", task), track.scratch,
                            environment(task))
        saved = sum(1 for path in folder.iterdir() if not path.name.startswith("."))
        if saved != lines:
            raise clock.Wrong(f"saved {saved} files of {lines}")
        return lap
    finally:
        shutil.rmtree(folder)


def list_of(track, base, lines):
    listed = track.scratch / "lines"
    with open(listed, "w") as file:
        file.writelines(f"{base}{number:07}.bin\n" for number in range(lines))
    return listed


def size(track, _rounds):
    """The program as it is built for release, stripped, in MB."""
    return {"size, stripped, MB": track.fetch.stat().st_size / 1e6}


def instructions(track, _rounds):
    """Instructions for each further URL: the difference between a long list and a short one, under callgrind."""
    if not shutil.which("valgrind"):
        raise clock.Wrong("valgrind is not installed")
    case = Case("instructions", "", "small", ())
    track.origin.make("small")
    figures = {}
    for name, command in (
        ("fetch async", lambda task: fetch_command(track.fetch, "async", task)),
        ("fetch threads", lambda task: fetch_command(track.fetch, "threads", task)),
        ("reqwest", lambda task: [track.bare, str(case.jobs), str(task.list)]),
    ):
        counts = []
        for lines in SHORT_AND_LONG:
            track.say(f"instructions: {name}, {lines:,} lines")
            listed = track.scratch / "lines"
            listed.write_text("".join(f"{url}\n" for url in list(track.origin.urls(case))[:lines]))
            task = Task(case, [], listed, None, track.scratch, track.origin.authority)
            counts.append(executed(command(task), track.scratch, environment(task)))
        figures[f"instructions per URL, {name}"] = (counts[1] - counts[0]) / (SHORT_AND_LONG[1] - SHORT_AND_LONG[0])
    return figures


def executed(command, scratch, settings):
    """How many instructions a command executes."""
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch / 'callgrind'}"]
    ended = subprocess.run([*valgrind, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, env=settings, text=True)
    found = re.search(r"Collected : (\d+)", ended.stderr)
    if ended.returncode or not found:
        raise clock.Wrong(f"{command[0]} failed under callgrind: {ended.stderr[-500:].strip()}")
    return int(found[1])


TRIALS = {"first": first, "memory": memory, "size": size, "instructions": instructions}
