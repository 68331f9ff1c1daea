//! TLS in every mode: whom it believes, what it says when it does not, and what a connection that breaks counts for.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use serde_json::Value;

use crate::support::raw::{Raw, sip};
use crate::support::tls::{Authority, Identity, Signed, Then, TlsOrigin, hang_up, whole};
use crate::support::{Gate, Origin, Reply, Run, Seen, in_every_mode, with_a_clock};

const SITE: &str = "https://site.test/";

/// A run that trusts the authority and finds `site.test` at the origin.
fn trusting(mode: &str, authority: &Authority, origin: &TlsOrigin) -> Run {
    Run::json(mode).arg("--cacert").arg(authority.file()).args(origin.stands_for("site.test"))
}

fn class(row: &Value) -> &str {
    row["error"]["class"].as_str().unwrap_or_else(|| panic!("no failure: {row}"))
}

/// The only row is a failure of class `tls` that was tried once; returns its message.
fn refused(seen: &Seen) -> String {
    let row = seen.row();
    assert_eq!((class(&row), &row["attempts"]), ("tls", &1.into()), "{row}");
    assert_eq!((seen.code, &row["bytes"]), (Some(1), &0.into()), "{row}");
    row["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_certificate_of_a_given_authority_is_believed() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let seen = trusting(mode, &authority, &origin).arg(SITE).seen();
        let row = seen.row();
        assert_eq!((seen.code, &row["outcome"], &row["bytes"]), (Some(0), &"ok".into(), &5.into()));
        let asked = &origin.seen()[0];
        assert_eq!(asked.sni.as_deref(), Some("site.test"));
        assert_eq!(asked.head.field("host"), Some("site.test"));
        assert_eq!(asked.version, "TLSv1_3");
    });
}

#[test]
fn the_certificates_of_the_system_are_read_only_where_those_given_do_not_vouch() {
    let authority = Authority::new();
    let stranger = Authority::new();
    in_every_mode(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("certificates");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Opening a pipe to write waits for somebody who reads it.
        let system = {
            let (pipe, authority) = (pipe.clone(), authority.file());
            thread::spawn(move || {
                let mut read_by = File::options().write(true).open(pipe).unwrap();
                read_by.write_all(&std::fs::read(authority).unwrap()).unwrap();
            })
        };
        let fetch = |given: &Authority, site: &str| {
            let origin = TlsOrigin::new(&authority.identity(&[site]), |_| whole("hello"));
            let run = Run::json(mode).env("SSL_CERT_FILE", &pipe);
            let run = run.arg("--cacert").arg(given.file()).args(origin.stands_for(site));
            let seen = run.arg(format!("https://{site}/")).seen();
            assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &"ok".into()), "{seen:?}");
        };
        fetch(&authority, "site.test");
        assert!(!system.is_finished(), "nobody has read what the system trusts");
        fetch(&stranger, "other.test");
        system.join().unwrap();
    });
}

#[test]
fn a_name_that_is_resolved_by_hand_is_checked_against_its_certificate() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let port = origin.port();
        let seen = Run::json(mode)
            .arg("--cacert")
            .arg(authority.file())
            .arg("--resolve")
            .arg(format!("site.test:{port}:127.0.0.1"))
            .arg(format!("https://site.test:{port}/"))
            .seen();
        assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &"ok".into()), "{seen:?}");
        let asked = &origin.seen()[0];
        assert_eq!(asked.sni.as_deref(), Some("site.test"));
        assert_eq!(asked.head.field("host"), Some(&*format!("site.test:{port}")));
    });
}

#[test]
fn an_address_in_its_certificate_is_believed() {
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let url = format!("https://127.0.0.1:{}/", origin.port());
        let seen = Run::json(mode).arg("--cacert").arg(authority.file()).arg(url).seen();
        assert_eq!((seen.code, &seen.row()["outcome"]), (Some(0), &"ok".into()), "{seen:?}");
        assert_eq!(origin.seen()[0].sni, None, "an address is not sent as a name");
    });
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    let versions = [("TLSv1_2", &rustls::version::TLS12), ("TLSv1_3", &rustls::version::TLS13)];
    in_every_mode(|mode| {
        for (name, version) in versions {
            let origin = TlsOrigin::of_versions(&identity, &[version], |_| whole("hello"));
            let seen = trusting(mode, &authority, &origin).arg(SITE).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert_eq!(origin.seen()[0].version, name);
        }
    });
}

#[test]
fn a_certificate_that_is_not_good_is_a_failure_that_is_not_tried_again() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    let itself = |change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(["site.test".to_owned()]).unwrap();
        change(&mut params);
        Signed::by_itself(params).identity(&[])
    };
    let table: [(&str, Identity, &str); 7] = [
        (
            "signed by itself",
            itself(|_| {}),
            "self-signed certificate that is not trusted (see --cacert)",
        ),
        (
            "signed by itself, as openssl makes them",
            itself(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "self-signed certificate that is not trusted (see --cacert)",
        ),
        (
            "not yet valid",
            itself(|params| params.not_before = date_time_ymd(2990, 1, 1)),
            "certificate is not valid before 2990-01-01",
        ),
        (
            "for clients",
            itself(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            "not a server certificate",
        ),
        (
            "of an unknown authority",
            stranger.identity(&["site.test"]),
            "unknown issuer (see --cacert)",
        ),
        (
            "expired",
            authority.expired_identity(&["site.test"]),
            "certificate expired on 2020-12-31",
        ),
        (
            "for another name",
            authority.identity(&["other.test"]),
            "not valid for site.test (valid for: other.test)",
        ),
    ];
    in_every_mode(|mode| {
        for (what, identity, words) in &table {
            let origin = TlsOrigin::new(identity, |_| whole("hello"));
            let seen = trusting(mode, &authority, &origin).arg(SITE).seen();
            let message = refused(&seen);
            assert!(message.contains(words), "{what}: {message}");
            assert_eq!(origin.connections(), 1, "{what}");
            assert!(origin.seen().is_empty(), "{what}: a request was sent");
        }
    });
}

#[test]
fn insecure_believes_any_certificate_and_still_sends_the_name() {
    let authority = Authority::new();
    let table = [
        authority.identity(&["site.test"]),
        authority.expired_identity(&["site.test"]),
        authority.identity(&["other.test"]),
    ];
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    in_every_mode(|mode| {
        for (identity, version) in
            table.iter().flat_map(|one| versions.map(|version| (one, version)))
        {
            let origin = TlsOrigin::of_versions(identity, &[version], |_| whole("hello"));
            let seen =
                Run::json(mode).arg("-k").args(origin.stands_for("site.test")).arg(SITE).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            assert_eq!(origin.seen()[0].sni.as_deref(), Some("site.test"));
        }
    });
}

#[test]
fn a_server_that_does_not_speak_tls_is_a_failure_of_tls() {
    in_every_mode(|mode| {
        let plain = Raw::new(|mut stream, _| {
            sip(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            sip(&mut stream);
        });
        let there = format!("site.test:443:{}", plain.address());
        let seen = Run::json(mode).args(["--connect-to", &there, SITE]).seen();
        assert_eq!(refused(&seen), "server does not speak TLS on this port");
        assert_eq!(plain.connections(), 1);
    });
}

#[test]
fn a_handshake_that_the_server_ends_says_what_it_lacks() {
    // The numbers of RFC 8446 section 6.
    let table = [
        (40, "no common cipher suite, or it requires a client certificate"),
        (47, "TLS handshake rejected by the server: illegal parameter"),
        (70, "no common TLS version (1.2 or 1.3)"),
        (71, "no common cipher suite"),
        (112, "it does not know this host name"),
        (116, "the server requires a client certificate; use --cert FILE"),
        (120, "no common application protocol"),
    ];
    in_every_mode(|mode| {
        for (alert, words) in table {
            let origin = Raw::new(move |mut stream, _| {
                sip(&mut stream);
                let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, alert]);
                hang_up(&mut stream);
            });
            let there = format!("site.test:443:{}", origin.address());
            let message = refused(&Run::json(mode).args(["--connect-to", &there, SITE]).seen());
            assert!(message.contains(words), "{alert}: {message}");
        }
    });
}

#[test]
fn a_system_without_certificates_is_named_with_what_to_install() {
    let identity = Authority::new().identity(&["site.test"]);
    let folder = tempfile::tempdir().unwrap();
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let run = Run::json(mode).env("SSL_CERT_DIR", folder.path());
        let run = run.env("SSL_CERT_FILE", folder.path().join("none"));
        let message = refused(&run.args(origin.stands_for("site.test")).arg(SITE).seen());
        let words = "no system certificates were found (install ca-certificates, or see --cacert)";
        assert!(message.contains(words), "{message}");
    });
}

#[test]
fn a_host_that_is_not_trusted_is_not_waited_for() {
    let identity = Authority::new().identity(&["site.test"]);
    let list: String = (1..=8).map(|number| format!("{SITE}{number}\n")).collect();
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let run = Run::json(mode).args(["--host-failures", "1", "--host-patience", "60s", "-"]);
        let seen = run.args(origin.stands_for("site.test")).list(&list).seen();
        let rows = seen.rows();
        assert_eq!((seen.code, rows.len()), (Some(1), 8), "{seen:?}");
        for row in &rows {
            assert_eq!((class(row), &row["attempts"]), ("tls", &1.into()), "{row}");
        }
    });
}

#[test]
fn a_handshake_that_is_cut_is_a_failure_that_is_tried_again() {
    in_every_mode(|mode| {
        let cut = Raw::new(|mut stream, _| sip(&mut stream));
        let there = format!("site.test:443:{}", cut.address());
        with_a_clock(|patience| {
            let before = cut.connections();
            let args =
                ["--host-failures", "3", "--host-patience", patience, "--connect-to", &there];
            let seen = Run::json(mode).args(args).arg(SITE).seen();
            let row = seen.row();
            assert_eq!((seen.code, class(&row)), (Some(1), "connect"), "{seen:?}");
            let message =
                "could not connect to site.test:443: connection closed during the TLS handshake";
            assert_eq!(row["error"]["message"], message);
            assert_eq!(cut.connections() - before, row["attempts"].as_u64().unwrap() as usize);
            cut.connections() - before >= 3
        });
    });
}

#[test]
fn a_body_without_a_length_that_ends_without_close_notify_is_cut_short() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    in_every_mode(|mode| {
        for (version, then) in
            versions.iter().flat_map(|version| [(version, Then::Cut), (version, Then::Close)])
        {
            let origin = TlsOrigin::of_versions(&identity, &[version], move |_| {
                ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf a body".to_owned(), then)
            });
            let seen = trusting(mode, &authority, &origin).args(["--retry", "0", SITE]).seen();
            let row = seen.row();
            assert_eq!(row["bytes"], 11, "{row}");
            if then == Then::Close {
                assert_eq!((seen.code, &row["outcome"]), (Some(0), &"ok".into()), "{row}");
            } else {
                assert_eq!((seen.code, class(&row)), (Some(1), "truncated"), "{row}");
            }
        }
    });
}

#[test]
fn a_body_that_is_whole_needs_no_close_notify() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| (whole("hello").0, Then::Cut));
        let seen = trusting(mode, &authority, &origin).args(["--retry", "0", SITE]).seen();
        assert_eq!((seen.code, &seen.row()["bytes"]), (Some(0), &5.into()), "{seen:?}");
    });
}

#[test]
fn a_connection_cut_before_the_head_is_whole_is_a_reset() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        for then in [Then::Cut, Then::Close] {
            let origin =
                TlsOrigin::new(&identity, move |_| ("HTTP/1.1 200 OK\r\nConte".into(), then));
            let seen = trusting(mode, &authority, &origin).args(["--retry", "0", SITE]).seen();
            assert_eq!((seen.code, class(&seen.row())), (Some(1), "reset"), "{seen:?}");
        }
    });
}

#[test]
fn a_kept_connection_cut_without_close_notify_costs_no_attempt() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        // Each connection serves three requests, and then ends as rudely as it can at a moment of its own.
        let origin = TlsOrigin::new(&identity, |asked| {
            let last = asked.head.target.ends_with(['3', '6', '9']);
            (whole("hello").0, if last { Then::Cut } else { Then::KeepAlive })
        });
        let list: String = (1..=10).map(|number| format!("{SITE}{number}\n")).collect();
        let seen = trusting(mode, &authority, &origin).args(["-j", "1", "-"]).list(list).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert!(seen.rows().iter().all(|row| row["attempts"] == 1), "{seen:?}");
    });
}

#[test]
fn an_authority_file_that_is_of_no_use_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let garbled = "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
    let not_one = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let whole = std::fs::read_to_string(Authority::new().file()).unwrap();
    let (second, cut) = (format!("{whole}{not_one}"), whole.replace("-----END", "-----"));
    let begin = "-----BEGIN CERTIFICATE\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let table = [
        (folder.path().join("missing.pem"), "No such file"),
        (folder.path().to_owned(), "Is a directory"),
        (file("empty.pem", ""), "no PEM certificate found"),
        (file("words.pem", "hello\n"), "no PEM certificate found"),
        (file("binary.pem", "\u{0}\u{1}0\u{82}"), "no PEM certificate found"),
        (file("garbled.pem", garbled), "certificate 1: invalid base64"),
        (file("not-one.pem", not_one), "certificate 1: malformed certificate"),
        (file("second.pem", &second), "certificate 2: malformed certificate"),
        (file("cut.pem", &cut), "certificate 1: no END line (is the file complete?)"),
        (file("begin.pem", begin), "certificate 1: malformed BEGIN line"),
    ];
    let origin = Origin::new(|_| Reply::ok("hello"));
    in_every_mode(|mode| {
        for (path, words) in &table {
            let seen = Run::json(mode).arg("--cacert").arg(path).arg(origin.url("/")).seen();
            assert_eq!((seen.code, seen.stdout.as_str()), (Some(2), ""), "{path:?}: {seen:?}");
            let named = format!("--cacert {}: ", path.display());
            assert!(seen.stderr.contains(&named), "{path:?}: {}", seen.stderr);
            assert!(seen.stderr.contains(words), "{path:?}: {}", seen.stderr);
            assert!(!seen.stderr.contains("os error"), "{path:?}: {}", seen.stderr);
            assert_eq!(seen.stderr.lines().count(), 1, "{path:?}: {}", seen.stderr);
        }
    });
    assert_eq!(origin.connections(), 0);
}

#[test]
fn ten_requests_one_after_another_use_one_connection_and_one_handshake() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    let origin = TlsOrigin::new(&identity, |_| whole("hello"));
    let list: String = (1..=10).map(|number| format!("{SITE}{number}\n")).collect();
    let seen = trusting("sequential", &authority, &origin).arg("-").list(list).seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert_eq!((origin.connections(), origin.seen().len()), (1, 10));
    let resources = &seen.summary()["resources"];
    assert_eq!((&resources["connections"], &resources["handshakes"]), (&1.into(), &1.into()));
    let connects = seen.rows_in_list_order();
    let connects: Vec<_> = connects.iter().map(|row| row["timings"]["connect"].is_null()).collect();
    assert!(!connects[0], "the first one connects");
    assert!(connects[1..].iter().all(|reused| *reused), "{connects:?}");
}

#[test]
fn tasks_that_let_one_shake_hands_first_get_connections_of_their_own_where_they_need_them() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    let gate = Gate::of(8);
    let origin = TlsOrigin::new(&identity, move |_| {
        gate.pass();
        whole("hello")
    });
    let list: String = (1..=8).map(|number| format!("{SITE}{number}\n")).collect();
    let run = trusting("async", &authority, &origin).args([
        "-j",
        "8",
        "--per-host",
        "0",
        "--retry",
        "0",
        "-",
    ]);
    let seen = run.list(list).seen();
    assert_eq!((seen.code, origin.connections()), (Some(0), 8), "{seen:?}");
}

#[test]
fn tasks_that_wait_for_a_handshake_that_fails_make_their_own() {
    let cut = Raw::new(|mut stream, _| sip(&mut stream));
    let there = format!("site.test:443:{}", cut.address());
    let list: String = (1..=8).map(|number| format!("{SITE}{number}\n")).collect();
    let run = Run::json("async").args(["-j", "8", "--per-host", "0", "--retry", "0"]);
    let run = run.args(["--connect-to", &there, "-"]);
    let seen = run.list(list).seen();
    assert_eq!((seen.rows().len(), cut.connections()), (8, 8), "{seen:?}");
    assert_eq!(seen.summary()["failures"]["connect"], 8, "{seen:?}");
}

#[test]
fn a_redirect_out_of_tls_takes_no_credentials_along() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        let secure = TlsOrigin::new(&identity, |_| {
            let head = "HTTP/1.1 302 Found\r\nLocation: http://site.test/plain\r\nContent-Length: 0\r\n\r\n";
            (head.to_owned(), Then::KeepAlive)
        });
        let plain = Origin::new(|_| Reply::ok("hello"));
        let seen = trusting(mode, &authority, &secure)
            .args(["--connect-to", &format!("site.test:80:{}", plain.address())])
            .args(["-H", "Authorization: Bearer secret", "-H", "Cookie: a=secret"])
            .args(["-H", "X-Api-Key: secret", "-H", "Accept: text/plain"])
            .arg("https://user:secret@site.test/")
            .seen();
        assert_eq!((seen.code, &seen.row()["bytes"]), (Some(0), &5.into()), "{seen:?}");
        assert_eq!(secure.seen()[0].head.field("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
        let request = &plain.seen()[0];
        assert_eq!(request.header("accept"), Some("text/plain"));
        let told = format!("{:?}", request.headers);
        assert!(!told.contains("secret") && !told.contains("authorization"), "{told}");
    });
}

#[test]
fn a_connection_without_tls_is_no_handshake() {
    let origin = Origin::new(|_| Reply::ok("hello"));
    in_every_mode(|mode| {
        let resources = &Run::json(mode).arg(origin.url("/")).seen().summary()["resources"];
        assert_eq!((&resources["connections"], &resources["handshakes"]), (&1.into(), &0.into()));
        assert!(resources["voluntary_switches"].as_u64().is_some_and(|times| times > 0));
        assert!(resources["involuntary_switches"].is_u64());
    });
}
