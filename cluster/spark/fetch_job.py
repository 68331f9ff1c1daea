#!/usr/bin/env python3
"""Fetches all URLs of a table on a Spark cluster, and writes a table of their records.

    spark-submit fetch_job.py --input PATH --output PATH [OPTION]... [-- FETCH OPTION...]

Each task passes the URLs of its hosts through one process of fetch. All URLs of a host are in one
task, so the limits of fetch per host hold for the whole cluster. Needs PySpark 3.5 or 4 and nothing
else. Run it again to continue: only URLs without a record are fetched, with --retry-failed also
those that failed. See `fetch help cluster`.

The task is a process in mapPartitions and not RDD.pipe, because the name of its archive has the
number of the attempt, its manifest says where each response is, a process must end with its task,
and an exit code of 4 or 143 is no failure: what has been fetched until then is kept.
"""

import argparse
import ctypes
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from urllib.parse import unquote

URL_COLUMNS = ("url", "link", "href", "address", "uri")
INPUT_FORMATS = ("auto", "text", "csv", "json", "parquet", "table")
# Exit codes of runs that were stopped with work left; their records are whole.
STOPPED_EARLY = (4, 128 + signal.SIGHUP, 128 + signal.SIGINT, 128 + signal.SIGTERM)
# Rows of the input that belong to one URL go through fetch if their text is not longer.
MOST_CARRIED = 24 * 1024
# Options of fetch that the job sets itself, or that make no sense in a task.
RESERVED = {
    "-d", "--dir", "-o", "--output", "--warc", "--tar", "--json", "--format", "-i", "--input", "--input-file",
    "--input-format", "--url-column", "--id-column", "--out-column", "--checksum-column", "--carry", "--shard",
    "--shard-by", "--exit-zero", "--dry-run",
}  # fmt: skip

# The columns of the table: name, type, and the place of the value in the JSON record of fetch. Fields about the
# list of a task (index, source, line, duplicate_of) are left out.
COLUMNS = (
    ("id", "string", ("id",)),
    ("url", "string", ("url",)),
    ("listed", "string", ("listed",)),
    ("final_url", "string", ("final_url",)),
    ("outcome", "string", ("outcome",)),
    ("http_status", "int", ("http_status",)),
    ("http_version", "string", ("http_version",)),
    ("content_type", "string", ("content_type",)),
    ("etag", "string", ("etag",)),
    ("last_modified", "string", ("last_modified",)),
    ("bytes", "bigint", ("bytes",)),
    ("wire_bytes", "bigint", ("wire_bytes",)),
    ("attempts", "int", ("attempts",)),
    ("error_class", "string", ("error", "class")),
    ("error_message", "string", ("error", "message")),
    ("updated", "boolean", ("updated",)),
    ("path", "string", ("path",)),
    ("archive_offset", "bigint", ("archive_offset",)),
    ("archive_length", "bigint", ("archive_length",)),
    ("archive", "string", ("archive",)),
    ("digest", "string", ("digest",)),
    ("served_by", "string", ("served_by",)),
    ("remote_addr", "string", ("remote_addr",)),
    ("worker", "int", ("worker",)),
    ("started_at", "string", ("started_at",)),
    ("queued", "double", ("timings", "queued")),
    ("connect", "double", ("timings", "connect")),
    ("first_byte", "double", ("timings", "first_byte")),
    ("total", "double", ("timings", "total")),
    ("retry_wait", "double", ("timings", "retry_wait")),
    ("attempts_detail", "string", ("attempts_detail",)),
    ("head", "string", ("head",)),
    ("length", "bigint", ("length",)),
    ("certificate_expires", "string", ("certificate_expires",)),
    ("carried", "string", ("carried",)),
)


# Hosts and shards


def host_of(url):
    """The host of a URL as a URL parser writes it, without port and final dot; empty if there is none.

    The first of several mirrors counts. What fetch does not accept as a URL may get any host.
    """
    url = url.split("\t")[0].strip().strip("<>\"'")
    match = re.match(r"[a-z][a-z0-9+.-]*:[/\\]*([^/\\?#]*)", url, re.IGNORECASE)
    host = match[1].rpartition("@")[2] if match else ""
    if host.startswith("["):
        return _ipv6(host[1:].partition("]")[0])
    host = unquote(host.partition(":")[0]).lower()
    if not host.isascii():
        host = _in_ascii(host)
    host = host[:-1] if host.endswith(".") else host
    return _ipv4(host) or host


def _ipv6(text):
    try:
        return f"[{socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))}]"
    except OSError:
        return f"[{text.lower()}]"


def _ipv4(host):
    """The address in four decimal numbers, if the last part of the host is a number."""
    last = host.rpartition(".")[2]
    if not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _in_ascii(host):
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def shard_of(host, shards):
    """The shard of a host, from 0: that of `fetch --shard I/N`, see `fetch help shards`."""
    digest = hashlib.sha256(host.encode("utf-8", "surrogateescape")).digest()
    key, bucket, following = int.from_bytes(digest[:8], "big"), 0, 0
    while following < shards:
        bucket = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((bucket + 1) * (2**31 / ((key >> 33) + 1)))
    return bucket


class Partitions:
    """Which partition the URLs of a host are in: large hosts have their own, and they come first."""

    def __init__(self, large_hosts, shards):
        self.own = {host: place for place, host in enumerate(large_hosts)}
        self.shards = shards

    def __len__(self):
        return len(self.own) + self.shards

    def of(self, host):
        own = self.own.get(host)
        return len(self.own) + shard_of(host, self.shards) if own is None else own


# One task


class FetchProcess:
    """A process of fetch that reads a list from a thread, and that ends with its task."""

    def __init__(self, command, lines):
        self.lines = lines
        self.left_unread = 0
        self.fault = None
        self.last_words = deque(maxlen=20)
        libc = ctypes.CDLL(None)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: _end_with_parent(libc),
        )
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._feed, self._listen)]
        for thread in self.threads:
            thread.start()

    def _feed(self):
        lines = iter(self.lines)
        try:
            with self.process.stdin as list_:
                for line in lines:
                    list_.write(line)
        except BrokenPipeError:
            # It was stopped, and reads no more.
            pass
        except BaseException as fault:
            # Half a list must not pass for a whole one.
            self.fault = fault
            self.process.kill()

    def _listen(self):
        for line in self.process.stderr:
            self.last_words.append(line.decode("utf-8", "replace").rstrip())
            sys.stderr.buffer.write(line)
            sys.stderr.flush()

    def records(self):
        """The records, as they come."""
        for line in self.process.stdout:
            if line.endswith(b"\n") and line.startswith(b'{"type":"result"'):
                yield json.loads(line)

    def end(self):
        """Waits for its end, and raises what makes the task fail."""
        code = self.process.wait()
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        if self.fault:
            raise self.fault
        if code != 0 and code not in STOPPED_EARLY:
            raise RuntimeError(f"fetch ended with exit code {code}: " + "\n".join(self.last_words))

    def kill(self):
        self.process.kill()
        self.process.wait()


def _end_with_parent(libc):
    """In the child: asks the kernel to kill it when the Python worker ends, however that happens.

    When an executor is lost, another one asks the same hosts at once; two at a time would be too many.
    """
    pr_set_pdeathsig = 1
    if hasattr(libc, "prctl"):
        libc.prctl(pr_set_pdeathsig, signal.SIGKILL)


class Places:
    """Where the archive has the response of each URL, read from its manifest as that grows."""

    def __init__(self, manifest):
        self.manifest = manifest
        self.file = None
        self.rest = b""
        self.found = {}

    def take(self, key):
        """The offset and length of the response record, or `None` if the manifest does not have it yet."""
        if key not in self.found:
            self._read_on()
        return self.found.pop(key, None)

    def close(self):
        if self.file:
            self.file.close()

    def _read_on(self):
        if self.file is None:
            if not os.path.exists(self.manifest):
                return
            self.file = open(self.manifest, "rb")
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        for line in lines:
            if line.startswith(b'{"type":"archived"'):
                entry = json.loads(line)
                record = entry["record"]
                self.found[entry["listed_id"]] = (entry["offset"] + record["offset"], record["length"])


class Repeats:
    """URLs that a task has twice, in two spellings: fetch asks for one, and the other becomes what that becomes."""

    def __init__(self):
        # For each index: 0, not ended; 1, ended well; more: the error class of this number.
        self.ends = bytearray()
        self.classes = [None, None]
        self.waiting = {}

    def settle(self, record):
        """The records that are complete now that this one has come."""
        if record["outcome"] == "duplicate":
            first = record["duplicate_of"]
            if not self._end_of(first):
                self.waiting.setdefault(first, []).append(record)
                return []
            return [self._resolved(record)]
        self._note(record)
        return [record] + [self._resolved(repeat) for repeat in self.waiting.pop(record["index"], [])]

    def _note(self, record):
        index, end = record["index"], 1
        if record["outcome"] == "failed":
            error = record["error"]["class"]
            if error not in self.classes:
                self.classes.append(error)
            end = self.classes.index(error, 2)
        if index >= len(self.ends):
            self.ends.extend(bytes(index + 1 - len(self.ends)))
        self.ends[index] = end

    def _end_of(self, index):
        return self.ends[index] if index < len(self.ends) else 0

    def _resolved(self, record):
        end = self._end_of(record["duplicate_of"])
        if end > 1:
            record["outcome"] = "failed"
            record["error"] = {"class": self.classes[end], "message": "the same URL, listed in another way, failed"}
        return record


def list_lines(rows, kept):
    """The lines of the list of a task: JSON objects, in which no text of a URL can be an option of another one."""
    for key, url, carried in rows:
        entry = {"url": url, "id": key}
        if carried and sum(map(len, carried)) > MOST_CARRIED:
            kept[key] = carried
        elif carried:
            entry["rows"] = carried
        yield json.dumps(entry).encode() + b"\n"


def table_rows(record, kept):
    """The rows of the table for a record: one for each row of the input that has this URL."""
    rows = kept.pop(record["id"], None) or (record["carried"] or {}).get("rows") or [None]
    details = json.dumps(record["attempts_detail"])
    for carried in rows:
        yield tuple(_value(dict(record, carried=carried, attempts_detail=details), path) for _, _, path in COLUMNS)


def _value(record, path):
    for key in path:
        record = None if record is None else record.get(key)
    return record


def binary(name):
    """The program as this machine has it: sent along with --files, or installed."""
    from pyspark import SparkFiles

    if os.sep in name:
        return name
    sent = [os.path.join(folder, name) for folder in (SparkFiles.getRootDirectory(), ".")]
    return next((os.path.abspath(file) for file in sent if os.path.isfile(file)), name)


class Task:
    """What every task of a run does with its partition."""

    def __init__(self, fetch, cores, options, archives, run, counters):
        self.fetch = fetch
        self.cores = cores
        self.options = options
        self.archives = archives
        self.run = run
        self.counters = counters

    def __call__(self, partition, rows):
        from pyspark import TaskContext

        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            return
        attempt = TaskContext.get().taskAttemptId()
        archive = f"{self.run}/part-{partition:05d}-attempt-{attempt}"
        listed, kept = Listed(first, rows), {}
        command = [binary(self.fetch), "-", "-qq", "--json", "--exit-zero", "--input-format", "jsonl"]
        if not any(_name_of(option) == "--heartbeat" for option in self.options):
            command += ["--heartbeat", "30s"]
        command += ["--url-column", "url", "--id-column", "id", "--carry", "rows", *self.options]
        if not any(_name_of(option) in ("--loops", "-m", "--mode") for option in self.options):
            # A task has one core by default; and each loop keeps idle connections of its own to a host.
            command += ["--loops", str(self.cores)]
        if self.archives:
            prefix = os.path.join(self.archives, archive)
            os.makedirs(os.path.dirname(prefix), exist_ok=True)
            command += ["--warc", prefix]
        places = Places(f"{prefix}.fetch/manifest.jsonl") if self.archives else None
        process = FetchProcess(command, list_lines(listed, kept))
        try:
            ended = 0
            for record in located(self._settled(process), places, self.run, archive):
                ended += 1
                self.counters.note(record)
                yield from table_rows(record, kept)
            process.end()
            self.counters.left.add(listed.count_all() - ended)
            self.counters.tasks.add(1)
        finally:
            process.kill()
            if places:
                places.close()

    @staticmethod
    def _settled(process):
        """The records of URLs that were tried; the others have none, so that the next run fetches them."""
        repeats = Repeats()
        for record in process.records():
            for settled in repeats.settle(record):
                if (settled["error"] or {}).get("class") != "cancelled":
                    yield settled


class Listed:
    """The rows of a partition, counted as they are read."""

    def __init__(self, first, rows):
        self.first = [first]
        self.rows = rows
        self.count = 0

    def __iter__(self):
        for source in (self.first, self.rows):
            for row in source:
                self.count += 1
                yield row

    def count_all(self):
        """The number of all rows, once nobody reads them any more."""
        return self.count + sum(1 for _ in self.rows)


def located(records, places, run, archive):
    """The records with the place of the response in the archive."""
    waiting = []
    for record in records:
        record["archive"] = archive if places else None
        if places is None or record["path"] is None:
            yield record
        elif not _locate(record, places, run):
            waiting.append(record)
        else:
            yield record
    for record in waiting:
        if not _locate(record, places, run):
            raise RuntimeError(f"the manifest of {archive} does not have {record['url']}")
        yield record


def _locate(record, places, run):
    place = places.take(record["id"])
    if place is None:
        return False
    record["path"] = f"{run}/{record['path']}"
    record["archive_offset"], record["archive_length"] = place
    return True


class Counters:
    """Accumulators, which count tasks that have succeeded only."""

    def __init__(self, context):
        self.tasks, self.ok, self.failed, self.left, self.bytes = (context.accumulator(0) for _ in range(5))

    def note(self, record):
        (self.failed if record["outcome"] in ("failed", "invalid") else self.ok).add(1)
        self.bytes.add(record["bytes"])

    def text(self):
        counts = f"{self.ok.value:,} fetched, {self.failed.value:,} failed, {self.left.value:,} left"
        return f"{counts}, {self.bytes.value:,} bytes"


# The job


def parse_arguments(arguments):
    """The options of the job, and those of fetch after `--`."""
    own, fetch_options = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        own, fetch_options = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="fetch_job.py",
        description="Fetch all URLs of a table on a Spark cluster.",
        usage="%(prog)s --input PATH --output PATH [OPTION]... [-- FETCH OPTION...]",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--input", required=True, metavar="PATH", help="file, folder or pattern of URLs, or a table of the catalog")
    add("--input-format", default="auto", choices=INPUT_FORMATS, help="[default: auto, by the end of PATH]")
    add("--output", required=True, metavar="PATH", help="folder of the records; run again with it to continue")
    add("--url-column", metavar="NAME", help=f"[default: {', '.join(URL_COLUMNS)}]")
    add("--carry", default="all", metavar="NAME,...", help="columns that come back; none; or all [default: all]")
    add("--archives", metavar="DIR", help="folder of WARC files, the same on all machines, or none "
        "[default: archives in --output, if that is a local folder]")  # fmt: skip
    add("--fetch", default="fetch", metavar="BINARY", help="path, or name of a file sent with --files [default: fetch]")
    add("--partitions", type=_positive, metavar="N", help="shards, as in fetch --shard I/N [default: by --task-urls]")
    add("--task-urls", type=_positive, default=50_000, metavar="N",
        help="URLs that a task should have; a host with more has one of its own [default: %(default)s]")  # fmt: skip
    add("--retry-failed", action="store_true", help="fetch also what failed in earlier runs")
    add("--table", metavar="PATH", help="write the last records of all URLs there as well, replacing what is there")
    add("--remove-orphans", action="store_true", help="delete archives of tasks that failed or were lost")
    options = parser.parse_args(own)
    options.fetch_options = fetch_options
    reserved = [option for option in fetch_options if _name_of(option) in RESERVED]
    if reserved:
        parser.error(f"{reserved[0]} is set by the job, or not for tasks")
    return options


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _name_of(option):
    return option.split("=")[0] if option.startswith("--") else option[:2]


class UsageError(Exception):
    """What the one who started the job has to change."""


def session():
    """The Spark session, with settings without which hosts would be asked twice."""
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    conf = SparkConf()
    # An executor that cannot reach the driver ends itself after a minute; the driver gives its tasks to others after
    # two (spark.network.timeout).
    conf.setIfMissing("spark.executor.heartbeat.maxFailures", "6")
    conf.setIfMissing("spark.app.name", "fetch")
    if conf.get("spark.speculation", "false") == "true":
        raise UsageError("speculation asks hosts twice at a time: set spark.speculation=false")
    return SparkSession.builder.config(conf=conf).getOrCreate()


def read_input(spark, options):
    """The rows of the input, with all their columns."""
    kind = options.input_format
    if kind == "auto":
        ends = re.search(r"\.(txt|csv|tsv|jsonl?|ndjson|parquet)(\.\w+)?/?$", options.input)
        if not ends:
            raise UsageError(f"{options.input}: its name does not show its format; set --input-format")
        kind = {"txt": "text", "tsv": "csv", "jsonl": "json", "ndjson": "json"}.get(ends[1], ends[1])
    if kind == "table":
        return spark.table(options.input)
    if kind == "csv":
        tabs = re.search(r"\.tsv(\.\w+)?/?$", options.input)
        reader = spark.read.option("header", True).option("quote", '"').option("escape", '"')
        return reader.option("sep", "\t" if tabs else ",").csv(options.input)
    if kind == "text":
        lines = spark.read.text(options.input).withColumnRenamed("value", "url")
        return lines.where("trim(url) != '' and trim(url) not like '#%'")
    return getattr(spark.read, kind)(options.input)


def columns(table, options):
    """The name of the column of URLs, and of those that are carried."""
    by_name = {name.lower(): name for name in reversed(table.columns)}
    names = [options.url_column] if options.url_column else [by_name.get(name) for name in URL_COLUMNS]
    url = next((name for name in names if name in table.columns), None)
    if url is None:
        raise UsageError(f"{options.input}: which column has the URLs? {', '.join(table.columns)}; set --url-column")
    others = [name for name in table.columns if name != url]
    if options.carry in ("all", "none"):
        return url, others if options.carry == "all" else []
    carried = options.carry.split(",")
    missing = [name for name in carried if name not in table.columns]
    if missing:
        raise UsageError(f"{options.input}: no column {missing[0]!r} to carry; there are {', '.join(table.columns)}")
    return url, carried


TIMESTAMPS = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"}


def urls_to_fetch(spark, options, output):
    """Each URL of the input once, with its host and rows, without those that have a record that counts."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    table = read_input(spark, options)
    url, carried = columns(table, options)
    context = spark.sparkContext
    if not context.getConf().contains("spark.sql.shuffle.partitions"):
        # The default of 200 is too many for a small input, and too few for a large one.
        shuffled = max(context.defaultParallelism, 4 * table.rdd.getNumPartitions())
        spark.conf.set("spark.sql.shuffle.partitions", str(shuffled))
    quoted = [F.col(f"`{name}`") for name in carried]
    to_json = F.to_json(F.struct(*quoted), dict(TIMESTAMPS, ignoreNullFields="false")) if carried else F.lit(None)
    urls = F.coalesce(F.col(f"`{url}`").cast("string"), F.lit(""))
    rows = table.select(urls.alias("url"), to_json.cast("string").alias("row"))
    rows = rows.withColumn("id", F.substring(F.sha2("url", 256), 1, 32))
    each = rows.groupBy("id").agg(F.first("url").alias("url"), F.array_sort(F.collect_set("row")).alias("rows"))
    if output.runs:
        each = each.join(output.done(options.retry_failed), "id", "left_anti")
    host = F.udf(host_of, StringType())
    carried_type = table.select(*quoted).schema if carried else None
    return each.withColumn("host", host("url")), carried_type


class Output:
    """The folder of the records: `records/run=N` for each run."""

    def __init__(self, spark, path):
        self.spark = spark
        self.path = path.rstrip("/")
        self.records = f"{self.path}/records"
        hadoop, system = self._place(self.records)
        self.folder = hadoop.getParent().toUri().getPath() if system.getScheme() == "file" else None
        names = [status.getPath().getName() for status in system.listStatus(hadoop)] if system.exists(hadoop) else []
        self.runs = sorted(int(name[4:]) for name in names if re.fullmatch(r"run=\d+", name))

    def _place(self, path):
        context = self.spark.sparkContext
        hadoop = context._jvm.org.apache.hadoop.fs.Path(path)
        return hadoop, hadoop.getFileSystem(context._jsc.hadoopConfiguration())

    def remove(self, path):
        """Removes a folder with all that is in it."""
        hadoop, system = self._place(path)
        system.delete(hadoop, True)

    def read(self, schema=None):
        reader = self.spark.read
        # Other parts of the schema are of no interest, or nothing has been written yet.
        return (reader.schema(schema) if schema else reader).parquet(self.records)

    def done(self, retry_failed):
        """The ids of the URLs that are not fetched again."""
        records = self.read("id string, outcome string, run int")
        return (records.where("outcome != 'failed'") if retry_failed else records).select("id").distinct()

    def last(self):
        """The records of the last run that has each URL."""
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        records = self.read()
        newest = F.max("run").over(Window.partitionBy("id"))
        return records.withColumn("newest", newest).where("run = newest").drop("newest")

    def append(self, run, records):
        # Version 2 moves the file of a task to its place when the task ends, so that a driver that dies loses only
        # tasks that are running. Each task has one file, and its name is that of the partition.
        writer = records.write.mode("append").option("mapreduce.fileoutputcommitter.algorithm.version", "2")
        writer.parquet(f"{self.records}/run={run:05d}")


def plan_partitions(todo, options, parallelism):
    """How the hosts are put into partitions, and the number of URLs."""
    hosts = todo.groupBy("host").count()
    large = hosts.where(hosts["count"] > options.task_urls).orderBy(hosts["count"].desc(), "host").collect()
    total = todo.count()
    rest = total - sum(row["count"] for row in large)
    shards = options.partitions or max(parallelism, -(-rest // options.task_urls))
    for row in large[:20]:
        say(f"skew: {row['host']} has {row['count']:,} of {total:,} URLs, and a task of its own")
    if len(large) > 20:
        say(f"skew: and {len(large) - 20:,} more hosts with a task of their own")
    return Partitions([row["host"] for row in large], shards), total


def fetch_all(spark, options, output):
    """Fetches what is to be fetched; returns the number of URLs that are left."""
    from pyspark import StorageLevel
    from pyspark.sql import functions as F

    context = spark.sparkContext
    archives = archive_folder(options, output)
    todo, carried_type = urls_to_fetch(spark, options, output)
    todo = todo.persist(StorageLevel.MEMORY_AND_DISK)
    context.setJobDescription("fetch: count URLs and hosts")
    partitions, total = plan_partitions(todo, options, context.defaultParallelism)
    if total == 0:
        say("nothing to fetch")
        return 0
    run = max(output.runs, default=0) + 1
    say(f"run {run}: {total:,} URLs in {len(partitions)} tasks")
    counters = Counters(context)
    # The application is part of the name: a run that has no records yet has no number yet, either.
    name = f"run-{run:05d}-{context.applicationId}"
    cores = context.getConf().get("spark.task.cpus", "1")
    task = Task(options.fetch, cores, options.fetch_options, archives, name, counters)
    keyed = todo.select("host", "id", "url", "rows").rdd.map(lambda row: ((partitions.of(row[0]), row[0]), tuple(row[1:])))
    # By host: then a host is looked up, and connected to, once and not for each of its URLs.
    parts = keyed.repartitionAndSortWithinPartitions(len(partitions), lambda key: key[0]).values()
    lists = f"{output.path}/lists"
    context.setJobDescription(f"fetch: run {run}, write the lists of {len(partitions)} tasks")
    parts = independent(parts, lists)
    context.setJobDescription(f"fetch: run {run}, {total:,} URLs")
    schema = ", ".join(f"`{name}` {kind}" for name, kind, _ in COLUMNS)
    records = spark.createDataFrame(parts.mapPartitionsWithIndex(task), schema, verifySchema=False)
    if carried_type:
        records = records.withColumn("carried", F.from_json("carried", carried_type, TIMESTAMPS))
    else:
        records = records.drop("carried")
    with Progress(counters, len(partitions)):
        output.append(run, records)
    say(f"run {run}: {counters.text()}")
    output.remove(lists)
    todo.unpersist()
    return counters.left.value


def independent(parts, folder):
    """The same partitions, read from files of `folder`.

    Partitions that come from a shuffle are lost with an executor. Then Spark runs every task that has not ended once more, also
    those that still run on other executors, and their hosts would have twice as many requests at a time.
    """
    parts.context.setCheckpointDir(folder)
    parts.checkpoint()
    parts.count()
    return parts


def archive_folder(options, output):
    """The folder for archives; `None`: bodies are not kept."""
    if options.archives == "none":
        return None
    if options.archives:
        return os.path.abspath(options.archives)
    if output.folder is None:
        raise UsageError("--output is no local folder: set --archives to a folder that all machines share, or to none")
    return os.path.join(output.folder, "archives")


def remove_orphans(output, archives, delete):
    """Counts the archives that no record names, and deletes them if that is wanted."""
    named = {row[0] for row in output.read("archive string, run int").select("archive").distinct().collect()}
    orphans = []
    for folder, _, names in os.walk(archives):
        for name in names:
            file = os.path.join(folder, name)
            prefix = re.match(r"(run-.*?/part-\d+-attempt-\d+)[-.]", os.path.relpath(file, archives))
            if prefix and prefix[1] not in named:
                orphans.append(file)
    count = sum(1 for file in orphans if file.endswith(".warc.gz"))
    if delete:
        for file in orphans:
            os.remove(file)
    if count:
        say(f"{count:,} archives of tasks that failed or were lost: " + ("deleted" if delete else "not to be used"))


class Progress:
    """Writes what has been done every half minute, while it is entered."""

    def __init__(self, counters, tasks):
        self.counters = counters
        self.tasks = tasks
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _write(self):
        while not self.ended.wait(30):
            say(f"{self.counters.tasks.value} of {self.tasks} tasks: {self.counters.text()}")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} fetch_job: {text}", file=sys.stderr, flush=True)


def run(spark, options):
    """Runs the job in this session; returns the number of URLs that are left."""
    left = fetch_all(spark, options, Output(spark, options.output))
    output = Output(spark, options.output)
    archives = archive_folder(options, output)
    if archives and output.runs:
        remove_orphans(output, archives, options.remove_orphans)
    if options.table:
        output.last().write.mode("overwrite").parquet(options.table)
    if left:
        say(f"{left:,} URLs are left: run the same command again")
    return left


def main(arguments):
    """Runs the job; returns the exit code, as fetch has them: 0, 2 for wrong use, 4 if URLs are left."""
    options = parse_arguments(arguments)
    try:
        spark = session()
        left = run(spark, options)
    except UsageError as error:
        say(f"error: {error}")
        return 2
    spark.stop()
    return 4 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
