//! Failpoints, at which a test can kill the program: `FETCH_KILL_AT=appended:3` kills it the third time it reaches the
//! failpoint `appended`. In a child process the parent is killed, and the child with it. Release builds have none.

#[cfg(debug_assertions)]
static IN_CHILD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Makes failpoints kill the parent process too.
pub fn in_child() {
    #[cfg(debug_assertions)]
    IN_CHILD.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Marks a failpoint; kills the program if `FETCH_KILL_AT` names it.
#[cfg(not(debug_assertions))]
pub fn hit(_: &str) {}

/// Marks a failpoint; kills the program if `FETCH_KILL_AT` names it.
#[cfg(debug_assertions)]
pub fn hit(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use rustix::process::{Signal, getpid, getppid, kill_process};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);

    let wanted = WANTED.get_or_init(|| {
        let wanted = std::env::var("FETCH_KILL_AT").ok()?;
        let (place, time) = wanted.split_once(':')?;
        Some((place.to_owned(), time.parse().ok()?))
    });
    if let Some((wanted, time)) = wanted
        && wanted == place
        && HITS.fetch_add(1, Relaxed) + 1 == *time
    {
        if let Some(parent) = getppid().filter(|_| IN_CHILD.load(Relaxed)) {
            let _ = kill_process(parent, Signal::KILL);
        }
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
