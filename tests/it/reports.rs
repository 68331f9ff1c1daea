//! Reports that are files of their own: what a run writes, and what is written of a saved run later.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::html::ensure_it_asks_nobody;
use crate::support::{Gate, Origin, Reply, Run, Seen, holding, in_every_mode, until};

const KINDS: [&str; 5] = ["html", "har", "csv", "jsonl", "md"];

/// What a hostile list and a hostile server may say.
const HOSTILE: &str = "</script><script>alert(1)</script><!--\u{1b}[2J'\"|`&=1+1";

/// A folder with room for one report of each kind.
struct Reports {
    folder: TempDir,
}

impl Reports {
    fn new() -> Self {
        Self { folder: tempdir().unwrap() }
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.folder.path().join(format!("run.{kind}"))
    }

    /// The words that ask for all of them.
    fn words(&self, option: &str) -> Vec<PathBuf> {
        KINDS.iter().flat_map(|kind| [PathBuf::from(option), self.path(kind)]).collect()
    }

    fn text(&self, kind: &str) -> String {
        fs::read_to_string(self.path(kind)).unwrap()
    }

    /// The page as it is without scripts.
    fn plain(&self) -> String {
        let page = self.text("html");
        page.split_once("<script type=\"application/json\"").unwrap().0.to_owned()
    }

    /// What the page knows of the run.
    fn data(&self) -> Value {
        data_of(&self.text("html"))
    }

    /// All names in the folder.
    fn names(&self) -> Vec<String> {
        names_in(self.folder.path())
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The one block of data in a page.
fn data_of(page: &str) -> Value {
    let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

/// The rows of a table of comma-separated values, by column.
fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

/// Reports a saved run again.
fn again(reports: &Reports, run: &str) -> Seen {
    Run::new().arg("report").args(reports.words("--to")).arg("-").list(run).seen()
}

#[test]
fn one_run_is_told_in_every_form_and_each_has_every_url() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/gone" => Reply::of("404 Not Found", "", ""),
        _ => Reply::ok("hello"),
    });
    in_every_mode(|mode| {
        let reports = Reports::new();
        let list = format!("{}\n{}\nhtp://bad\n", origin.url("/a?x|y"), origin.url("/gone"));
        let seen = Run::json(mode).args(reports.words("--report")).arg("-").list(list).seen();
        assert_eq!(seen.code, Some(1), "{seen:?}");
        assert_eq!(reports.text("jsonl"), seen.stdout);
        assert_eq!(table(&reports.text("csv")).len(), 3);
        let archive: Value = serde_json::from_str(&reports.text("har")).unwrap();
        assert_eq!(archive["log"]["entries"].as_array().unwrap().len(), 2);
        let data = reports.data();
        assert_eq!((data["rows"].as_array().unwrap().len(), &data["targets"]), (3, &json!(3)));
        let plain = reports.plain();
        for class in ["http_4xx", "invalid_url"] {
            let cells = "<td class=\"number\" data-value=\"1\">1</td>";
            assert!(plain.contains(&format!("<th scope=\"row\">{class}</th>{cells}")), "{plain}");
        }
        let text = reports.text("md");
        assert!(text.starts_with("Downloaded 1 of 3 sites, 5 B in "), "{text}");
        assert!(text.contains("/a?x\\|y`"), "{text}");
        assert_eq!(reports.names(), ["run.csv", "run.har", "run.html", "run.jsonl", "run.md"]);
    });
}

#[test]
fn a_saved_run_is_told_later_as_it_was_told_at_once() {
    let origin = Origin::new(|request| match request.path.as_str() {
        "/gone" => Reply::of("404 Not Found", "", ""),
        _ => Reply::ok("hello"),
    });
    in_every_mode(|mode| {
        let (at_once, later) = (Reports::new(), Reports::new());
        let list = format!("{}\n{}\nhtp://bad\n", origin.url("/"), origin.url("/gone"));
        let run = Run::json(mode).args(at_once.words("--report")).arg("-").list(list).seen();
        let seen = again(&later, &run.stdout);
        assert_eq!((seen.code, seen.stdout.as_str(), seen.stderr.as_str()), (Some(0), "", ""));
        for kind in KINDS {
            assert_eq!(later.text(kind), at_once.text(kind), "{kind}");
        }
        let seen = Run::new().args(["report", "-"]).list(run.stdout).seen();
        assert_eq!(seen.stdout, at_once.text("md"));
    });
}

#[test]
fn reports_are_in_the_order_of_the_list_where_rows_are() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let list: String =
        (0..50).map(|place| format!("{}\n", origin.url(&format!("/{place}")))).collect();
    let reports = Reports::new();
    let words = ["--ordered", "-q", "-"];
    let seen = Run::new().args(reports.words("--report")).args(words).list(list).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let rows = table(&reports.text("csv"));
    let places: Vec<_> = rows.iter().map(|row| row["index"].parse::<usize>().unwrap()).collect();
    assert_eq!(places, (1..=50).collect::<Vec<_>>());
}

#[test]
fn a_run_that_is_interrupted_leaves_whole_reports() {
    in_every_mode(|mode| {
        let (origin, is_there, may_end) = holding(|request| request.path == "/slow");
        let reports = Reports::new();
        let run = Run::json(mode).patient().args(reports.words("--report"));
        let mut run = run.arg("-").live();
        run.write(&format!("{}\n{}\n", origin.url("/"), origin.url("/slow")));
        assert_eq!(run.row()["outcome"], "ok");
        is_there.pass();
        for kind in KINDS {
            assert!(!reports.path(kind).exists(), "{kind} is not whole yet");
        }
        run.signal(Signal::SIGINT);
        may_end.pass();
        // The list stays open: it is the signal that ends the run.
        while run.row()["type"] != "summary" {}
        let seen = run.seen();
        assert_eq!(seen.code, Some(130), "{seen:?}");
        let lines = reports.text("jsonl");
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!((&last["type"], &last["stopped"]), (&json!("summary"), &json!("interrupted")));
        let rows = reports.data()["rows"].as_array().unwrap().len();
        assert_eq!(rows, lines.lines().count() - 1);
        serde_json::from_str::<Value>(&reports.text("har")).unwrap();
        assert_eq!(reports.names().len(), KINDS.len());
    });
}

#[test]
fn reports_are_whole_though_nobody_reads_the_rows() {
    in_every_mode(|mode| {
        let may_end = Gate::of(2);
        let gate = may_end.clone();
        let origin = Origin::new(move |request| {
            if request.path == "/last" {
                gate.pass();
            }
            Reply::ok("hello")
        });
        let reports = Reports::new();
        let mut run = Run::json(mode).args(reports.words("--report")).arg("-").live();
        run.write(&format!("{}\n{}\n", origin.url("/"), origin.url("/last")));
        run.write(&format!("{}\n", origin.url("/more")).repeat(20));
        assert_eq!(run.row()["outcome"], "ok");
        // Once nobody reads, nothing more is started.
        until("the last URL", || origin.seen().iter().any(|request| request.path == "/last"));
        run.stop_reading();
        run.close();
        may_end.pass();
        let seen = run.seen();
        let lines = reports.text("jsonl");
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last["type"], "summary", "{seen:?}");
        let rows = table(&reports.text("csv")).len();
        assert_eq!((json!(rows), rows + 1), (last["targets"].clone(), lines.lines().count()));
        assert!(rows > 1);
        assert_eq!(reports.data()["rows"].as_array().unwrap().len(), rows);
    });
}

#[test]
fn hostile_text_stays_inert_in_every_report() {
    let origin = Origin::new(|_| Reply::of("200 OK", "Content-Type: </script>|`=1+1\r\n", "hello"));
    let list = format!(
        "htp://{HOSTILE}\n{}\n=cmd|' /C calc'!A0\n",
        origin.url(&format!("/?{}", HOSTILE.replace('\u{1b}', "")))
    );
    let reports = Reports::new();
    let seen = Run::json("async").args(reports.words("--report")).arg("-").list(list).seen();
    assert_eq!(seen.code, Some(1), "{seen:?}");
    // The same as a saved run that nobody has looked at says it.
    let mut row = seen.rows().into_iter().find(|row| row["outcome"] == "ok").unwrap();
    for field in ["url", "final_url", "content_type", "path", "etag"] {
        row[field] = json!(HOSTILE);
    }
    row["error"] = json!({"class": "protocol", "message": HOSTILE});
    let saved = Reports::new();
    assert_eq!(again(&saved, &format!("{row}\n")).code, Some(0));
    for reports in [&reports, &saved] {
        for kind in KINDS {
            assert!(!reports.text(kind).contains('\u{1b}'), "{kind}");
        }
        let page = reports.text("html");
        let scripts = page.matches("<script").count();
        assert_eq!((scripts, page.matches("</script>").count()), (3, 3), "data and two scripts");
        assert!(!page.contains("<script>alert"), "the page has it as markup");
        for row in table(&reports.text("csv")) {
            let obeyed = |cell: &&String| {
                cell.starts_with(['=', '+', '@']) || cell.len() > 1 && cell.starts_with('-')
            };
            assert_eq!(row.values().find(obeyed), None);
        }
        for line in reports.text("md").lines().filter(|line| line.contains("alert")) {
            let cells = line.replace("\\|", "").matches('|').count();
            assert_eq!(cells, 8, "{line}");
        }
    }
    let shown = HOSTILE.replace('\u{1b}', "\\u{1b}");
    assert_eq!(saved.data()["rows"][0][1], json!(shown));
    let archive: Value = serde_json::from_str(&saved.text("har")).unwrap();
    assert_eq!(archive["log"]["entries"][0]["request"]["url"], json!(HOSTILE));
}

#[test]
fn a_page_has_the_run_its_failures_and_its_hosts_without_scripts() {
    let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
        ("/gone", _) => Reply::of("404 Not Found", "", ""),
        ("/again", 0) => Reply::of("503 Service Unavailable", "", ""),
        _ => Reply::ok("hello"),
    });
    in_every_mode(|mode| {
        let reports = Reports::new();
        let paths = (0..20).map(|nth| format!("/{nth}"));
        let last = ["/gone", "/again", "/%E6%97%A5"].map(str::to_owned);
        let list: String = paths.chain(last).map(|path| origin.url(&path) + "\n").collect();
        let words = ["--per-host", "0", "--retry-delay", "0s", "-H", "X-Key: hunter2", "-"];
        let run = Run::json(mode).args(reports.words("--report")).args(words).list(list).seen();
        let (plain, summary) = (reports.plain(), run.summary());
        let started = summary["started_at"].as_str().unwrap().replace('T', " ");
        let (started, _) = started.split_once('.').unwrap();
        let gone = format!(
            "<tr><th scope=\"row\">{}</th><td class=\"number\" data-value=\"404\">404</td><td>http_4xx</td>\
             <td class=\"number\" data-value=\"1\">1</td><td>HTTP 404 Not Found</td></tr>",
            origin.url("/gone")
        );
        let host = format!("<tr><th scope=\"row\">http://{}</th>", origin.address());
        for part in [
            &format!("<dt>Started</dt><dd>{started} UTC</dd>"),
            "<dt>Sources</dt><dd>-</dd>",
            &format!("--mode={mode} "),
            "--header=x-key: ***",
            concat!("<dt>Version</dt><dd>fetch/", env!("CARGO_PKG_VERSION"), "</dd>"),
            "<dt>URLs</dt><dd>23</dd>",
            "<dt>Succeeded</dt><dd>22</dd>",
            "<p>1 failed URL.</p>",
            &gone,
            &host,
        ] {
            assert!(plain.contains(part), "{part} is not in {plain}");
        }
        assert!(KINDS.iter().all(|kind| !reports.text(kind).contains("hunter2")));
        let data = reports.data();
        let jobs = summary["jobs"].as_f64().unwrap();
        let stretches = data["under_way"].as_array().unwrap();
        assert!(stretches.iter().all(|stretch| stretch[1].as_f64().unwrap() <= jobs));
        // People see the characters; data has the URL as it was sent.
        let urls = data["rows"].as_array().unwrap().iter().map(|row| row[1].as_str().unwrap());
        assert_eq!(urls.filter(|url| *url == origin.url("/日")).count(), 1);
        assert!(reports.text("jsonl").contains(&origin.url("/%E6%97%A5")));
    });
}

#[test]
fn a_page_names_the_first_thousand_failures_wherever_they_are() {
    let row = |place: usize| {
        let failed =
            "\"outcome\":\"failed\",\"error\":{\"class\":\"reset\",\"message\":\"reset by peer\"}";
        let outcome = if place > 10_500 { failed } else { "\"outcome\":\"ok\"" };
        format!(
            "{{\"type\":\"result\",\"index\":{place},\"source\":\"l\",\"url\":\"https://a.b/{place}\",{outcome}}}\n"
        )
    };
    let reports = Reports::new();
    let seen = again(&reports, &(1..=12_000).map(row).collect::<String>());
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let plain = reports.plain();
    assert!(plain.contains("<dt>URLs</dt><dd>12,000+</dd>"), "{plain}");
    assert!(plain.contains("<p>The first 1,000 of 1,500 failed URLs.</p>"), "{plain}");
    assert_eq!(plain.matches("<td>reset by peer</td>").count(), 1_000);
    assert!(plain.contains("<p>The waterfall shows the first 10,000 completed URLs;"), "{plain}");
}

#[test]
fn a_page_asks_nobody_for_anything() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let reports = Reports::new();
    let words = reports.words("--report");
    assert_eq!(Run::new().args(words).arg(origin.url("/")).seen().code, Some(0));
    ensure_it_asks_nobody(&reports.text("html"));
}

#[test]
fn a_long_run_is_counted_as_a_whole_and_shown_in_part() {
    let row = |place: usize| {
        let second = place % 60;
        format!(
            "{{\"type\":\"result\",\"index\":{place},\"source\":\"l\",\"line\":{place},\"url\":\"https://a.b/{place}\",\
             \"outcome\":\"ok\",\"bytes\":10,\"attempts\":1,\"started_at\":\"2026-01-01T00:00:{second:02}.000Z\",\
             \"timings\":{{\"queued\":0.5,\"first_byte\":0.1,\"total\":0.25}}}}\n"
        )
    };
    let run: String = (1..=12_000).map(row).collect();
    let reports = Reports::new();
    let seen = again(&reports, &run);
    assert_eq!(
        (seen.code, seen.stderr.as_str()),
        (Some(0), "warning: -: incomplete report: no summary line\n")
    );
    let data = reports.data();
    assert_eq!(data["targets"], 12_000);
    assert_eq!(data["rows"].as_array().unwrap().len(), 10_000);
    let counted: u64 =
        data["totals"].as_array().unwrap().iter().map(|bar| bar[2].as_u64().unwrap()).sum();
    assert_eq!(counted, 12_000);
    let width = data["width"].as_f64().unwrap();
    let busy = data["under_way"]
        .as_array()
        .unwrap()
        .iter()
        .map(|at| at[1].as_f64().unwrap() * width)
        .sum::<f64>();
    assert!((busy - 3_000.0).abs() < 3.0, "{busy}");
    assert_eq!(table(&reports.text("csv")).len(), 12_000);
    assert!(reports.text("md").ends_with("\nAnd 2000 more.\n"));
}

#[test]
fn bad_lines_of_a_saved_run_are_told_with_their_number_and_left_out() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let run = Run::json("async").arg(origin.url("/")).seen().stdout;
    let lines: Vec<_> = run.lines().collect();
    let row_with = |from: &str, to: &str| lines[0].replacen(from, to, 1);
    let bad = [
        "no \u{1b}[2J json".to_owned(),
        row_with("\"ok\"", "\"fine\""),
        row_with("\"started_at\":\"", "\"started_at\":\"x"),
        "{\"type\":\"other\"}".to_owned(),
        "[]".to_owned(),
    ];
    let text = format!("{}\n\n{}\n{}\n{}\n", lines[0], bad.join("\n"), lines[1], lines[0]);
    let reports = Reports::new();
    let seen = again(&reports, &text);
    assert_eq!(seen.code, Some(1), "{seen:?}");
    let told: Vec<_> =
        seen.stderr.lines().filter_map(|line| line.strip_prefix("warning: -:")).collect();
    let numbers: Vec<_> = told.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(numbers, ["3", "4", "5", "6", "7", "9"], "{seen:?}");
    assert!(told[1].contains("not fetch --json output: unknown variant `fine`"), "{seen:?}");
    assert!(told[5].contains("record after the summary"), "{seen:?}");
    assert!(!seen.stderr.contains('\u{1b}'));
    assert_eq!(reports.text("jsonl"), run);
}

#[test]
fn a_report_of_a_part_of_a_run_says_what_is_missing() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let list: String = (0..4).map(|path| origin.url(&format!("/{path}\n"))).collect();
    let run = Run::json("async").list(list).seen().stdout;
    let lines: Vec<_> = run.split_inclusive('\n').collect();
    let missing = "Records are missing: 2 of 4 are present";
    let cut_short =
        [("md", "Downloaded 2 of 2+ sites, 10 B; no summary found"), ("html", "<dd>2+</dd>")];
    for (part, said) in [
        (lines[2..].concat(), [("md", missing), ("html", missing)]),
        (lines[..2].concat(), cut_short),
    ] {
        let reports = Reports::new();
        let seen = again(&reports, &part);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        for (kind, said) in said {
            assert!(reports.text(kind).contains(said), "{said}");
        }
    }
    let reports = Reports::new();
    again(&reports, &run);
    assert!(
        !reports.text("md").contains("missing") && !reports.text("html").contains("are missing")
    );
}

#[test]
fn a_file_of_another_format_is_no_saved_run() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let run = |format| Run::new().args(["--format", format, &origin.url("/")]).seen().stdout;
    let array = format!("[{}]", run("jsonl").lines().next().unwrap());
    for (text, format) in [
        (run("csv"), "CSV"),
        (array, "a JSON array (jq -c '.[]' makes a line of each element)"),
        ("[\n{}\n]\n".to_owned(), "a JSON array (jq -c '.[]' makes a line of each element)"),
        ("<!DOCTYPE html>\n".to_owned(), "HTML"),
        (origin.url("/"), "a list of URLs"),
    ] {
        let seen = Run::new().args(["report", "-"]).list(text).seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert_eq!(
            seen.stderr,
            format!("error: -: looks like {format}, not fetch --json output\n")
        );
    }
    let seen = Run::new().args(["report", "-"]).list("nothing\n").seen();
    assert!(seen.stderr.contains("-:1: not fetch --json output: not a JSON object"), "{seen:?}");
}

#[test]
fn a_saved_run_may_be_older_or_newer_than_the_program() {
    let row = "{\"type\":\"result\",\"index\":1,\"source\":\"l\",\"url\":\"https://a.b/\",\"outcome\":\"ok\",\"later\":[1]}";
    let total = "{\"type\":\"summary\",\"list_complete\":true,\"targets\":1,\"ok\":1,\"failures\":{\"later\":1},\"mode\":\"later\"}";
    let reports = Reports::new();
    let seen = again(&reports, &format!("{row}\r\n{total}"));
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
    assert!(
        reports
            .text("md")
            .starts_with("Downloaded 1 of 1 site, 0 B in 0.00 seconds (another mode,")
    );
}

#[test]
fn times_that_nobody_can_mean_do_no_harm() {
    let rows: String = [("9999-01-01T00:00:00Z", "1e300"), ("2026-01-01T00:00:00Z", "1e300"), ("-009998-01-01T00:00:00Z", "-5"), ("2026-01-01T00:00:00Z", "1e9")]
        .iter()
        .map(|(at, time)| {
            format!(
                "{{\"type\":\"result\",\"index\":18446744073709551615,\"source\":\"l\",\"url\":\"u\",\"outcome\":\"ok\",\
                 \"bytes\":18446744073709551615,\"started_at\":\"{at}\",\
                 \"timings\":{{\"queued\":{time},\"connect\":{time},\"first_byte\":{time},\"total\":{time}}}}}\n"
            )
        })
        .collect();
    let reports = Reports::new();
    let seen = again(&reports, &rows);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!(reports.data()["rows"].as_array().unwrap().len(), 4);
}

#[test]
fn a_list_that_is_read_is_never_replaced_whatever_its_names() {
    let folder = tempdir().unwrap();
    let (list, link) = (folder.path().join("list.csv"), folder.path().join("link.csv"));
    fs::write(&list, "").unwrap();
    std::os::unix::fs::symlink(&list, &link).unwrap();
    for path in [&list, &link] {
        let seen = Run::new().arg("--report").arg(path).arg(&list).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        let seen = Run::new().args(["report", "--to"]).args([path, &list]).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
    }
    assert_eq!(fs::read(&list).unwrap(), b"");
    assert_eq!(names_in(folder.path()), ["link.csv", "list.csv"]);
}

#[test]
fn a_report_takes_the_place_of_the_old_one_and_keeps_its_link_and_who_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    let (old, link) = (folder.path().join("old.md"), folder.path().join("link.md"));
    fs::write(&old, "of last time").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&old, &link).unwrap();
    let seen = Run::new().arg("--report").arg(&link).arg("htp://a").seen();
    assert_eq!(seen.code, Some(1), "{seen:?}");
    assert!(fs::read_to_string(&old).unwrap().starts_with("Downloaded 0 of 1 site"));
    assert_eq!(fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_report_that_cannot_be_written_is_a_local_fault_with_its_name() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = tempdir().unwrap();
    let missing = folder.path().join("missing").join("run.html");
    let seen = Run::new().arg("--report").arg(&missing).arg(origin.url("/")).seen();
    assert_eq!((seen.code, origin.seen().len()), (Some(3), 0), "{seen:?}");
    assert!(seen.stderr.contains("missing"), "{seen:?}");
    let full = folder.path().join("full.csv");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let good = folder.path().join("good.md");
    let words = [Path::new("--report"), &full, Path::new("--report"), &good];
    let seen = Run::new().args(words).arg(origin.url("/")).seen();
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stderr.contains("full.csv"), "{seen:?}");
    assert!(fs::read_to_string(&good).unwrap().contains("| 1 | ok |"));
}

#[test]
fn a_saved_run_that_is_not_there_is_a_usage_error() {
    let seen = Run::new().args(["report", "nowhere.jsonl"]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("nowhere.jsonl: "), "{seen:?}");
    let seen = Run::new().args(["report", "me:secret@a.test/x"]).seen();
    assert!(seen.stderr.contains("me:***@a.test/x: "), "{seen:?}");
}
