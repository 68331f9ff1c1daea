//! Places where a test may kill the program: `FETCH_KILL_AT=appended:3` kills it at the third time it comes by there.
//! In a child process it is the parent that is killed, and the child with it. In a release build there is nothing here.

#[cfg(debug_assertions)]
static IN_CHILD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// This is a child process.
pub fn in_child() {
    #[cfg(debug_assertions)]
    IN_CHILD.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// The program comes by this place.
#[cfg(not(debug_assertions))]
pub fn pass(_: &str) {}

/// The program comes by this place.
#[cfg(debug_assertions)]
pub fn pass(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use rustix::process::{Signal, getpid, getppid, kill_process};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    let wanted = WANTED.get_or_init(|| {
        let wanted = std::env::var("FETCH_KILL_AT").ok()?;
        let (place, time) = wanted.split_once(':')?;
        Some((place.to_owned(), time.parse().ok()?))
    });
    if let Some((wanted, time)) = wanted
        && wanted == place
        && PASSED.fetch_add(1, Relaxed) + 1 == *time
    {
        if let Some(parent) = getppid().filter(|_| IN_CHILD.load(Relaxed)) {
            let _ = kill_process(parent, Signal::KILL);
        }
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
