use std::collections::{BTreeMap, BTreeSet};

use insta::assert_snapshot;
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::Value;

use super::*;
use crate::compare::result::Sample;
use crate::compare::test_fixtures;

/// Hostile texts that may come from a list, a server or a saved comparison.
const HOSTILE: [&str; 8] = [
    "</script><script>alert(1)</script><!--",
    "|\n\n# a\n- b **c** _d_ [e](https://a.b/) ![f](g) `h` <b>i</b> &amp; \\",
    " https://a.b/ www.a.b a@b.cd <https://a.b/>",
    " www.a.b",
    "http://a.b",
    "\u{1b}[2J\u{9b}31m\u{202e}",
    "\"'`=1+1",
    "{{DATA}}{{SCRIPT}}",
];

fn page(comparison: &Comparison, kind: ReportFormat) -> String {
    let mut page = Vec::new();
    match kind {
        ReportFormat::Html => html::page(comparison, &mut page),
        ReportFormat::Csv => csv::page(comparison, &mut page),
        ReportFormat::Json => json(comparison, &mut page),
        ReportFormat::Jsonl => jsonl(comparison, &mut page),
        ReportFormat::Markdown => markdown::page(comparison, &mut page),
        ReportFormat::Har => unreachable!(),
    }
    .expect("memory takes all");
    String::from_utf8(page).expect("text")
}

#[test]
fn a_table_to_paste_has_a_column_for_each_contestant_and_says_what_follows() {
    assert_snapshot!(page(&test_fixtures::comparison(""), ReportFormat::Markdown), @"
    **Not comparable:** it is an example

    `sites.txt`: 15 URLs, 3.6 MiB  
    3 runs each after 1 warm-up, in randomized blocks (seed 7). Values are medians.
    Every run: 14 ok, 1 failed (1 x HTTP 404), 3 retried.

    | Median (not comparable) | sequential | async (5 jobs) |
    |---|---:|---:|
    | Wall time | 1.500 s | 1.500 s |
    | Wall time, 95% CI | - | - |
    | Wall time, range | 1.400-1.600 | 1.400-1.600 |
    | Speedup | 1 | 4.90x |
    | Speedup, 95% CI | - | 4.80-5.00 |
    | Speedup, p-value (Mann-Whitney U) | - | < 0.001 |
    | Speedup, p-value adjusted (Holm) | - | < 0.001 |
    | Setup time | 0.010 s | 0.010 s |
    | Process time | 1.520 s | 1.520 s |
    | Throughput | 2.4 MiB/s | 2.4 MiB/s |
    | URLs/s | 10 | 10 |
    | Time to first byte, p50 | - | - |
    | Time to first byte, p90, p99 | - | - |
    | Time per URL, p50 | 0.100 s | 0.100 s |
    | Time per URL, p90, p99 | 0.110, 0.120 | 0.110, 0.120 |
    | Waiting (% of URL time) | 90% | 90% |
    | Receiving (%) | 10% | 10% |
    | Retry wait (% of wall) | 0% | 0% |
    | Failed | 1 | 1 |
    | CPU, user | 0.020 s | 0.020 s |
    | CPU, system | - | - |
    | CPU (% of process time) | - | - |
    | Waiting for CPU | 1% | 1% |
    | Peak memory | 20.0 MiB | 20.0 MiB |
    | Worker threads | 1 | 1 |
    | Voluntary switches | 60.5 | 60.5 |
    | Involuntary switches | - | - |
    | Requests | 15 | 15 |
    | Connections | 1 | 5 |
    | TLS handshakes | 0 | 0 |
    | DNS lookups | 0 | 0 |
    | Retries | 0 | 0 |

    - async is ahead.
    - Note: it is short
    - Note: confidence intervals need at least 6 runs (wall time) and 4 runs (speedup)
    - `Compared with before.json (fetch/0.1.0, 2025-01-01T00:00:00.000Z):`
    - async: 1.500 s before, 1.400 s now; 4.90x as fast as before, 95% CI 4.80-5.00 (p < 0.001).
    - The two were not run in turn: a change of the machine, the network or the server in between counts as well.
    ");
}

#[test]
fn nothing_that_is_said_is_markup_in_a_table_to_paste() {
    for words in HOSTILE {
        let text = page(&test_fixtures::comparison(words), ReportFormat::Markdown);
        assert!(
            !text.contains(|character: char| character.is_control() && character != '\n'),
            "{text}"
        );
        let (mut rows, mut bold) = (0, 0);
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::TableRow) => rows += 1,
                Event::Start(Tag::Strong) => bold += 1,
                Event::Start(
                    Tag::Link { .. }
                    | Tag::Image { .. }
                    | Tag::Heading { .. }
                    | Tag::Emphasis
                    | Tag::HtmlBlock,
                )
                | Event::Html(_)
                | Event::InlineHtml(_) => panic!("{event:?} in {text}"),
                // What other readers make links of.
                Event::Text(text) => {
                    assert!(!["://", "www.", "@"].iter().any(|part| text.contains(part)), "{text}");
                }
                _ => {}
            }
        }
        let figures: usize = FIGURES.iter().map(|group| group.figures.len()).sum();
        assert_eq!((rows, bold), (figures, 1), "{text}");
    }
}

#[test]
fn what_is_said_is_text_in_a_page() {
    for words in HOSTILE {
        let comparison = test_fixtures::comparison(words);
        let page = page(&comparison, ReportFormat::Html);
        let scripts = (page.matches("<script").count(), page.matches("</script>").count());
        assert_eq!(scripts, (3, 3), "the data and two scripts");
        assert!(!page.contains(|character: char| character.is_control() && character != '\n'));
        let said = crate::report::html::markup::text(words);
        assert!(page.contains(&format!("</strong> it is an example{said}</p>")), "{page}");
        assert!(page.contains(&format!("<th scope=\"row\">sequential{said}</th>")), "{page}");
    }
}

#[test]
fn a_page_has_every_figure_and_every_run_without_scripts() {
    let comparison = test_fixtures::comparison("");
    let page = page(&comparison, ReportFormat::Html);
    let (plain, data) = page.split_once("<script type=\"application/json\"").unwrap();
    assert!(data.contains("\"runs\":[1.25,1.5,1.75]"), "{data}");
    for figure in FIGURES.iter().flat_map(|group| group.figures) {
        let values = comparison.contestants.iter().map(|one| (figure.text)(one));
        let cells: String = values
            .map(|value| {
                let value = crate::report::html::markup::text(&value);
                format!("<td class=\"number\">{value}</td>")
            })
            .collect();
        assert!(plain.contains(&format!(">{}</th>{cells}</tr>", figure.name)), "{}", figure.name);
    }
    let runs = plain.split_once("id=\"runs\"").unwrap().1.split_once("</table>").unwrap().0;
    let cells = runs.matches("<td").count() + runs.matches("<th scope=\"row\"").count();
    let columns = runs.matches("<th scope=\"col\"").count();
    assert_eq!(cells, comparison.samples.len() * columns);
}

#[test]
fn the_rows_of_a_table_are_the_samples_with_every_field() {
    let comparison = test_fixtures::comparison("");
    let text = page(&comparison, ReportFormat::Csv);
    let rows: Vec<BTreeMap<String, String>> =
        ::csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), comparison.samples.len());
    let compared = comparison.samples[1].timed(comparison.timed).to_string();
    let fields = [("order".to_owned(), "2".to_owned()), ("compared".to_owned(), compared)];
    let mut fields = BTreeMap::from(fields);
    let sample = serde_json::to_value(&comparison.samples[1]).unwrap();
    for (name, value) in sample.as_object().unwrap() {
        let told = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        match value.as_object() {
            // The failures of all kinds are in one cell.
            Some(kinds) if name == "failures" => {
                let kinds = kinds.iter().map(|(kind, count)| format!("{kind}={count}"));
                drop(fields.insert(name.clone(), kinds.collect::<Vec<_>>().join(" ")));
            }
            Some(spread) => {
                fields.extend(spread.iter().map(|(part, at)| (format!("{name}_{part}"), told(at))));
            }
            None => drop(fields.insert(name.clone(), told(value))),
        }
    }
    let names: BTreeSet<_> = rows[1].keys().collect();
    assert_eq!(names, fields.keys().collect());
    for (name, value) in &fields {
        let told = &rows[1][name];
        let same = told == value || told.parse::<f64>().ok() == value.parse::<f64>().ok();
        assert!(same, "{name}: {told} for {value}");
    }
}

#[test]
fn outcomes_are_those_of_contestants_that_report_them() {
    let mut comparison = test_fixtures::comparison("");
    let known = "1 failed (1 x HTTP 404), 3 retried.";
    for sample in comparison.samples.iter_mut().filter(|sample| sample.contestant == 1) {
        (sample.ok, sample.failed) = (None, None);
    }
    let said = outcomes::sentences(&comparison);
    assert_eq!(said, [format!("Every run of sequential: 14 ok, {known}")]);
    comparison.contestants.push(comparison.contestants[0].clone());
    let more = comparison.samples.iter().filter(|sample| sample.contestant == 0);
    let more: Vec<_> = more.map(|one| Sample { contestant: 2, ..one.clone() }).collect();
    comparison.samples.extend(more);
    comparison.contestants[2].mode = "threads".to_owned();
    let said = outcomes::sentences(&comparison);
    assert_eq!(said, [format!("Every run of sequential and threads: 14 ok, {known}")]);
    comparison.samples[0].ok = None;
    let said = outcomes::sentences(&comparison);
    assert_eq!(said, [format!("Every run of threads: 14 ok, {known}")]);
}

#[test]
fn every_report_shows_the_time_of_a_run_that_is_compared() {
    let mut comparison = test_fixtures::comparison("");
    let first = |comparison: &Comparison| {
        let html = page(comparison, ReportFormat::Html);
        let runs = html.split_once("id=\"runs\"").unwrap().1.split_once("</tr>").unwrap().1;
        let html = runs.split_once("</tr>").unwrap().0.to_owned();
        let csv = page(comparison, ReportFormat::Csv);
        (html, csv.lines().nth(1).unwrap().rsplit_once(',').unwrap().1.to_owned())
    };
    let (html, csv) = first(&comparison);
    assert!(html.contains(">1.250 s<") && csv == "1.25", "{html} {csv}");
    comparison.timed = TimedSpan::Process;
    let (html, csv) = first(&comparison);
    assert!(
        html.contains(">1.550 s<") && !html.contains("1.250 s") && csv == "1.55",
        "{html} {csv}"
    );
}

#[test]
fn no_cell_is_a_formula() {
    for formula in ["=1+1", "+1", "-1", "@a", "\t=1", "＝1"] {
        let mut comparison = test_fixtures::comparison("");
        comparison.samples[0].mode = format!("{formula}\u{1b}");
        let text = page(&comparison, ReportFormat::Csv);
        assert!(!text.contains('\u{1b}'));
        let mut rows = ::csv::Reader::from_reader(text.as_bytes());
        let first = rows.records().next().unwrap().unwrap();
        assert!(first[3].starts_with('\''), "{first:?}");
    }
}

#[test]
fn json_is_read_back_as_it_was() {
    let comparison = test_fixtures::comparison(HOSTILE[1]);
    for kind in [ReportFormat::Json, ReportFormat::Jsonl] {
        let text = page(&comparison, kind);
        assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), comparison);
        assert!(text.ends_with("}\n"));
        assert_eq!(text.lines().count() == 1, kind == ReportFormat::Jsonl);
    }
}

#[test]
fn a_comparison_that_names_what_it_does_not_have_has_a_flaw() {
    let with = |change: fn(&mut Comparison)| {
        let mut comparison = test_fixtures::comparison("");
        change(&mut comparison);
        flaw(&comparison)
    };
    assert_eq!(with(|_| {}), None);
    assert!(with(|of| of.contestants.clear()).is_some());
    assert!(with(|of| of.samples[3].contestant = 2).is_some());
    assert!(with(|of| of.pairs[0].first = 2).is_some());
    assert!(with(|of| of.pairs[0].second = 2).is_some());
}
