//! The password that was not typed: asked for on the terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

use nix::sys::termios::{LocalFlags, tcgetattr};

use super::*;
use crate::support::pseudoterminal;

/// A run with a terminal of its own, which standard output is not.
struct Asked {
    child: Child,
    terminal: File,
}

impl Asked {
    fn start(words: &[&str]) -> Self {
        let (terminal, end) = pseudoterminal(80);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_fetch")]).args(words);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.stdin(end).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), terminal }
    }

    /// Waits for the question. Returns what was shown.
    fn question(&mut self) -> String {
        let mut shown = Vec::new();
        while !shown.ends_with(b"': ") {
            let mut byte = [0];
            self.terminal.read_exact(&mut byte).unwrap();
            shown.extend(byte);
        }
        String::from_utf8(shown).unwrap()
    }

    /// Types something and waits for the end. Returns what the terminal has shown meanwhile as well.
    fn answer(mut self, typed: &str) -> (Seen, String) {
        self.terminal.write_all(typed.as_bytes()).unwrap();
        let mut shown = Vec::new();
        // Ends with an error once nobody has the terminal open.
        let _ = self.terminal.read_to_end(&mut shown);
        let seen = Seen::from(self.child.wait_with_output().unwrap());
        (seen, String::from_utf8(shown).unwrap())
    }
}

#[test]
fn a_missing_password_is_asked_for_and_not_shown_in_every_mode() {
    in_every_mode(|mode| {
        let origin = hello();
        let mut asked = Asked::start(&["--mode", mode, "-u", "me", &origin.url("/")]);
        assert_eq!(asked.question(), "Password for user 'me': ");
        assert_eq!(origin.requests(), 0);
        let (seen, shown) = asked.answer("hidren\u{7f}\u{7f}\u{7f}den\r");
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(shown.trim(), "");
        assert_eq!(sent(&origin.seen()), [Some(&*basic("me:hidden"))]);
        assert!(!format!("{seen:?}").contains("hidden"));
    });
}

#[test]
fn a_comparison_asks_once_and_a_dry_run_does_not() {
    let origin = hello();
    let url = origin.url("/");
    let words = ["compare", "--json", "--modes", "async", "--runs", "3", "--warmup", "0"];
    let mut asked = Asked::start(&[&words[..], &["-u", "me", &url]].concat());
    asked.question();
    let (seen, _) = asked.answer("hidden\r");
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let requests = origin.take_seen();
    assert_eq!(sent(&requests), vec![Some(&*basic("me:hidden")); 3]);
    let seen = Run::new().env("FETCH_USER", "hidden").args(words).arg(&url).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("(compare asks only if --user is typed)"), "{seen:?}");
    let dry = Asked::start(&["--dry-run", "-u", "me", &url]).answer("").0;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(dry.stdout.contains("user = \"***\""), "{dry:?}");
}

#[test]
fn ctrl_c_at_the_question_ends_the_program_and_leaves_the_terminal_as_it_was() {
    let origin = hello();
    let mut asked = Asked::start(&["-u", "me", &origin.url("/")]);
    asked.question();
    let terminal = asked.terminal.try_clone().unwrap();
    let shows = || tcgetattr(&terminal).unwrap().local_flags.contains(LocalFlags::ECHO);
    assert!(!shows());
    let (seen, _) = asked.answer("hid\u{3}");
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(130), ""), "{seen:?}");
    assert!(shows());
    assert_eq!(origin.requests(), 0);
}

#[test]
fn without_a_terminal_a_missing_password_is_wrong_usage() {
    let run = || Run::of("setsid").args(["--wait", env!("CARGO_BIN_EXE_fetch")]);
    for (run, place) in [
        (run().env("FETCH_USER", "hidden"), "error: the user in FETCH_USER has no password"),
        (run().args(["--user", "hidden"]), "error: --user has no password"),
    ] {
        let seen = run.arg("http://127.0.0.1:1/").seen();
        assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{seen:?}");
        assert!(seen.stderr.contains("cannot be asked for (there is no terminal)"), "{seen:?}");
        assert!(seen.stderr.starts_with(place), "{seen:?}");
        assert!(!seen.stderr.contains("hidden"), "{seen:?}");
    }
    let files = Files::new().with("top.toml", "user = \"hidden\"\n");
    let run = run().arg("--config").arg(files.path("top.toml")).arg("http://127.0.0.1:1/");
    let (seen, place) = (run.seen(), format!("{}:1", files.path("top.toml").display()));
    let expected = format!("error: the user in {place} has no password");
    assert!(seen.stderr.starts_with(&expected), "{seen:?}");
    let files = Files::new().with("host.toml", "[hosts.\"a.test\"]\nuser = \"hidden\"\n");
    let seen = Run::new().arg("--config").arg(files.path("host.toml")).arg("http://a.test/").seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert!(seen.stderr.contains("host.toml:2: user: missing password"), "{seen:?}");
    assert!(!seen.stderr.contains("hidden"), "{seen:?}");
}
