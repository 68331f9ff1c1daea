//! Completion, in the shells themselves. A shell that is not there skips its test.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Run, pseudoterminal};

/// Longer than any shell takes to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is typed after `fetch`, and what the shell then shows; and what it does not.
const TABLE: [(&str, &[&str], &str); 11] = [
    ("serve --l", &["--latency", "--limit-rate"], "--loops"),
    ("--mode ", &["sequential", "threads", "async", "processes"], "sites.txt"),
    ("--mode=", &["sequential", "threads", "async", "processes"], "sites.txt"),
    ("compare --modes threads,", &["threads,async", "threads,processes"], "threads,threads"),
    ("--digest ", &["sha-256", "blake3", "crc64nvme"], "sites.txt"),
    ("--failed x --failed-class ", &["host_down", "http_4xx", "invalid_url"], "sites.txt"),
    ("", &["compare", "sites.txt", "more.txt"], "__"),
    ("sites.txt ", &["sites.txt", "more.txt", "folder"], "compare"),
    ("--dir ", &["folder", "other"], "sites.txt"),
    ("verify ", &["folder", "other"], "sites.txt"),
    ("help ", &["lists", "saving", "serve"], "sites.txt"),
];

/// A folder with files and folders to complete.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["sites.txt", "more.txt"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    for name in ["folder", "other"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    folder
}

/// Whether the shell can be run; says so loudly if not.
fn is_there(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED, for there is no {shell}");
    }
    found
}

/// A shell on a terminal of its own, in which the completion is set up.
struct Shell {
    child: Child,
    terminal: File,
    output: Receiver<Vec<u8>>,
}

impl Shell {
    fn start(words: &[&str], folder: &Path, set_up: &str) -> Self {
        let (terminal, end) = pseudoterminal(80);
        let mut command = Command::new(words[0]);
        let program = Path::new(env!("CARGO_BIN_EXE_fetch")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        command.args(&words[1..]).current_dir(folder).env("PATH", path);
        command.env("TERM", "vt100").env("HOME", folder).env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::from(end.try_clone().unwrap()));
        command.stdout(Stdio::from(end.try_clone().unwrap())).stderr(Stdio::from(end));
        let child = command.spawn().unwrap();
        drop(command);
        let (sender, output) = channel();
        let mut reader = terminal.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Once nobody has the other end any more, reading is an error.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut shell = Self { child, terminal, output };
        // What is echoed has quotes in it.
        shell.send(&format!("{set_up}; printf 're''ady\\n'\n"));
        shell.until(&["ready"]);
        shell
    }

    fn send(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// All that is shown, up to the last of these words.
    fn until(&self, words: &[&str]) -> String {
        let mut shown = String::new();
        while !words.iter().all(|word| shown.contains(word)) {
            let Ok(more) = self.output.recv_timeout(PATIENCE) else {
                panic!("{words:?} are not shown: {shown}");
            };
            shown.push_str(&String::from_utf8_lossy(&more));
        }
        shown
    }

    /// What is shown for TAB after these words.
    fn complete(&mut self, typed: &str, expected: &[&str]) -> String {
        self.send(&format!("fetch {typed}\t\t"));
        // The echo of what was typed may have some of them.
        let mut shown = String::new();
        let missing = |shown: &str| {
            let echo = shown.matches(typed.trim_end()).count().min(1);
            expected.iter().any(|word| {
                let echoed = if typed.contains(word) { echo } else { 0 };
                shown.matches(word).count() <= echoed
            })
        };
        while missing(&shown) {
            let Ok(more) = self.output.recv_timeout(PATIENCE) else {
                panic!("{expected:?} are not shown for {typed:?}: {shown}");
            };
            shown.push_str(&String::from_utf8_lossy(&more));
        }
        // Ctrl-U empties the line.
        self.send("\u{15}printf 'do''ne\\n'\n");
        shown + &self.until(&["done"])
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ensure_the_table_holds(words: &[&str], set_up: &str) {
    if !is_there(words[0]) {
        return;
    }
    let folder = folder();
    let mut shell = Shell::start(words, folder.path(), set_up);
    for (typed, expected, unexpected) in TABLE {
        let shown = shell.complete(typed, expected);
        assert!(!shown.contains(unexpected), "{typed:?}: {shown}");
    }
    // A single candidate is written to the line.
    shell.send("fetch --mode th\t");
    shell.until(&["threads"]);
}

#[test]
fn bash_offers_options_commands_values_and_files() {
    let set_up = "PS1='> '; bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; \
                  bind 'set enable-bracketed-paste off'; source <(fetch completions bash)";
    ensure_the_table_holds(&["bash", "--noprofile", "--norc", "-i"], set_up);
}

#[test]
fn zsh_offers_options_commands_values_and_files() {
    let set_up = "PS1='> '; setopt no_beep; autoload -Uz compinit && compinit -u -D; \
                  source <(fetch completions zsh)";
    ensure_the_table_holds(&["zsh", "-f", "-i"], set_up);
}

#[test]
fn fish_offers_options_commands_values_and_files() {
    if !is_there("fish") {
        return;
    }
    let folder = folder();
    let program = Path::new(env!("CARGO_BIN_EXE_fetch")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for (typed, expected, unexpected) in TABLE {
        let script = format!("fetch completions fish | source; complete -C 'fetch {typed}'");
        let run = Run::of("fish").args(["--no-config", "-c", &script]).inside(folder.path());
        let seen = run.env("PATH", &path).env("HOME", folder.path()).seen();
        let offered: Vec<_> =
            seen.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
        for word in expected {
            assert!(offered.iter().any(|offer| offer.contains(word)), "{typed:?}: {seen:?}");
        }
        assert!(!offered.iter().any(|offer| offer.contains(unexpected)), "{typed:?}: {seen:?}");
    }
}

#[test]
fn the_script_of_every_shell_is_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let seen = Run::new().args(["completions", shell]).seen();
        assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(seen.stdout.contains("fetch"), "{shell}");
    }
    let seen = Run::new().args(["__complete", "--", "--no-such-option", ""]).seen();
    assert_eq!(
        (seen.code, seen.stdout.as_str()),
        (Some(0), ":files\n"),
        "a wrong line is no error"
    );
}
