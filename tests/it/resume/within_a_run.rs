//! A body that was cut short is continued by the next attempt of the same run.

use super::{Folder, LENGTHS, NAME};
use crate::support::versions::{A_MINUTE_LATER, MODIFIED, body};
use crate::support::{Request, Version, Versions, in_every_mode};

#[test]
fn a_body_cut_short_is_continued_by_the_next_try_on_a_strong_validator() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let plain = Version::of(body(1, length));
            let dated = plain.clone().dated(MODIFIED, A_MINUTE_LATER);
            let both = dated.clone().tagged("\"v1\"");
            let tagged = plain.tagged("\"v1\"");
            for (version, validator) in [(tagged, "\"v1\""), (both, "\"v1\""), (dated, MODIFIED)] {
                let (folder, server) = (Folder::new(), Versions::of(version.clone()));
                let (half, most) = (length / 2, length - 1);
                server.then_cut(half);
                server.then_cut(most - half);
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&version, &seen, validator);
                let row = seen.row();
                assert_eq!((&row["wire_bytes"], &row["attempts"]), (&length.into(), &3.into()));
                assert_eq!(server.sent(), length, "no byte is sent twice");
                let heard = server.heard();
                let fields = |request: &Request| {
                    let field = |name| request.header(name).map(str::to_owned);
                    (field("range"), field("if-range"), field("if-none-match"))
                };
                let range =
                    |from| (Some(format!("bytes={from}-")), Some(validator.to_owned()), None);
                let fields: Vec<_> = heard.iter().map(fields).collect();
                assert_eq!(fields, [(None, None, None), range(half), range(most)]);
                assert_eq!(folder.kinds(), ["partial", "saved"]);
                let entries = folder.entries();
                for entry in &entries {
                    assert_eq!((&entry["path"], &entry["id"]), (&NAME.into(), &entries[0]["id"]));
                    assert_eq!(entry["url"], server.url("/file.bin"));
                }
                assert_eq!(
                    (&entries[0]["length"], &entries[0]["part"]),
                    (&length.into(), &"file.bin.part".into())
                );
            }
        }
    });
}

#[test]
fn a_body_that_nothing_strong_tells_from_others_is_begun_anew() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let plain = || Version::of(body(1, length));
            for version in [
                plain(),
                plain().tagged("W/\"v1\""),
                plain().tagged("v1"),
                plain().tagged("\"é\""),
                plain().tagged("W/\"v1\"").dated(MODIFIED, A_MINUTE_LATER),
                plain().dated(MODIFIED, "Tue, 03 Mar 2026 10:00:59 GMT"),
                plain().dated(A_MINUTE_LATER, MODIFIED),
                plain().dated("yesterday", A_MINUTE_LATER),
            ] {
                let (folder, server) = (Folder::new(), Versions::of(version.clone()));
                folder.begin(mode, &server, length / 2);
                assert_eq!(folder.names().len(), 0, "what is of no use does not stay: {version:?}");
                server.then_cut(length / 2);
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&version, &seen, "anew");
                assert_eq!(seen.row()["wire_bytes"], length / 2 + length);
                for request in server.heard() {
                    let conditions = ["range", "if-range", "if-none-match", "if-modified-since"];
                    let given = conditions.map(|name| request.header(name));
                    assert_eq!(given, [None; 4], "{request:?}");
                }
            }
        }
    });
}
