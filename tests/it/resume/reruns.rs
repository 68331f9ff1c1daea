//! What a second run does about files that are complete: skips, refreshes or replaces them.

use std::fs;

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Folder, LENGTHS, NAME, asked, beginning, first, outcomes, second, told};
use crate::support::versions::{A_MINUTE_LATER, MODIFIED, asked_from, body};
use crate::support::{Version, Versions, class_of, in_every_mode};

#[test]
fn what_is_complete_is_not_asked_for_again_and_what_is_missing_is_fetched() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        let list = |paths: &[&str]| -> String {
            paths.iter().map(|path| format!("{}\n", server.url(path))).collect()
        };
        let paths = ["/a", "/b", "/c", "/d"];
        assert_eq!(folder.run(mode).list(list(&paths[..2])).seen().code, Some(0));
        assert_eq!(server.heard().len(), 2);
        let seen = folder.run(mode).list(list(&paths)).seen();
        assert_eq!(seen.code, Some(0));
        let mut fetched: Vec<_> = server.heard().into_iter().map(|request| request.path).collect();
        fetched.sort();
        assert_eq!(fetched, ["/c", "/d"]);
        assert_eq!(outcomes(&seen), ["skipped", "skipped", "ok", "ok"]);
        let fields = ["path", "bytes", "etag", "wire_bytes", "attempts", "http_status"];
        let told = told(&seen.rows_in_list_order()[0], &fields);
        assert_eq!(told, json!(["a", 11, "\"v1\"", 0, 0, null]));

        fs::remove_file(folder.at("a")).unwrap();
        fs::write(folder.at("b"), body(2, 12)).unwrap();
        let seen = folder.run(mode).list(list(&paths)).seen();
        assert_eq!(outcomes(&seen), ["ok", "ok", "skipped", "skipped"]);
        for path in paths {
            assert!(fs::read(folder.at(&path[1..])).unwrap() == server.version().body);
        }
        server.heard();
        let seen = folder.run(mode).list(list(&paths)).seen();
        assert_eq!((outcomes(&seen), server.heard().len()), (vec!["skipped".to_owned(); 4], 0));
        assert_eq!((seen.code, &seen.summary()["skipped"]), (Some(0), &4.into()));
        let saved = folder.kinds().iter().filter(|kind| *kind == "saved").count();
        assert_eq!(saved, 6, "nothing is entered about what is skipped");
    });
}

#[test]
fn refresh_keeps_what_has_not_changed_and_replaces_what_has() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let plain = |seed| Version::of(body(seed, length));
            let dated = |seed, date| plain(seed).dated(date, A_MINUTE_LATER);
            let tag = |version: Version, tag: &str| version.tagged(tag);
            let none = "if-none-match";
            let since = "if-modified-since";
            for (old, new, name, value) in [
                (tag(plain(1), "\"v1\""), tag(plain(2), "\"v2\""), none, "\"v1\""),
                (tag(plain(1), "W/\"v1\""), tag(plain(2), "W/\"v2\""), none, "W/\"v1\""),
                (tag(dated(1, MODIFIED), "\"v1\""), dated(2, MODIFIED), none, "\"v1\""),
                (dated(1, MODIFIED), dated(2, A_MINUTE_LATER), since, MODIFIED),
            ] {
                let (folder, server) = (Folder::new(), Versions::of(old.clone()));
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&old, &seen, "first");
                server.forget();
                let entries = folder.entries();

                let seen = folder.fetch(mode, &server, &["--refresh"]);
                let row = seen.row();
                assert_eq!((seen.code, row["outcome"].as_str()), (Some(0), Some("unchanged")));
                let told = told(&row, &["path", "bytes", "wire_bytes", "http_status"]);
                assert_eq!(told, json!([NAME, length, 0, 304]));
                assert_eq!(row["etag"].as_str(), old.etag.as_deref());
                assert_eq!(row["last_modified"].as_str(), old.modified.as_deref());
                assert!(folder.file() == old.body && folder.entries() == entries);
                let heard = server.heard();
                let conditions = [none, since, "range", "if-range"];
                let given = conditions.map(|name| heard[0].header(name).is_some());
                assert_eq!(
                    (heard[0].header(name), given.map(usize::from).iter().sum()),
                    (Some(value), 1)
                );

                server.change(new.clone());
                let seen = folder.fetch(mode, &server, &["--refresh"]);
                folder.assert_holds(&new, &seen, "changed");
                assert_eq!(server.heard()[0].header(name), Some(value));
            }
            let (folder, server) = (Folder::new(), Versions::of(plain(1)));
            folder.fetch(mode, &server, &[]);
            let seen = folder.fetch(mode, &server, &["--refresh"]);
            folder.assert_holds(&plain(1), &seen, "nothing tells the version");
            assert_eq!(server.heard().len(), 2);
        }
    });
}

#[test]
fn a_condition_given_by_hand_says_nothing_about_what_was_saved() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        folder.fetch(mode, &server, &[]);
        server.change(second(LENGTHS[0]));
        let seen = folder.fetch(mode, &server, &["--refresh", "-H", "If-None-Match: \"v2\""]);
        assert_eq!((seen.code, outcomes(&seen)), (Some(1), vec!["failed".to_owned()]));
        assert!(folder.file() == first(LENGTHS[0]).body);
        let seen = folder.fetch(mode, &server, &["--refresh", "-H", "If-None-Match: \"v3\""]);
        folder.assert_holds(&second(LENGTHS[0]), &seen, "it is not that one either");
    });
}

#[test]
fn force_fetches_everything_again_as_a_whole() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            folder.fetch(mode, &server, &[]);
            for version in [first(length), second(length)] {
                server.change(version.clone());
                server.forget();
                let seen = folder.fetch(mode, &server, &["--force"]);
                folder.assert_holds(&version, &seen, "all again");
                assert_eq!((asked(&server), server.sent()), (vec![None], length));
            }
            let folder = Folder::new();
            folder.begin(mode, &server, beginning(length));
            let seen = folder.fetch(mode, &server, &["--force"]);
            folder.assert_holds(&second(length), &seen, "also what was begun");
            assert_eq!(asked(&server), [None]);
        }
    });
}

#[test]
fn a_file_stays_as_it_is_until_the_next_version_is_whole() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            for again in ["--refresh", "--force"] {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                folder.fetch(mode, &server, &[]);
                server.change(second(length));
                let begun = beginning(length);
                server.then_cut(begun);
                let seen = folder.fetch(mode, &server, &["--retry", "0", again]);
                assert_eq!(seen.code, Some(1), "{seen:?}");
                assert!(folder.file() == first(length).body, "the old one is still whole");
                server.heard();
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(
                    &second(length),
                    &seen,
                    "continued by a run without the option",
                );
                assert_eq!(asked(&server), [Some(begun)]);
            }
        }
    });
}

#[test]
fn a_version_that_comes_back_while_the_next_one_is_fetched_stays() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            for new in [second(length), second(length).tagged("W/\"v2\"")] {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                folder.fetch(mode, &server, &[]);
                server.change(new);
                server.then_cut(beginning(length));
                server.then_change(first(length));
                server.then(|request, version| match asked_from(request) {
                    Some(_) => version.beyond(),
                    None => version.answer(request),
                });
                let seen = folder.fetch(mode, &server, &["--refresh"]);
                assert_eq!(seen.code, Some(0), "{seen:?}");
                assert!(folder.file() == first(length).body);
                assert_eq!(folder.names(), [NAME]);
                server.heard();
                let seen = folder.fetch(mode, &server, &[]);
                assert_eq!(outcomes(&seen), ["skipped"]);
                assert_eq!((server.heard().len(), folder.names()), (0, vec![NAME.to_owned()]));
            }
        }
    });
}

#[test]
fn a_checksum_that_contradicts_what_was_saved_causes_a_new_fetch() {
    in_every_mode(|mode| {
        let (old, new) = (first(LENGTHS[0]), second(LENGTHS[0]));
        let sha256 = |version: &Version| {
            format!("sha-256={}", HEXLOWER.encode(&Sha256::digest(&version.body)))
        };
        let (folder, server) = (Folder::new(), Versions::of(old.clone()));
        let url = server.url("/file.bin");
        let seen = folder.fetch(mode, &server, &["--digest", "sha256"]);
        folder.assert_holds(&old, &seen, "first");
        let entry = folder.entries().pop().unwrap();
        assert_eq!(format!("sha-256={}", entry["sha256"].as_str().unwrap()), sha256(&old));

        let with = |sum: &str| folder.run(mode).list(format!("{url}\n  checksum={sum}\n")).seen();
        assert_eq!(outcomes(&with(&sha256(&old))), ["skipped"]);
        server.change(new.clone());
        server.heard();
        let seen = with(&sha256(&new));
        folder.assert_holds(&new, &seen, "another one is wanted");
        assert_eq!(asked(&server), [None]);
        assert_eq!(seen.row()["digest"], sha256(&new));

        let seen = with(&sha256(&old));
        assert_eq!(class_of(&seen.row()), "checksum");
        assert!(folder.file() == new.body, "what is wrong replaces nothing");
        assert_eq!(folder.names(), [NAME]);
    });
}

#[test]
fn a_version_is_entered_with_its_own_validators_alone() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let dated = |seed| Version::of(body(seed, length)).dated(MODIFIED, A_MINUTE_LATER);
            let bare = || Version::of(body(2, length));
            for (old, new) in [
                (first(length), bare()),
                (first(length), dated(2)),
                (dated(1), second(length)),
                (dated(1), bare()),
            ] {
                let (folder, server) = (Folder::new(), Versions::of(old));
                folder.begin(mode, &server, beginning(length));
                server.change(new.clone());
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&new, &seen, "the new one");
            }
        }
    });
}

#[test]
fn what_a_killed_run_left_of_one_version_is_not_taken_for_another() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            server.then_cut(begun);
            server.then_change(second(length - 3));
            let run = folder.run(mode).env("FETCH_KILL_AT", "written:1");
            let seen = run.arg(server.url("/file.bin")).seen();
            assert_eq!((seen.code, folder.begun()), (None, length - 3), "{seen:?}");
            server.change(first(length));
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "the first version came back");
        }
    });
}
