"""Tests of the parts of fetch_job.py that need neither Spark nor fetch: python3 -m unittest discover cluster/spark."""

import contextlib
import io
import json
import re
import tempfile
import unittest
from pathlib import Path

import fetch_job

CHAPTER = Path(__file__).resolve().parents[2] / "src" / "manual" / "shards.md"


def vectors():
    """The rows of the table of the chapter: a URL, and its shard of 4, 64 and 1000."""
    _, _, table = CHAPTER.read_text().partition("| `--shard-by host` |")
    rows = [re.findall(r"[^|`\s]+", line) for line in table.splitlines()[2:]]
    for url, _, *shards in rows[: rows.index([])]:
        yield url, [int(shard) for shard in shards]


class Hosts(unittest.TestCase):
    def test_shards_are_those_of_the_vectors_of_the_chapter(self):
        rows = list(vectors())
        self.assertGreater(len(rows), 8)
        for url, shards in rows:
            found = [fetch_job.shard_of(fetch_job.host_of(url), count) for count in (4, 64, 1000)]
            self.assertEqual(found, shards, url)

    def test_hosts_are_as_a_url_parser_writes_them(self):
        hosts = {
            "http://a.b/": "a.b",
            "  <HTTP://u:p@A.b:8080/x@y:1#f> ": "a.b",
            "http://a.b\thttp://c.d": "a.b",
            "http:\\\\a.b\\c": "a.b",
            "https:a.b?x": "a.b",
            "http://a%2Eb./": "a.b",
            "http://[2001:DB8:0::1]:80/": "[2001:db8::1]",
            "http://0300.0250.1/": "192.168.0.1",
            "http://1.2.3.4.5/": "1.2.3.4.5",
            "no url": "",
            "": "",
        }
        for url, host in hosts.items():
            self.assertEqual(fetch_job.host_of(url), host, url)

    def test_large_hosts_have_partitions_of_their_own_before_all_others(self):
        partitions = fetch_job.Partitions(["large.example", "larger.example"], 4)
        self.assertEqual(len(partitions), 6)
        self.assertEqual([partitions.of(host) for host in ("large.example", "larger.example")], [0, 1])
        others = {partitions.of(f"host{number}.example") for number in range(100)}
        self.assertEqual(others, {2, 3, 4, 5})
        self.assertEqual(partitions.of("example.org"), 2 + fetch_job.shard_of("example.org", 4))


def record(index, outcome, **more):
    error = {"class": more.pop("error"), "message": "m"} if "error" in more else None
    return {"index": index, "id": f"id{index}", "outcome": outcome, "error": error, "duplicate_of": None, **more}


class Records(unittest.TestCase):
    def settle(self, *records):
        repeats = fetch_job.Repeats()
        settled = [each for one in records for each in repeats.settle(one)]
        self.assertEqual(repeats.waiting, {})
        return [(each["index"], each["outcome"], (each["error"] or {}).get("class")) for each in settled]

    def test_a_repeated_url_becomes_what_the_first_becomes_whichever_comes_first(self):
        repeat = record(2, "duplicate", duplicate_of=1)
        failed = record(1, "failed", error="dns")
        ends = [(1, "failed", "dns"), (2, "failed", "dns")]
        self.assertEqual(self.settle(dict(repeat), failed), ends)
        self.assertEqual(self.settle(failed, dict(repeat)), ends)
        self.assertEqual(self.settle(record(1, "ok"), repeat), [(1, "ok", None), (2, "duplicate", None)])

    def test_a_table_has_a_row_for_each_row_of_the_input(self):
        result = json.loads(
            '{"type":"result","id":"k","url":"u","outcome":"failed","error":{"class":"dns","message":"m"},"bytes":0,'
            '"carried":{"rows":["{\\"a\\":1}","{\\"a\\":2}"]},"attempts_detail":[],"timings":{"total":1.5}}'
        )
        names = [name for name, _, _ in fetch_job.COLUMNS]
        rows = [dict(zip(names, row)) for row in fetch_job.table_rows(result, {})]
        self.assertEqual([row["carried"] for row in rows], ['{"a":1}', '{"a":2}'])
        self.assertEqual({(row["error_class"], row["total"], row["connect"], row["attempts_detail"]) for row in rows},
                         {("dns", 1.5, None, "[]")})  # fmt: skip

    def test_long_rows_do_not_go_through_fetch_and_come_back(self):
        long, kept = "x" * (fetch_job.MOST_CARRIED + 1), {}
        lines = list(fetch_job.list_lines([("k", "http://a/\n out=b", [long]), ("l", "u", ["s"])], kept))
        self.assertEqual([json.loads(line) for line in lines],
                         [{"url": "http://a/\n out=b", "id": "k"}, {"url": "u", "id": "l", "rows": ["s"]}])  # fmt: skip
        self.assertEqual(b"".join(lines).count(b"\n"), 2)
        result = {"id": "k", "carried": {"rows": None}, "attempts_detail": []}
        self.assertEqual([row[-1] for row in fetch_job.table_rows(result, kept)], [long])
        self.assertEqual(kept, {})

    def test_places_are_read_while_the_manifest_grows(self):
        def line(key, offset):
            entry = {"type": "archived", "listed_id": key, "offset": offset, "record": {"offset": 7, "length": 5}}
            return json.dumps(entry, separators=(",", ":")) + "\n"

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "manifest.jsonl")
            places = fetch_job.Places(str(file))
            self.assertIsNone(places.take("a"))
            file.write_text('{"type":"appended"}\n' + line("a", 10) + line("b", 20)[:9])
            self.assertEqual(places.take("a"), (17, 5))
            self.assertIsNone(places.take("b"))
            with open(file, "a") as more:
                more.write(line("b", 20)[9:])
            self.assertEqual(places.take("b"), (27, 5))
            places.close()

    def test_a_response_that_the_manifest_does_not_have_fails_the_task(self):
        with tempfile.TemporaryDirectory() as folder:
            places = fetch_job.Places(f"{folder}/none")
            with self.assertRaisesRegex(RuntimeError, "does not have http://a/"):
                list(fetch_job.located([{"id": "a", "url": "http://a/", "path": "p"}], places, "run", "archive"))


class Processes(unittest.TestCase):
    def run_shell(self, script, lines=()):
        process = fetch_job.FetchProcess(["sh", "-c", script], lines)
        records = list(process.records())
        process.end()
        return records

    def test_records_are_read_and_a_stopped_run_is_no_error(self):
        listed = [b'{"type":"result","a":1}\n', b"other\n"]
        self.assertEqual(self.run_shell("cat; exit 4", listed), [{"type": "result", "a": 1}])
        for code in fetch_job.STOPPED_EARLY:
            self.assertEqual(self.run_shell(f"exit {code}"), [])

    def test_an_error_of_the_program_fails_the_task_with_its_last_words(self):
        for code in (1, 2, 3, 137):
            with self.assertRaisesRegex(RuntimeError, f"exit code {code}: disk full"):
                self.run_shell(f"cat >/dev/null; echo disk full >&2; exit {code}")

    def test_half_a_list_is_an_error(self):
        def lines():
            yield b"one\n"
            raise ValueError("lost")

        with self.assertRaisesRegex(ValueError, "lost"):
            self.run_shell("cat >/dev/null", lines())


class Arguments(unittest.TestCase):
    def refused(self, *arguments):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), self.assertRaises(SystemExit) as ended:
            fetch_job.parse_arguments(["--input", "i", "--output", "o", *arguments])
        self.assertEqual(ended.exception.code, 2)
        return errors.getvalue()

    def test_options_after_two_dashes_are_those_of_fetch(self):
        options = fetch_job.parse_arguments(["--input", "i", "--output", "o", "--", "--per-host", "2", "--", "x"])
        self.assertEqual(options.fetch_options, ["--per-host", "2", "--", "x"])
        self.assertEqual(fetch_job.parse_arguments(["--input", "i", "--output", "o"]).fetch_options, [])

    def test_options_that_the_job_sets_are_refused(self):
        for option in ("--warc=x", "--dir", "-dx", "--shard", "--json", "-o"):
            self.assertIn("is set by the job", self.refused("--", option), option)
        self.assertIn("must be at least 1", self.refused("--partitions", "0"))

    def test_the_column_of_urls_is_found_or_asked_for(self):
        class Table:
            columns = ["Link", "a", "b"]

        def columns(*arguments):
            options = fetch_job.parse_arguments(["--input", "i", "--output", "o", *arguments])
            return fetch_job.columns(Table, options)

        self.assertEqual(columns(), ("Link", ["a", "b"]))
        self.assertEqual(columns("--url-column", "a", "--carry", "none"), ("a", []))
        self.assertEqual(columns("--carry", "b"), ("Link", ["b"]))
        for arguments in (["--url-column", "x"], ["--carry", "b,x"]):
            with self.assertRaisesRegex(fetch_job.UsageError, "Link, a, b"):
                columns(*arguments)


if __name__ == "__main__":
    unittest.main()
