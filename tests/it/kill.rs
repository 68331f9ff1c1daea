//! Killed at any instant and run again, in every mode: every file is whole and of one version, nothing that was recorded
//! is fetched again, nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::versioned_origin::{Page, Tag, Trigger, VersionedOrigin};
use crate::support::{MODES, Origin, Reply, Run, Seen, in_every_mode};

/// Every place at which a debug build may be killed.
const PLACES: [&str; 14] = [
    "removed", "noted", "created", "begun", "reopened", "joined", "grown", "held", "written",
    "refused", "moved", "appended", "dropped", "renamed",
];

/// Bytes of a body that does not come at once: the client reads 408 KiB at a time at the most, and makes no entry of a
/// beginning of what is whole by then.
const LARGE: usize = 1_000_000;

/// Ways to divide large bodies.
const SPLITS: [&[&str]; 3] = [
    &[],
    &["--split", "2", "--min-split-size", "64k"],
    &["--split", "4", "--min-split-size", "64k"],
];

/// The field of a server that takes ranges.
const RANGES: &str = "Accept-Ranges: bytes\r\n";

/// Kills that the random test waits for in each mode.
const RANDOM_KILLS: usize = 200;

/// Runs after a kill that may be needed where servers fail.
const PATIENCE: usize = 12;

/// A folder that files are saved to, and the server that they come from.
struct Work {
    mode: &'static str,
    library: VersionedOrigin,
    folder: TempDir,
    /// The paths of the list, in its order.
    paths: Vec<String>,
    args: Vec<&'static str>,
    /// Bytes of the manifest before this command was first run.
    since: usize,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Killed,
    Code(i32),
}

impl Work {
    fn new(mode: &'static str, pages: impl IntoIterator<Item = (&'static str, Page)>) -> Self {
        let pages: Vec<_> = pages.into_iter().map(|(path, page)| (path.to_owned(), page)).collect();
        let paths = pages.iter().map(|(path, _)| path.clone()).collect();
        let folder = tempfile::tempdir().unwrap();
        Self {
            mode,
            library: VersionedOrigin::of(pages),
            folder,
            paths,
            args: Vec::new(),
            since: 0,
        }
    }

    /// The same with more arguments, which begin another command.
    fn with(mut self, args: &[&'static str]) -> Self {
        self.args = args.to_vec();
        self.since = self.manifest().len();
        self
    }

    fn run(&self) -> Run {
        let list: String = self.paths.iter().map(|path| self.library.url(path) + "\n").collect();
        let retry = if self.args.contains(&"--retry") { &[][..] } else { &["--retry", "2"] };
        Run::json(self.mode)
            .args(["--jobs", "3", "--retry-delay", "1ms", "-d"])
            .arg(self.folder.path())
            .args(retry)
            .args(&self.args)
            .arg("-")
            .list(list)
    }

    /// A run that nothing happens to.
    fn saves(&self) {
        assert_eq!(self.end(&self.run().seen()), End::Code(0));
    }

    /// What is not recorded has another version from now on.
    fn changes(&self) {
        let recorded = self.recorded();
        let unfinished = self.paths.iter().filter(|path| !recorded.contains(path));
        unfinished.for_each(|path| self.library.change(path));
    }

    /// A run that is killed when it comes by a place for the `nth` time.
    fn killed_at(&self, place: &str, nth: usize) -> End {
        self.end(&self.run().env("FETCH_KILL_AT", format!("{place}:{nth}")).seen())
    }

    /// The same, which must come by there.
    fn kill_at(&self, place: &str, nth: usize) {
        assert_eq!(self.killed_at(place, nth), End::Killed, "nobody came by {place}");
    }

    /// A run that the server kills.
    fn killed_by(&self, trigger: Trigger) -> End {
        self.library.arm(trigger);
        let mut child = self.run().start();
        self.library.aim(child.id());
        let mut said = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            said.read_to_string(&mut text).map(|_| text)
        });
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.library.disarm();
        let code = child.wait().unwrap().code();
        self.end(&Seen { code, stdout, stderr: stderr.join().unwrap().unwrap() })
    }

    fn end(&self, seen: &Seen) -> End {
        self.library.hush();
        match seen.code {
            None => End::Killed,
            Some(code @ 0..=1) => End::Code(code),
            Some(_) => panic!("{seen:?}"),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn manifest(&self) -> String {
        fs::read_to_string(self.at(".fetch/manifest.jsonl")).unwrap_or_default()
    }

    /// The last entry of each path, of this command alone; what is torn at the end is passed over.
    fn entries(&self) -> BTreeMap<String, Value> {
        entries_of(&self.manifest()[self.since..])
    }

    /// Paths of the server whose files are recorded by this command.
    fn recorded(&self) -> Vec<String> {
        let entries = self.entries().into_values().filter(|entry| entry["type"] == "saved");
        entries.map(|entry| self.path_of(&entry)).collect()
    }

    fn path_of(&self, entry: &Value) -> String {
        let url = entry["url"].as_str().unwrap();
        url.strip_prefix(&self.library.url("")).unwrap().to_owned()
    }

    /// Whether what is recorded is let alone.
    fn skips(&self) -> bool {
        !self.args.iter().any(|arg| ["--refresh", "--force"].contains(arg))
    }

    /// Makes a run; what is recorded is not fetched again by it.
    fn goes_on(&self, run: impl FnOnce() -> End) -> End {
        let bodies = |path: &String| match self.skips() {
            true => self.library.requests_of(path),
            false => self.library.bodies_of(path),
        };
        let recorded = self.recorded();
        let before: Vec<_> = recorded.iter().map(bodies).collect();
        let end = run();
        if !self.args.contains(&"--force") {
            let after: Vec<_> = recorded.iter().map(bodies).collect();
            assert_eq!(after, before, "fetched again: {recorded:?}\n{}", self.manifest());
        }
        end
    }

    /// Runs until all is done, and looks at what there is.
    fn finish(&self) {
        let done =
            (0..PATIENCE).any(|_| self.goes_on(|| self.end(&self.run().seen())) == End::Code(0));
        assert!(done, "{:?}", self.run().seen());
        self.is_sound();
        let asked = self.library.requests();
        let again = self.plain().seen();
        assert_eq!((again.code, self.library.requests()), (Some(0), asked), "{again:?}");
        assert!(again.rows().iter().all(|row| row["outcome"] == "skipped"), "{again:?}");
    }

    /// The command without what makes it ask again.
    fn plain(&self) -> Run {
        let is_again = |arg: &&str| ["--refresh", "--force"].contains(arg);
        let args = self.args.iter().copied().filter(|arg| !is_again(arg)).collect();
        let Self { mode, library, folder, paths, .. } = self;
        let list: String = paths.iter().map(|path| library.url(path) + "\n").collect();
        let args: Vec<&str> = args;
        Run::json(mode).arg("-d").arg(folder.path()).args(args).arg("-").list(list)
    }

    /// Removes unfinished files of names that the manifest does not know. A body that comes at once has no entry before
    /// it is whole; where another order of the list gives it another name, the next run cannot know of that file.
    fn clears_what_no_entry_tells_of(&self) {
        let entries = entries_of(&self.manifest());
        for part in files(self.folder.path()) {
            if part.strip_suffix(".part").is_some_and(|name| !entries.contains_key(name)) {
                fs::remove_file(self.at(&part)).unwrap();
            }
        }
    }

    /// Every file is there, whole and current, and the manifest tells of it; nothing else is there.
    fn is_sound(&self) {
        let manifest = self.manifest();
        assert!(manifest.ends_with('\n'), "{manifest}");
        for line in manifest.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
        self.only_holds_ours();
    }

    /// Every file is one that the manifest tells of, and all of the list are there.
    fn only_holds_ours(&self) {
        let manifest = self.manifest();
        let entries = entries_of(&manifest);
        let files = files(self.folder.path());
        let mut saved = BTreeSet::new();
        for name in &files {
            let entry = entries.get(name).unwrap_or_else(|| panic!("{name} is left: {files:?}"));
            assert_eq!(entry["type"], "saved", "{name}\n{manifest}");
            let (there, path) = (fs::read(self.at(name)).unwrap(), self.path_of(entry));
            assert!(there == self.library.body(&path), "{name} is not {path}\n{manifest}");
            assert_eq!(entry["bytes"], there.len(), "{name}");
            assert!(saved.insert(path), "{name}: it is there twice\n{manifest}");
        }
        assert_eq!(saved, self.paths.iter().cloned().collect(), "{manifest}");
    }
}

fn entries_of(manifest: &str) -> BTreeMap<String, Value> {
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry)).collect()
}

/// The names in a folder, the bookkeeping left out.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".fetch").collect()
}

/// Kills work that is set up anew each time at every step that it comes by for the `nth` time, in every mode, and
/// finishes it. `steps` are those that it has to come by the first time.
fn killed_at_every_step(nth: usize, steps: &[&'static str], set_up: impl Fn(&'static str) -> Work) {
    let steps: BTreeSet<_> = steps.iter().copied().collect();
    in_every_mode(|mode| {
        let killed = |place: &&str| {
            let work = set_up(mode);
            let end = work.goes_on(|| work.killed_at(place, nth));
            work.finish();
            end == End::Killed
        };
        let passed: BTreeSet<_> = PLACES.into_iter().filter(killed).collect();
        match nth {
            1 => assert_eq!(passed, steps),
            _ => assert!(passed.is_subset(&steps) && !passed.is_empty(), "{passed:?}"),
        }
    });
}

/// Bodies of every kind.
fn pages() -> [(&'static str, Page); 4] {
    [
        ("/small", Page::of(5000)),
        ("/empty", Page { sizes: vec![0, 700], ..Page::of(0) }),
        ("/large", Page::of(LARGE)),
        ("/untold", Page { tag: Tag::Nothing, chunked: true, ..Page::of(150_000) }),
    ]
}

/// Work whose files were all saved, and which have all changed since.
fn changed(mode: &'static str) -> Work {
    let mut pages = pages();
    pages[3].1.tag = Tag::Weak;
    let work = Work::new(mode, pages);
    work.saves();
    work.library.change_all();
    work
}

/// Work whose large files were begun.
fn begun(mode: &'static str) -> Work {
    let work = Work::new(
        mode,
        [
            ("/one", Page::of(LARGE)),
            ("/two", Page { tag: Tag::Date, ..Page::of(LARGE) }),
            ("/three", Page { ignores_if_range: true, ..Page::of(LARGE) }),
        ],
    );
    work.kill_at("grown", 4);
    work
}

/// Steps that a new body comes by.
const NEW: [&str; 7] = ["noted", "created", "begun", "grown", "written", "appended", "renamed"];

/// The same of one that the server names.
const NAMED: [&str; 8] =
    ["noted", "created", "begun", "grown", "written", "appended", "renamed", "moved"];

/// The same of one that comes in segments.
const SEGMENTED: [&str; 10] = [
    "noted", "created", "begun", "grown", "written", "appended", "renamed", "joined", "held",
    "reopened",
];

fn durable(mode: &'static str) -> Work {
    Work::new(mode, pages()).with(&["--fsync"])
}

fn refreshed(mode: &'static str) -> Work {
    changed(mode).with(&["--refresh"])
}

fn forced(mode: &'static str) -> Work {
    changed(mode).with(&["--force"])
}

fn named_by_the_server(mode: &'static str) -> Work {
    let named = |name, page| Page { fields: name, ..page };
    let small = "Content-Disposition: attachment; filename=report.txt\r\n";
    let other = "Content-Disposition: attachment; filename=notes.txt\r\n";
    let large = "Content-Disposition: attachment; filename=film.mp4\r\n";
    let pages = [
        ("/small", named(small, Page::of(5000))),
        ("/large", named(large, Page::of(LARGE))),
        ("/other", named(other, Page::of(6000))),
        ("/plain", Page::of(200)),
    ];
    Work::new(mode, pages).with(&["-J"])
}

fn in_segments(mode: &'static str) -> Work {
    let [small, empty, (path, large), untold] = pages();
    let large = (path, Page { fields: RANGES, ..large });
    Work::new(mode, [small, empty, large, untold]).with(SPLITS[2])
}

fn durable_in_segments(mode: &'static str) -> Work {
    let args = [SPLITS[2], &["--fsync"]].concat();
    in_segments(mode).with(&args)
}

fn in_segments_and_changed(mode: &'static str) -> Work {
    let page = Page { fields: RANGES, ..Page::of(LARGE) };
    let work = Work::new(mode, [("/one", page.clone()), ("/two", page)]);
    work.saves();
    work.library.change_all();
    work.with(&[SPLITS[1], &["--force"]].concat())
}

#[test]
fn bodies_that_are_new() {
    killed_at_every_step(1, &NEW, |mode| Work::new(mode, pages()));
}

#[test]
fn bodies_that_must_outlast_a_power_loss() {
    killed_at_every_step(1, &NEW, durable);
}

#[test]
fn bodies_that_have_changed_since_they_were_saved() {
    killed_at_every_step(1, &NEW, refreshed);
}

#[test]
fn bodies_that_are_fetched_again_by_force() {
    killed_at_every_step(1, &NEW, forced);
}

#[test]
fn bodies_that_the_server_names() {
    killed_at_every_step(1, &NAMED, named_by_the_server);
}

#[test]
fn bodies_that_come_in_segments() {
    killed_at_every_step(1, &SEGMENTED, in_segments);
}

#[test]
fn bodies_in_segments_that_must_outlast_a_power_loss() {
    killed_at_every_step(1, &SEGMENTED, durable_in_segments);
}

#[test]
fn bodies_that_came_in_segments_before_and_have_changed() {
    killed_at_every_step(1, &SEGMENTED, in_segments_and_changed);
}

#[test]
#[ignore = "takes minutes: the same at the second and the third time"]
fn a_step_that_is_not_the_first_of_its_kind() {
    for nth in [2, 3] {
        killed_at_every_step(nth, &NEW, |mode| Work::new(mode, pages()));
        killed_at_every_step(nth, &NEW, durable);
        killed_at_every_step(nth, &NEW, refreshed);
        killed_at_every_step(nth, &NEW, forced);
        killed_at_every_step(nth, &NAMED, named_by_the_server);
        killed_at_every_step(nth, &SEGMENTED, in_segments);
        killed_at_every_step(nth, &SEGMENTED, durable_in_segments);
        killed_at_every_step(nth, &SEGMENTED, in_segments_and_changed);
    }
}

#[test]
fn bodies_that_were_begun_in_segments_by_a_run_before() {
    in_every_mode(|mode| {
        let begun = [("joined", 0), ("held", 1), ("grown", 2), ("held", 0)];
        for (number, place) in PLACES.iter().flat_map(|place| [place, place]).enumerate() {
            let (at, split) = begun[number / 2 % begun.len()];
            let page = Page { fields: RANGES, ..Page::of(LARGE) };
            let odd = Page { ignores_if_range: true, ..page.clone() };
            let work = Work::new(mode, [("/one", page), ("/two", odd)]).with(SPLITS[2]);
            work.kill_at(at, 2);
            if number % 2 == 0 {
                work.changes();
            }
            let work = Work { args: SPLITS[split].to_vec(), ..work };
            work.goes_on(|| work.killed_at(place, 1));
            work.finish();
        }
    });
}

#[test]
fn bodies_that_were_begun_in_one_and_go_on_in_segments() {
    in_every_mode(|mode| {
        let mut passed = BTreeSet::new();
        for (number, place) in PLACES.iter().flat_map(|place| [place, place]).enumerate() {
            let odd = Page { ignores_if_range: true, ..Page::of(1_000_000) };
            let work = Work::new(mode, [("/one", Page::of(1_000_000)), ("/two", odd)]);
            work.kill_at("begun", 1);
            if number % 4 == 0 {
                work.changes();
            }
            let work = Work { args: SPLITS[2].to_vec(), ..work };
            if work.goes_on(|| work.killed_at(place, 1 + number % 2)) == End::Killed {
                passed.insert(*place);
            }
            work.finish();
        }
        assert!(passed.contains(&"held") && passed.contains(&"joined"), "{passed:?}");
    });
}

#[test]
fn bodies_that_were_begun_by_a_run_before() {
    // Which ones were begun is a matter of chance where several are on their way.
    in_every_mode(|mode| {
        let work = begun(mode);
        work.finish();
        assert!(work.library.ranges() > 0, "nothing was continued");
        for place in ["reopened", "grown", "written", "appended", "renamed"] {
            let work = begun(mode);
            let end = work.goes_on(|| work.killed_at(place, 1));
            assert_eq!(end, End::Killed, "{place}");
            work.finish();
        }
    });
}

#[test]
fn bodies_that_were_begun_and_changed_without_another_length() {
    in_every_mode(|mode| {
        for place in PLACES {
            let work = begun(mode);
            work.changes();
            work.goes_on(|| work.killed_at(place, 1));
            work.finish();
        }
    });
}

#[test]
#[ignore = "takes half a minute"]
fn two_kills_in_a_row_at_any_two_places() {
    let pairs = PLACES.iter().flat_map(|one| PLACES.iter().map(move |other| (one, other)));
    for (number, (one, other)) in pairs.enumerate() {
        let mode = MODES[number % MODES.len()];
        let work = begun(mode);
        let (first, second) = (number % 2 + 1, number % 3 + 1);
        work.goes_on(|| work.killed_at(one, first));
        if number % 2 == 0 {
            work.changes();
        }
        work.goes_on(|| work.killed_at(other, second));
        work.finish();
    }
}

#[test]
fn a_kill_and_then_force_or_refresh() {
    in_every_mode(|mode| {
        for (place, again) in
            PLACES.iter().flat_map(|place| [(place, "--force"), (place, "--refresh")])
        {
            let work = Work::new(mode, pages());
            work.killed_at(place, 2);
            let work = work.with(&[again]);
            work.library.change_all();
            work.finish();
        }
    });
}

#[test]
fn a_line_of_the_manifest_that_is_torn_anywhere() {
    in_every_mode(|mode| {
        for (place, cut) in ["noted", "appended"]
            .into_iter()
            .flat_map(|place| [1, 2, 3, 40, 150, 1000].map(|cut| (place, cut)))
        {
            let work = Work::new(mode, pages());
            work.kill_at(place, 2);
            let manifest = work.manifest();
            let last = manifest.lines().last().unwrap();
            let entry: Value = serde_json::from_str(last).unwrap();
            // A line that was whole when its file got its name was not torn.
            if entry["type"] == "saved" && work.at(entry["path"].as_str().unwrap()).exists() {
                assert_ne!(mode, "sequential");
                continue;
            }
            // At least its first byte stays.
            let cut = manifest.len() - cut.min(last.len());
            fs::write(work.at(".fetch/manifest.jsonl"), &manifest[..cut]).unwrap();
            work.finish();
        }
    });
}

#[test]
fn one_name_for_several_and_a_list_in_another_order() {
    in_every_mode(|mode| {
        // Of a body that cannot be continued nothing is kept, its name neither.
        let cut = Page { cuts: 3, tag: Tag::Nothing, ..Page::of(3000) };
        let pages = [("/a/x", cut), ("/b/x", Page::of(4000)), ("/c/x", Page::of(70_000))];
        for place in ["created", "written", "appended", "renamed"] {
            let mut work = Work::new(mode, pages.clone());
            work.args = vec!["--retry", "0"];
            work.killed_at(place, 2);
            for _ in 0..3 {
                work.paths.rotate_left(1);
                work.goes_on(|| work.end(&work.run().seen()));
            }
            work.args.clear();
            work.clears_what_no_entry_tells_of();
            work.finish();
        }
    });
}

#[test]
fn a_name_by_the_server_is_given_late_and_the_list_begins_with_another_url_of_the_same_name() {
    in_every_mode(|mode| {
        let fields = "Content-Disposition: attachment; filename=wished\r\n";
        let pages = [("/a/x", Page { fields, ..Page::of(3000) }), ("/b/x", Page::of(3000))];
        for place in ["appended", "moved"] {
            let mut work = Work::new(mode, pages.clone());
            let other = work.paths.pop().unwrap();
            let mut work = work.with(&["-J"]);
            work.kill_at(place, 1);
            work.goes_on(|| {
                // The other one is done before the list goes on to the first.
                let run = Run::json(mode).arg("-d").arg(work.folder.path()).args(&work.args);
                let mut live = run.arg("-").live();
                live.write(&(work.library.url(&other) + "\n"));
                assert_eq!(live.row()["outcome"], "ok");
                live.write(&(work.library.url(&work.paths[0]) + "\n"));
                work.end(&live.seen())
            });
            work.paths.insert(0, other);
            work.finish();
        }
    });
}

#[test]
fn a_file_that_is_not_ours_comes_before_its_name_is_given() {
    in_every_mode(|mode| {
        let work = Work::new(mode, [("/x", Page::of(5000))]);
        work.kill_at("appended", 1);
        fs::write(work.at("x"), "mine").unwrap();
        let seen = work.run().seen();
        assert_eq!((seen.code, &*seen.classes_in_list_order()), (Some(1), &["name".into()][..]));
        assert_eq!(fs::read_to_string(work.at("x")).unwrap(), "mine");
        fs::remove_file(work.at("x")).unwrap();
        work.finish();
    });
}

#[test]
fn a_file_that_is_not_ours_and_may_be_overwritten_comes_before_its_name_is_given() {
    in_every_mode(|mode| {
        let work = Work::new(mode, [("/x", Page::of(5000))]);
        work.kill_at("appended", 1);
        fs::write(work.at("x"), "mine").unwrap();
        work.with(&["--overwrite"]).finish();
    });
}

#[test]
fn a_file_that_is_not_ours_comes_in_place_of_one_that_went() {
    in_every_mode(|mode| {
        for place in ["noted", "grown", "appended"] {
            let work = Work::new(mode, [("/x", Page::of(LARGE))]);
            work.saves();
            fs::remove_file(work.at("x")).unwrap();
            work.kill_at(place, 1);
            fs::write(work.at("x"), "mine").unwrap();
            let seen = work.run().seen();
            assert_eq!(
                (seen.code, &*seen.classes_in_list_order()),
                (Some(1), &["name".into()][..])
            );
            assert_eq!(fs::read_to_string(work.at("x")).unwrap(), "mine", "{place}");
            fs::remove_file(work.at("x")).unwrap();
            work.finish();
        }
    });
}

#[test]
fn a_file_that_is_not_ours_has_the_name_that_the_server_gives() {
    in_every_mode(|mode| {
        let fields = "Content-Disposition: attachment; filename=wished\r\n";
        for place in ["moved", "appended", "dropped", "renamed"] {
            for nth in 1..=2 {
                let work = Work::new(mode, [("/x", Page { fields, ..Page::of(5000) })]);
                let work = work.with(&["-J"]);
                fs::write(work.at("wished"), "mine").unwrap();
                work.killed_at(place, nth);
                let mut seen = work.run().seen();
                if (place, nth) == ("appended", 1) {
                    // It is recorded under that name, which it cannot be given before the other file goes.
                    assert_eq!(seen.classes_in_list_order(), ["name"]);
                    assert_eq!(fs::read_to_string(work.at("wished")).unwrap(), "mine");
                    fs::remove_file(work.at("wished")).unwrap();
                    seen = work.run().seen();
                } else {
                    assert_eq!(fs::read_to_string(work.at("wished")).unwrap(), "mine");
                    fs::remove_file(work.at("wished")).unwrap();
                }
                assert_eq!(seen.code, Some(0), "{place}:{nth}: {seen:?}");
                work.only_holds_ours();
            }
        }
    });
}

#[test]
fn a_file_that_is_not_ours_comes_while_a_body_is_on_its_way() {
    in_every_mode(|mode| {
        for place in ["nowhere", "appended", "dropped"] {
            let folder = tempfile::tempdir().unwrap();
            let mine = folder.path().join("x");
            let there = mine.clone();
            let origin = Origin::new(move |request| {
                if request.nth == 0 {
                    fs::write(&there, "mine").unwrap();
                }
                Reply::ok("hello")
            });
            let run = || Run::json(mode).arg("-d").arg(folder.path()).arg(origin.url("/x"));
            let killed = run().env("FETCH_KILL_AT", format!("{place}:1")).seen();
            assert_eq!(killed.code, (place == "nowhere").then_some(1), "{killed:?}");
            let seen = run().seen();
            assert_eq!(
                (seen.code, &*seen.classes_in_list_order()),
                (Some(1), &["name".into()][..])
            );
            assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
            if place == "nowhere" {
                assert_eq!(files(folder.path()), ["x"]);
            }
            fs::remove_file(&mine).unwrap();
            assert_eq!(run().seen().code, Some(0));
            assert_eq!(fs::read_to_string(&mine).unwrap(), "hello");
            assert_eq!(files(folder.path()), ["x"]);
        }
    });
}

#[test]
fn a_file_that_was_given_its_second_name_and_not_taken_its_first() {
    in_every_mode(|mode| {
        let work = Work::new(mode, [("/x", Page::of(5000))]);
        work.kill_at("appended", 1);
        fs::hard_link(work.at("x.part"), work.at("x")).unwrap();
        work.finish();
    });
}

#[test]
fn a_body_that_is_refused_is_refused_again() {
    in_every_mode(|mode| {
        let digest = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let fields: &'static str = format!("Repr-Digest: sha-256=:{digest}:\r\n").leak();
        for place in ["grown", "refused"] {
            let work = Work::new(mode, [("/x", Page { fields, ..Page::of(LARGE) })]);
            let nth = if place == "grown" { 2 } else { 1 };
            work.kill_at(place, nth);
            let seen = work.run().seen();
            assert_eq!(
                (seen.code, &*seen.classes_in_list_order()),
                (Some(1), &["checksum".into()][..])
            );
            assert_eq!(files(work.folder.path()), [""; 0], "{place}");
        }
    });
}

#[test]
#[ignore = "takes a minute and a half"]
fn random_instants() {
    let resumed = MODES.map(|mode| {
        let (mut kills, mut resumed) = (0, 0);
        for seed in 0.. {
            if kills >= RANDOM_KILLS {
                break;
            }
            eprintln!("{mode}, seed {seed}, {kills} kills");
            let (more, ranges) = killed_at_random(mode, seed);
            kills += more;
            resumed += ranges;
        }
        resumed
    });
    assert!(resumed.iter().all(|resumed| *resumed > 0), "{resumed:?}");
}

/// Some kills of one work; how many there were, and how often a body was continued.
fn killed_at_random(mode: &'static str, seed: u64) -> (usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut work = Work::new(mode, mixed(&mut random));
    let mut kills = 0;
    for _ in 0..random.usize(2..6) {
        random.shuffle(&mut work.paths);
        work.args = random.choice(SPLITS).unwrap().to_vec();
        let end = work.goes_on(|| match random.usize(..4) {
            0 => work.killed_by(Trigger::Requests(random.usize(1..14))),
            1 | 2 => work.killed_by(Trigger::Bytes(random.usize(1..6_000_000))),
            _ => {
                let place = random.choice(PLACES).unwrap();
                work.killed_at(place, random.usize(1..6))
            }
        });
        kills += usize::from(end == End::Killed);
        let recorded = work.recorded();
        for path in work.paths.iter().filter(|path| !recorded.contains(path)) {
            if random.u8(..3) == 0 {
                work.library.change(path);
            }
        }
    }
    work.finish();
    (kills, work.library.ranges())
}

/// Bodies of mixed sizes from servers of every temper.
fn mixed(random: &mut fastrand::Rng) -> Vec<(&'static str, Page)> {
    let sizes = [
        ("/0", 0),
        ("/1", 1),
        ("/1k", 1000),
        ("/20k", 20_000),
        ("/64k", 64 << 10),
        ("/65k", (64 << 10) + 1),
        ("/200k", 200_000),
        ("/1m", 1 << 20),
        ("/2m", 2_000_000),
        ("/3m", 3_000_000),
    ];
    let tags = [Tag::Strong, Tag::Strong, Tag::Date, Tag::Weak, Tag::Nothing];
    let page = |bytes| Page {
        sizes: vec![bytes],
        tag: *random.choice(&tags).unwrap(),
        chunked: random.u8(..3) == 0,
        cuts: if bytes > 0 && random.u8(..3) == 0 { random.usize(1..3) } else { 0 },
        changes: random.bool(),
        ignores_if_range: random.u8(..4) == 0,
        fields: random.choice(["", RANGES]).unwrap(),
    };
    let mut page = page;
    sizes.map(|(path, bytes)| (path, page(bytes))).to_vec()
}
