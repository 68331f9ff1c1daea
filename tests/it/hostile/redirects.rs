//! Redirects: where they lead, how many are followed, and which secrets go along.

use super::{assert_all_ok, closing, each_ends_as, list_of, paths};
use crate::support::{End, Origin, Reply, Run, class_of, in_all_modes_at_once, in_every_mode};

#[test]
fn a_redirect_is_followed_by_requests_of_their_own_and_the_record_says_where_it_led() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/a" => Reply::redirect(301, "/b"),
            "/b" => Reply::redirect(302, "c?d"),
            "/c?d" => Reply::redirect(
                303,
                "//HOST/e".replace("HOST", request.header("host").unwrap()).as_str(),
            ),
            "/e" => Reply::redirect(307, "#part"),
            _ => unreachable!("{request:?}"),
        });
        let run = Run::json(mode).args(["--max-redirs", "4"]).list(list_of(&origin, ["/a"]));
        let row = run.seen().row();
        assert_eq!(class_of(&row), "redirect", "{row}");
        assert_eq!(paths(&origin), ["/a", "/b", "/c?d", "/e", "/e"]);

        let origin = Origin::new(|request| match request.path.as_str() {
            "/a" => Reply::redirect(308, "/b"),
            "/b" => Reply::redirect(300, "c?d"),
            _ => Reply::ok("here"),
        });
        let row = Run::json(mode).list(list_of(&origin, ["/a#part"])).seen().row();
        assert_eq!(row["final_url"], origin.url("/c?d#part"));
        assert_eq!(row["url"], origin.url("/a#part"));
        let counts =
            ["attempts", "bytes", "wire_bytes", "http_status"].map(|name| row[name].clone());
        assert_eq!(counts, [1, 4, 14, 200]);
        assert_eq!(paths(&origin), ["/a", "/b", "/c?d"]);
    });
}

#[test]
fn a_redirect_that_leads_nowhere_ends_as_redirect() {
    let to = |location: &str| Reply::redirect(302, location);
    let mut replies: Vec<_> = [300, 301, 302, 303, 307, 308]
        .iter()
        .map(|status| Reply::of(&format!("{status} Moved"), "", "moved"))
        .collect();
    let locations = [
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://a b/",
        "https://",
    ];
    replies.extend(locations.map(to));
    replies.push(closing(
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
    ));
    each_ends_as("redirect", &replies);
}

#[test]
fn a_redirect_counts_whatever_becomes_of_its_body() {
    in_all_modes_at_once(|mode| {
        let origin = Origin::new(|request| {
            let head = "HTTP/1.1 302 Found\r\nLocation: /to\r\nContent-Length: 50\r\n\r\nwords";
            match request.path.as_str() {
                "/close" => Reply::raw(head, End::Close),
                "/reset" => Reply::raw(head, End::Reset),
                "/stall" => Reply::raw(head, End::Stall),
                _ => Reply::ok("here"),
            }
        });
        let list = list_of(&origin, ["/close", "/reset", "/stall"]);
        // What is tried again is a head that was late.
        let args = ["--stall-timeout", "100ms", "--retry", "50", "--retry-delay", "1ms"];
        let seen = Run::json(mode).args(args).list(list).seen();
        assert_all_ok(&seen, 3);
    });
}

#[test]
fn redirects_in_a_circle_end_after_as_many_as_allowed() {
    in_every_mode(|mode| {
        let origin = Origin::new(|request| match request.path.as_str() {
            "/ping" => Reply::redirect(302, "/pong"),
            "/pong" => Reply::redirect(302, "/ping"),
            _ => Reply::redirect(302, "/self"),
        });
        for (path, limit, requests) in [("/self", "3", 4), ("/ping", "10", 11), ("/self", "0", 1)] {
            let before = origin.seen().len();
            let run = Run::json(mode).args(["--max-redirs", limit]).list(list_of(&origin, [path]));
            let row = run.seen().row();
            assert_eq!(
                (class_of(&row).as_str(), &row["attempts"]),
                ("redirect", &1.into()),
                "{row}"
            );
            assert_eq!(origin.seen().len() - before, requests);
        }
    });
}

const SECRETS: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// Another origin that sends whoever comes back to where the path says.
fn elsewhere() -> Origin {
    Origin::new(|request| match request.path.split_once("/back/") {
        Some((_, to)) => Reply::redirect(302, &format!("http://{to}")),
        None => Reply::ok("elsewhere"),
    })
}

#[test]
fn secrets_reach_the_listed_origin_and_no_other() {
    in_every_mode(|mode| {
        let other = elsewhere();
        let (away, back) = (other.url("/away"), other.url("/back/"));
        let origin = Origin::new(move |request| match request.path.as_str() {
            "/away" => Reply::redirect(302, &away),
            "/round" => {
                Reply::redirect(302, &format!("{back}{}/home", request.header("host").unwrap()))
            }
            "/near" => Reply::redirect(302, "/home"),
            _ => Reply::ok("home"),
        });
        let given =
            ["Authorization: Bearer s3cret", "Cookie: s=3cret", "X-Api-Key: s3cret", "Accept: a/b"];
        let list = list_of(&origin, ["/away", "/round", "/near"]);
        // Once for the run, once for each target.
        let run = given.iter().fold(Run::json(mode), |run, field| run.args(["-H", field]));
        let lines: String = given.iter().map(|field| format!("  header={field}\n")).collect();
        let own = list.lines().map(|url| format!("{url}\n{lines}")).collect::<String>();
        for run in [run.list(&list), Run::json(mode).list(own)] {
            let (before, elsewhere_before) = (origin.seen().len(), other.seen().len());
            assert_all_ok(&run.seen(), 3);
            let (here, there) = (origin.seen(), other.seen());
            assert_eq!((here.len() - before, there.len() - elsewhere_before), (5, 2));
            for request in &here[before..] {
                for secret in SECRETS {
                    assert!(request.header(secret).is_some(), "{secret}: {request:?}");
                }
            }
            for request in &there[elsewhere_before..] {
                assert!(!format!("{request:?}").contains("3cret"), "{request:?}");
                assert_eq!(request.header("accept"), Some("a/b"));
            }
        }
    });
}

#[test]
fn credentials_in_a_url_reach_its_origin_and_no_other() {
    in_every_mode(|mode| {
        let other = elsewhere();
        let away = other.url("/away");
        let origin = Origin::new(move |request| match request.path.as_str() {
            "/away" => Reply::redirect(302, &away),
            "/near" => Reply::redirect(302, "/home"),
            _ => Reply::ok("home"),
        });
        let host = origin.address();
        let list = format!("http://us%65r:p%40ss@{host}/away\nhttp://user:p%40ss@{host}/near\n");
        let seen = Run::json(mode).list(list).seen();
        assert_all_ok(&seen, 2);
        assert!(!seen.stdout.contains("p%40ss"), "{seen:?}");
        for request in origin.seen() {
            assert_eq!(request.header("authorization"), Some("Basic dXNlcjpwQHNz"), "{request:?}");
            assert_eq!(request.header("host"), Some(host.to_string().as_str()));
        }
        assert_eq!(paths(&other), ["/away"]);
        assert_eq!(other.seen()[0].header("authorization"), None);
        // The URL counts more than a field that is given.
        let run = Run::json(mode).args(["-H", "Authorization: Bearer x"]);
        assert_all_ok(&run.list(format!("http://a:b@{host}/home")).seen(), 1);
        assert_eq!(origin.seen().last().unwrap().header("authorization"), Some("Basic YTpi"));
    });
}
