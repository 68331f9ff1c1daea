//! A run of the program, and what is seen of it.

use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::Value;

/// Every mode that there is.
pub const MODES: [&str; 3] = ["sequential", "threads", "async"];

/// Proves a behaviour in every mode.
pub fn in_every_mode(prove: impl Fn(&'static str)) {
    for mode in MODES {
        eprintln!("in mode {mode}:");
        prove(mode);
    }
}

/// A run to be made. It sees nothing of the environment's proxies.
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
        let mut command = Command::new(program);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "NO_COLOR"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        Self { command, input: None }
    }

    /// A run in a mode, reporting as JSON.
    pub fn json(mode: &str) -> Self {
        Self::new().args(["--json", "--mode", mode])
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

    /// The list that it reads from standard input.
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
            // It may end before it has read all.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        child
    }

    /// Makes it and waits for its end.
    pub fn seen(mut self) -> Seen {
        self.input.get_or_insert_default();
        let output = self.start().wait_with_output().unwrap();
        Seen::from(output)
    }
}

/// What a run has shown.
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
    /// The rows of a JSON report, in the order printed.
    pub fn rows(&self) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["type"] == "result").collect()
    }

    /// The rows in list order.
    pub fn rows_in_list_order(&self) -> Vec<Value> {
        let mut rows = self.rows();
        rows.sort_by_key(|row| row["index"].as_u64());
        rows
    }

    /// The only row.
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

    fn objects(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// Reads a stream to its end beside the test.
pub fn drain(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    })
}
