//! Failpoints, at which a test can kill the program or make a system call fail. Release builds have none.
//!
//! `FETCH_KILL_AT=appended:3` kills the program the third time it reaches the failpoint `appended`. In a child process
//! the parent is killed, and the child with it. `FETCH_FAIL_AT=write:2:28` makes the second write fail with error
//! number 28, and `write:2+:28` every write from the second on; several are separated by commas. Each process counts its own calls.

use std::io;

#[cfg(debug_assertions)]
static IN_CHILD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Makes failpoints kill the parent process too.
pub(super) fn in_child() {
    #[cfg(debug_assertions)]
    IN_CHILD.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Marks a failpoint; kills the program if `FETCH_KILL_AT` names it.
#[cfg(not(debug_assertions))]
pub(super) fn hit(_: &str) {}

/// Marks a failpoint; kills the program if `FETCH_KILL_AT` names it.
#[cfg(debug_assertions)]
pub(super) fn hit(place: &str) {
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

/// Marks a system call that may fail.
///
/// # Errors
/// That of `FETCH_FAIL_AT` if it names this place.
pub(super) fn check(place: &str) -> io::Result<()> {
    error_at(place).map_or(Ok(()), Err)
}

/// Marks a system call that may fail; the error is that of `FETCH_FAIL_AT` if it names this place.
#[cfg(not(debug_assertions))]
pub(super) fn error_at(_: &str) -> Option<io::Error> {
    None
}

/// Marks a system call that may fail; the error is that of `FETCH_FAIL_AT` if it names this place.
#[cfg(debug_assertions)]
pub(super) fn error_at(place: &str) -> Option<io::Error> {
    use std::ops::RangeInclusive;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    struct Wanted {
        place: String,
        calls: RangeInclusive<u64>,
        number: i32,
        seen: AtomicU64,
    }

    static WANTED: OnceLock<Vec<Wanted>> = OnceLock::new();

    let parse = |wanted: &str| {
        let [place, time, number] = wanted.split(':').collect::<Vec<_>>().try_into().ok()?;
        let first = time.trim_end_matches('+').parse().ok()?;
        let last = if time.ends_with('+') { u64::MAX } else { first };
        let (calls, number) = (first..=last, number.parse().ok()?);
        Some(Wanted { place: place.to_owned(), calls, number, seen: AtomicU64::new(0) })
    };
    let wanted = WANTED.get_or_init(|| {
        let wanted = std::env::var("FETCH_FAIL_AT").unwrap_or_default();
        wanted.split(',').filter_map(parse).collect()
    });
    let wanted = wanted.iter().find(|wanted| wanted.place == place)?;
    let call = wanted.seen.fetch_add(1, Relaxed) + 1;
    wanted.calls.contains(&call).then(|| io::Error::from_raw_os_error(wanted.number))
}
