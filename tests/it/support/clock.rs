//! Waiting for conditions and for timeouts of the program, so that tests do not depend on the load of the machine.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for a condition, before it fails. No working run takes this long, whatever the load.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Polls until a condition holds.
pub fn until(what: &str, mut has_come: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    let came = comes_before(&mut has_come, || Instant::now() > end);
    assert!(came, "{what} did not come about");
}

/// Polls until a condition holds, and returns `true`. Once `is_late`, checks it a last time.
pub fn comes_before(mut has_come: impl FnMut() -> bool, mut is_late: impl FnMut() -> bool) -> bool {
    while !has_come() {
        if is_late() {
            return has_come();
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Proves what happens when a timeout of the program expires. `prove` takes the timeout as a value of an option, and returns
/// whether the machine was quick enough for all that has to happen before it; if not, it is called again with a longer
/// timeout.
pub fn with_a_clock(prove: impl Fn(&str) -> bool) {
    let mut time = Duration::from_millis(100);
    while time <= PATIENCE {
        if prove(&format!("{}ms", time.as_millis())) {
            return;
        }
        time *= 4;
    }
    panic!("what has to come before a clock of {PATIENCE:?} runs out does not come");
}
