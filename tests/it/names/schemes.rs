//! `--names`, and names that an entry asks for.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Ground, echo, is_marked, list_of, list_with, names, outcomes, saving};
use crate::support::in_every_mode;

#[test]
fn every_scheme_names_files_in_its_own_way() {
    let origin = echo();
    let list = list_of(&origin, ["/docs/page.html", "/docs/", "/docs/page.php?x=1", "/plain"]);
    let host = origin.address().to_string().replace(':', "_");
    let hashed = |path: &str, extension: &str| {
        let digits = HEXLOWER.encode(&Sha256::digest(origin.url(path)));
        format!("{}/{}/{digits}{extension}", &digits[..2], &digits[2..4])
    };
    let mark = &HEXLOWER.encode(&Sha256::digest("x=1"))[..8];
    let tree = ["page.html", "index.html", &format!("page.{mark}.php")]
        .map(|name| format!("{host}/docs/{name}"));
    let table = [
        (
            "flat",
            ["page.html".into(), "index.html".into(), format!("page.{mark}.php"), "plain".into()],
        ),
        ("tree", [tree[0].clone(), tree[1].clone(), tree[2].clone(), format!("{host}/plain")]),
        (
            "hash",
            [
                hashed("/docs/page.html", ".html"),
                hashed("/docs/", ".html"),
                hashed("/docs/page.php?x=1", ".php"),
                hashed("/plain", ""),
            ],
        ),
        (
            "index",
            ["000001.html".into(), "000002.html".into(), "000003.php".into(), "000004".into()],
        ),
    ];
    in_every_mode(|mode| {
        for (scheme, expected) in &table {
            let ground = Ground::new();
            let run = || saving(mode, &ground.dir()).args(["--names", scheme]).list(&list);
            let seen = run().seen();
            assert_eq!(names(&seen), *expected, "{scheme}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let again = run().seen();
            assert_eq!(outcomes(&again), ["skipped".to_owned()].into(), "{scheme}");
            assert_eq!(names(&again), *expected, "{scheme}");
        }
    });
}

#[test]
fn a_name_that_is_asked_for_wins_and_moves_aside_where_it_is_taken() {
    let origin = echo();
    let list = list_with(&origin, &["chosen.txt", "chosen.txt", "Chosen.TXT", "sub/chosen.txt"])
        + &list_of(&origin, ["/chosen.txt"]);
    in_every_mode(|mode| {
        for scheme in ["flat", "tree", "hash", "index"] {
            let ground = Ground::new();
            let run = saving(mode, &ground.dir()).args(["--names", scheme]).list(&list);
            let seen = run.seen();
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
            let names = names(&seen);
            assert_eq!(names[0], "chosen.txt", "{scheme}");
            assert!(is_marked(&names[1], "chosen", ".txt"), "{names:?}");
            assert!(is_marked(&names[2], "Chosen", ".TXT"), "{names:?}");
            assert_eq!(names[3], "sub/chosen.txt");
            assert_eq!(is_marked(&names[4], "chosen", ".txt"), scheme == "flat", "{names:?}");
        }
    });
}
