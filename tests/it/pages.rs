//! The HTML pages in a browser: what they do, that they log nothing, and that they request nothing but themselves.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::browser::Browser;
use crate::support::{Origin, Reply, Run};

/// A path of a URL that would be markup if it were not text, with a word that can be found.
const HOSTILE: &str = "/?%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E&'</script>&needle";

/// Writes the page of a run with 40 URLs, of which 12 fail and one is served by a mirror.
fn page_of_a_run(page: &Path) {
    let origin = Origin::new(|request| match request.path.as_str() {
        path if path.starts_with("/gone") || path == "/absent" => {
            Reply::of("404 Not Found", "", "gone")
        }
        "/again" if request.nth == 0 => Reply::of("503 Service Unavailable", "", ""),
        _ => Reply::ok("hello"),
    });
    let paths = (0..25).map(|nth| format!("/page/{nth}"));
    let paths = paths.chain((0..12).map(|nth| format!("/gone/{nth}")));
    let others = [HOSTILE.to_owned(), "/%E6%97%A5%E6%9C%AC".to_owned(), "/again".to_owned()];
    let list: String = paths.chain(others).map(|path| origin.url(&path) + "\n").collect();
    let mirrored = format!("{}\t{}\n", origin.url("/absent"), origin.url("/page/0"));
    let list = list.replacen(&(origin.url("/page/0") + "\n"), &mirrored, 1);
    let words = ["-q", "--retry-delay", "20ms", "--report"];
    let seen = Run::new().args(words).arg(page).arg("-").list(list).seen();
    assert_eq!(seen.code, Some(1), "{seen:?}");
}

/// Asserts that the page that is open logged nothing and requested nothing but itself.
fn assert_it_is_quiet(browser: &Browser, page: &Path) {
    assert_eq!(browser.console(), Vec::<Value>::new());
    let itself = format!("file://{}", page.display());
    assert_eq!(browser.requests(page), [itself]);
}

/// The texts of the elements that a selector finds and that are shown.
fn texts(browser: &Browser, selector: &str) -> Vec<String> {
    let script = format!(
        "return [...document.querySelectorAll({})].filter((one) => !one.closest('[hidden]')).map((one) => one.textContent)",
        json!(selector)
    );
    serde_json::from_value(browser.script(&script)).unwrap()
}

/// Types a text into a field, or chooses an option.
fn enter(browser: &Browser, field: &str, value: &str) {
    browser.script(&format!(
        "const field = document.querySelector({}); field.value = {}; \
         for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {{ bubbles: true }}))",
        json!(field),
        json!(value)
    ));
}

fn click(browser: &Browser, selector: &str) {
    browser.script(&format!("document.querySelector({}).click()", json!(selector)));
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_of_a_run_filters_sorts_and_fits_a_narrow_window_without_a_message_or_a_request() {
    let folder = tempdir().unwrap();
    let page = folder.path().join("run.html");
    page_of_a_run(&page);
    let browser = Browser::start();
    browser.open(&page);
    assert!(!texts(&browser, "#charts h2").is_empty(), "the charts are shown");
    assert_eq!(texts(&browser, "#no-script"), Vec::<String>::new());
    let urls = || texts(&browser, "#waterfall .row .url");
    assert_eq!(urls().len(), 40);
    assert_eq!(urls().iter().filter(|url| url.ends_with("/日本")).count(), 1);
    assert_eq!(browser.script("return document.querySelectorAll('img').length"), 0);

    // What came before the last attempt is drawn apart from it.
    let parts = browser.script(
        "const rows = [...document.querySelectorAll('#waterfall .row')];
         const row = rows.find((one) => one.textContent.includes('/again'));
         return [...row.querySelectorAll('i')].map((one) => one.className).filter((name) => name !== 'queued')",
    );
    let parts: Vec<String> = serde_json::from_value(parts).unwrap();
    assert_eq!(parts[..2], ["earlier", "retry"], "{parts:?}");

    // The waterfall: filter, then sort.
    enter(&browser, "#filter", "NEEDLE");
    assert_eq!(urls().len(), 1, "{:?}", urls());
    assert_eq!(texts(&browser, "#matches"), ["1 of 40 URLs"]);
    enter(&browser, "#filter", "nothing has this");
    assert_eq!(urls().len(), 0);
    enter(&browser, "#filter", "http_4xx");
    assert_eq!(urls().len(), 12);
    enter(&browser, "#filter", "");
    enter(&browser, "#order", "failed");
    assert!(urls()[..12].iter().all(|url| url.contains("/gone/")), "{:?}", urls());
    enter(&browser, "#order", "list");
    assert!(urls()[39].ends_with("/again"), "{:?}", urls());
    for scale in ["run", "sight"] {
        enter(&browser, "#scale", scale);
        assert_eq!(urls().len(), 40);
    }
    enter(&browser, "#colour", "host");
    click(&browser, "#rows-data summary");
    // One row for each URL, and the head.
    let rows = texts(&browser, "#rows-data tr");
    assert_eq!(rows.len(), 41);
    let mirrored: Vec<_> = rows.iter().filter(|row| row.contains("(mirror ")).collect();
    assert!(mirrored.len() == 1 && mirrored[0].contains("/absent (mirror http"), "{mirrored:?}");

    // The tables: sort by a click on a head, and a filter where there are many rows.
    let failed = || texts(&browser, "#failed tbody th");
    click(&browser, "#failed thead th:first-child button");
    let ascending = failed();
    assert!(ascending.len() == 12 && ascending.is_sorted(), "{ascending:?}");
    click(&browser, "#failed thead th:first-child button");
    assert!(failed().into_iter().rev().eq(ascending), "{:?}", failed());
    enter(&browser, "#failed-filter", "gone/11");
    assert_eq!(failed().len(), 1, "{:?}", failed());

    // A narrow window: each bar below its URL, as wide as the page.
    browser.resize(400, 800);
    let places = browser.script(
        "const row = document.querySelector('#waterfall .row:not(.visually-hidden)');
         const place = (name) => row.querySelector(name).getBoundingClientRect();
         return [place('.url').bottom, place('.bar').top, place('.bar').width, document.documentElement.scrollWidth]",
    );
    let places: Vec<f64> = serde_json::from_value(places).unwrap();
    assert!(places[1] >= places[0] - 1.0 && places[2] > 300.0, "{places:?}");
    let axis = browser.script(
        "const place = (selector) => document.querySelector(selector).getBoundingClientRect();
         const [axis, bar] = [place('#axis .u-over'), place('#waterfall .row:not(.visually-hidden) .bar')];
         return [axis.left - bar.left, axis.right - bar.right]",
    );
    let axis: Vec<f64> = serde_json::from_value(axis).unwrap();
    assert!(
        axis.iter().all(|distance| distance.abs() < 2.0),
        "the axis is above the bars: {axis:?}"
    );
    assert!(places[3] <= 400.0, "the page is as wide as the window: {places:?}");
    assert!(!texts(&browser, ".more").is_empty(), "tables that are cut say so");
    assert_it_is_quiet(&browser, &page);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_of_a_long_run_has_the_rows_in_sight_and_follows_the_scroll_bar() {
    let folder = tempdir().unwrap();
    let (run, page) = (folder.path().join("run.jsonl"), folder.path().join("run.html"));
    let row = |place: usize| {
        format!(
            "{{\"type\":\"result\",\"index\":{place},\"source\":\"l\",\"url\":\"https://a.b/{place}\",\"outcome\":\"ok\",\
             \"started_at\":\"2026-01-01T00:{:02}:{:02}.000Z\",\"timings\":{{\"total\":1.5}}}}\n",
            place / 60,
            place % 60
        )
    };
    fs::write(&run, (0..3_000).map(row).collect::<String>()).unwrap();
    let seen = Run::new().arg("report").arg("--to").arg(&page).arg(&run).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let browser = Browser::start();
    browser.open(&page);
    let urls = || texts(&browser, "#waterfall .row .url");
    assert!((10..200).contains(&urls().len()), "{}", urls().len());
    assert_eq!(urls()[0], "https://a.b/0");
    // The bars of the rows in sight fill their column, whatever the length of the run.
    let widest = browser.script(
        "return Math.max(...[...document.querySelectorAll('#waterfall .bar i')].map((bar) => parseFloat(bar.style.width)))",
    );
    assert!(widest.as_f64().unwrap() > 1.0, "{widest}");
    let last = browser.script(
        "const box = document.querySelector('#waterfall'); box.scrollTop = box.scrollHeight;
         return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(
             [...box.querySelectorAll('.url')].pop().textContent))))",
    );
    assert_eq!(last, "https://a.b/2999");
    assert_it_is_quiet(&browser, &page);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_of_a_comparison_works_without_a_message_or_a_request() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let folder = tempdir().unwrap();
    let page = folder.path().join("modes.html");
    let words = ["compare", "--runs", "4", "--warmup", "0", "--modes", "sequential,threads,async"];
    let seen = Run::new().args(words).arg("--report").arg(&page).arg(origin.url(HOSTILE)).seen();
    assert!(seen.code.is_some_and(|code| code < 2), "{seen:?}");
    let browser = Browser::start();
    browser.open(&page);
    let modes = || texts(&browser, "#summary tbody th");
    let before = modes();
    assert_eq!(before.len(), 3);
    click(&browser, "#summary thead th:first-child button");
    click(&browser, "#summary thead th:first-child button");
    let mut expected = before.clone();
    expected.sort();
    expected.reverse();
    assert_eq!(modes(), expected);
    let label =
        || browser.script("return document.querySelector('#wall').getAttribute('aria-label')");
    assert!(label().as_str().unwrap().contains("threads"), "{}", label());
    browser.script("document.querySelectorAll('#shown input')[1].click()");
    assert!(!label().as_str().unwrap().contains("threads"), "{}", label());
    for details in ["#pairs", "#samples"] {
        click(&browser, &format!("{details} summary"));
    }
    assert_eq!(texts(&browser, "#runs tbody tr").len(), 12);
    browser.resize(400, 800);
    let is_cut = "return document.documentElement.scrollWidth > innerWidth";
    assert_eq!(browser.script(is_cut), false);
    browser.script(
        "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
    );
    assert!(texts(&browser, ".more").len() >= 2, "tables that are cut say so");
    assert_it_is_quiet(&browser, &page);
}
