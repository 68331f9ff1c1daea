//! `--interface`: from where connections are made, in every mode, and which interfaces there are not.

use std::io::{BufReader, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::raw::{HeadOf, Raw};
use crate::support::{Run, in_every_mode};

/// A server that answers every request, of an origin and of a proxy, and notes where connections come from.
fn noting() -> (Raw, Arc<Mutex<Vec<IpAddr>>>) {
    let peers = Arc::<Mutex<Vec<IpAddr>>>::default();
    let shared = Arc::clone(&peers);
    let raw = Raw::new(move |mut stream: TcpStream, _| {
        shared.lock().unwrap().push(stream.peer_addr().unwrap().ip());
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while HeadOf::read(&mut reader).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    (raw, peers)
}

#[test]
fn connections_are_made_from_the_address_that_is_given() {
    in_every_mode(|mode| {
        let (origin, peers) = noting();
        let at = origin.address();
        let run = || Run::json(mode).args(["--interface", "127.0.0.3"]);
        let direct = run().args(["--robots", &format!("http://{at}/")]);
        let named = run().args(["--resolve", &format!("site.test:{}:127.0.0.1", at.port())]);
        let named = named.arg(format!("http://site.test:{}/", at.port()));
        let proxied = run().args(["--proxy", &format!("http://{at}"), "http://site.test/"]);
        for run in [direct, named, proxied] {
            let seen = run.seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
        }
        let peers = peers.lock().unwrap();
        assert!(peers.len() >= 3, "{peers:?}");
        assert!(peers.iter().all(|peer| peer.to_string() == "127.0.0.3"), "{peers:?}");
    });
}

#[test]
fn connections_are_made_from_the_interface_that_is_named() {
    in_every_mode(|mode| {
        let (origin, peers) = noting();
        let url = format!("http://{}/", origin.address());
        let seen = Run::json(mode).args(["--interface", "lo", &url]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(peers.lock().unwrap().len(), 1);
    });
}

#[test]
fn an_interface_that_is_not_there_is_an_error() {
    for (interface, expected) in [
        ("nosuch0", "error: --interface nosuch0: no such interface (there are "),
        ("much-too-long-a-name", "error: --interface much-too-long-a-name: no such interface"),
        ("192.0.2.77", "error: --interface 192.0.2.77: not an address of this machine"),
        ("if!eth0", "error: invalid value 'if!eth0' for '--interface <NAME|ADDRESS>': expected"),
    ] {
        let seen = Run::new().args(["--interface", interface, "http://127.0.0.1:1/"]).seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        assert!(seen.stderr.starts_with(expected), "{}", seen.stderr);
    }
    let seen = Run::new().args(["--interface", "nosuch0", "http://127.0.0.1:1/"]).seen();
    assert!(seen.stderr.contains("lo"), "{}", seen.stderr);
}

#[test]
fn a_connection_that_fails_names_the_interface_it_was_made_from() {
    in_every_mode(|mode| {
        let run = || Run::json(mode).args(["--interface", "127.0.0.3", "--retry", "0"]);
        let direct = run().args(["--host-patience", "0s", "http://127.0.0.1:1/"]).seen();
        let proxied = run().args(["--proxy", "http://127.0.0.1:1", "http://a.test/"]).seen();
        for seen in [direct, proxied] {
            let message = seen.row()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.ends_with(" (--interface 127.0.0.3)"), "{message}");
        }
    });
}

#[test]
fn an_address_reaches_only_hosts_of_its_family() {
    in_every_mode(|mode| {
        let seen = Run::json(mode).args(["--interface", "127.0.0.1", "http://[::1]:1/"]).seen();
        let row = seen.row();
        assert_eq!((seen.code, &row["error"]["class"]), (Some(1), &"dns".into()), "{row}");
        let message =
            "could not resolve host: [::1] (not an IPv4 address, as --interface 127.0.0.1 needs)";
        assert_eq!(row["error"]["message"], message);
        let run = Run::json(mode).args(["--interface", "127.0.0.1", "--resolve", "a.test:80:::1"]);
        let message =
            "could not resolve host: a.test (no IPv4 address, as --interface 127.0.0.1 needs)";
        assert_eq!(run.arg("http://a.test/").seen().row()["error"]["message"], message);
    });
    let run = Run::new().args(["-6", "--interface", "127.0.0.1", "http://a.test/"]);
    let seen = run.seen();
    let message = "error: --ipv6 cannot be combined with --interface 127.0.0.1\n";
    assert_eq!((seen.code, &*seen.stderr), (Some(2), message));
}
