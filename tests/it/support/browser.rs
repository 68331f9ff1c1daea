//! Chromium without a screen, driven by chromedriver over the WebDriver protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// How long any single command may take; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(300);

/// A browser with one window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with a new profile.
    pub fn start() -> Self {
        let (driver, port) = start_driver();
        let profile = tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let profile = browser._profile.path().display();
        let switches = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={profile}"),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": switches },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "timeouts": { "pageLoad": PATIENCE.as_millis() as u64, "script": PATIENCE.as_millis() as u64 },
        } } });
        let session = browser.command("POST", "/session", &capabilities);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Opens a file and waits until it is loaded.
    pub fn open(&self, page: &Path) {
        self.session_command(
            "POST",
            "/url",
            &json!({ "url": format!("file://{}", page.display()) }),
        );
    }

    /// Gives the page another size.
    pub fn resize(&self, width: u32, height: u32) {
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": params });
        self.session_command("POST", "/goog/cdp/execute", &command);
    }

    /// The value that a script of the page returns.
    pub fn script(&self, script: &str) -> Value {
        self.session_command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The messages of the console since the last call.
    pub fn console(&self) -> Vec<Value> {
        self.log("browser")
    }

    /// The URLs that a page has requested since the last call, its own included.
    pub fn requests(&self, page: &Path) -> Vec<String> {
        let document = format!("file://{}", page.display());
        let events = self.log("performance").into_iter().map(|entry| {
            let text = entry["message"].as_str().expect("text");
            serde_json::from_str::<Value>(text).expect("JSON")["message"].take()
        });
        let requests = events.filter(|event| {
            event["method"] == "Network.requestWillBeSent"
                && event["params"]["documentURL"] == document
        });
        requests
            .map(|event| event["params"]["request"]["url"].as_str().expect("text").to_owned())
            .collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.session_command("POST", "/se/log", &json!({ "type": kind }));
        entries.as_array().expect("a log").clone()
    }

    fn session_command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.command(method, &format!("/session/{}{path}", self.session), body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.request(method, path, &body.to_string()).expect("chromedriver answers");
        let value = serde_json::from_slice::<Value>(&reply).expect("JSON")["value"].take();
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }

    fn request(&self, method: &str, path: &str, body: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            line.clear();
        }
        let mut reply = vec![0; length];
        reader.read_exact(&mut reply)?;
        Ok(reply)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser, too; chromedriver alone would leave it behind.
        let _ = self.request("DELETE", &format!("/session/{}", self.session), "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts chromedriver on a free port. It takes the same port over IPv4 and over IPv6, and ends if only one of them is
/// free: then it is started again.
fn start_driver() -> (Child, u16) {
    for _ in 0..20 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is installed (package chromium-driver)");
        if let Some(port) = port_of(&mut driver) {
            return (driver, port);
        }
        let _ = driver.wait();
    }
    panic!("chromedriver finds no port");
}

/// The port that chromedriver has chosen; `None` if it ended.
fn port_of(driver: &mut Child) -> Option<u16> {
    let mut output = BufReader::new(driver.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while output.read_line(&mut line).expect("text") > 0 {
        if let Some((_, port)) = line.trim_end().rsplit_once("started successfully on port ") {
            let port = port.trim_end_matches('.').parse().expect("a port");
            // The rest of its output has to be read, or it would block.
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
            return Some(port);
        }
        line.clear();
    }
    None
}
