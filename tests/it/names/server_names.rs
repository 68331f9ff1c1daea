//! Names from Content-Disposition.

use std::fs;

use super::{Ground, is_marked, list_of, names, outcomes, proposing, saving};
use crate::support::in_every_mode;
use crate::support::saved_files::saved_in;

fn proposed(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| format!("attachment; filename=\"{name}\"").into_bytes()).collect()
}

#[test]
fn a_name_that_the_server_proposes_is_taken_where_that_was_asked_for() {
    let origin = proposing(&proposed(&["report.pdf", "report.pdf", "Report.PDF", "listed"]));
    // What is listed is first, for a reply may come before the rest of the list was read.
    let list = format!("{}\n out=listed\n", origin.url("/x?0"))
        + &list_of(&origin, ["/0", "/1", "/2", "/3", "/without"]);
    in_every_mode(|mode| {
        let ground = Ground::new();
        let seen = saving(mode, &ground.dir()).list(&list).seen();
        assert_eq!(names(&seen)[1..], ["0", "1", "2", "3", "without"], "nobody asked for it");

        for scheme in ["flat", "tree"] {
            let ground = Ground::new();
            let run = || saving(mode, &ground.dir()).args(["-J", "--names", scheme]).list(&list);
            let seen = run().seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let host = origin.address().to_string().replace(':', "_");
            let prefix = if scheme == "tree" { format!("{host}/") } else { String::new() };
            let names = names(&seen);
            let bare: Vec<_> =
                names[1..].iter().map(|name| name.strip_prefix(&prefix).unwrap()).collect();
            let as_proposed =
                bare[..3].iter().filter(|name| name.eq_ignore_ascii_case("report.pdf"));
            assert_eq!(as_proposed.count(), 1, "{names:?}");
            let aside =
                |name: &str| is_marked(name, "report", ".pdf") || is_marked(name, "Report", ".PDF");
            assert_eq!(bare[..3].iter().filter(|name| aside(name)).count(), 2, "{names:?}");
            assert_eq!((bare[4], names[0].as_str()), ("without", "listed"));
            if scheme == "flat" {
                assert!(is_marked(bare[3], "listed", ""), "the list named it first: {names:?}");
            }

            let before = origin.requests();
            let again = run().seen();
            assert_eq!(outcomes(&again), ["skipped".to_owned()].into(), "{again:?}");
            assert_eq!((self::names(&again), origin.requests()), (names, before));
        }
    });
}

#[test]
fn a_file_that_is_not_ours_keeps_the_name_that_a_server_proposes() {
    let origin = proposing(&proposed(&["mine.txt", "folder"]));
    let list = list_of(&origin, ["/0", "/1"]);
    in_every_mode(|mode| {
        for words in [&["-J"][..], &["-J", "--overwrite"]] {
            let ground = Ground::new();
            fs::create_dir_all(ground.dir().join("folder")).unwrap();
            fs::write(ground.dir().join("mine.txt"), "mine").unwrap();
            let run = || saving(mode, &ground.dir()).args(words).list(&list).seen();
            let seen = run();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let names = names(&seen);
            assert!(is_marked(&names[0], "mine", ".txt"), "{names:?}");
            assert!(is_marked(&names[1], "folder", ""), "{names:?}");
            let saved = saved_in(&ground.dir());
            assert_eq!(&*saved["mine.txt"], b"mine");
            assert_eq!(&*saved[&names[0]], b"/0");
            ground.ensure_the_bookkeeping_is_sound();

            let before = origin.requests();
            let again = run();
            assert_eq!(outcomes(&again), ["skipped".to_owned()].into(), "{again:?}");
            assert_eq!((self::names(&again), origin.requests()), (names, before));
        }
    });
}
