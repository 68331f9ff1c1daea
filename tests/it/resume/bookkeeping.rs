//! The lock and the manifest.

use std::fs;

use super::{Folder, LENGTHS, first, outcomes, second};
use crate::support::{Gate, Versions, class_of, in_every_mode};

#[test]
fn a_second_run_into_the_same_folder_says_so_and_leaves_it_alone() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        let (arrived, open) = (Gate::of(1), Gate::of(1));
        let (at_origin, held) = (arrived.clone(), open.clone());
        server.then(move |_, version| {
            at_origin.pass();
            held.wait();
            version.whole()
        });
        let live = folder.run(mode).arg(server.url("/file.bin")).live();
        arrived.wait();
        let other = folder.fetch(mode, &server, &[]);
        assert_eq!((other.code, other.stdout.as_str()), (Some(2), ""));
        assert!(other.stderr.contains("is in use by another fetch process"), "{other:?}");
        open.pass();
        folder.assert_holds(&first(LENGTHS[0]), &live.seen(), "the first run");
        assert_eq!(server.heard().len(), 1);
        assert_eq!(outcomes(&folder.fetch(mode, &server, &[])), ["skipped"], "afterwards");
    });
}

#[test]
fn a_torn_line_of_the_manifest_is_mended_and_told() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        folder.fetch(mode, &server, &[]);
        let whole = fs::read(folder.manifest()).unwrap();
        for torn in [&whole[..whole.len() / 2], b"{", b"nonsense"] {
            fs::write(folder.manifest(), [&whole, torn].concat()).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            assert_eq!((seen.code, outcomes(&seen)), (Some(0), vec!["skipped".to_owned()]));
            assert!(seen.stderr.contains("ignoring the truncated last line"), "{seen:?}");
            assert_eq!(fs::read(folder.manifest()).unwrap(), whole);
        }
        fs::write(folder.manifest(), &whole[..whole.len() - 1]).unwrap();
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!(
            (outcomes(&seen), seen.stderr.contains("truncated")),
            (vec!["skipped".to_owned()], false)
        );
        assert_eq!(fs::read(folder.manifest()).unwrap(), whole, "a whole line lacks only its end");

        // With the only line the file is not known any more; it may be anyone's.
        fs::write(folder.manifest(), &whole[..whole.len() / 2]).unwrap();
        server.change(second(LENGTHS[0]));
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!((seen.code, class_of(&seen.row()).as_str()), (Some(1), "name"), "{seen:?}");
        assert!(folder.file() == first(LENGTHS[0]).body);
        let seen = folder.fetch(mode, &server, &["--overwrite"]);
        folder.assert_holds(&second(LENGTHS[0]), &seen, "--overwrite");
    });
}

#[test]
fn a_line_of_the_manifest_that_is_no_entry_is_told_and_passed_over() {
    in_every_mode(|mode| {
        let (folder, server) = (Folder::new(), Versions::of(first(LENGTHS[0])));
        folder.fetch(mode, &server, &[]);
        let whole = fs::read_to_string(folder.manifest()).unwrap();
        for odd in [
            "nonsense",
            "{}",
            "",
            "{\"type\":\"saved\"}",
            "[1]",
            "{\"type\":\"other\",\"path\":\"x\"}",
        ] {
            for (text, line) in [(format!("{odd}\n{whole}"), 1), (format!("{whole}{odd}\n"), 2)] {
                fs::write(folder.manifest(), &text).unwrap();
                let seen = folder.fetch(mode, &server, &[]);
                assert_eq!((seen.code, outcomes(&seen)), (Some(0), vec!["skipped".to_owned()]));
                let told = format!(".fetch/manifest.jsonl:{line}: ");
                assert!(seen.stderr.contains(&told), "{odd:?}: {}", seen.stderr);
                assert_eq!(fs::read_to_string(folder.manifest()).unwrap(), text);
            }
        }
    });
}
