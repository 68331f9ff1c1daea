//! Faults of the machine and of the run: directories, disks, the manifest, the list, the report, children, limits, signals.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::sound::{self, LENGTH};
use super::{Matrix, Outcome, first_record, left_under};
use crate::support::folder::{There, all_in};
use crate::support::processes::{children_of, send};
use crate::support::raw::{HeadOf, Raw};
use crate::support::{Gate, Live, Run, Seen, in_all_modes_at_once, until};

/// Bytes of the body that come before it is held: more than a client reads at a time.
const BEGUN: usize = 600_000;

/// A server that has the body, and holds the first request for `/file` in the middle of that until the gate is open, if
/// it is told to.
struct Server {
    raw: Raw,
    arrived: Gate,
    open: Gate,
    /// How many requests for `/file` are still to be held.
    holds: Arc<AtomicUsize>,
}

impl Server {
    fn new() -> Self {
        let (arrived, open, holds) = (Gate::of(1), Gate::of(1), Arc::<AtomicUsize>::default());
        let (at_server, held, count) = (arrived.clone(), open.clone(), Arc::clone(&holds));
        let raw = Raw::new(move |stream, _| serve(stream, &at_server, &held, &count));
        Self { raw, arrived, open, holds }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.raw.address())
    }
}

fn serve(mut stream: TcpStream, arrived: &Gate, open: &Gate, holds: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(head) = HeadOf::read(&mut reader) {
        let reply = sound::reply(head.field("range"));
        let one_less = |count: usize| count.checked_sub(1);
        let is_held =
            head.target == "/file" && holds.fetch_update(SeqCst, SeqCst, one_less).is_ok();
        let first = if is_held { reply.len() - (LENGTH - BEGUN) } else { reply.len() };
        if stream.write_all(&reply.as_bytes()[..first]).is_err() {
            return;
        }
        if is_held {
            arrived.pass_by();
            open.wait();
        }
        if stream.write_all(&reply.as_bytes()[first..]).is_err() {
            return;
        }
    }
}

/// What a fault of a run is made with.
struct Stage {
    mode: &'static str,
    server: Server,
    folder: Option<TempDir>,
}

impl Stage {
    fn new(mode: &'static str, saves: bool) -> Self {
        let folder = saves.then(|| tempfile::tempdir().unwrap());
        Self { mode, server: Server::new(), folder }
    }

    /// The directory to save to, if anything is saved; it may not be there yet.
    fn dir(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("files"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir().expect("it saves").join(name)
    }

    fn with(&self, run: Run) -> Run {
        let run = run.args(["--json", "--mode", self.mode, "--jobs", "1", "--retry-delay", "1ms"]);
        match self.dir() {
            Some(dir) => run.arg("--dir").arg(dir),
            None => run,
        }
    }

    fn run(&self) -> Run {
        self.with(Run::new()).arg(self.server.url("/file"))
    }

    fn failing_at(&self, at: &str) -> Outcome {
        self.outcome(&self.run().env("FETCH_FAIL_AT", at).seen())
    }

    fn outcome(&self, seen: &Seen) -> Outcome {
        let outcome = Outcome::of(first_record(seen).as_ref(), seen.code);
        match self.dir() {
            Some(dir) if dir.is_dir() => outcome.leaving(left_under("file", &dir)),
            Some(_) => outcome.leaving("nothing"),
            None => outcome,
        }
    }

    /// What is there before the run and stays: the outcome is that it is `as before`.
    fn with_an_obstacle(&self, make: impl Fn(&Path)) -> Outcome {
        fs::create_dir_all(self.dir().unwrap()).unwrap();
        make(&self.dir().unwrap());
        let present = || {
            let mut all = all_in(&self.dir().unwrap());
            all.retain(|name, there| !name.starts_with(".fetch") || *there == There::Folder);
            all.remove(".fetch");
            all
        };
        let before = present();
        let seen = self.run().seen();
        let left = if present() == before { "as before" } else { "something else" };
        Outcome::of(first_record(&seen).as_ref(), seen.code).leaving(left)
    }

    /// A run whose only transfer is held in the middle of its body; standard input, which is its list, stays open.
    fn held(&self, options: &[&str]) -> Live {
        self.server.holds.store(1, SeqCst);
        let mut live = self.with(Run::new()).args(options).arg("-").live();
        live.write(&format!("{}\n", self.server.url("/file")));
        self.wait_until_it_is_held();
        live
    }

    fn wait_until_it_is_held(&self) {
        self.server.arrived.wait();
        if self.dir().is_some() {
            let part = self.at("file.part");
            until("the part", || fs::metadata(&part).is_ok_and(|part| part.len() > 0));
        }
    }

    /// What becomes of the transfer that was held.
    fn ended(&self, live: Live) -> Outcome {
        let seen = live.seen();
        let file = self.server.url("/file");
        let record = seen.rows().into_iter().find(|record| record["url"] == file);
        self.outcome_of(record, seen.code)
    }

    fn outcome_of(&self, record: Option<serde_json::Value>, code: Option<i32>) -> Outcome {
        let outcome = Outcome::of(record.as_ref(), code);
        match self.dir() {
            Some(dir) => outcome.leaving(left_under("file", &dir)),
            None => outcome,
        }
    }

    /// A run that has heard a signal.
    fn signalled(&self, signal: Signal) -> Live {
        let mut live = self.held(&["--grace", "1h"]);
        live.signal(signal);
        live.says(": finishing 1 transfer");
        live
    }

    fn signalled_once(&self, signal: Signal) -> Outcome {
        let live = self.signalled(signal);
        self.server.open.pass_by();
        self.ended(live)
    }

    fn signalled_twice(&self, signal: Signal) -> Outcome {
        let live = self.signalled(signal);
        live.signal(signal);
        let outcome = self.ended(live);
        self.server.open.pass_by();
        outcome
    }
}

/// What a later run of the same command makes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Later {
    /// It has the whole file.
    Whole,
    /// It ends the same way, until the cause is removed by hand.
    Same,
}

/// How a fault can be had.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Anywhere,
    /// Only if something is saved.
    Saving,
    /// Only in mode `processes`.
    Children,
}

type Scenario = (&'static str, Where, Later, fn(&mut Stage) -> Outcome);

/// The faults, each with how it is made.
const SCENARIOS: [Scenario; 27] = [
    ("name taken by a directory", Where::Saving, Later::Same, |stage| {
        stage.with_an_obstacle(|dir| fs::create_dir_all(dir.join("file")).unwrap())
    }),
    ("name taken by a symbolic link", Where::Saving, Later::Same, |stage| {
        stage.with_an_obstacle(|dir| {
            if !dir.join("file").is_symlink() {
                symlink("elsewhere", dir.join("file")).unwrap();
            }
        })
    }),
    ("name taken by a file of others", Where::Saving, Later::Same, |stage| {
        stage.with_an_obstacle(|dir| fs::write(dir.join("file"), "theirs").unwrap())
    }),
    ("DIR below a file", Where::Saving, Later::Same, |stage| {
        let folder = stage.folder.as_ref().unwrap().path();
        fs::write(folder.join("plain"), "").unwrap();
        let run = Run::json(stage.mode).arg("--dir").arg(folder.join("plain/files"));
        stage.outcome(&run.arg(stage.server.url("/file")).seen())
    }),
    ("DIR not writable", Where::Saving, Later::Whole, |stage| stage.failing_at("create:1+:13")),
    ("disk full before the first byte", Where::Saving, Later::Whole, |stage| {
        stage.failing_at("create:1+:28")
    }),
    ("disk full in the body", Where::Saving, Later::Whole, |stage| stage.failing_at("write:3+:28")),
    ("write error in the body", Where::Saving, Later::Whole, |stage| {
        stage.failing_at("write:3+:5")
    }),
    ("file larger than ulimit -f", Where::Saving, Later::Whole, |stage| {
        let run = stage.with(Run::after("ulimit -f 1000")).arg(stage.server.url("/file"));
        stage.outcome(&run.seen())
    }),
    ("file cannot get its final name", Where::Saving, Later::Whole, |stage| {
        stage.failing_at("rename:1+:5")
    }),
    ("disk full for the manifest", Where::Saving, Later::Whole, |stage| {
        stage.failing_at("append:1+:28,repair:1+:28")
    }),
    ("manifest that is no file", Where::Saving, Later::Same, |stage| {
        fs::create_dir_all(stage.at(".fetch/manifest.jsonl")).unwrap();
        stage.outcome(&stage.run().seen())
    }),
    ("manifest with a line that is no entry", Where::Saving, Later::Whole, |stage| {
        fs::create_dir_all(stage.at(".fetch")).unwrap();
        fs::write(stage.at(".fetch/manifest.jsonl"), "nonsense\n").unwrap();
        let seen = stage.run().seen();
        assert!(seen.stderr.contains("manifest.jsonl:1: "), "{seen:?}");
        stage.outcome(&seen)
    }),
    ("manifest with a torn last line", Where::Saving, Later::Whole, |stage| {
        fs::create_dir_all(stage.at(".fetch")).unwrap();
        fs::write(stage.at(".fetch/manifest.jsonl"), "{\"type\":\"sav").unwrap();
        let seen = stage.run().seen();
        assert!(seen.stderr.contains("ignoring the truncated last line"), "{seen:?}");
        stage.outcome(&seen)
    }),
    ("DIR in use by another run", Where::Saving, Later::Whole, |stage| {
        fs::create_dir_all(stage.at(".fetch")).unwrap();
        let lock = File::create(stage.at(".fetch/lock")).unwrap();
        lock.lock().unwrap();
        stage.outcome(&stage.run().seen())
    }),
    ("child process killed", Where::Children, Later::Whole, |stage| {
        let mut live = stage.held(&[]);
        live.close();
        send(children_of(live.id())[0], Signal::SIGKILL);
        let outcome = stage.ended(live);
        stage.server.open.pass_by();
        outcome
    }),
    ("each child process killed", Where::Children, Later::Whole, |stage| {
        let mut live = stage.held(&["--retry", "0"]);
        live.close();
        send(children_of(live.id())[0], Signal::SIGKILL);
        let outcome = stage.ended(live);
        stage.server.open.pass_by();
        outcome
    }),
    ("list cannot be opened", Where::Anywhere, Later::Whole, |stage| {
        stage.outcome(&stage.run().arg("/nowhere/list.txt").seen())
    }),
    ("report cannot be written", Where::Anywhere, Later::Whole, |stage| {
        let run = stage.with(Run::after("exec >/dev/full")).arg(stage.server.url("/file"));
        stage.outcome(&run.seen())
    }),
    ("reader of the report leaves", Where::Anywhere, Later::Whole, |stage| {
        let mut live = stage.held(&[]);
        live.stop_reading();
        // Its record cannot be written.
        live.write("not a URL\n");
        let outcome = stage.ended(live);
        stage.server.open.pass_by();
        outcome
    }),
    ("more than --quota", Where::Anywhere, Later::Whole, |stage| {
        stage.outcome(&stage.run().args(["--quota", "700k"]).seen())
    }),
    ("longer than --deadline", Where::Anywhere, Later::Whole, |stage| {
        let live = stage.held(&["--deadline", "3s"]);
        let outcome = stage.ended(live);
        stage.server.open.pass_by();
        outcome
    }),
    ("SIGINT", Where::Anywhere, Later::Whole, |stage| stage.signalled_once(Signal::SIGINT)),
    ("SIGTERM", Where::Anywhere, Later::Whole, |stage| stage.signalled_once(Signal::SIGTERM)),
    ("SIGINT twice", Where::Anywhere, Later::Whole, |stage| stage.signalled_twice(Signal::SIGINT)),
    ("SIGTERM twice", Where::Anywhere, Later::Whole, |stage| {
        stage.signalled_twice(Signal::SIGTERM)
    }),
    ("SIGKILL", Where::Anywhere, Later::Whole, |stage| {
        let live = stage.held(&[]);
        live.signal(Signal::SIGKILL);
        let outcome = stage.ended(live);
        stage.server.open.pass_by();
        outcome
    }),
];

/// The names of these faults.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.0)
}

fn ensure_a_later_run_fits(
    stage: &mut Stage,
    name: &str,
    later: Later,
    first: &Outcome,
    make: fn(&mut Stage) -> Outcome,
) {
    if later == Later::Same {
        assert_eq!(make(stage), *first, "{name} in mode {}, the second time", stage.mode);
        return;
    }
    let seen = stage.run().seen();
    assert_eq!(seen.code, Some(0), "after {name} in mode {}: {seen:?}", stage.mode);
    let mut all = all_in(&stage.dir().unwrap());
    all.retain(|name, _| !name.starts_with(".fetch"));
    assert!(all.into_keys().eq(["file"]), "after {name}: {seen:?}");
    assert_eq!(left_under("file", &stage.dir().unwrap()), "file", "after {name}");
}

#[test]
fn faults_of_runs_end_as_the_chapter_says() {
    let matrix = Mutex::new(Matrix::default());
    matrix.lock().unwrap().faults.extend(names().map(str::to_owned));
    in_all_modes_at_once(|mode| {
        for (name, place, later, make) in SCENARIOS {
            if place == Where::Children && mode != "processes" {
                continue;
            }
            for saves in [false, true] {
                if place == Where::Saving && !saves {
                    continue;
                }
                let mut stage = Stage::new(mode, saves);
                let outcome = make(&mut stage);
                if saves {
                    ensure_a_later_run_fits(&mut stage, name, later, &outcome, make);
                }
                matrix.lock().unwrap().add(name, mode, saves, outcome);
            }
        }
    });
    matrix.into_inner().unwrap().check();
}
