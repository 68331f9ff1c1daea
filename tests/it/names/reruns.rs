//! Names are kept from run to run.

use std::collections::BTreeSet;
use std::fs;

use super::{Ground, echo, is_marked, list_of, names, outcomes, saving};
use crate::support::saved_files::saved_in;
use crate::support::{Origin, Reply, in_every_mode};

#[test]
fn a_name_that_the_manifest_gives_to_another_url_is_taken() {
    let origin = echo();
    in_every_mode(|mode| {
        let ground = Ground::new();
        let run = |path: &str| saving(mode, &ground.dir()).list(list_of(&origin, [path])).seen();
        let first = run("/a/page.html");
        let second = run("/b/Page.html");
        assert_eq!(names(&first), ["page.html"]);
        assert!(is_marked(&names(&second)[0], "Page", ".html"), "{second:?}");
        let before = origin.requests();
        for (path, earlier) in [("/b/Page.html", &second), ("/a/page.html", &first)] {
            let again = run(path);
            assert_eq!(
                (outcomes(&again), names(&again)),
                (["skipped".to_owned()].into(), names(earlier))
            );
        }
        assert_eq!(origin.requests(), before);
        assert_eq!(saved_in(&ground.dir()).len(), 2);
    });
}

#[test]
fn what_failed_is_fetched_to_where_the_first_list_expects_it() {
    in_every_mode(|mode| {
        for words in [
            &["--names", "flat"],
            &["--names", "tree"],
            &["--names", "hash"],
            &["--names", "index"],
            &["-J", "--quiet"],
        ] {
            let origin = Origin::new(|request| match (request.path.as_str(), request.nth) {
                ("/b/page.html" | "/chosen?1", 0) => Reply::of("503 Busy", "", ""),
                _ => Reply::ok(&request.path),
            });
            let ground = Ground::new();
            let again = ground.ground.path().join("again.txt");
            let list = list_of(&origin, ["/a/page.html", "/b/page.html", "/c/page.html"])
                + &format!(
                    "{}\n out=my name\n{}\n out=My Name\n",
                    origin.url("/chosen?0"),
                    origin.url("/chosen?1")
                );
            let run = || saving(mode, &ground.dir()).args(words).arg("--failed").arg(&again);
            let seen = run().list(&list).seen();
            assert_eq!((seen.code, &seen.summary()["failed"]), (Some(1), &2.into()), "{seen:?}");
            let written = fs::read_to_string(&again).unwrap();
            assert_eq!(written.matches("\n  out=").count(), 2, "{written}");

            let rest = saving(mode, &ground.dir()).args(words).arg(&again).seen();
            assert_eq!((rest.code, &rest.summary()["ok"]), (Some(0), &2.into()), "{rest:?}");
            fs::remove_file(&again).unwrap();

            let before = origin.requests();
            let third = run().list(&list).seen();
            assert_eq!(third.summary()["skipped"], 5, "{third:?}");
            assert_eq!(origin.requests(), before);
            fs::remove_file(&again).unwrap();
            ground.ensure_nothing_was_touched_outside();
            assert_eq!(saved_in(&ground.dir()).len(), 5);
        }
    });
}

#[test]
fn what_was_left_undone_is_listed_with_its_name_too() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::of("404 No", "", ""));
        let ground = Ground::new();
        let again = ground.ground.path().join("again.txt");
        let paths = (0..8_000).map(|number| format!("/{number}/page.html"));
        let run = saving(mode, &ground.dir()).args(["--fail-fast", "--failed"]).arg(&again);
        let seen = run.list(list_of(&origin, paths)).seen();
        assert_eq!(seen.code, Some(4), "{}", seen.stderr);
        let written = fs::read_to_string(&again).unwrap();
        let lines: Vec<_> =
            written.lines().filter(|line| !line.contains("list read up to")).collect();
        assert_eq!(lines.len(), 3 * seen.rows().len());
        let mut names = BTreeSet::new();
        for entry in lines.chunks(3) {
            let name = entry[2].strip_prefix("  out=").unwrap_or_else(|| panic!("{entry:?}"));
            assert!(names.insert(name), "{entry:?}");
        }
    });
}
