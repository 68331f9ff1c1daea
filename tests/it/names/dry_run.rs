//! `--dry-run` predicts the names and makes nothing.

use std::fs::{self, File};

use serde_json::Value;

use super::hostile_names::{hostile_outs, hostile_paths};
use super::{Ground, echo, is_marked, list_of, list_with, outcomes, saving, told};
use crate::support::folder::all_in;
use crate::support::{Run, class_of};

#[test]
fn a_dry_run_tells_the_names_of_the_run_and_makes_nothing() {
    let origin = echo();
    let mut paths = hostile_paths();
    paths.extend(["/a/x", "/b/X", "/c/x"].map(str::to_owned));
    let list = list_of(&origin, paths) + &list_with(&origin, &hostile_outs());
    for scheme in ["flat", "tree", "hash", "index"] {
        let ground = Ground::new();
        let run = || saving("async", &ground.dir()).args(["--names", scheme]).list(&list);
        let dry = run().arg("--dry-run").seen();
        assert_eq!((dry.code, dry.stderr.as_str()), (Some(0), ""));
        assert_eq!(all_in(ground.ground.path()), ground.before, "not even the folder is there");

        let seen = run().seen();
        for (told, row) in told(&dry).iter().zip(seen.rows_in_list_order()) {
            assert_eq!((&told["index"], &told["path"]), (&row["index"], &row["path"]));
            assert_eq!(told["duplicate_of"], row["duplicate_of"]);
        }
        let before = all_in(ground.ground.path());
        let dry = run().arg("--dry-run").seen();
        assert_eq!(all_in(ground.ground.path()), before);
        assert!(told(&dry).iter().all(|told| told["outcome"] != Value::Null), "{}", dry.stdout);
    }
}

#[test]
fn a_dry_run_tells_what_would_become_of_each_target() {
    let origin = echo();
    let ground = Ground::new();
    let run = |list: &str| saving("async", &ground.dir()).list(list);
    let first = run(&list_of(&origin, ["/a/page.html"])).seen();
    assert_eq!(first.code, Some(0));
    fs::write(ground.dir().join("mine"), "mine").unwrap();
    let manifest = ground.dir().join(".fetch/manifest.jsonl");
    let torn = fs::read_to_string(&manifest).unwrap() + "{\"type\":\"sav";
    fs::write(&manifest, &torn).unwrap();
    let lock = File::open(ground.dir().join(".fetch/lock")).unwrap();
    lock.lock().unwrap();
    let before = all_in(ground.ground.path());
    let requests = origin.requests();

    let paths = ["/a/page.html", "/b/page.html", "/b/page.html#again", "/mine"];
    let list = list_of(&origin, paths);
    assert_eq!(run(&list).seen().code, Some(2), "another run is at it");
    let dry = run(&list).arg("--dry-run").seen();
    assert_eq!(dry.code, Some(1), "{dry:?}");
    let told = told(&dry);
    assert_eq!((&told[0]["outcome"], &told[0]["path"]), (&"skipped".into(), &"page.html".into()));
    assert_eq!(told[1]["outcome"], Value::Null);
    let second = told[1]["path"].as_str().unwrap();
    assert!(is_marked(second, "page", ".html"), "{second}");
    assert_eq!((&told[2]["outcome"], &told[2]["duplicate_of"]), (&"duplicate".into(), &2.into()));
    assert_eq!((&told[3]["outcome"], class_of(&told[3])), (&"failed".into(), "name".into()));

    let words = Run::new().args(["--dry-run", "-d"]).arg(ground.dir()).list(&list).seen().stdout;
    let url = |path: &str| origin.url(path);
    let lines: Vec<_> = words.lines().collect();
    assert_eq!(lines[0], format!("1 {} -> page.html (already saved)", url(paths[0])));
    assert_eq!(lines[1], format!("2 {} -> {second}", url(paths[1])));
    assert_eq!(lines[2], format!("3 {} (duplicate of target 2)", url(paths[2])));
    assert!(lines[3].starts_with(&format!("4 {} (failed: ", url(paths[3]))), "{words}");
    assert!(words.contains("\nOptions:\n  dir = "), "{words}");
    let last = "Would fetch 1 URL; 1 skipped; 1 duplicate; 1 failed (dry run)";
    assert_eq!(lines.last(), Some(&last));

    let quiet = run(&list).args(["--dry-run", "-q"]).seen();
    assert_eq!(super::told(&quiet), told[3..], "failures alone");
    assert_eq!(all_in(ground.ground.path()), before);
    assert_eq!(origin.requests(), requests);
}

#[test]
fn a_dry_run_foresees_a_rename_that_is_still_to_come_and_leaves_it_to_the_run() {
    let origin = echo();
    let ground = Ground::new();
    let run = || saving("sequential", &ground.dir()).list(list_of(&origin, ["/page"]));
    assert_eq!(run().env("FETCH_KILL_AT", "appended:1").seen().code, None);
    let before = all_in(ground.ground.path());
    assert!(before.contains_key("dir/page.part") && !before.contains_key("dir/page"));
    assert_eq!(told(&run().arg("--dry-run").seen())[0]["outcome"], "skipped");
    fs::write(ground.dir().join("page"), "mine").unwrap();
    assert_eq!(told(&run().arg("--dry-run").seen())[0]["outcome"], "failed");
    fs::remove_file(ground.dir().join("page")).unwrap();
    assert_eq!(all_in(ground.ground.path()), before);
    assert_eq!(outcomes(&run().seen()), ["skipped".to_owned()].into());
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_dry_run_into_what_is_no_folder_is_an_error() {
    let ground = Ground::new();
    let file = ground.ground.path().join("beside.txt");
    let seen = saving("async", &file).args(["--dry-run", "http://a.b/"]).seen();
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stderr.contains("beside.txt"), "{seen:?}");
    ground.ensure_nothing_was_touched_outside();
}
