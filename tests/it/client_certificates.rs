//! Client certificates in every mode: to whom they are shown, what is said of servers that want another one or get none,
//! and which files can be used.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::tls::{Asked, Authority, Identity, Needs, Then, TlsOrigin, whole};
use crate::support::{Run, Seen, in_every_mode};

const MISSING: &str = "the server requires a client certificate; use --cert FILE";

const WITHHELD: &str = "the server requires a client certificate, and none is shown to another origin after a redirect; list \
                        this URL";

/// Who signs the certificates of servers, and who those of clients.
struct Parties {
    servers: Authority,
    clients: Authority,
    client: Identity,
}

impl Parties {
    fn new() -> Self {
        let (servers, clients) = (Authority::new(), Authority::named("an authority of clients"));
        let client = clients.identity(&["a client"]);
        fs::set_permissions(&client.key_file, Permissions::from_mode(0o600)).unwrap();
        Self { servers, clients, client }
    }

    /// An origin of this name that asks for a certificate of a client.
    fn origin(
        &self,
        name: &str,
        needs: Needs,
        versions: &[&'static SupportedProtocolVersion],
        temper: impl Fn(&Asked) -> (String, Then) + Send + Sync + 'static,
    ) -> TlsOrigin {
        let identity = self.servers.identity(&[name]);
        TlsOrigin::with_settings(identity.server_asking(&self.clients, needs, versions), temper)
    }

    /// A run that trusts the servers.
    fn run(&self, mode: &str) -> Run {
        Run::json(mode).arg("--cacert").arg(self.servers.file())
    }
}

/// The arguments that show this certificate.
fn showing(identity: &Identity) -> [PathBuf; 4] {
    ["--cert".into(), identity.certificate_file.clone(), "--key".into(), identity.key_file.clone()]
}

/// The only row is a failure of class `tls` after one attempt; returns its message.
fn refused(seen: &Seen) -> String {
    let row = seen.row();
    let facts = (&row["error"]["class"], &row["attempts"], seen.code);
    assert_eq!(facts, (&"tls".into(), &1.into(), Some(1)), "{seen:?}");
    row["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_certificate_is_shown_to_a_listed_origin_that_asks_for_one() {
    let parties = Parties::new();
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("both.pem");
    let (certificate, key) = (&parties.client.certificate_file, &parties.client.key_file);
    let text = [fs::read(certificate).unwrap(), fs::read(key).unwrap()].concat();
    fs::write(&both, text).unwrap();
    fs::set_permissions(&both, Permissions::from_mode(0o600)).unwrap();
    in_every_mode(|mode| {
        for version in [&TLS12, &TLS13] {
            let origin =
                parties.origin("site.test", Needs::Certificate, &[version], |_| whole("hello"));
            let run = || parties.run(mode).args(origin.stands_for("site.test"));
            for run in
                [run().args(showing(&parties.client)), run().args(["-E".as_ref(), both.as_path()])]
            {
                let seen = run.args(["https://site.test/1", "https://site.test/2"]).seen();
                assert_eq!((seen.code, &*seen.stderr), (Some(0), ""), "{seen:?}");
            }
            assert!(origin.seen().iter().all(|asked| asked.is_certified));
        }
    });
}

#[test]
fn a_server_that_does_not_get_the_certificate_it_wants_is_a_failure_that_says_so() {
    let parties = Parties::new();
    let strangers = Authority::named("a stranger");
    let stranger = strangers.identity(&["a client"]);
    let expired = parties.clients.expired_identity(&["a client"]);
    let table: [(Option<&Identity>, &str); 3] = [
        (None, MISSING),
        (Some(&expired), "the server rejected the client certificate: it expired on 2020-12-31"),
        (
            Some(&stranger),
            "the server rejected the client certificate: the server does not trust its issuer",
        ),
    ];
    in_every_mode(|mode| {
        for (versions, protocols) in
            [(&TLS12, &b"http/1.1"[..]), (&TLS13, b"http/1.1"), (&TLS12, b"h2"), (&TLS13, b"h2")]
        {
            for (shown, expected) in table {
                let identity = parties.servers.identity(&["site.test"]);
                let mut settings =
                    identity.server_asking(&parties.clients, Needs::Certificate, &[versions]);
                settings.alpn_protocols = vec![protocols.to_vec()];
                let origin = TlsOrigin::with_settings(settings, |_| whole("never"));
                let run = parties.run(mode).args(origin.stands_for("site.test"));
                let run = shown.map(showing).into_iter().fold(run, Run::args);
                let message = refused(&run.arg("https://site.test/").seen());
                assert_eq!(message, expected, "{versions:?} {protocols:?}");
                assert!(origin.seen().is_empty());
            }
        }
    });
}

#[test]
fn a_refusal_by_status_says_what_the_server_asked_for() {
    let parties = Parties::new();
    let expired = parties.clients.expired_identity(&["a client"]);
    let refusal = || {
        let body = "<h1>No required SSL certificate was sent</h1>";
        let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n", body.len());
        (format!("{head}\r\n{body}"), Then::KeepAlive)
    };
    in_every_mode(|mode| {
        let origin = parties.origin("site.test", Needs::Nothing, &[&TLS13], move |_| refusal());
        let run = || parties.run(mode).args(origin.stands_for("site.test"));
        // The second request is sent over the connection of the first one.
        let seen = run().args(["-j", "1", "https://site.test/1", "https://site.test/2"]).seen();
        for row in seen.rows() {
            assert_eq!(row["error"]["class"], "http_4xx");
            let message = &row["error"]["message"];
            assert_eq!(message, &format!("HTTP 400 Bad Request: {MISSING}"));
        }
        let seen = run().args(showing(&parties.client)).arg("https://site.test/").seen();
        let message = "HTTP 400 Bad Request: the server may not accept the client certificate";
        assert_eq!(seen.row()["error"]["message"], message);
        // A server that asks for none is not meant.
        let silent = TlsOrigin::new(&parties.servers.identity(&["site.test"]), move |_| refusal());
        let run = parties.run(mode).args(silent.stands_for("site.test"));
        let seen = run.arg("https://site.test/").seen();
        assert_eq!(seen.row()["error"]["message"], "HTTP 400 Bad Request");
    });
    let message = {
        let origin = parties.origin("site.test", Needs::Certificate, &[&TLS13], |_| whole("never"));
        let run = parties.run("async").args(origin.stands_for("site.test")).args(showing(&expired));
        run.arg("https://site.test/").seen().stderr
    };
    assert!(message.contains("the client certificate expired on 2020-12-31"), "{message}");
}

#[test]
fn a_certificate_crosses_no_redirect_to_another_origin_and_shares_no_connection() {
    let parties = Parties::new();
    in_every_mode(|mode| {
        let elsewhere =
            "HTTP/1.1 302 Found\r\nLocation: https://other.test/hop\r\nContent-Length: 0\r\n\r\n";
        let other = parties.origin("other.test", Needs::Nothing, &[&TLS13], |_| whole("hello"));
        let site =
            parties.origin("site.test", Needs::Nothing, &[&TLS13], move |asked| {
                match &*asked.head.target {
                    "/away" => (elsewhere.to_owned(), Then::KeepAlive),
                    _ => whole("hello"),
                }
            });
        let run = parties.run(mode).args(showing(&parties.client)).args(["-j", "1"]);
        let run = run.args(site.stands_for("site.test")).args(other.stands_for("other.test"));
        let urls = ["https://site.test/away", "https://other.test/own", "https://site.test/here"];
        let seen = run.args(urls).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let shown = |origin: &TlsOrigin| {
            let seen = origin.seen().into_iter();
            let mut shown: Vec<_> =
                seen.map(|asked| (asked.head.target, asked.is_certified)).collect();
            shown.sort();
            shown
        };
        assert_eq!(shown(&site), [("/away".to_owned(), true), ("/here".to_owned(), true)]);
        assert_eq!(shown(&other), [("/hop".to_owned(), false), ("/own".to_owned(), true)]);
    });
}

#[test]
fn a_host_has_a_certificate_of_its_own_in_the_configuration() {
    let parties = Parties::new();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(&parties.client.certificate_file, folder.path().join("own.pem")).unwrap();
    fs::copy(&parties.client.key_file, folder.path().join("own.key")).unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "[hosts.\"site.test\"]\ncert = \"own.pem\"\nkey = \"own.key\"\n").unwrap();
    in_every_mode(|mode| {
        let site = parties.origin("site.test", Needs::Nothing, &[&TLS13], |_| whole("hello"));
        let other = parties.origin("other.test", Needs::Nothing, &[&TLS13], |_| whole("hello"));
        let run = parties.run(mode).arg("--config").arg(&config);
        let run = run.args(site.stands_for("site.test")).args(other.stands_for("other.test"));
        let seen = run.args(["https://site.test/", "https://other.test/"]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert!(site.seen()[0].is_certified);
        assert!(!other.seen()[0].is_certified);
        assert!(!seen.stdout.contains("own.key"), "{}", seen.stdout);
    });
}

#[test]
fn a_server_to_which_a_redirect_leads_says_that_no_certificate_is_shown_to_it() {
    let parties = Parties::new();
    in_every_mode(|mode| {
        for version in [&TLS12, &TLS13] {
            let elsewhere =
                "HTTP/1.1 302 Found\r\nLocation: https://other.test/\r\nContent-Length: 0\r\n\r\n";
            let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
            let site = parties.origin("site.test", Needs::Nothing, &[version], move |_| {
                (elsewhere.to_owned(), Then::KeepAlive)
            });
            let strict =
                parties.origin("other.test", Needs::Certificate, &[version], |_| whole("never"));
            let lenient = parties.origin("other.test", Needs::Nothing, &[version], move |_| {
                (refusal.to_owned(), Then::KeepAlive)
            });
            let run = |other: &TlsOrigin| {
                let run = parties.run(mode).args(showing(&parties.client));
                let run =
                    run.args(site.stands_for("site.test")).args(other.stands_for("other.test"));
                run.arg("https://site.test/").seen()
            };
            assert_eq!(refused(&run(&strict)), WITHHELD);
            let message = format!("HTTP 403 Forbidden: {WITHHELD}");
            assert_eq!(run(&lenient).row()["error"]["message"], message);
        }
    });
}

/// A proxy that speaks TLS, asks its clients for a certificate, and leads every tunnel to this origin. Counts the
/// connections, and those of clients that have shown a certificate.
fn tls_proxy(parties: &Parties, origin: std::net::SocketAddr) -> (u16, Arc<[AtomicUsize; 2]>) {
    let identity = parties.servers.identity(&["localhost"]);
    let settings = identity.server_asking(&parties.clients, Needs::Nothing, &[&TLS13]);
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let shared = Arc::clone(&counts);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counts) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    counts[0].fetch_add(1, SeqCst);
                    let is_certified = stream.get_ref().1.peer_certificates().is_some();
                    counts[1].fetch_add(usize::from(is_certified), SeqCst);
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.ok()?);
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                    let mut origin = TcpStream::connect(origin).await.ok()?;
                    copy_bidirectional(&mut stream, &mut origin).await.ok()
                });
            }
        });
    });
    (port, counts)
}

#[test]
fn a_certificate_goes_through_a_proxy_and_is_not_shown_to_it() {
    let parties = Parties::new();
    in_every_mode(|mode| {
        let origin = parties.origin("site.test", Needs::Certificate, &[&TLS13], |_| {
            (whole("hello").0, Then::Close)
        });
        let (port, counts) = tls_proxy(&parties, origin.address());
        let run = parties.run(mode).args(showing(&parties.client)).args(["-j", "1"]);
        let run = run.args(["--proxy", &format!("https://localhost:{port}")]);
        // Each connection is closed, so that the second one resumes the session with the proxy.
        let seen = run.args(["https://site.test/1", "https://site.test/2"]).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert!(origin.seen().iter().all(|asked| asked.is_certified));
        let counts: Vec<_> = counts.iter().map(|count| count.load(SeqCst)).collect();
        assert!(counts[0] > 0 && counts[1] == 0, "{counts:?}");
    });
}

/// Runs openssl in the folder.
fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder);
    let output = command.output().expect("openssl is installed");
    assert!(output.status.success(), "{arguments}: {output:?}");
}

/// A folder with a certificate and its key in every form.
fn forms() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let clients = Authority::new();
    let (client, other) = (clients.identity(&["a"]), clients.identity(&["b"]));
    let path = |name: &str| folder.path().join(name);
    for (from, to) in [
        (&client.certificate_file, "cert.pem"),
        (&client.key_file, "key.pem"),
        (&other.key_file, "other.key"),
    ] {
        fs::copy(from, path(to)).unwrap();
    }
    for arguments in [
        "pkcs8 -topk8 -in key.pem -passout pass:x -out encrypted.key",
        "pkcs12 -export -in cert.pem -inkey key.pem -passout pass:x -out client.p12",
        "x509 -in cert.pem -outform der -out cert.der",
        "pkey -in key.pem -outform der -out key.der",
        "ecparam -name secp256k1 -genkey -noout -out strange.key",
        "req -new -key key.pem -subj /CN=a -out a.csr",
        "x509 -req -in a.csr -signkey key.pem -out old.pem",
    ] {
        openssl(folder.path(), arguments);
    }
    fs::write(path("empty.pem"), "").unwrap();
    folder
}

#[test]
#[ignore = "needs openssl; run with --run-ignored all"]
fn a_file_that_cannot_be_used_is_an_error_that_says_how_to_convert_it() {
    let folder = forms();
    for (arguments, expected) in [
        (
            "--cert cert.pem --key encrypted.key",
            "--key encrypted.key: the private key is encrypted; decrypt it with openssl pkey -in encrypted.key -out \
             key.pem, and use --key key.pem",
        ),
        (
            "--cert client.p12",
            "--cert client.p12: a PKCS#12 file; convert it to PEM with openssl pkcs12 -in client.p12 -nodes -out \
             client.pem",
        ),
        (
            "--cert cert.der",
            "--cert cert.der: a file in DER; convert it to PEM with openssl x509 -inform der -in cert.der -out client.pem",
        ),
        (
            "--cert cert.pem --key key.der",
            "--key key.der: a file in DER; convert it to PEM with openssl pkey -inform der -in key.der -out client.pem",
        ),
        (
            "--cert cert.pem --key other.key",
            "--key other.key: the private key does not belong to the certificate in cert.pem (compare openssl x509 -in \
             cert.pem -noout -pubkey with openssl pkey -in other.key -pubout)",
        ),
        ("--cert empty.pem", "--cert empty.pem: the file is empty"),
        ("--cert cert.pem", "--cert cert.pem: no private key in the file; give it with --key FILE"),
        ("--cert key.pem", "--cert key.pem: no PEM certificate found"),
        ("--cert none.pem", "--cert none.pem: No such file or directory"),
        ("--cert cert.pem --key strange.key", "--key strange.key: unsupported private key"),
        (
            "--cert old.pem --key key.pem",
            "--cert old.pem: an X.509 version 1 certificate; issue it as",
        ),
    ] {
        let run = Run::new().inside(folder.path()).args(arguments.split(' '));
        let seen = run.arg("https://127.0.0.1:1/").seen();
        assert_eq!(seen.code, Some(2), "{seen:?}");
        let words = seen.stderr.trim_start_matches("error: ");
        assert!(words.starts_with(expected), "{}", seen.stderr);
    }
}

#[test]
fn a_key_needs_a_certificate_and_one_that_others_can_read_is_a_warning() {
    let seen = Run::new().args(["--key", "key.pem", "https://127.0.0.1:1/"]).seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    assert_eq!(seen.stderr, "error: --key requires --cert\n");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "[hosts.\"site.test\"]\nkey = \"own.key\"\n").unwrap();
    let seen = Run::new().arg("--config").arg(&config).arg("https://127.0.0.1:1/").seen();
    assert_eq!(seen.code, Some(2), "{seen:?}");
    let message = format!("error: --key requires --cert (--key from {}:2)\n", config.display());
    assert_eq!(seen.stderr, message);
    let parties = Parties::new();
    let key = &parties.client.key_file;
    fs::set_permissions(key, Permissions::from_mode(0o640)).unwrap();
    let origin = parties.origin("site.test", Needs::Certificate, &[&TLS13], |_| whole("hello"));
    let run = parties.run("async").args(showing(&parties.client));
    let seen = run.args(origin.stands_for("site.test")).arg("https://site.test/").seen();
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let name = key.display();
    let warning =
        format!("warning: {name}: other users can read this private key; use chmod 600 {name}\n");
    assert_eq!(seen.stderr, warning);
}

#[test]
fn no_process_has_key_material_among_its_arguments() {
    let parties = Parties::new();
    let key = fs::read_to_string(&parties.client.key_file).unwrap();
    let secret = key.lines().nth(1).unwrap().to_owned();
    let origin = parties.origin("site.test", Needs::Certificate, &[&TLS13], move |_| {
        // While the request is in progress, so are the processes.
        let is_found = processes().any(|of_process| {
            ["cmdline", "environ"].iter().any(|name| {
                let text = fs::read(of_process.join(name)).unwrap_or_default();
                String::from_utf8_lossy(&text).contains(&secret)
            })
        });
        whole(if is_found { "found" } else { "none" })
    });
    let run = parties.run("processes").args(showing(&parties.client));
    let seen = run.args(origin.stands_for("site.test")).arg("https://site.test/").seen();
    assert_eq!((seen.code, &seen.row()["bytes"]), (Some(0), &4.into()), "{seen:?}");
}

/// The folders of all processes.
fn processes() -> impl Iterator<Item = PathBuf> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.map(|entry| entry.path()).filter(|path| path.join("cmdline").exists())
}
