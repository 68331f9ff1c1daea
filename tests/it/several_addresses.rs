//! Names with several addresses and addresses that change, in every mode.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::support::{End, Live, Origin, Reply, Run, in_every_mode};
use socket2::{Domain, Socket, Type};

/// A time that no attempt takes which goes on to the next address at once, and that the system's own does not keep to.
const PATIENCE: &str = "25s";

/// An address that takes no connection and does not refuse one either, as nobody accepts those that wait.
struct Dead {
    socket: Socket,
    waiting: Vec<TcpStream>,
}

impl Dead {
    fn at(address: SocketAddr) -> Option<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&address.into()).ok()?;
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            waiting.push(stream);
        }
        Some(Self { socket, waiting })
    }

    /// From now on takes connections; returns how to see whether any has come.
    fn revive(self) -> TcpListener {
        let listener = TcpListener::from(self.socket);
        for _ in &self.waiting {
            listener.accept().unwrap();
        }
        listener.set_nonblocking(true).unwrap();
        listener
    }
}

/// An origin of which each reply needs a connection of its own.
fn origin() -> Origin {
    Origin::new(|_| Reply::of("200 OK", "Connection: close\r\n", "hello").then(End::Close))
}

/// The origin, and something at the same port of another address.
fn beside<T>(other: IpAddr, open: impl Fn(SocketAddr) -> Option<T>) -> (Origin, T) {
    for _ in 0..100 {
        let origin = origin();
        if let Some(opened) = open(SocketAddr::new(other, origin.address().port())) {
            return (origin, opened);
        }
    }
    panic!("no port is free at {other}");
}

fn resolving(mode: &str, origin: &Origin, addresses: &str) -> Run {
    let pin = format!("site.test:{}:{addresses}", origin.address().port());
    Run::json(mode).args(["-j", "1", "--retry", "0", "--resolve", &pin, "-"])
}

fn fetch_one(run: &mut Live, origin: &Origin, number: usize) {
    run.write(&format!("http://site.test:{}/{number}\n", origin.address().port()));
    let row = run.row();
    assert_eq!((&row["outcome"], &row["attempts"]), (&"ok".into(), &1.into()), "{row}");
}

#[test]
fn an_address_that_does_not_answer_holds_up_nobody_and_is_not_asked_again() {
    in_every_mode(|mode| {
        for other in ["127.0.0.2", "::1"] {
            let (origin, dead) = beside(other.parse().unwrap(), Dead::at);
            let run = resolving(mode, &origin, &format!("{other},127.0.0.1"));
            let clocks = ["--connect-timeout", "1h", "--max-time", PATIENCE];
            let mut run = run.args(clocks).live();
            fetch_one(&mut run, &origin, 0);
            let revived = dead.revive();
            (1..6).for_each(|number| fetch_one(&mut run, &origin, number));
            assert_eq!(run.seen().code, Some(0));
            assert!(revived.accept().is_err(), "the address that has answered is the first choice");
        }
    });
}

#[test]
fn an_address_that_refuses_is_passed_over_and_is_not_asked_again() {
    in_every_mode(|mode| {
        for other in ["127.0.0.2", "::1"] {
            let closed = |address| TcpListener::bind(address).ok().map(|_| address);
            let (origin, address) = beside(other.parse().unwrap(), closed);
            let mut run = resolving(mode, &origin, &format!("{other},127.0.0.1")).live();
            fetch_one(&mut run, &origin, 0);
            let opened = TcpListener::bind(address).unwrap();
            opened.set_nonblocking(true).unwrap();
            (1..6).for_each(|number| fetch_one(&mut run, &origin, number));
            assert_eq!(run.seen().code, Some(0));
            assert!(opened.accept().is_err(), "the address that has answered is the first choice");
        }
    });
}

#[test]
fn an_address_that_has_answered_and_does_not_any_more_gives_way_to_the_others() {
    in_every_mode(|mode| {
        let closed = |address| TcpListener::bind(address).ok().map(|_| address);
        let (first, address) = beside("127.0.0.2".parse().unwrap(), closed);
        let mut run = resolving(mode, &first, "127.0.0.2,127.0.0.1").live();
        fetch_one(&mut run, &first, 0);
        let second = Origin::at(address, |_| Reply::ok("hello"));
        let port = first.address().port();
        close(first);
        run.write(&format!("http://site.test:{port}/1\n"));
        let row = run.row();
        assert_eq!((&row["outcome"], &row["attempts"]), (&"ok".into(), &1.into()), "{row}");
        assert_eq!((run.seen().code, second.requests()), (Some(0), 1));
    });
}

/// Ends an origin for good: nobody listens at its address any more.
pub fn close(origin: Origin) {
    let address = origin.address();
    drop(origin);
    // Its thread lets go of the port once it has seen that it is over.
    while TcpStream::connect(address).is_ok() {}
}

/// A run that sees this file in the place of /etc/hosts.
pub fn with_hosts(hosts: &Path, mode: &str) -> Run {
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    Run::of("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(hosts)
        .arg(env!("CARGO_BIN_EXE_fetch"))
        .args(["--json", "--mode", mode])
}

#[test]
fn a_name_whose_address_changes_in_the_middle_of_a_run_loses_no_url() {
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        let closed = |address| TcpListener::bind(address).ok().map(|_| address);
        let (before, after) = beside("127.0.0.2".parse().unwrap(), closed);
        let port = before.address().port();
        fs::write(&hosts, "127.0.0.1 moving.test\n").unwrap();
        let mut run = with_hosts(&hosts, mode).args(["-j", "3", "--retry-delay", "0s"]).live();
        let url = |number: usize| format!("http://moving.test:{port}/{number}\n");
        for number in 0..6 {
            run.write(&url(number));
            let row = run.row();
            assert_eq!(row["outcome"], "ok", "{row}");
        }
        // In place, as what is mounted is the file and not its name.
        fs::write(&hosts, "127.0.0.2 moving.test\n").unwrap();
        let origin = Origin::at(after, |_| Reply::ok("hello"));
        close(before);
        let rest: String = (6..60).map(url).collect();
        run.write(&rest);
        let seen = run.seen();
        let failed: Vec<_> = seen.rows().into_iter().filter(|row| row["outcome"] != "ok").collect();
        assert!(failed.is_empty(), "{} failed: {failed:?}", failed.len());
        assert_eq!((seen.code, seen.rows().len()), (Some(0), 54), "{}", seen.stderr);
        assert_eq!(origin.requests(), 54);
        let attempts = seen.rows().iter().map(|row| row["attempts"].as_u64().unwrap()).sum::<u64>();
        assert!(attempts <= 54 + 3, "only those under way found out: {attempts}");
    });
}
