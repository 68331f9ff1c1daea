//! A run continues what an earlier run left unfinished.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::Signal;

use super::{Folder, LENGTHS, asked, beginning, first, outcomes, second};
use crate::support::versions::body;
use crate::support::{
    End, Origin, Reply, Versions, class_of, comes_before, in_all_modes_at_once, in_every_mode,
    with_a_clock,
};

/// How a run is ended in the middle of a body.
#[derive(Debug, Clone, Copy)]
enum Stopped {
    Failed,
    Deadline,
    Interrupted,
    InterruptedTwice,
    Killed,
}

#[test]
fn a_run_that_is_ended_in_the_middle_is_continued_by_the_same_command() {
    use Stopped::{Deadline, Failed, Interrupted, InterruptedTwice, Killed};
    let (length, sent) = (LENGTHS[1], LENGTHS[1] / 2);
    in_all_modes_at_once(|mode| {
        let is_continued = |stopped, clock: &str| {
            let (folder, server) = (Folder::new(), Versions::of(first(length)));
            let end = if matches!(stopped, Failed) { End::Close } else { End::Stall };
            server.then(move |_, version| version.whole().up_to(sent, end));
            if matches!(stopped, Interrupted) {
                // Tries that find nothing new, until the signal is heard.
                (0..1000).for_each(|_| {
                    server.then(|request, version| version.answer(request).up_to(0, End::Stall));
                });
            }
            let args: &[&str] = match stopped {
                Failed => &["--retry", "0"],
                Deadline => &["--deadline", clock],
                Interrupted => &["--stall-timeout", clock, "--retry", "1000"],
                _ => &[],
            };
            let mut live = folder.run(mode).args(args).arg(server.url("/file.bin")).live();
            let mut is_late = || live.has_ended() || server.requests() > 1;
            if !comes_before(|| folder.begun() == sent, &mut is_late) {
                live.kill();
                return false;
            }
            let (signals, code): (&[Signal], _) = match stopped {
                Failed => (&[], Some(1)),
                Deadline => (&[], Some(4)),
                Interrupted => (&[Signal::SIGINT], Some(130)),
                InterruptedTwice => (&[Signal::SIGINT, Signal::SIGTERM], Some(143)),
                Killed => (&[Signal::SIGKILL], None),
            };
            signals.iter().for_each(|signal| live.signal(*signal));
            let seen = live.seen();
            if !matches!(stopped, InterruptedTwice) {
                assert_eq!(seen.code, code, "{stopped:?}: {seen:?}");
            }
            assert_eq!((folder.begun(), folder.kinds()), (sent, vec!["partial".to_owned()]));
            server.behave();
            server.forget();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "the same command");
            assert_eq!((asked(&server), server.sent()), (vec![Some(sent)], length - sent));
            assert_eq!(seen.row()["wire_bytes"], length - sent);
            assert_eq!(folder.kinds(), ["partial", "saved"]);
            true
        };
        for stopped in [Failed, InterruptedTwice, Killed] {
            assert!(is_continued(stopped, "1h"), "{stopped:?}");
        }
        for stopped in [Deadline, Interrupted] {
            with_a_clock(|clock| is_continued(stopped, clock));
        }
    });
}

#[test]
fn what_someone_did_to_an_unfinished_file_does_not_get_into_a_whole_one() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            let prepared = || {
                let (folder, server) = (Folder::new(), Versions::of(first(length)));
                folder.begin(mode, &server, begun);
                let part = folder.at("file.bin.part");
                (folder, server, part)
            };

            let (folder, server, part) = prepared();
            fs::File::options().write(true).open(&part).unwrap().set_len(3).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "cut");
            assert_eq!(asked(&server), [Some(3)]);

            let (folder, server, part) = prepared();
            fs::write(&part, "").unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "empty");
            assert_eq!(asked(&server), [None]);

            let (folder, server, part) = prepared();
            fs::write(&part, body(2, length + 1)).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "longer than the whole");
            assert_eq!(asked(&server), [None]);

            let (folder, server, part) = prepared();
            fs::remove_file(&part).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "removed");
            assert_eq!(asked(&server), [None]);

            let (folder, server, part) = prepared();
            let elsewhere = tempfile::tempdir().unwrap();
            let other = elsewhere.path().join("other");
            fs::hard_link(&part, &other).unwrap();
            let seen = folder.fetch(mode, &server, &[]);
            folder.assert_holds(&first(length), &seen, "with another name");
            assert!(fs::read(&other).unwrap() == first(length).body[..begun], "it is not ours");

            for make in [
                (|to: &Path, part: &Path| symlink(to, part).unwrap()) as fn(&Path, &Path),
                |_, part| fs::create_dir(part).unwrap(),
            ] {
                let (folder, server, part) = prepared();
                fs::rename(&part, &other).unwrap();
                make(&other, &part);
                let seen = folder.fetch(mode, &server, &[]);
                let row = seen.row();
                assert_eq!((seen.code, class_of(&row).as_str()), (Some(1), "name"), "{row}");
                let message = row["error"]["message"].as_str().unwrap();
                assert!(message.contains("file.bin.part exists"), "{message}");
                assert!(fs::read(&other).unwrap() == first(length).body[..begun]);
                assert_eq!(folder.names(), ["file.bin.part"]);
                let _ = fs::remove_file(&part).or_else(|_| fs::remove_dir(&part));
                let seen = folder.fetch(mode, &server, &[]);
                folder.assert_holds(&first(length), &seen, "once it is moved away");
            }
        }
    });
}

#[test]
fn what_one_mirror_began_is_never_continued_by_another() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            // Each has its own body under the same tag.
            let here = Versions::of(first(length));
            let there = Versions::of(second(length).tagged("\"v1\""));
            let list = format!("{}\t{}\n", here.url("/file.bin"), there.url("/other.bin"));
            let fetch =
                |folder: &Folder, args: &[&str]| folder.run(mode).args(args).list(&list).seen();

            let folder = Folder::new();
            here.then_cut(begun);
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&there.version(), &seen, "the other one");
            assert_eq!((asked(&here), asked(&there)), (vec![None], vec![None]));
            assert_eq!(seen.row()["served_by"], there.url("/other.bin"));
            assert_eq!(seen.row()["wire_bytes"], begun + length);

            let folder = Folder::new();
            here.then_cut(begun);
            there.then(|_, _| Reply::of("404 Not Found", "", ""));
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&here.version(), &seen, "the first one again");
            assert_eq!((asked(&here), asked(&there)), (vec![None, Some(begun)], vec![None]));

            let folder = Folder::new();
            here.then_cut(begun);
            there.then_cut(begun + 1);
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&here.version(), &seen, "the other one's beginning is dropped");
            assert_eq!((asked(&here), asked(&there)), (vec![None, None], vec![None]));

            let folder = Folder::new();
            here.then(|_, _| Reply::of("404 Not Found", "", ""));
            there.then_cut(begun);
            assert_eq!(fetch(&folder, &["--retry", "0"]).code, Some(1));
            assert_eq!(folder.begun(), begun);
            here.forget();
            there.forget();
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&here.version(), &seen, "the first one in the next run");
            assert_eq!((asked(&here), asked(&there).len()), (vec![None], 0));

            let folder = Folder::new();
            here.then(|_, _| Reply::of("404 Not Found", "", ""));
            there.then_cut(begun);
            assert_eq!(fetch(&folder, &["--retry", "0"]).code, Some(1));
            here.forget();
            there.forget();
            here.then(|_, _| Reply::of("404 Not Found", "", ""));
            let seen = fetch(&folder, &[]);
            folder.assert_holds(&there.version(), &seen, "its own in the next run");
            assert_eq!((asked(&here), asked(&there)), (vec![None], vec![Some(begun)]));
        }
    });
}

#[test]
fn what_a_redirect_led_to_is_continued_where_the_next_one_leads_there_too() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            let (here, there) = (Versions::of(first(length)), Versions::of(first(length)));
            let folder = Folder::new();
            let signed = |signature: usize| there.url(&format!("/v1.bin?signature={signature}"));
            let (once, again) = (signed(1), signed(2));
            here.then(move |_, _| Reply::redirect(302, &once));
            there.then_cut(begun);
            assert_eq!(folder.fetch(mode, &here, &["--retry", "0"]).code, Some(1));
            here.then(move |_, _| Reply::redirect(302, &again));
            let seen = folder.fetch(mode, &here, &[]);
            folder.assert_holds(&first(length), &seen, "there");
            assert_eq!(asked(&there), [None, Some(begun)]);
            assert_eq!(seen.row()["final_url"], there.url("/v1.bin?signature=***"));
        }
    });
}

#[test]
fn what_one_resource_began_is_never_continued_by_another_that_a_redirect_leads_to() {
    in_every_mode(|mode| {
        for length in LENGTHS {
            let begun = beginning(length);
            // Another body that goes by the same tag.
            let other = second(length).tagged("\"v1\"");
            let (here, there) = (Versions::of(first(length)), Versions::of(other.clone()));
            let to = [there.url("/v1.bin"), there.url("/v2.bin")];
            let led_to = |place: usize| {
                let to = to[place].clone();
                here.then(move |_, _| Reply::redirect(302, &to));
            };
            let folder = Folder::new();
            folder.begin(mode, &here, begun);
            led_to(0);
            let seen = folder.fetch(mode, &here, &[]);
            folder.assert_holds(&other, &seen, "begun here");
            assert_eq!(asked(&there), [None]);

            let folder = Folder::new();
            there.change(first(length));
            there.then_cut(begun);
            there.then_change(other.clone());
            led_to(0);
            led_to(1);
            let seen = folder.fetch(mode, &here, &[]);
            folder.assert_holds(&other, &seen, "begun there, within a run");
        }
    });
}

#[test]
fn a_reply_that_is_no_http_leaves_what_was_there_before() {
    in_every_mode(|mode| {
        let length = LENGTHS[1];
        let begun = beginning(length);
        let (folder, server) = (Folder::new(), Versions::of(first(length)));
        folder.begin(mode, &server, begun);
        // The rest is asked for, then the whole.
        for _ in 0..2 {
            server.then(|_, _| Reply::raw("garbage\r\n\r\n", End::Close));
        }
        let seen = folder.fetch(mode, &server, &[]);
        assert_eq!(
            (class_of(&seen.row()).as_str(), folder.begun()),
            ("protocol", begun),
            "{seen:?}"
        );
        let seen = folder.fetch(mode, &server, &[]);
        folder.assert_holds(&first(length), &seen, "after garbage");
        assert_eq!(asked(&server).last(), Some(&Some(begun)));
    });
}

#[test]
fn one_url_under_two_users_is_two_bodies() {
    in_every_mode(|mode| {
        let origin =
            Origin::new(|request| Reply::ok(request.header("authorization").unwrap_or("nobody")));
        let folder = Folder::new();
        let url = origin.url("/who");
        let named = |user: &str| url.replace("http://", &format!("http://{user}@")) + "\n";
        let list = named("alice:1") + &named("bob:2");
        let seen = folder.run(mode).list(list).seen();
        assert_eq!(outcomes(&seen), ["ok", "ok"], "{seen:?}");
        let bodies: BTreeSet<_> =
            folder.names().iter().map(|name| fs::read(folder.at(name)).unwrap()).collect();
        assert_eq!(bodies.len(), 2);
    });
}
