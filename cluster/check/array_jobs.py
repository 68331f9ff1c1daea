#!/usr/bin/env python3
"""Runs the command lines of the array jobs as Kubernetes and Slurm would, and checks what they fetch.

    array_jobs.py --fetch BINARY

Needs PyYAML and kubernetes-validate, which has the schemas of Kubernetes. Each task gets the environment that its
cluster sets. One task of each is terminated in the middle and run again.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import kubernetes_validate
import yaml

from spark_check import Origin, check, say

CLUSTER = Path(__file__).resolve().parents[1]
URLS = 400
TASKS = 8
# A task has this many hosts; the server takes 50 ms for each of its pages.
HOSTS = 40


def check_schema():
    """The job is valid for the oldest and the newest version that has what it uses."""
    job = yaml.safe_load((CLUSTER / "kubernetes" / "job.yaml").read_text())
    for version in ("1.33", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(job, version, strict=True)
        say(f"holds: job.yaml is a valid Job of Kubernetes {version}")
    broken = json.loads(json.dumps(job))
    broken["spec"]["completion"] = 8
    try:
        kubernetes_validate.validate(broken, version, strict=True)
    except kubernetes_validate.ValidationError:
        return job
    check(False, "the validator finds a field that does not exist")


class Kubernetes:
    """What the kubelet makes of the job."""

    def __init__(self, job, fetch, listed, folder):
        spec = job["spec"]
        container = spec["template"]["spec"]["containers"][0]
        check(spec["completions"] == spec["parallelism"] == TASKS, f"job.yaml has {TASKS} completions")
        self.fetch, self.args = fetch, container["args"]
        self.env = {entry["name"]: entry["value"] for entry in container["env"]}
        check(self.env["JOB_COMPLETIONS"] == str(TASKS), "JOB_COMPLETIONS is the number of completions")
        self.paths = {"/lists/urls.txt": str(listed), "/data/": f"{folder}/"}

    def start(self, task):
        env = dict(self.env, JOB_COMPLETION_INDEX=str(task), TMPDIR=os.environ.get("TMPDIR", "/tmp"))
        args = [re.sub(r"\$\((\w+)\)", lambda found: env[found[1]], arg) for arg in self.args]
        for inside, outside in self.paths.items():
            args = [arg.replace(inside, outside) for arg in args]
        return subprocess.Popen([self.fetch, *args, "--per-host=2"], env=env, stdout=subprocess.DEVNULL)

    def after_sigterm(self, code):
        check(code == 143, "SIGTERM ends the pod with 143, so that the job starts another")


class Slurm:
    """What sbatch and slurmd make of the script."""

    def __init__(self, fetch, listed, folder):
        self.script = CLUSTER / "slurm" / "fetch.sbatch"
        self.args = [str(listed), str(folder), "--per-host=2"]
        array = re.search(r"^#SBATCH --array=(\d+)-(\d+)$", self.script.read_text(), re.MULTILINE)
        check((int(array[1]), int(array[2])) == (0, TASKS - 1), f"fetch.sbatch has {TASKS} tasks")
        self.bin = folder.parent / "bin"
        self.bin.mkdir()
        (self.bin / "fetch").symlink_to(fetch)
        self.requeued = folder.parent / "requeued"
        (self.bin / "scontrol").write_text(f'#!/bin/sh\necho "$@" >>{self.requeued}\n')
        (self.bin / "scontrol").chmod(0o755)

    def start(self, task):
        env = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "SLURM_ARRAY_JOB_ID": "77",
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_MIN": "0",
            "SLURM_ARRAY_TASK_MAX": str(TASKS - 1),
            "SLURM_ARRAY_TASK_COUNT": str(TASKS),
            "SLURM_ARRAY_TASK_STEP": "1",
        }
        return subprocess.Popen(["/bin/bash", self.script, *self.args], env=env, stdout=subprocess.DEVNULL)

    def after_sigterm(self, code):
        check(code == 143, "SIGTERM to the script ends fetch, and the script with 143")
        asked = self.requeued.read_text()
        check(re.fullmatch(r"requeue 77_\d\n", asked), f"it asked: scontrol {asked.strip()}")


def check_tasks(name, cluster, origin, folder):
    """All tasks together fetch every URL once, although one is terminated and run again."""
    origin.ask("reset")
    terminated = 3
    process = cluster.start(terminated)
    while origin.stats()["requests"] < 5 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    cluster.after_sigterm(process.wait(timeout=60))
    before = origin.stats()["requests"]
    running = [cluster.start(task) for task in range(TASKS)]
    codes = [process.wait(timeout=300) for process in running]
    check(codes == [0] * TASKS, f"{name}: all tasks end with 0, although URLs failed")
    indexes, kinds = [], Counter()
    for task in range(TASKS):
        for line in (folder / f"shard-{task}.jsonl").read_text().splitlines():
            record = json.loads(line)
            if record["type"] == "result":
                indexes.append(record["index"])
                kinds[record["outcome"]] += 1
    check(sorted(indexes) == list(range(1, URLS + 1)), f"{name}: every URL is in the report of one shard")
    check(kinds["failed"] == URLS // 50 and kinds["skipped"] > 0, f"{name}: {dict(kinds)}")
    stats = origin.stats()
    failed_twice = stats["requests"] - stats["urls"]
    check(stats["urls"] == URLS and failed_twice <= URLS // 50, f"{name}: nothing that was saved is asked for again")
    say(f"{name}: {before} requests before the task was terminated")
    archives = [str(file) for file in folder.glob("shard-*.warc.gz")]
    warcio = subprocess.run([sys.executable, "-m", "warcio.cli", "check", *archives], stdout=subprocess.DEVNULL)
    check(len(archives) == TASKS and warcio.returncode == 0, f"{name}: warcio check finds all archives whole")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fetch", required=True)
    fetch = str(Path(parser.parse_args().fetch).resolve())
    began = time.monotonic()
    job = check_schema()
    with tempfile.TemporaryDirectory(prefix="array-jobs-") as temporary, Origin() as origin:
        temporary = Path(temporary)
        listed = temporary / "urls.txt"
        urls = [f"http://127.3.0.{n % HOSTS + 1}:{origin.port}/slow/{n}" for n in range(URLS)]
        listed.write_text("\n".join(urls) + "\n")
        for name in ("kubernetes", "slurm"):
            folder = temporary / name
            folder.mkdir()
            cluster = Kubernetes(job, fetch, listed, folder) if name == "kubernetes" else Slurm(fetch, listed, folder)
            check_tasks(name, cluster, origin, folder)
    say(f"all checks passed, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
