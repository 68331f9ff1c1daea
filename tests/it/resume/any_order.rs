//! Properties: any sequence of runs, replies, versions and kills.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::server_replies::TURNS;
use super::{Folder, LENGTHS, NAME, outcomes, told};
use crate::support::versions::{A_MINUTE_LATER, asked_from, body};
use crate::support::{End, MODES, Reply, Request, Version, Versions};

/// What a server does about one request, after which the body may change.
#[derive(Debug, Clone)]
struct Step {
    does: Does,
    then: Option<Change>,
}

#[derive(Debug, Clone)]
enum Does {
    /// What the rules ask for.
    Right,
    /// The same, cut at this share of it, in 256ths.
    Cut(usize),
    /// This share of the body, without its length or its end.
    Endless(usize),
    /// What the turn of this number does about a request for the rest.
    Turn(usize),
}

#[derive(Debug, Clone)]
enum Change {
    /// To another version: how much longer it is, and what tells it from others.
    New(usize, Mark),
    /// Back to one of those before.
    Back(proptest::sample::Index),
}

#[derive(Debug, Clone)]
enum Mark {
    Strong,
    Weak,
    Dated,
    None,
}

/// A run: its mode, its arguments, where it is killed, and what the server does meanwhile.
#[derive(Debug, Clone)]
struct Round {
    mode: &'static str,
    args: &'static [&'static str],
    kill: Option<(&'static str, usize)>,
    steps: Vec<Step>,
}

fn round() -> impl Strategy<Value = Round> {
    let mark = prop_oneof![
        4 => Just(Mark::Strong), 1 => Just(Mark::Weak), 2 => Just(Mark::Dated), 1 => Just(Mark::None)
    ];
    let does = prop_oneof![
        1 => Just(Does::Right),
        4 => (0..256usize).prop_map(Does::Cut),
        1 => (0..256usize).prop_map(Does::Endless),
        4 => (0..TURNS.len()).prop_map(Does::Turn),
    ];
    let new = (0..5usize, mark).prop_map(|(longer, mark)| Some(Change::New(longer, mark)));
    let back = any::<proptest::sample::Index>().prop_map(|index| Some(Change::Back(index)));
    let change = prop_oneof![6 => Just(None), 2 => new, 1 => back];
    let step = (does, change).prop_map(|(does, then)| Step { does, then });
    let places = ["created", "noted", "begun", "written", "appended", "renamed"];
    let kill = proptest::option::of((proptest::sample::select(places.to_vec()), 1..3usize));
    let args: [&[&str]; 4] = [&[], &["--retry", "0"], &["--refresh"], &["--force"]];
    let mode = proptest::sample::select(&MODES);
    (mode, proptest::sample::select(args.to_vec()), kill, proptest::collection::vec(step, 0..5))
        .prop_map(|(mode, args, kill, steps)| Round { mode, args, kill, steps })
}

/// The version of this number.
fn version(number: usize, length: usize, mark: &Mark) -> Version {
    let version = Version::of(body(number, length));
    match mark {
        Mark::Strong => version.tagged(&format!("\"{number}\"")),
        Mark::Weak => version.tagged(&format!("W/\"{number}\"")),
        Mark::Dated => {
            let modified = format!("Tue, 03 Mar 2026 09:00:{number:02} GMT");
            version.dated(&modified, A_MINUTE_LATER)
        }
        Mark::None => version,
    }
}

/// Turns that tell an untruth under the tag of the version, which only a known length or a checksum finds out.
const UNTRUE: [&str; 2] =
    ["a range of a shorter whole", "no such range, of the length that was begun"];

fn reply(does: &Does, request: &Request, old: &Version, now: &Version) -> Reply {
    let right = now.answer(request);
    match does {
        Does::Right => right,
        Does::Cut(share) => {
            let bytes = right.body_bytes() * share / 256;
            right.up_to(bytes, End::Close)
        }
        Does::Endless(_) if asked_from(request).is_some() => right,
        Does::Endless(share) => now.endless(now.length() * share / 256 + 1),
        Does::Turn(number) => {
            let turn = &TURNS[*number];
            let shortest = old.length().min(now.length()) - 2;
            match asked_from(request) {
                Some(from) if from < shortest && !UNTRUE.contains(&turn.what) => {
                    (turn.reply)(old, now, from)
                }
                _ => right,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_rounds_the_file_is_a_version_and_after_one_by_the_rules_the_newest(
        length in proptest::sample::select(&LENGTHS),
        rounds in proptest::collection::vec(round(), 1..5),
    ) {
        let mut versions = vec![version(0, length, &Mark::Strong)];
        let mut now = versions[0].clone();
        let mut old = now.clone();
        let (folder, server) = (Folder::new(), Versions::of(now.clone()));
        for round in &rounds {
            for step in &round.steps {
                let (does, before) = (step.does.clone(), old.clone());
                server.then(move |request, now| reply(&does, request, &before, now));
                let next = match &step.then {
                    None => continue,
                    Some(Change::New(longer, mark)) => {
                        versions.push(version(versions.len(), length + longer, mark));
                        versions[versions.len() - 1].clone()
                    }
                    Some(Change::Back(index)) => index.get(&versions).clone(),
                };
                server.then_change(next.clone());
                old = std::mem::replace(&mut now, next);
            }
            let mut run = folder.run(round.mode).args(round.args);
            if let Some((place, time)) = round.kill {
                run = run.env("FETCH_KILL_AT", format!("{place}:{time}"));
            }
            let seen = run.arg(server.url("/file.bin")).seen();
            server.behave();
            server.change(now.clone());
            let whole = fs::read(folder.at(NAME)).ok();
            let held = whole.map(|whole| {
                versions.iter().find(|version| version.body == whole).expect("it is a version")
            });
            for row in seen.rows().iter().filter(|row| row["error"].is_null()) {
                let held = held.expect("what is told is there");
                let held = json!([held.length(), held.etag, held.modified]);
                assert_eq!(told(row, &["bytes", "etag", "last_modified"]), held, "{row}");
            }
        }
        let seen = folder.fetch("async", &server, &["--refresh"]);
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert!(folder.file() == now.body, "it is not the newest: {seen:?}");
        assert_eq!(folder.names(), [NAME]);
        server.heard();
        let seen = folder.fetch("async", &server, &[]);
        assert_eq!((outcomes(&seen), server.heard().len()), (vec!["skipped".to_owned()], 0));
    }
}
