"""Those who fetch: how each is told what to do, and how what it says is read."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .clock import Wrong

HERE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Task:
    """A case as a contender gets it."""

    case: object
    urls: list
    list: Path
    # A fresh folder to save into; None to read and count only.
    folder: Path | None
    # For what a contender needs beside the list.
    scratch: Path
    authority: Path

    @property
    def bytes(self):
        return sum(self.case.lengths)


@dataclass(frozen=True)
class Contender:
    """A program and how it is told what to do."""

    name: str
    program: str | None
    command: Callable
    # How it says what it read, where it does not save; None if it does not.
    counted: re.Pattern | None = re.compile(r"(?m)^Read (\d+) from ")
    # Why it cannot do this case, if so.
    unfit: Callable = lambda case: None
    # Rounds of a long list that it takes part in at most, where it is so slow that all would take too long.
    rounds: int | None = None
    # How much of the case the lap was, judging by what was said.
    scale: Callable = lambda task, said, lap: lap

    def takes_part(self, case, round):
        return self.rounds is None or round < self.rounds or len(case.lengths) < 100

    def reason_to_leave_out(self, case):
        if self.program is None:
            return "not installed"
        if case.save is None and self.counted is None:
            return "does not tell what it reads unless it saves"
        return self.unfit(case)


def fetch_contenders(fetch, called="fetch"):
    """One for each mode that the binary has, and one that splits if it can."""
    told = subprocess.run([fetch, "--help"], check=True, capture_output=True, text=True).stdout
    listed = told.split("--mode <MODE>", 1)[1].split("--jobs", 1)[0]
    for mode in re.findall(r"(?m)^\s+- ([a-z]+):", listed):
        yield Contender(f"{called} {mode}", fetch, lambda task, mode=mode: fetch_command(fetch, mode, task))

    def split(task):
        return fetch_command(fetch, "async", task) + ["--split", "4", "--min-split-size", "5M"]

    without = None if "--split" in told else "this build has no --split"
    yield Contender(f"{called} split", fetch, split, unfit=lambda case: without)


def fetch_command(fetch, mode, task):
    jobs = str(task.case.jobs)
    command = [fetch, "--no-config", "-m", mode, "-j", jobs, "--per-host", jobs, str(task.list)]
    # Where nothing is saved its rows are what proves that all was read.
    command += ["-q", "-d", str(task.folder)] if task.folder else []
    if task.case.scheme != "http":
        command += ["--cacert", str(task.authority)]
    return command + (["--http1"] if task.case.scheme == "tls" else [])


def curl(task):
    wishes = task.scratch / "curl"
    with open(wishes, "w") as file:
        for url in task.urls:
            output = task.folder / name_of(url) if task.folder else "/dev/null"
            file.write(f'url = "{url}"\noutput = "{output}"\n')
    command = ["curl", "-s", "-S", "-f", "--cacert", str(task.authority), "-K", str(wishes)]
    command += ["--http2" if task.case.scheme == "h2" else "--http1.1"]
    command += [] if task.folder else ["-w", "%{size_download}\\n"]
    jobs = ["--parallel", "--parallel-max", str(task.case.jobs)] if task.case.jobs > 1 else []
    return command + (jobs if len(task.urls) > 1 else [])


def xargs_curl(task):
    # One process a URL, as it is commonly written.
    return ["xargs", "-a", str(task.list), "-P", str(task.case.jobs), "-n", "1",
            "curl", "-s", "-f", "-O", "--output-dir", str(task.folder), "--cacert", str(task.authority)]


def wget(task):
    return ["wget", "-q", "--no-config", "-i", str(task.list), "-P", str(task.folder),
            "--ca-certificate", str(task.authority)]


def wget2(task):
    command = ["wget2", "-q", "--no-config", f"--max-threads={task.case.jobs}", "-i", str(task.list),
               "-P", str(task.folder), "--ca-certificate", str(task.authority)]
    return command + ([] if task.case.scheme == "h2" else ["--no-http2"])


def aria2c(task, *more):
    return ["aria2c", "-q", "--no-conf", "--file-allocation=none", "-j", str(task.case.jobs),
            "-i", str(task.list), "-d", str(task.folder), f"--ca-certificate={task.authority}",
            *(more or ("-x1", "-s1"))]


def wrk(task):
    paths = ",".join(f'"/{url.split("/", 3)[3]}"' for url in task.urls)
    script = task.scratch / "wrk.lua"
    script.write_text(f"""
local requests, at = {{}}, 0
init = function()
  for number, path in ipairs({{{paths}}}) do requests[number] = wrk.format("GET", path) end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
""")
    base = "/".join(task.urls[0].split("/", 3)[:3])
    return ["wrk", "-t", "1", "-c", str(task.case.jobs), "-d", "2s", "-s", str(script), base]


def scale_wrk(task, said, lap):
    """wrk runs for a time, not for a list: what the list would have taken it."""
    found = re.search(r"(\d+) requests in ([\d.]+)s, ([\d.]+)([KMG])B read", said)
    if not found or "Non-2xx" in said or "Socket errors" in said:
        raise Wrong(f"wrk says:\n{said}")
    requests, seconds = int(found[1]), float(found[2])
    read = float(found[3]) * 1024 ** " KMG".index(found[4])
    if read < requests * task.bytes / len(task.urls) * 0.99:
        raise Wrong(f"wrk read {read:.0f} bytes in {requests} replies")
    share = len(task.urls) / requests
    return replace(lap, wall=seconds * share, cpu=lap.cpu * share)


def name_of(url):
    return url.rsplit("/", 1)[1]


def plain(case):
    return None if case.scheme == "http" else "speaks plain HTTP alone"


def without_http2(case):
    return None if case.scheme != "h2" else "speaks HTTP/1.1 alone"


def aria2c_unfit(case):
    if case.save == "disk" and len(case.lengths) > 1:
        return "takes a minute for ten thousand files on a disk"
    return without_http2(case)


def installed(program):
    return shutil.which(program)


def contenders(fetch, other, floor, bare, python):
    """All there are. `other` is another build of fetch, or None; `python` has the libraries of the lesson's programs,
    or is None."""
    numbers = re.compile(r"(?m)^(\d+)$")

    def lesson(name):
        return lambda task: [str(python), str(HERE / f"lesson_{name}.py"), str(task.case.jobs),
                             str(task.list), *([str(task.folder)] if task.folder else [])]

    def client(program):
        return lambda task: [str(program), str(task.case.jobs), str(task.list),
                             *([str(task.folder)] if task.folder else [])]

    def bare_client(task):
        secure = [str(task.authority)] if task.case.scheme != "http" else []
        versions = ["http1"] if task.case.scheme == "tls" else []
        return [str(bare), str(task.case.jobs), str(task.list), str(task.folder or "-"), *secure, *versions]

    return [
        *fetch_contenders(fetch),
        *(fetch_contenders(other, "other") if other else ()),
        Contender("floor", str(floor), client(floor), unfit=plain),
        Contender("reqwest", str(bare), bare_client),
        Contender("wrk", installed("wrk"), wrk, unfit=plain, scale=scale_wrk),
        Contender("curl", installed("curl"), curl, counted=numbers),
        Contender("wget2", installed("wget2"), wget2, counted=None),
        Contender("aria2c", installed("aria2c"), aria2c, counted=None, unfit=aria2c_unfit),
        Contender("aria2c split", installed("aria2c"),
                  lambda task: aria2c(task, "-x4", "-s4", "-k5M"), counted=None),
        Contender("wget", installed("wget"), wget, counted=None, unfit=without_http2),
        Contender("xargs curl", installed("xargs") and installed("curl"), xargs_curl, counted=None,
                  rounds=1),
        Contender("requests", python, lesson("requests"), unfit=without_http2, rounds=3),
        Contender("aiohttp", python, lesson("aiohttp"), unfit=without_http2, rounds=3),
    ]


def environment(task):
    """Nothing of the caller's settings, and the authority for those who take it from here."""
    return {"PATH": os.environ["PATH"], "HOME": str(task.scratch), "LC_ALL": "C.UTF-8",
            "REQUESTS_CA_BUNDLE": str(task.authority)}
