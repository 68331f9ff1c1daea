//! The same list gives the same names in every mode and at any number of jobs.

use std::collections::BTreeSet;

use super::{Ground, echo, is_marked, list_of, names, outcomes, saving};
use crate::support::folder::quick_folder;
use crate::support::saved_files::saved_in;
use crate::support::{MODES, Origin};

#[test]
fn twenty_urls_with_one_basename_give_twenty_files_with_the_same_names_each_time() {
    let origin = echo();
    let paths: Vec<_> = (0..20).map(|number| format!("/{number}/page.html")).collect();
    let mut all = BTreeSet::new();
    for mode in MODES {
        for jobs in ["16", "3"] {
            let ground = Ground::new();
            let run =
                || saving(mode, &ground.dir()).args(["-j", jobs]).list(list_of(&origin, &paths));
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let names = names(&seen);
            assert_eq!(names[0], "page.html");
            assert!(names[1..].iter().all(|name| is_marked(name, "page", ".html")), "{names:?}");
            assert_eq!(saved_in(&ground.dir()).len(), 20);
            all.insert(names.clone());

            let before = origin.requests();
            let again = run().seen();
            assert_eq!((again.code, outcomes(&again)), (Some(0), ["skipped".to_owned()].into()));
            assert_eq!((self::names(&again), origin.requests()), (names, before));
        }
    }
    assert_eq!(all.len(), 1);
}

/// Ten thousand targets, most of which want a name that another one has: the same, in another case, of another query,
/// or a folder's.
fn ten_thousand(origin: &Origin) -> String {
    let entry = |number: usize| {
        let (group, kind) = (number / 8 % 300, number % 8);
        match kind {
            0 => origin.url(&format!("/{number}/page{group}.html\n")),
            1 => origin.url(&format!("/{number}/Page{group}.HTML\n")),
            2 => origin.url(&format!("/{number}/page{group}.html?x={}\n", number % 3)),
            3 => origin.url(&format!("/{number}/\n")),
            4 => origin.url(&format!("/{number}\n out=both{group}\n")),
            5 => origin.url(&format!("/{number}\n out=Both{group}/file\n")),
            6 => origin.url(&format!("/{number}\n out=both{group}/file/deeper\n")),
            _ => origin.url(&format!("/{number}/%c3%9c{group}\n")),
        }
    };
    (0..10_000).map(entry).collect()
}

#[test]
fn the_names_of_ten_thousand_lines_are_the_same_in_every_mode_and_at_any_number_of_jobs() {
    let origin = echo();
    let list = ten_thousand(&origin);
    let mut all = Vec::new();
    for (mode, jobs) in [("sequential", "1"), ("threads", "5"), ("async", "64")] {
        let folder = quick_folder();
        let seen = saving(mode, folder.path()).args(["-j", jobs]).list(&list).seen();
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        all.push(names(&seen));
    }
    assert_eq!(all[0].len(), 10_000);
    let folded: BTreeSet<_> = all[0].iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), 10_000, "no two are one file anywhere");
    assert!(all[1] == all[0] && all[2] == all[0], "the names differ");
}

#[test]
fn a_file_that_meets_a_folder_of_a_tree_moves_aside_the_same_way_in_every_mode() {
    let origin = echo();
    let paths = ["/a", "/a/b", "/A/b/c", "/d/e", "/d", "/d/", "/d/index.html", "/D/E"];
    let mut all = BTreeSet::new();
    for mode in MODES {
        let ground = Ground::new();
        let run = saving(mode, &ground.dir()).args(["--names", "tree", "-j", "8"]);
        let seen = run.list(list_of(&origin, paths)).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        all.insert(names(&seen));
    }
    let [names] = &all.into_iter().collect::<Vec<_>>()[..] else { panic!("the names differ") };
    let host = origin.address().to_string().replace(':', "_");
    let names: Vec<_> = names.iter().map(|name| name.strip_prefix(&host).unwrap()).collect();
    assert_eq!((names[0], names[3], names[5]), ("/a", "/d/e", "/d/index.html"));
    let (folder, file) = names[1].rsplit_once('/').unwrap();
    assert!(is_marked(folder, "/a", "") && file == "b", "{names:?}");
    assert!(is_marked(names[4], "/d", ""), "{names:?}");
    assert!(is_marked(names[6], "/d/index", ".html"), "{names:?}");
    assert!(is_marked(names[7], "/D/E", ""), "{names:?}");
}
