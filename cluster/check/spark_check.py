#!/usr/bin/env python3
"""Runs the Spark job on a real Spark, kills what it runs on, and checks that every URL has one record.

    spark_check.py --fetch BINARY [--urls N] [--hosts N] [--per-host N] [--master MASTER]

Needs pyspark and warcio, and Java 17. Every URL is on loopback; the server is origin.py beside this.
"""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
JOB = HERE.parent / "spark" / "fetch_job.py"
BROKEN_EVERY = 50
sys.path.insert(0, str(JOB.parent))
import fetch_job  # noqa: E402

# What depends on time, on the worker, on the order of the list, or on the archive that it is in.
DEPENDS = {
    "index", "source", "line", "duplicate_of", "id", "worker", "started_at", "timings", "attempts_detail", "path",
    "queued", "connect", "first_byte", "total", "retry_wait", "archive", "archive_offset", "archive_length", "run",
}  # fmt: skip


class Origin:
    """The server, for as long as it is entered."""

    def __enter__(self):
        command = [sys.executable, str(HERE / "origin.py"), "--broken-every", str(BROKEN_EVERY)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=60) as reply:
            return reply.read()

    def stats(self):
        return json.loads(self.ask("stats"))


def check(holds, what):
    if not holds:
        sys.exit(f"spark_check: failed: {what}")
    say(f"holds: {what}")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def write_list(file, origin, urls, hosts, kind="n"):
    """A table of URLs; the first host has most of them, as Zipf has it."""
    chance = random.Random(18)
    with open(file, "w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["number", "url", "caption"])
        for number in range(urls):
            host = int(hosts ** chance.random()) - 1
            url = f"http://127.1.{host // 250}.{host % 250 + 1}:{origin.port}/{kind}/{number}"
            table.writerow([number, url, f'the "{number}"'])


def processes(of):
    """The ids of processes whose command line has all of these texts."""
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            continue
        if folder.name.isdigit() and all(text in line for text in of):
            yield int(folder.name)


class Killer(threading.Thread):
    """Sends a signal to the first process with these texts, once the server has had this many requests."""

    def __init__(self, origin, after, which, number):
        super().__init__(daemon=True)
        self.origin, self.after, self.which, self.number = origin, after, which, number
        self.killed = None
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            if self.origin.stats()["requests"] < self.after:
                continue
            found = sorted(processes(self.which))
            if found:
                os.kill(found[0], self.number)
                self.killed = found[0]
                return

    def end(self):
        self.over.set()
        self.join()
        return self.killed


def job(spark, *arguments):
    return fetch_job.run(spark, fetch_job.parse_arguments([str(argument) for argument in arguments]))


def outcomes(table):
    return {row["outcome"]: row["count"] for row in table.groupBy("outcome").count().collect()}


def outcomes_of(records):
    return dict(Counter(record["outcome"] for record in records))


def check_archives(table, folder, urls):
    """All archives that records name are whole, and responses are where records say."""
    files = [folder / row[0] for row in table.where("path is not null").select("path").distinct().collect()]
    say(f"{len(files)} archives, {sum(file.stat().st_size for file in files):,} bytes")
    warcio = [sys.executable, "-m", "warcio.cli", "check"]
    checked = subprocess.run(warcio + [str(file) for file in files], stdout=subprocess.DEVNULL)
    check(files and checked.returncode == 0, "warcio check finds all archives whole")
    sample = table.where("outcome = 'ok'").sample(min(1.0, 300 / urls), 7)
    rows = sample.select("url", "path", "archive_offset", "archive_length").collect()
    for url, path, offset, length in rows:
        with open(folder / path, "rb") as archive:
            archive.seek(offset)
            record = zlib.decompress(archive.read(length), 31).decode()
        page = f"page {url.rpartition('/')[2]} of "
        if f"WARC-Target-URI: {url}\r\n" not in record or page not in record:
            check(False, f"{path} has {url} at {offset}")
    check(rows, f"{len(rows)} responses are where their records say")


def check_independence(spark, folder):
    """No task depends on what an executor keeps for others."""
    shuffled = spark.sparkContext.parallelize(range(100), 4).map(lambda n: (n, n)).repartition(3)
    check(b"Shuffled" in shuffled.toDebugString(), "partitions that come from a shuffle are known as such")
    parts = fetch_job.independent(shuffled, f"{folder}/lists")
    check(b"Shuffled" not in parts.toDebugString(), "tasks do not depend on a shuffle")


def check_executor_loss(spark, origin, options, folder):
    """A run that loses an executor, a run after it, and one after broken URLs have come to work."""
    listed, output, table = folder / "urls.csv", folder / "out", folder / "table"
    write_list(listed, origin, options.urls, options.hosts)
    common = ["--input", listed, "--output", output, "--fetch", options.fetch, "--task-urls", options.task_urls]
    rest = ["--", "--per-host", options.per_host]
    which = ["CoarseGrainedExecutorBackend", spark.sparkContext.applicationId]
    killer = Killer(origin, options.urls // 3, which, signal.SIGKILL)
    if options.master.startswith("local-cluster"):
        killer.start()
    began = time.monotonic()
    left = job(spark, *common, *rest)
    took = time.monotonic() - began
    stats = origin.stats()
    say(f"run 1: {options.urls:,} URLs in {took:.0f} s, {options.urls / took:,.0f} a second; the server: {stats}")
    if options.master.startswith("local-cluster"):
        check(killer.end(), "an executor was killed in the middle")
    records = spark.read.parquet(f"{output}/records")
    broken = len(range(0, options.urls, BROKEN_EVERY))
    wanted = {"ok": options.urls - broken, "failed": broken}
    check(left == 0 and outcomes(records) == wanted, f"the table has {wanted}")
    numbers = records.selectExpr("cast(carried.number as int) number", "url").distinct()
    check(numbers.count() == options.urls == records.count(), "every URL is in the table exactly once")
    ends_alike = records.where("split(url, '/')[4] = carried.number").count()
    check(ends_alike == options.urls, "what was carried belongs to its URL")
    most = stats["most_requests"]
    check(0 < most <= options.per_host, f"no host had more than {most} requests at a time, allowed: {options.per_host}")
    check_archives(records, output / "archives", options.urls)

    origin.ask("reset")
    command = [shutil.which("spark-submit"), "--master", "local[2]", str(JOB), *map(str, common + rest)]
    submitted = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if submitted.returncode != 0:
        say(submitted.stdout[-5000:])
    check(submitted.returncode == 0 and "nothing to fetch" in submitted.stdout, "spark-submit ends well")
    check(origin.stats()["requests"] == 0, "a second run asks for nothing")

    origin.ask("repair")
    left = job(spark, *common, "--retry-failed", "--table", table, "--remove-orphans", *rest)
    stats = origin.stats()
    check(stats["requests"] == stats["urls"] == broken, f"a third run asks for the {broken:,} that failed, once each")
    last = spark.read.parquet(str(table))
    check(left == 0 and outcomes(last) == {"ok": options.urls}, "then all URLs are in --table, and all are ok")
    check(last.select("id").distinct().count() == options.urls, "each of them once")
    check_archives(last, output / "archives", options.urls)
    check(not (output / "lists").exists(), "nothing is left of the lists of tasks")


def check_sigterm(spark, origin, options, folder):
    """A process of fetch that is terminated in a task: what it has is kept, and the next run fetches the rest."""
    listed, output, urls = folder / "slow.csv", folder / "slow", 600
    write_list(listed, origin, urls, 4, kind="slow")
    origin.ask("reset")
    common = ["--input", listed, "--output", output, "--fetch", options.fetch, "--partitions", 1, "--", "--per-host", 2]
    killer = Killer(origin, 60, [options.fetch, str(output)], signal.SIGTERM)
    killer.start()
    left = job(spark, *common)
    check(killer.end() and 0 < left < urls, f"SIGTERM ends the task with {left} of {urls} URLs left")
    records = spark.read.parquet(f"{output}/records")
    check(records.count() == urls - left, "all others have records")
    left = job(spark, *common)
    stats = origin.stats()
    check(stats["requests"] == stats["urls"] == urls, "after the next run each was asked for once")
    records = spark.read.parquet(f"{output}/records")
    check(left == 0 and records.count() == records.select("id").distinct().count() == urls, "and has one record")
    check_archives(records, output / "archives", urls)


def compared(record):
    """What must be equal, of a record of fetch or a row of the table."""
    error = record.pop("error", None) or {}
    record.setdefault("error_class", error.get("class"))
    record.setdefault("error_message", error.get("message"))
    if record["outcome"] == "invalid":
        # The message has the number of the row.
        record["error_message"] = None
    return {name: value for name, value in record.items() if name not in DEPENDS}


def check_records(spark, origin, options, folder):
    """Records of one machine, of four shards, and of Spark are equal."""
    listed, output = folder / "kinds.csv", folder / "kinds"
    kinds = ["n", "redirect", "slow"]
    with open(listed, "w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["url", "caption"])
        for number in range(300):
            kind, host = kinds[number % 3], f"127.2.0.{number % 37 + 1}:{origin.port}"
            table.writerow([f"HTTP://{host}/{kind}/{number}?token=secret", f"{number}, 'ü'"])
        for number in range(5):
            table.writerow([f"http://127.2.1.{number + 1}:1/refused", "nobody listens"])
            table.writerow([f"no url {number}", "invalid"])
    fetch = ["--json", "-qq", "--per-host", "2", "--host-patience", "0", "--retry", "0"]

    def results(lines):
        return [record for record in map(json.loads, lines.splitlines()) if record.pop("type") == "result"]

    def fetched(*arguments):
        warc = folder / f"one-{len(list(folder.glob('one-*.fetch')))}"
        command = [options.fetch, str(listed), "--carry", "all", "--exit-zero", "--warc", str(warc), *fetch, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    one = results(fetched())
    parts = [folder / f"part-{shard}.jsonl" for shard in range(4)]
    for shard, part in enumerate(parts):
        part.write_bytes(fetched("--shard", f"{shard}/4"))
    merged = folder / "merged.jsonl"
    subprocess.run([options.fetch, "merge", "--to", merged, *parts], check=True, stdout=subprocess.DEVNULL)
    shards = results(merged.read_bytes())
    job(spark, "--input", listed, "--output", output, "--fetch", options.fetch, "--partitions", 3, "--", *fetch[2:])
    rows = [row.asDict(recursive=True) for row in spark.read.parquet(f"{output}/records").collect()]
    check({row["outcome"] for row in rows} == {"ok", "failed", "invalid"}, f"{outcomes_of(rows)} from Spark")
    as_text = [sorted(json.dumps(compared(record), sort_keys=True) for record in some) for some in (one, shards, rows)]
    for name, text in (("four shards, merged,", as_text[1]), ("Spark", as_text[2])):
        for ours, theirs in zip(as_text[0], text):
            if ours != theirs:
                say(f"one machine: {ours}\n{name}: {theirs}")
                break
        check(as_text[0] == text, f"the {len(one)} records of one machine and of {name} are equal")


def main():
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--fetch", required=True)
    add("--urls", type=int, default=20_000)
    add("--hosts", type=int, default=500)
    add("--per-host", type=int, default=4)
    add("--task-urls", type=int, help="[default: a tenth of --urls]")
    add("--master", default="local-cluster[2,1,1024]")
    options = parser.parse_args()
    options.fetch = str(Path(options.fetch).resolve())
    options.task_urls = options.task_urls or options.urls // 10

    import pyspark
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_HOME", str(Path(pyspark.__file__).parent))
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spark-check-") as folder, Origin() as origin:
        settings = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.local.dir": f"{folder}/spark",
            "spark.executor.heartbeat.maxFailures": "6",
        }
        builder = SparkSession.builder.master(options.master)
        for key, value in settings.items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        spark.sparkContext.addPyFile(str(JOB))
        say(f"Spark {spark.version}, {options.master}")
        check_independence(spark, Path(folder))
        check_records(spark, origin, options, Path(folder))
        check_sigterm(spark, origin, options, Path(folder))
        origin.ask("reset")
        check_executor_loss(spark, origin, options, Path(folder))
        spark.stop()
    say(f"all checks passed, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
