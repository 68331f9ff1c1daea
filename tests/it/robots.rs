//! `--robots`: what a host's robots.txt asks for (RFC 9309), in every mode.

use crate::support::{Origin, Reply, Request, Run, class_of, in_every_mode};

const RULES: &str = "User-agent: *\nDisallow: /private\nAllow: /private/not\n";

fn host(robots: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Origin {
    Origin::new(move |request| match request.path.as_str() {
        "/robots.txt" => robots(request),
        _ => Reply::ok("page"),
    })
}

fn asked_for(origin: &Origin, path: &str) -> usize {
    origin.seen().iter().filter(|request| request.path == path).count()
}

#[test]
fn what_is_not_allowed_is_a_row_of_class_robots_and_is_never_asked_for() {
    in_every_mode(|mode| {
        let origin = host(|_| Reply::ok(RULES));
        let paths = ["/a", "/private/x", "/private/not", "/private/y", "/b"];
        let list: String = paths.map(|path| origin.url(path) + "\n").concat();
        let seen = Run::json(mode).arg("--robots").list(list).seen();
        let classes: Vec<_> = seen.rows_in_list_order().iter().map(class_of).collect();
        assert_eq!(classes, ["ok", "robots", "ok", "robots", "ok"]);
        assert_eq!(seen.code, Some(1));
        assert_eq!(asked_for(&origin, "/robots.txt"), 1, "it is fetched once");
        assert_eq!(asked_for(&origin, "/private/x"), 0);
        assert_eq!(origin.seen()[0].path, "/robots.txt", "before anything else");
        assert_eq!(seen.summary()["targets"], 5, "it is no row of its own");
    });
}

#[test]
fn without_the_option_nobody_asks() {
    in_every_mode(|mode| {
        let origin = host(|_| Reply::ok(RULES));
        let seen = Run::json(mode).arg(origin.url("/private/x")).seen();
        assert_eq!(seen.code, Some(0));
        assert_eq!(asked_for(&origin, "/robots.txt"), 0);
    });
}

#[test]
fn a_host_without_rules_allows_all_and_one_that_fails_allows_nothing() {
    in_every_mode(|mode| {
        for (status, class) in [("404 Not Found", "ok"), ("500 Oops", "robots")] {
            let origin = host(move |_| Reply::of(status, "", ""));
            let run = Run::json(mode).args(["--robots", "--retry", "1", "--retry-delay", "1ms"]);
            let seen = run.arg(origin.url("/private/x")).seen();
            assert_eq!(class_of(&seen.row()), class, "{status}");
        }
    });
}

#[test]
fn rules_that_have_moved_are_followed_for_a_while_even_to_another_host() {
    in_every_mode(|mode| {
        let elsewhere = Origin::new(|request| match request.path.as_str() {
            "/rules" => Reply::ok(RULES),
            _ => Reply::of("404 Not Found", "", ""),
        });
        let to = elsewhere.url("/rules");
        let origin = host(move |_| Reply::redirect(301, &to));
        let seen = Run::json(mode).args(["--robots", &origin.url("/private/x")]).seen();
        assert_eq!(class_of(&seen.row()), "robots");
        let circle = host(|_| Reply::redirect(302, "/robots.txt"));
        let seen = Run::json(mode).args(["--robots", &circle.url("/private/x")]).seen();
        assert_eq!(class_of(&seen.row()), "ok", "moved too often is as if there were none");
        assert_eq!(asked_for(&circle, "/robots.txt"), 6);
    });
}

#[test]
fn a_redirect_into_what_is_not_allowed_ends_there() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/robots.txt" => Reply::ok(RULES),
            "/door" => Reply::redirect(302, "/private/x"),
            _ => Reply::ok("page"),
        });
        let seen = Run::json(mode).args(["--robots", &origin.url("/door")]).seen();
        assert_eq!(class_of(&seen.row()), "robots");
        assert_eq!(asked_for(&origin, "/private/x"), 0);
    });
}

#[test]
fn rules_for_us_are_known_by_the_name_we_go_by() {
    in_every_mode(|mode| {
        let origin = host(|_| Reply::ok("User-agent: mybot\nDisallow: /\n"));
        let seen = Run::json(mode).args(["--robots", &origin.url("/a")]).seen();
        assert_eq!(class_of(&seen.row()), "ok");
        let run = Run::json(mode).args(["--robots", "-A", "MyBot/2.0 (+mailto:me@example.org)"]);
        let seen = run.arg(origin.url("/a")).seen();
        assert_eq!(class_of(&seen.row()), "robots");
    });
}
