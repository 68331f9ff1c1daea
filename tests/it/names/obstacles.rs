//! Files, folders and links that are in the way of a name.

use std::fs;
use std::os::unix::fs::symlink;

use data_encoding::HEXLOWER;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use sha2::{Digest, Sha256};

use super::{Ground, echo, list_of, list_with, outcomes, saving};
use crate::support::folder::all_in;
use crate::support::saved_files::saved_in;
use crate::support::{Origin, Reply, class_of, in_every_mode};

#[test]
fn nothing_that_stands_in_the_way_leads_outside_or_is_touched() {
    let origin = echo();
    let host = origin.address().to_string().replace(':', "_");
    let outs = [
        "linked/kept.txt",
        "linked/new.txt",
        "final",
        "dangling",
        "begun",
        "pipe",
        "piped",
        "begun-folder",
    ];
    let list = list_with(&origin, &outs) + &list_of(&origin, ["/kept.txt"]);
    in_every_mode(|mode| {
        for words in [&["--names", "tree"][..], &["--names", "tree", "--overwrite"]] {
            let ground = Ground::new();
            let dir = ground.dir();
            fs::create_dir(&dir).unwrap();
            for (name, target) in [
                ("linked", "../elsewhere"),
                (host.as_str(), "../elsewhere"),
                ("final", "../elsewhere/kept.txt"),
                ("dangling", "../elsewhere/new.txt"),
                ("begun.part", "../elsewhere/kept.txt"),
            ] {
                symlink(target, dir.join(name)).unwrap();
            }
            for name in ["pipe", "piped.part"] {
                mknodat(CWD, dir.join(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
            }
            fs::create_dir(dir.join("begun-folder.part")).unwrap();
            let before = all_in(&dir);
            let seen = saving(mode, &dir).args(words).list(&list).seen();
            assert_eq!(seen.code, Some(1), "{seen:?}");
            assert!(seen.classes_in_list_order().iter().all(|class| class == "name"), "{seen:?}");
            ground.ensure_nothing_was_touched_outside();
            ground.ensure_the_bookkeeping_is_sound();
            let mut now = all_in(&dir);
            now.retain(|name, _| !name.starts_with(".fetch"));
            assert_eq!(now, before);
        }
    });
}

#[test]
fn a_link_within_the_folder_makes_no_second_name_of_a_file() {
    let origin = echo();
    let list = list_with(&origin, &["folder/page", "linked/page", "alias"]);
    in_every_mode(|mode| {
        let ground = Ground::new();
        fs::create_dir_all(ground.dir().join("folder")).unwrap();
        symlink("folder", ground.dir().join("linked")).unwrap();
        symlink("folder/page", ground.dir().join("alias")).unwrap();
        for _ in 0..2 {
            let seen = saving(mode, &ground.dir()).arg("--overwrite").list(&list).seen();
            let classes = seen.classes_in_list_order();
            assert_eq!(
                (seen.code, &classes[1..]),
                (Some(1), &["name".to_owned(), "name".to_owned()][..])
            );
            assert_eq!(saved_in(&ground.dir())["folder/page"], b"/0");
            assert_eq!(saved_in(&ground.dir()).len(), 1);
        }
    });
}

#[test]
fn a_folder_that_becomes_a_link_while_its_file_is_fetched_is_not_followed() {
    in_every_mode(|mode| {
        for target in ["../elsewhere", "other"] {
            let ground = Ground::new();
            let dir = ground.dir();
            let origin = Origin::new(move |request| {
                fs::create_dir_all(dir.join("other")).unwrap();
                symlink(target, dir.join("folder")).unwrap();
                Reply::ok(&request.path)
            });
            let list = list_with(&origin, &["folder/new.txt"]);
            let seen = saving(mode, &ground.dir()).arg("--overwrite").list(list).seen();
            assert_eq!(
                (seen.code, class_of(&seen.row())),
                (Some(1), "name".to_owned()),
                "{seen:?}"
            );
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        }
    });
}

#[test]
fn a_manifest_that_was_tampered_with_leads_nowhere() {
    let origin = echo();
    let id = HEXLOWER.encode(&Sha256::digest(origin.url("/page")));
    let entry = |path: &str, part: &str| {
        format!(
            "{{\"type\":\"saved\",\"url\":\"\",\"id\":\"{id}\",\"path\":\"{path}\",\"part\":\"{part}\",\
             \"bytes\":4,\"replaces\":true,\"saved_at\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    };
    let entries = [
        entry("../elsewhere/kept.txt", "x"),
        entry("/etc/passwd", "x"),
        entry(".fetch/lock", "x"),
        entry("page", "../elsewhere/kept.txt"),
        entry("../beside.txt", "../elsewhere/kept.txt"),
    ];
    in_every_mode(|mode| {
        for (entry, words) in entries.iter().flat_map(|entry| [(entry, None), (entry, Some("-J"))])
        {
            let ground = Ground::new();
            fs::create_dir_all(ground.dir().join(".fetch")).unwrap();
            fs::write(ground.dir().join(".fetch/manifest.jsonl"), entry).unwrap();
            let run = saving(mode, &ground.dir()).args(words).list(list_of(&origin, ["/page"]));
            let seen = run.seen();
            assert!(["ok", "name"].contains(&class_of(&seen.row()).as_str()), "{seen:?}");
            ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
        }
    });
}

#[test]
fn a_file_begun_under_a_name_that_is_another_files_too_leaves_that_as_it_is() {
    let origin = echo();
    in_every_mode(|mode| {
        let ground = Ground::new();
        fs::create_dir(ground.dir()).unwrap();
        let kept = ground.ground.path().join("elsewhere/kept.txt");
        fs::hard_link(kept, ground.dir().join("0.part")).unwrap();
        let seen = saving(mode, &ground.dir()).list(list_of(&origin, ["/0"])).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        ground.ensure_it_holds_what_the_rows_say(&seen, &origin);
    });
}

#[test]
fn bookkeeping_that_leads_elsewhere_ends_the_run_before_it_begins() {
    let origin = echo();
    in_every_mode(|mode| {
        for (name, target) in [
            (".fetch", "../elsewhere"),
            (".fetch/manifest.jsonl", "../../elsewhere/kept.txt"),
            (".fetch/lock", "../../elsewhere/new.txt"),
        ] {
            let ground = Ground::new();
            let link = ground.dir().join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target, link).unwrap();
            for words in [&[][..], &["--dry-run"]] {
                let seen =
                    saving(mode, &ground.dir()).args(words).list(list_of(&origin, ["/0"])).seen();
                let expected = if words.is_empty() || name != ".fetch/lock" { 3 } else { 0 };
                assert_eq!(seen.code, Some(expected), "{name}: {seen:?}");
                ground.ensure_nothing_was_touched_outside();
            }
        }
    });
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_file_that_is_not_ours_stays_and_its_target_fails_unless_it_may_be_overwritten() {
    let origin = echo();
    in_every_mode(|mode| {
        let ground = Ground::new();
        fs::create_dir_all(ground.dir().join("folder")).unwrap();
        for name in ["mine", "folder/mine"] {
            fs::write(ground.dir().join(name), "mine").unwrap();
        }
        let list = list_of(&origin, ["/mine", "/folder", "/free"]);
        let before = origin.requests();
        let seen = saving(mode, &ground.dir()).list(&list).seen();
        assert_eq!(seen.code, Some(1));
        assert_eq!(seen.classes_in_list_order(), ["name", "name", "ok"]);
        assert_eq!(origin.requests() - before, 1, "what has no place is not asked for");
        let rows = seen.rows_in_list_order();
        assert!(
            rows[0]["error"]["message"].as_str().unwrap().contains("--overwrite"),
            "{}",
            rows[0]
        );
        let saved = saved_in(&ground.dir());
        assert_eq!(saved.len(), 3);
        assert_eq!((&*saved["mine"], &*saved["folder/mine"]), (&b"mine"[..], &b"mine"[..]));

        let seen = saving(mode, &ground.dir()).arg("--overwrite").list(&list).seen();
        assert_eq!(seen.code, Some(1));
        assert_eq!(seen.classes_in_list_order(), ["ok", "name", "ok"]);
        let saved = saved_in(&ground.dir());
        assert_eq!((&*saved["mine"], &*saved["folder/mine"]), (&b"/mine"[..], &b"mine"[..]));

        let seen = saving(mode, &ground.dir()).list(list_of(&origin, ["/mine"])).seen();
        assert_eq!(outcomes(&seen), ["skipped".to_owned()].into(), "it is ours now");
    });
}

#[test]
fn a_file_that_comes_while_its_name_is_being_fetched_is_not_replaced() {
    in_every_mode(|mode| {
        let ground = Ground::new();
        let late = ground.dir().join("late");
        let origin = Origin::new(move |request| {
            fs::write(&late, "mine").unwrap();
            Reply::ok(&request.path)
        });
        let list = list_of(&origin, ["/late"]);
        for _ in 0..2 {
            let seen = saving(mode, &ground.dir()).list(&list).seen();
            assert_eq!(
                (seen.code, seen.classes_in_list_order()),
                (Some(1), vec!["name".to_owned()])
            );
            assert_eq!(saved_in(&ground.dir()).get("late"), Some(&b"mine".to_vec()));
            ground.ensure_the_bookkeeping_is_sound();
        }
        assert_eq!(origin.requests(), 1, "the second time it was there before");
    });
}
