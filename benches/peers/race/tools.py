"""What has to be there before: the programs built, the Python libraries installed, and what all of them are."""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from . import origin

ROOT = Path(__file__).resolve().parents[3]
LIBRARIES = ("requests", "aiohttp", "matplotlib")


def build(fetch=None):
    """The paths of fetch, floor, bare_reqwest and stopwatch, built for release; `fetch` is used as it is if given."""
    # Apart: what is built beside examples has the features that only tests ask of its libraries.
    fetch = fetch or cargo("--bin", "fetch")["fetch"]
    helpers = cargo("--example", "floor", "--example", "bare_reqwest", "--example", "stopwatch")
    return fetch, helpers["floor"], helpers["bare_reqwest"], helpers["stopwatch"]


def cargo(*targets):
    """The paths of the programs that these build, by name."""
    command = ["cargo", "build", "--locked", "--release", "--message-format", "json", *targets]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = map(json.loads, told.splitlines())
    return {message["target"]["name"]: Path(message["executable"])
            for message in messages if message.get("executable")}


def python_with_libraries(folder):
    """A Python that has the libraries, in an environment of its own; or None and why not."""
    python = folder / "bin" / "python"
    wanted = [str(python), "-c", "import " + ", ".join(LIBRARIES)]
    try:
        if not python.exists() or subprocess.run(wanted, capture_output=True).returncode:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
            subprocess.run([python, "-m", "pip", "install", "-q", *LIBRARIES], check=True,
                           capture_output=True)
        return python, None
    except (OSError, subprocess.CalledProcessError) as error:
        words = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        return None, words.splitlines()[-1] if words else str(error)


def digest(*paths):
    """Which programs these are."""
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in paths)).hexdigest()[:16]


def machine():
    """The processor, its cores and the system in a line."""
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    version = ".".join(platform.release().split(".")[:2])
    return f"{cores} cores ({models[0] if models else platform.machine()}), {platform.system()} {version}"


def versions(contenders, python):
    """What the contenders call themselves."""
    told = {}
    for contender in contenders:
        program = contender.program and Path(contender.program).name
        if program in ("curl", "wget2", "aria2c", "wget", "wrk"):
            # wrk tells its version beside its usage, on whatever stream.
            flag = "-v" if program == "wrk" else "--version"
            said = subprocess.run([contender.program, flag], capture_output=True, text=True)
            found = re.search(r"\d+\.\d[\w.]*", said.stdout + said.stderr)
            told[program] = found[0] if found else "?"
    said = subprocess.run([origin.program(), "-v"], capture_output=True, text=True)
    told["nginx"] = said.stderr.rsplit("/", 1)[-1].strip()
    if python:
        ask = "import requests, aiohttp; print(requests.__version__, aiohttp.__version__)"
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True).stdout.split()
        told |= dict(zip(("requests", "aiohttp"), said))
    return ", ".join(f"{name} {version}" for name, version in sorted(told.items()))
