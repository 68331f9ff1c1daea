//! What a run shows: rows and totals, notes beside them, the progress display, and how a signal shows.

use crate::support::{Origin, Reply, Run, in_every_mode};

#[test]
fn a_url_is_shown_as_people_write_it_and_reported_as_it_is_sent() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    let (shown, hidden) = ("/日本/é", "/%E6%97%A5%E2%80%AE");
    let sent = "/%E6%97%A5%E6%9C%AC/%C3%A9";
    in_every_mode(|mode| {
        let list = format!("{}\n{}\n", origin.url(shown), origin.url(hidden));
        let seen = Run::new().args(["--ordered", "-m", mode]).list(&list).seen();
        let rows: Vec<_> = seen.stdout.lines().take(2).collect();
        let row = |path| format!("Read 5 from {}", origin.url(path));
        assert_eq!(rows, [row(shown), row(hidden)], "{seen:?}");
        let seen = Run::json(mode).arg("--ordered").list(&list).seen();
        assert_eq!(seen.rows()[0]["url"], origin.url(sent));
    });
}
