//! Runs of the program, and their results.

use std::io::{BufRead, BufReader, Read, Write};
use std::panic::resume_unwind;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::processes::send;

/// All modes.
pub const MODES: [&str; 4] = ["sequential", "threads", "async", "processes"];

/// Proves a behaviour in every mode.
pub fn in_every_mode(prove: impl Fn(&'static str)) {
    for mode in MODES {
        eprintln!("in mode {mode}:");
        prove(mode);
    }
}

/// Proves a behaviour in all modes at once, for tests that mostly wait.
pub fn in_all_modes_at_once(prove: impl Fn(&'static str) + Sync) {
    let prove = &prove;
    thread::scope(|scope| {
        let proofs = MODES.map(|mode| (mode, scope.spawn(move || prove(mode))));
        for (mode, proof) in proofs {
            if let Err(panic) = proof.join() {
                eprintln!("in mode {mode}");
                resume_unwind(panic);
            }
        }
    });
}

/// A home directory that does not exist.
const MISSING_HOME: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/nobody");

/// The program, without the proxies and options of the environment and the configuration of the user.
pub fn program() -> Command {
    isolated_command(env!("CARGO_BIN_EXE_fetch"))
}

fn isolated_command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "NO_COLOR"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FETCH_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", MISSING_HOME).env("XDG_CONFIG_HOME", MISSING_HOME);
    command
}

/// A run to be started, without the proxies and options of the environment and the configuration of the user.
pub struct Run {
    command: Command,
    input: Option<Vec<u8>>,
}

impl Run {
    pub fn new() -> Self {
        Self::of(env!("CARGO_BIN_EXE_fetch"))
    }

    /// A run of another program, for instance a shell around this one.
    pub fn of(program: &str) -> Self {
        Self { command: isolated_command(program), input: None }
    }

    /// A run in a mode, reporting as JSON.
    pub fn json(mode: &str) -> Self {
        Self::new().args(["--json", "--mode", mode])
    }

    /// Lets what is under way at a signal take as long as the test: how long that is depends on the machine.
    pub fn patient(self) -> Self {
        self.arg("--grace=1h")
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<T: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the folder that it is started in.
    pub fn inside(mut self, folder: &std::path::Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets the list that it reads from standard input.
    pub fn list(mut self, text: impl AsRef<[u8]>) -> Self {
        self.input = Some(text.as_ref().to_vec());
        self
    }

    /// Starts it; standard input is open if no list was given.
    pub fn start(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        if let Some(input) = self.input {
            let mut stdin = child.stdin.take().unwrap();
            // The program may end before it has read all.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        child
    }

    /// Starts it, to be watched while it is under way.
    pub fn live(self) -> Live {
        let mut child = self.start();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = lines(child.stderr.take().unwrap());
        Live { child, stdin, stdout, stderr, stderr_so_far: String::new() }
    }

    /// A run of the program in a shell that runs other commands first, for instance `ulimit -n 256`.
    pub fn after(words: &str) -> Self {
        let script = format!("{words} && exec \"$0\" \"$@\"");
        Self::of("sh").args(["-c", &script, env!("CARGO_BIN_EXE_fetch")])
    }

    /// Starts it and waits for its end.
    pub fn seen(mut self) -> Seen {
        self.input.get_or_insert_default();
        let output = self.start().wait_with_output().unwrap();
        Seen::from(output)
    }
}

/// The exit code and the output of a run.
#[derive(Debug)]
pub struct Seen {
    /// The exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Seen {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

impl Seen {
    /// The records of a JSON report, in the order printed.
    pub fn rows(&self) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["type"] == "result").collect()
    }

    /// The records in list order.
    pub fn rows_in_list_order(&self) -> Vec<Value> {
        let mut rows = self.rows();
        rows.sort_by_key(|row| row["index"].as_u64());
        rows
    }

    /// The only record.
    pub fn row(&self) -> Value {
        let mut rows = self.rows();
        assert_eq!(rows.len(), 1, "{self:?}");
        rows.remove(0)
    }

    /// The summary of a JSON report: its last line.
    pub fn summary(&self) -> Value {
        let last = self.objects().pop().unwrap_or_else(|| panic!("no summary: {self:?}"));
        assert_eq!(last["type"], "summary", "{self:?}");
        last
    }

    /// The failure class of each record in list order; `ok` for those without a failure.
    pub fn classes_in_list_order(&self) -> Vec<String> {
        self.rows_in_list_order().iter().map(class_of).collect()
    }

    /// All lines of a JSON report.
    pub fn objects(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A run that is under way.
pub struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Receiver<String>,
    /// The lines of standard error that were read so far.
    stderr_so_far: String,
}

impl Live {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input, which stays open. The program may end before it has read all.
    pub fn write(&mut self, text: &str) {
        let _ = self.stdin.as_mut().expect("no list was given").write_all(text.as_bytes());
    }

    /// Ends its standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits for the next line of its standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().expect("it is read").read_line(&mut line).unwrap();
        line
    }

    /// Waits for the next record of a JSON report.
    pub fn row(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line:?}"))
    }

    /// Waits until it prints this on standard error.
    pub fn says(&mut self, words: &str) {
        loop {
            let line = self.stderr.recv();
            let line =
                line.unwrap_or_else(|_| panic!("{words:?} is not in {:?}", self.stderr_so_far));
            self.stderr_so_far += &line;
            if line.contains(words) {
                return;
            }
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Closes the reading end of its standard output.
    pub fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// Ends it, if it has not ended.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Reads what has not been read yet, and waits for its end.
    pub fn seen(mut self) -> Seen {
        self.close();
        let mut stdout = String::new();
        if let Some(mut stream) = self.stdout {
            stream.read_to_string(&mut stdout).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        Seen { code, stdout, stderr: self.stderr_so_far + &self.stderr.iter().collect::<String>() }
    }
}

/// The failure class of a record; `ok` if it has no failure.
pub fn class_of(row: &Value) -> String {
    row["error"]["class"].as_str().unwrap_or("ok").to_owned()
}

/// Reads the lines of a stream in a thread of its own.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut next = || {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line)
        };
        while next().is_some_and(|line| send.send(line).is_ok()) {}
    });
    lines
}

/// Reads a stream to its end in a thread of its own.
pub fn drain(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    })
}
