//! Entries that are listed twice.

use std::fs;

use super::{Folder, LENGTHS, NAME, first, outcomes};
use crate::support::{Run, Versions, in_every_mode};

#[test]
fn what_is_listed_twice_is_saved_once() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        let url = server.url("/file.bin");
        let list = format!(
            "{url}\n{url}\n{url}\n  header=X-A: 1\n{url}\n  header=X-A: 1\n{url}\n  out=other\n{url}\n  out=other\n{url}#fragment\n"
        );
        let seen = folder.run(mode).list(&list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let expected = ["ok", "duplicate", "ok", "duplicate", "ok", "duplicate", "duplicate"];
        assert_eq!(outcomes(&seen), expected);
        let rows = seen.rows_in_list_order();
        let first_of: Vec<_> = rows.iter().map(|row| row["duplicate_of"].as_u64()).collect();
        assert_eq!(first_of, [None, Some(1), None, Some(3), None, Some(5), Some(1)]);
        assert_eq!((server.heard().len(), folder.names().len()), (3, 3));
        assert_eq!((&rows[0]["path"], &rows[4]["path"]), (&NAME.into(), &"other".into()));
        for name in folder.names() {
            assert!(fs::read(folder.at(&name)).unwrap() == server.version().body);
        }
        let duplicate = &rows[1];
        assert_eq!((&duplicate["bytes"], &duplicate["attempts"]), (&0.into(), &0.into()));
        assert_eq!(seen.summary()["duplicate"], 4);

        let again = folder.run(mode).list(&list).seen();
        let expected = expected.map(|outcome| if outcome == "ok" { "skipped" } else { outcome });
        assert_eq!(
            (outcomes(&again), server.heard().len()),
            (expected.map(str::to_owned).to_vec(), 0)
        );

        let seen = Run::json(mode).list(format!("{url}\n{url}\n")).seen();
        assert_eq!(
            (outcomes(&seen), server.heard().len()),
            (vec!["ok".to_owned(); 2], 2),
            "not saved"
        );
    });
}
