//! What the machine and other processes do to a run: streams that are full, non-blocking or not read, signals, a process
//! that is stopped, threads that cannot be had, and things in the place of the files of the program.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustix::fs::{FileType, Mode, OFlags, fcntl_setfl, mknodat};
use rustls::{ServerConnection, StreamOwned};

use crate::support::processes::{children_of, is_stopped, is_there, send};
use crate::support::raw::{HeadOf, Raw};
use crate::support::tls::Authority;
use crate::support::{
    Gate, Origin, Reply, Run, class_of, holding, in_all_modes_at_once, in_every_mode, until,
};

/// The program, with streams of its own.
fn program(mode: &str) -> Command {
    let mut command = crate::support::program();
    command.args(["--no-config", "--proxy=", "--mode", mode]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn list(origin: &Origin, number: usize) -> String {
    (1..=number).map(|path| format!("{}\n", origin.url(&format!("/{path}")))).collect()
}

#[test]
fn streams_that_are_non_blocking_are_waited_for() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let (input, mut to_input) = std::io::pipe().unwrap();
        let (mut from_output, output) = std::io::pipe().unwrap();
        fcntl_setfl(input.as_fd(), OFlags::NONBLOCK).unwrap();
        fcntl_setfl(output.as_fd(), OFlags::NONBLOCK).unwrap();
        let mut run =
            program(mode).args(["--json", "-"]).stdin(input).stdout(output).spawn().unwrap();
        to_input.write_all(list(&origin, 1).as_bytes()).unwrap();
        until("the first request", || !origin.seen().is_empty());
        // The pipe takes 64 KiB, and nothing reads it before all requests but those that are held back were made.
        to_input.write_all(list(&origin, 600).as_bytes()).unwrap();
        drop(to_input);
        until("requests", || origin.seen().len() >= 200);
        let mut rows = String::new();
        from_output.read_to_string(&mut rows).unwrap();
        assert_eq!((run.wait().unwrap().code(), rows.lines().count()), (Some(0), 602));
    });
    // What else is printed: the manual is longer than what the pipe takes here.
    for words in [["help", "saving"], ["completions", "elvish"], ["help", "design"]] {
        let (mut from_output, output) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(output.as_fd(), 4096).unwrap();
        fcntl_setfl(output.as_fd(), OFlags::NONBLOCK).unwrap();
        let mut command = crate::support::program();
        let mut run = command.args(words).stdout(output).spawn().unwrap();
        drop(command);
        let mut text = String::new();
        from_output.read_to_string(&mut text).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(0), "{words:?}");
        assert!(text.len() > 4096, "{words:?}: {text}");
    }
}

#[test]
fn stderr_that_takes_nothing_is_no_reason_to_fail() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::of("404 Not Found", "", ""));
        for format in ["text", "jsonl", "csv"] {
            let (broken, writer) = std::io::pipe().unwrap();
            drop(broken);
            let full = File::options().write(true).open("/dev/full").unwrap();
            for stderr in [Stdio::from(full), Stdio::from(writer)] {
                let mut command = program(mode);
                let url = origin.url("/");
                command.args(["-v", "--format", format, &url, "ftp://a.b/"]).stderr(stderr);
                let seen = command.output().unwrap();
                assert_eq!(seen.status.code(), Some(1), "{format}");
                assert!(seen.stdout.iter().filter(|byte| **byte == b'\n').count() >= 3);
            }
        }
    });
    for words in [&["--bogus"][..], &["verify", "/nowhere"], &["report", "/nowhere"], &["/nowhere"]]
    {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = crate::support::program();
        assert_eq!(command.args(words).stderr(full).status().unwrap().code(), Some(2), "{words:?}");
    }
}

#[test]
fn a_hangup_ends_a_run_as_a_request_to_terminate_does() {
    in_every_mode(|mode| {
        let (origin, arrived, open) = holding(|_| true);
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.csv");
        // The list stays open: only the signal ends the run.
        let run = Run::json(mode).patient().args(["-j", "1", "--report"]).arg(&report);
        let mut live = run.arg("-").live();
        live.write(&list(&origin, 1));
        arrived.pass();
        live.signal(Signal::SIGHUP);
        open.pass();
        // The list is closed only afterwards: its end would end the run as well.
        until("the end of the run", || live.has_ended());
        let seen = live.seen();
        assert_eq!((seen.code, class_of(&seen.row())), (Some(129), "ok".to_owned()), "{seen:?}");
        assert_eq!(seen.summary()["stopped"], "hung up");
        assert_eq!(fs::read_to_string(report).unwrap().lines().count(), 2);
    });
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_ignored() {
    in_every_mode(|mode| {
        for (name, signal) in [("HUP", Signal::SIGHUP), ("INT", Signal::SIGINT)] {
            let origin = Origin::new(|_| Reply::ok("hello"));
            let run = Run::after(&format!("trap '' {name}")).args(["--json", "--mode", mode, "-"]);
            let mut live = run.live();
            live.write(&list(&origin, 1));
            assert_eq!(live.row()["outcome"], "ok");
            live.signal(signal);
            live.write(&list(&origin, 1));
            assert_eq!(live.row()["outcome"], "ok");
            let seen = live.seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
        }
    });
}

#[test]
fn a_run_that_is_stopped_for_longer_than_its_clocks_goes_on_where_it_was() {
    in_all_modes_at_once(|mode| {
        let (origin, arrived, open) = holding(|_| true);
        let clocks = ["--stall-timeout", "3s", "--max-time", "4s", "--retry", "0", "-j", "1"];
        let live = Run::json(mode).args(clocks).arg(origin.url("/")).live();
        arrived.pass();
        let all: Vec<_> = children_of(live.id()).into_iter().chain([live.id()]).collect();
        all.iter().for_each(|process| send(*process, Signal::SIGSTOP));
        until("the stop", || all.iter().all(|process| is_stopped(*process)));
        // Longer than both clocks, which are the program's own.
        thread::sleep(Duration::from_secs(5));
        all.iter().for_each(|process| send(*process, Signal::SIGCONT));
        open.pass();
        let seen = live.seen();
        assert_eq!((seen.code, class_of(&seen.row())), (Some(0), "ok".to_owned()), "{seen:?}");
    });
}

#[test]
fn a_run_that_is_stopped_for_longer_than_its_time_to_connect_or_its_deadline_goes_on() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    let settings = Arc::new(identity.server(&[b"http/1.1"]));
    in_all_modes_at_once(|mode| {
        let (arrived, settings) = (Gate::of(2), Arc::clone(&settings));
        let arrive = arrived.clone();
        // The first connection gets no handshake, the next one a reply.
        let origin = Raw::new(move |mut stream, connection| {
            if connection == 0 {
                arrive.pass();
                return hang_up_late(&mut stream);
            }
            let tls = ServerConnection::new(Arc::clone(&settings)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(tls, stream));
            while HeadOf::read(&mut reader).is_some() {
                let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                let stream = reader.get_mut();
                let _ = stream.write_all(reply).and_then(|()| stream.flush());
            }
        });
        let place = format!("site.test:443:127.0.0.1:{}", origin.port());
        let clocks = ["--connect-timeout", "3s", "--deadline", "4s", "--retry", "0", "-j", "1"];
        let run = Run::json(mode).args(clocks).args(["--connect-to", &place, "--cacert"]);
        let live = run.arg(authority.file()).arg("https://site.test/").live();
        arrived.pass();
        let all: Vec<_> = children_of(live.id()).into_iter().chain([live.id()]).collect();
        all.iter().for_each(|process| send(*process, Signal::SIGSTOP));
        until("the stop", || all.iter().all(|process| is_stopped(*process)));
        // Longer than both clocks, which are the program's own.
        thread::sleep(Duration::from_secs(6));
        all.iter().for_each(|process| send(*process, Signal::SIGCONT));
        let seen = live.seen();
        assert_eq!((seen.code, class_of(&seen.row())), (Some(0), "ok".to_owned()), "{seen:?}");
    });
}

/// Takes what comes and says nothing until the peer hangs up.
fn hang_up_late(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

#[test]
fn a_child_that_is_stopped_is_replaced_after_the_clocks_of_its_transfer() {
    for is_at_work in [true, false] {
        let (origin, arrived, open) =
            holding(move |request| request.nth == 0 && request.path == "/1" && is_at_work);
        let clocks = ["--stall-timeout", "1s", "--retry", "1", "--retry-delay", "1ms", "-j", "1"];
        let mut live = Run::json("processes").args(clocks).arg("-").live();
        if is_at_work {
            live.write(&list(&origin, 1));
            arrived.pass();
        } else {
            live.write(&format!("{}\n", origin.url("/0")));
            assert_eq!(live.row()["outcome"], "ok");
        }
        let child = children_of(live.id())[0];
        send(child, Signal::SIGSTOP);
        until("the stop of the child", || is_stopped(child));
        if !is_at_work {
            live.write(&list(&origin, 1));
        }
        let row = live.row();
        assert_eq!((&row["outcome"], &row["attempts"]), (&"ok".into(), &2.into()), "{row}");
        assert!(!is_there(child));
        if is_at_work {
            open.pass();
        }
        assert_eq!(live.seen().code, Some(0));
    }
}

#[test]
fn a_child_that_is_stopped_when_the_run_ends_does_not_keep_it() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let mut live = Run::json("processes").args(["-j", "1", "-"]).live();
    live.write(&list(&origin, 1));
    assert_eq!(live.row()["outcome"], "ok");
    let child = children_of(live.id())[0];
    send(child, Signal::SIGSTOP);
    until("the stop of the child", || is_stopped(child));
    assert_eq!(live.seen().code, Some(0));
    assert!(!is_there(child));
}

#[test]
fn a_signal_ends_a_run_whose_output_nobody_reads() {
    in_all_modes_at_once(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.csv");
        let (unread, writer) = std::io::pipe().unwrap();
        let mut command = program(mode);
        command.args(["--json", "-j", "2", "-", "--report"]).arg(&report);
        let mut run = command.stdin(Stdio::piped()).stdout(writer).spawn().unwrap();
        drop(command);
        // The list stays open until the run ends it.
        let mut input = run.stdin.take().unwrap();
        let text = list(&origin, 2000);
        let writer = thread::spawn(move || drop(input.write_all(text.as_bytes())));
        // More rows than the pipe takes.
        until("requests", || origin.seen().len() >= 400);
        send(run.id(), Signal::SIGTERM);
        assert_eq!(run.wait().unwrap().code(), Some(143));
        writer.join().unwrap();
        assert!(fs::read_to_string(report).unwrap().lines().count() > 400, "it was written");
        drop(unread);
    });
}

#[test]
fn what_is_no_file_in_the_place_of_the_lock_or_the_manifest_is_refused_at_once() {
    in_every_mode(|mode| {
        for name in ["lock", "manifest.jsonl"] {
            for kind in [FileType::Fifo, FileType::Socket] {
                let folder = tempfile::tempdir().unwrap();
                let dir = folder.path().join(".fetch");
                fs::create_dir(&dir).unwrap();
                let at = File::open(&dir).unwrap();
                mknodat(&at, name, kind, Mode::from_raw_mode(0o600), 0).unwrap();
                let run = Run::json(mode).arg("http://127.0.0.1:1/").arg("-d").arg(folder.path());
                let seen = run.seen();
                assert_eq!(seen.code, Some(2), "{seen:?}");
                let words = format!(".fetch/{name} is not a regular file; move it away");
                assert!(seen.stderr.contains(&words), "{seen:?}");
                if name == "lock" {
                    fs::write(dir.join("manifest.jsonl"), "").unwrap();
                }
                let verified = Run::new().arg("verify").arg(folder.path()).seen();
                assert_eq!(verified.code, Some(2), "{verified:?}");
                assert!(verified.stderr.contains(&words), "{verified:?}");
            }
        }
    });
}

#[test]
fn a_link_to_a_fifo_in_the_place_of_the_lock_is_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join(".fetch");
    fs::create_dir(&dir).unwrap();
    let at = File::open(&dir).unwrap();
    mknodat(&at, "fifo", FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    symlink("fifo", dir.join("lock")).unwrap();
    let seen = Run::new().arg("http://127.0.0.1:1/").arg("-d").arg(folder.path()).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
}

#[test]
fn a_holder_of_the_lock_that_is_ending_is_waited_for() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join(".fetch");
        fs::create_dir(&dir).unwrap();
        let lock = File::create(dir.join("lock")).unwrap();
        lock.lock().unwrap();
        let live = Run::json(mode).arg(origin.url("/a")).arg("-d").arg(folder.path()).live();
        let opened = |process: u32| {
            let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
            files
                .flatten()
                .any(|file| fs::read_link(file.path()).is_ok_and(|to| to.ends_with("lock")))
        };
        let process = live.id();
        until("the run at the lock", || opened(process));
        drop(lock);
        let seen = live.seen();
        assert_eq!((seen.code, class_of(&seen.row())), (Some(0), "ok".to_owned()), "{seen:?}");
    });
}

#[test]
fn more_header_fields_than_can_be_sent_are_a_usage_error() {
    in_every_mode(|mode| {
        let fields = (0..33_000).map(|number| format!("-Hx{number}:y"));
        let seen = Run::json(mode).args(fields).arg("http://127.0.0.1:1/").seen();
        assert_eq!(seen.code, Some(2), "{}", seen.stderr);
        assert!(
            seen.stderr.contains("--header given 33000 times; at most 8000"),
            "{}",
            seen.stderr
        );
    });
}

#[test]
fn without_descriptors_or_address_space_a_run_takes_fewer_jobs_or_ends_with_3() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let descriptors = (4..=10).chain([20, 60]).map(|number| format!("ulimit -n {number}"));
        let space = [80_000, 120_000, 200_000, 300_000].map(|size| format!("ulimit -v {size}"));
        for limit in descriptors.chain(space) {
            let run = Run::after(&limit).args(["--json", "-j", "8", "--mode", mode]);
            let seen = run.arg(origin.url("/").replace("127.0.0.1", "localhost")).seen();
            assert!(!seen.stderr.contains("panicked"), "{limit}: {seen:?}");
            assert!(!seen.stderr.contains("os error"), "{limit}: {seen:?}");
            match seen.code {
                Some(0) => assert_eq!(seen.row()["outcome"], "ok", "{limit}"),
                code => assert_eq!(code, Some(3), "{limit}: {seen:?}"),
            }
            assert!(seen.code == Some(0) || seen.stderr.contains("ulimit"), "{limit}: {seen:?}");
        }
    });
}
