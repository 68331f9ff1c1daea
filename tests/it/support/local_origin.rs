//! The built-in local origin, `fetch serve`, as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Child;

use super::Run;

/// The server. Dropping it ends it.
pub struct LocalOrigin {
    child: Child,
    address: SocketAddr,
}

impl LocalOrigin {
    /// A server on a free port, with these options.
    pub fn new(options: &[&str]) -> Self {
        let run = Run::new().args(["serve", "--until-eof", "--port", "0"]).args(options);
        let mut child = run.start();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("Listening on http://");
        let address = address.unwrap_or_else(|| panic!("it does not serve: {line:?}"));
        Self { address: address.parse().unwrap(), child }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LocalOrigin {
    /// Closes its standard input, which ends it, and waits for that.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
