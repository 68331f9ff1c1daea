//! Bodies whose length the reply does not say.

use std::fs;

use serde_json::Value;

use super::{Folder, LENGTHS, NAME, asked, beginning, first, second};
use crate::support::versions::{A_MINUTE_LATER, MODIFIED, body};
use crate::support::{Version, Versions, in_every_mode};

#[test]
fn a_body_of_unknown_length_is_continued_up_to_the_length_that_the_rest_tells() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            for between_runs in [false, true] {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                let begun = beginning(length);
                server.then(move |_, version| version.endless(begun));
                if between_runs {
                    let seen = folder.fetch(mode, &server, &["--retry", "0"]);
                    assert_eq!(seen.code, Some(1), "{seen:?}");
                    assert_eq!(folder.begun(), begun);
                }
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&first(length), &seen, "continued");
                assert_eq!(asked(&server), [None, Some(begun)]);
                assert_eq!(folder.entries()[0]["length"], Value::Null);
            }
        }
    });
}

#[test]
fn a_body_of_unknown_length_that_lacks_only_its_end_is_complete_where_that_is_proven() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            // The rules alone.
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            server.then(move |_, version| version.endless(length));
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "all of it was there");
            assert_eq!(asked(&server), [None, Some(length)]);

            // Another version is as long as what is there of the first one, and no tag tells.
            let begun = beginning(length);
            let other = second(begun).untagged();
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            server.then(move |_, version| version.endless(begun));
            server.then_change(other.clone());
            server.then(|_, version| version.beyond());
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&other, &seen, "another version");
            assert_eq!(asked(&server), [None, Some(begun), None]);
        }
    });
}

#[test]
fn a_whole_body_that_was_not_entered_yet_is_completed_with_its_last_byte() {
    in_every_mode(|mode| {
        let length = LENGTHS[1];
        let (folder, server) = (Folder::new(), Versions::of(first(length)));
        let run = folder.run(mode).env("FETCH_KILL_AT", "written:1");
        let seen = run.arg(server.url("/file.bin")).seen();
        assert_eq!((seen.code, folder.begun()), (None, length), "{seen:?}");
        server.forget();
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!((asked(&server), server.sent()), (vec![Some(length - 1)], 1));
        assert_eq!((seen.code, folder.file() == first(length).body), (Some(0), true));
        let row = seen.row();
        assert_eq!((&row["bytes"], &row["wire_bytes"]), (&length.into(), &1.into()));
        let last = folder.entries().pop().unwrap();
        assert_eq!((&last["type"], &last["etag"]), (&"saved".into(), &"\"v1\"".into()));
        assert_eq!(folder.names(), [NAME]);
        // Nothing that the tag contradicts is complete.
        let (folder, server) = (Folder::new(), Versions::of(first(length)));
        let run = folder.run(mode).env("FETCH_KILL_AT", "written:1");
        run.arg(server.url("/file.bin")).seen();
        server.change(second(length));
        server.then(|_, version| version.beyond());
        let seen = folder.fetch(mode, &server, &[]);
        folder.assert_holds(&second(length), &seen, "the other version");
    });
}

#[test]
fn an_empty_body_is_an_empty_file() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(0)));
        let seen = folder.fetch(mode, &server, &[]);
        folder.assert_holds(&first(0), &seen, "empty");
        let again = folder.fetch(mode, &server, &[]);
        assert_eq!((again.row()["outcome"].as_str(), server.heard().len()), (Some("skipped"), 1));
        server.change(second(11));
        let seen = folder.fetch(mode, &server, &["--refresh"]);
        folder.assert_holds(&second(11), &seen, "no more");
        server.change(first(0));
        let seen = folder.fetch(mode, &server, &["--refresh"]);
        folder.assert_holds(&first(0), &seen, "again");
    });
}

#[test]
fn a_file_is_as_old_as_the_body() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let version = Version::of(body(1, length)).dated(MODIFIED, A_MINUTE_LATER);
            let (folder, server) = (Folder::new(), Versions::of(version.clone()));
            server.then_cut(length / 2);
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&version, &seen, "dated");
            let modified = fs::metadata(folder.at(NAME)).unwrap().modified().unwrap();
            assert_eq!(modified, httpdate::parse_http_date(MODIFIED).unwrap());
            assert_eq!(folder.entries().pop().unwrap()["last_modified"], MODIFIED);
        }
    });
}
