//! Where a request goes, in every mode: pins, families of addresses, names. And what it says it was sent to.

use std::io::{BufReader, Write};
use std::net::{Ipv6Addr, TcpStream};

use serde_json::Value;

use crate::support::raw::{HeadOf, Raw};
use crate::support::{Origin, Reply, Run, Seen, in_every_mode};

/// A run with these arguments, separated by blanks.
fn run(mode: &str, line: &str) -> Seen {
    Run::json(mode).args(line.split(' ')).seen()
}

fn ok(seen: &Seen) {
    let row = seen.row();
    assert_eq!(
        (seen.code, &row["outcome"], &row["bytes"]),
        (Some(0), &"ok".into(), &5.into()),
        "{seen:?}"
    );
}

/// The only row is a failure of this class that was tried once; returns its message.
fn failed(seen: &Seen, class: &str) -> String {
    failed_after(1, seen, class)
}

/// The only row is a failure of this class after so many tries; returns its message.
fn failed_after(attempts: u64, seen: &Seen, class: &str) -> String {
    let row = seen.row();
    let error = &row["error"];
    assert_eq!((&error["class"], &row["attempts"]), (&class.into(), &attempts.into()), "{seen:?}");
    assert_eq!(seen.code, Some(1), "{seen:?}");
    error["message"].as_str().unwrap().to_owned()
}

fn hello() -> Origin {
    Origin::new(|_| Reply::ok("hello"))
}

#[test]
fn connect_to_moves_the_connection_and_the_request_stays_the_urls() {
    in_every_mode(|mode| {
        for form in
            ["site.test:80:127.0.0.1", "site.test::127.0.0.1", ":80:127.0.0.1", "::127.0.0.1"]
        {
            let origin = hello();
            let port = origin.address().port();
            let seen = run(mode, &format!("--connect-to {form}:{port} http://site.test/a?b"));
            ok(&seen);
            let request = &origin.seen()[0];
            assert_eq!(request.path, "/a?b", "{form}");
            assert_eq!(request.header("host"), Some("site.test"), "{form}");
            assert_eq!(seen.row()["remote_addr"], origin.address().to_string(), "{form}");
            assert_eq!(seen.row()["url"], "http://site.test/a?b", "{form}");
            assert_eq!(seen.summary()["resources"]["lookups"], 0, "{form}");
        }
    });
}

#[test]
fn connect_to_without_a_port_keeps_the_urls() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        ok(&run(mode, &format!("--connect-to site.test::127.0.0.1: http://site.test:{port}/")));
        assert_eq!(origin.seen()[0].header("host"), Some(&*format!("site.test:{port}")));
    });
}

#[test]
fn connect_to_for_another_host_or_port_changes_nothing() {
    in_every_mode(|mode| {
        let (origin, other) = (hello(), hello());
        let (port, elsewhere) = (origin.address().port(), other.address());
        for form in [format!("other.test::{elsewhere}"), format!("site.test:443:{elsewhere}")] {
            let args = format!("--connect-to {form} --resolve site.test:{port}:127.0.0.1");
            ok(&run(mode, &format!("{args} http://site.test:{port}/")));
        }
        assert_eq!((origin.connections(), other.connections()), (2, 0));
    });
}

#[test]
fn the_first_connect_to_that_fits_counts_and_resolve_applies_to_where_it_leads() {
    in_every_mode(|mode| {
        let (origin, other) = (hello(), hello());
        let port = origin.address().port();
        let args = format!(
            "--connect-to site.test:80:far.test:{port} --connect-to ::{} --resolve far.test:{port}:127.0.0.1",
            other.address()
        );
        ok(&run(mode, &format!("{args} http://site.test/")));
        assert_eq!((origin.connections(), other.connections()), (1, 0));
    });
}

#[test]
fn a_port_or_an_address_that_a_wildcard_cannot_move_fails_at_once_and_says_why() {
    in_every_mode(|mode| {
        let origin = hello();
        let (there, port) = (origin.address(), origin.address().port());
        let table = [
            (format!("::{there}"), "http://site.test:1234/", "the port written in the URL"),
            (
                format!("site.test::{there}"),
                "http://site.test:1234/",
                "the port written in the URL",
            ),
            (format!("::{there}"), "http://127.0.0.9/", "an IP address"),
            (format!("::{there}"), "http://[::9]/", "an IP address"),
            ("::127.0.0.1:".to_owned(), "http://127.0.0.9/", "an IP address"),
            (format!(":80::{port}"), "http://127.0.0.9/", "an IP address"),
        ];
        for (form, url, words) in table {
            let message = failed(&run(mode, &format!("--connect-to {form} {url}")), "connect");
            let whole =
                format!("--connect-to cannot be used for {words}: not supported for this URL");
            assert!(message.starts_with(&whole), "{form} {url}: {message}");
        }
        assert_eq!(origin.connections(), 0);
    });
}

#[test]
fn a_pin_that_moves_nothing_about_an_address_is_no_hindrance() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        ok(&run(mode, &format!("--connect-to :{port}::{port} {}", origin.url("/"))));
    });
}

#[test]
fn resolve_is_for_its_port_alone() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        let pin = format!("--resolve name.invalid:{port}:127.0.0.1");
        ok(&run(mode, &format!("{pin} http://name.invalid:{port}/")));
        let elsewhere = run(mode, &format!("{pin} http://name.invalid:{}/", port ^ 1));
        failed_after(0, &elsewhere, "dns");
    });
}

#[test]
fn resolve_with_an_asterisk_is_for_every_name() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        let urls = format!("http://a.test:{port}/ http://b.test:{port}/");
        let seen = run(mode, &format!("--resolve *:{port}:127.0.0.1 {urls}"));
        assert_eq!((seen.code, seen.rows().len()), (Some(0), 2), "{seen:?}");
        assert_eq!(seen.summary()["resources"]["lookups"], 0);
    });
}

#[test]
fn the_next_address_is_tried_where_one_refuses() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        for addresses in ["127.0.0.2,127.0.0.1", "::1,127.0.0.2,127.0.0.1"] {
            let pin = format!("--resolve site.test:{port}:{addresses}");
            let seen = run(mode, &format!("{pin} http://site.test:{port}/"));
            ok(&seen);
            assert_eq!(seen.row()["attempts"], 1);
            assert_eq!(seen.row()["remote_addr"], origin.address().to_string());
        }
    });
}

#[test]
fn an_address_of_the_wrong_family_is_none() {
    in_every_mode(|mode| {
        let origin = hello();
        let port = origin.address().port();
        let pin = format!("--resolve site.test:{port}:127.0.0.1 http://site.test:{port}/");
        let message = failed(&run(mode, &format!("-6 {pin}")), "dns");
        assert_eq!(message, "could not resolve host: site.test (no IPv6 address)");
        let message = failed(&run(mode, &format!("-6 {}", origin.url("/"))), "dns");
        assert_eq!(message, "could not resolve host: 127.0.0.1 (not an IPv6 address)");
        let message = failed(&run(mode, &format!("-4 http://[::1]:{port}/")), "dns");
        assert_eq!(message, "could not resolve host: [::1] (not an IPv4 address)");
        assert_eq!(origin.connections(), 0);
        ok(&run(mode, &format!("-4 {pin}")));
    });
}

#[test]
fn ipv6_is_spoken_where_the_machine_has_it() {
    let Ok(origin) = Raw::at(Ipv6Addr::LOCALHOST.into(), greet) else {
        return eprintln!("skipped: this machine has no ::1");
    };
    let port = origin.port();
    in_every_mode(|mode| {
        ok(&run(mode, &format!("http://[::1]:{port}/")));
        ok(&run(mode, &format!("-6 http://[::1]:{port}/")));
        ok(&run(mode, &format!("--connect-to site.test:80:[::1]:{port} http://site.test/")));
        let pin = format!("--resolve site.test:{port}:127.0.0.1,[::1] http://site.test:{port}/");
        let seen = run(mode, &format!("-6 {pin}"));
        ok(&seen);
        assert_eq!(seen.row()["remote_addr"], format!("[::1]:{port}"));
    });
}

fn greet(mut stream: TcpStream, _: usize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while HeadOf::read(&mut reader).is_some() {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").is_err() {
            return;
        }
    }
}

#[test]
fn an_unknown_name_is_looked_up_once_however_many_urls_have_it() {
    in_every_mode(|mode| {
        let list: String = (0..40)
            .map(|number| format!("http://name.invalid:{}/{number}\n", 8000 + number % 3))
            .collect();
        let seen = Run::json(mode).args(["-j", "8", "-"]).list(list).seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(1), 40), "{seen:?}");
        for row in seen.rows() {
            assert_eq!(
                (&row["error"]["class"], &row["attempts"]),
                (&"dns".into(), &0.into()),
                "{row}"
            );
            let message = row["error"]["message"].as_str().unwrap();
            assert!(message.starts_with("could not resolve host: name.invalid ("), "{message}");
            assert_eq!(row["timings"]["connect"], Value::Null);
        }
        let resources = &seen.summary()["resources"];
        assert_eq!((&resources["lookups"], &resources["connections"]), (&1.into(), &0.into()));
    });
}

#[test]
fn a_name_that_is_known_is_looked_up_once_for_all_clients() {
    in_every_mode(|mode| {
        let origin = hello();
        let url = format!("http://localhost:{}/\n", origin.address().port());
        let seen = Run::json(mode).args(["-4", "-j", "4", "-"]).list(url.repeat(20)).seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(0), 20), "{seen:?}");
        assert_eq!(seen.summary()["resources"]["lookups"], 1);
    });
}
