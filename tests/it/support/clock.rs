//! Waiting, and clocks of the program that have to run out: a test holds whatever the load of the machine.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what has to come. No run that works takes so long, whatever the load; a test that fails
/// ends.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Looks until something has come about.
pub fn until(what: &str, mut has_come: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    let came = comes_before(&mut has_come, || Instant::now() > end);
    assert!(came, "{what} did not come about");
}

/// Looks until something has come about, and returns `true`; or until it is too late for that.
pub fn comes_before(mut has_come: impl FnMut() -> bool, mut is_late: impl FnMut() -> bool) -> bool {
    while !has_come() {
        if is_late() {
            return has_come();
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// Proves what happens when a clock of the program runs out, a timeout for instance. `prove` is given the time that the
/// clock takes, and returns whether the machine was quick enough for all that has to come before; if it was not,
/// the clock takes longer the next time.
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
