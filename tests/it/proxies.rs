//! Proxies in every mode: what they are told, what the origin is not, and what fails by them.

use std::cell::OnceCell;
use std::net::SocketAddr;

use crate::support::proxy::{HttpProxy, Manner, SocksProxy};
use crate::support::raw::refusing_port;
use crate::support::tls::{Asked, Authority, Then, TlsOrigin, whole};
use crate::support::{Origin, Reply, Run, Seen, in_all_modes_at_once, in_every_mode, with_a_clock};

/// `user:pass word` as Basic credentials (RFC 7617).
const BASIC: &str = "Basic dXNlcjpwYXNzIHdvcmQ=";

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], refusing_port()))
}

fn ok(seen: &Seen, bytes: u64) {
    let row = seen.row();
    assert_eq!((seen.code, &row["bytes"]), (Some(0), &bytes.into()), "{seen:?}");
}

/// The only row is a failure of class `proxy` after so many attempts; returns its message.
fn failed(seen: &Seen, attempts: u64) -> String {
    let row = seen.row();
    let error = &row["error"];
    assert_eq!(
        (&error["class"], &row["attempts"]),
        (&"proxy".into(), &attempts.into()),
        "{seen:?}"
    );
    assert_eq!(seen.code, Some(1), "{seen:?}");
    error["message"].as_str().unwrap().to_owned()
}

/// A run that tries everything that may pass once more, and who cannot be reached for an hour.
fn trying_twice(mode: &str) -> Run {
    Run::json(mode).args(["--retry", "1", "--retry-delay", "0s", "--host-patience", "1h"])
}

/// The only row of this run is a failure of class `proxy`, after three attempts at least if there is time for them;
/// returns its message.
fn fails_thrice(mode: &str, arrange: impl Fn(Run) -> Run) -> String {
    let message = OnceCell::new();
    with_a_clock(|patience| {
        let args = ["--retry", "1", "--retry-delay", "0s", "--host-failures", "3"];
        let run = Run::json(mode).args(args).args(["--host-patience", patience]);
        let seen = arrange(run).seen();
        let attempts = seen.row()["attempts"].as_u64().unwrap();
        let told = failed(&seen, attempts);
        attempts >= 3 && message.set(told).is_ok()
    });
    message.into_inner().unwrap()
}

#[test]
fn a_plain_request_arrives_at_the_proxy_in_absolute_form_with_its_credentials() {
    in_every_mode(|mode| {
        let proxy = HttpProxy::new(Manner::Serves(nowhere()));
        let url = "http://site.test:8080/a?b";
        let seen = Run::json(mode).args(["-x", &proxy.url("user:pass%20word@"), url]).seen();
        ok(&seen, 7);
        let head = &proxy.seen()[0];
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", url));
        assert_eq!(head.field("host"), Some("site.test:8080"));
        assert_eq!(head.field("proxy-authorization"), Some(BASIC));
        assert_eq!(seen.summary()["resources"]["lookups"], 0, "the proxy finds the origin");
        assert!(!seen.stdout.contains("pass") && !seen.stderr.contains("pass"), "{seen:?}");
    });
}

#[test]
fn a_request_that_goes_past_the_proxy_does_not_carry_its_credentials() {
    in_every_mode(|mode| {
        let proxy = HttpProxy::new(Manner::Serves(nowhere()));
        let origin = Origin::new(|_| Reply::ok("hello"));
        let seen = Run::json(mode)
            .args(["-x", &proxy.url("user:pass%20word@"), &origin.url("/")])
            .env("no_proxy", "127.0.0.1")
            .seen();
        ok(&seen, 5);
        assert_eq!(origin.seen()[0].header("proxy-authorization"), None);
        assert!(proxy.seen().is_empty());
    });
}

#[test]
fn a_secure_request_goes_through_a_tunnel_that_alone_carries_the_proxys_credentials() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let proxy = HttpProxy::new(Manner::Serves(([127, 0, 0, 1], origin.port()).into()));
        let list: String = (1..=3).map(|number| format!("https://site.test/{number}\n")).collect();
        let seen = Run::json(mode)
            .args(["-j", "1", "-x", &proxy.url("user:pass%20word@"), "--cacert"])
            .arg(authority.file())
            .args(["-H", "Authorization: Bearer mine", "-"])
            .list(list)
            .seen();
        assert_eq!((seen.code, seen.rows().len()), (Some(0), 3), "{seen:?}");
        let tunnels = proxy.seen();
        assert_eq!(tunnels.len(), 1, "one tunnel serves all");
        assert_eq!(tunnels[0].method, "CONNECT");
        assert_eq!(tunnels[0].target, "site.test:443");
        assert_eq!(tunnels[0].field("proxy-authorization"), Some(BASIC));
        assert_eq!(tunnels[0].field("authorization"), None, "the origin's are not the proxy's");
        for asked in origin.seen() {
            assert_eq!(asked.sni.as_deref(), Some("site.test"));
            assert_eq!(asked.head.field("host"), Some("site.test"));
            assert_eq!(asked.head.field("proxy-authorization"), None);
            assert_eq!(asked.head.field("authorization"), Some("Bearer mine"));
        }
    });
}

#[test]
fn a_bad_certificate_behind_a_tunnel_is_the_origins_failure() {
    let authority = Authority::new();
    let identity = authority.identity(&["other.test"]);
    in_every_mode(|mode| {
        let origin = TlsOrigin::new(&identity, |_| whole("hello"));
        let proxy = HttpProxy::new(Manner::Serves(([127, 0, 0, 1], origin.port()).into()));
        let seen = trying_twice(mode)
            .args(["-x", &proxy.url(""), "--cacert"])
            .arg(authority.file())
            .arg("https://site.test/")
            .seen();
        let row = seen.row();
        assert_eq!((&row["error"]["class"], &row["attempts"]), (&"tls".into(), &1.into()), "{row}");
    });
}

/// What is said of a proxy that wants a user.
const NO_USER: &str = "proxy: HTTP 407 Proxy Authentication Required: give a user and password in the URL of the proxy \
                       (only Basic is supported)";

#[test]
fn a_tunnel_that_is_refused_for_good_is_the_proxys_failure_and_not_tried_again() {
    in_every_mode(|mode| {
        for (status, words) in [
            (400, "proxy: HTTP 400 Bad Request"),
            (403, "proxy: HTTP 403 Forbidden"),
            (404, "proxy: HTTP 404 Not Found"),
            (407, NO_USER),
        ] {
            let proxy = HttpProxy::new(Manner::Refuses(status));
            let seen = trying_twice(mode).args(["-x", &proxy.url(""), "https://site.test/"]).seen();
            assert_eq!(failed(&seen, 1), words);
            let tunnels = proxy.seen();
            assert!(tunnels.iter().all(|head| head.target == "site.test:443"), "{tunnels:?}");
        }
    });
}

#[test]
fn a_tunnel_that_a_proxy_of_https_refuses_is_reported_with_its_status() {
    let authority = Authority::new();
    let identity = authority.identity(&["localhost"]);
    in_every_mode(|mode| {
        for (status, attempts, words) in [
            (403, 1, "proxy: HTTP 403 Forbidden"),
            (407, 1, NO_USER),
            (502, 2, "proxy: HTTP 502 Bad Gateway"),
        ] {
            let refusal = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            let proxy = TlsOrigin::new(&identity, move |_| (refusal.clone(), Then::Close));
            let url = format!("https://localhost:{}", proxy.port());
            let run = trying_twice(mode).args(["-x", &url, "--cacert"]).arg(authority.file());
            let seen = run.arg("https://site.test/").seen();
            assert_eq!(failed(&seen, attempts), words);
            let asked = proxy.seen();
            let is_tunnel = |asked: &Asked| asked.head.target == "site.test:443";
            assert!(!asked.is_empty() && asked.iter().all(is_tunnel), "{asked:?}");
        }
    });
}

#[test]
fn a_tunnel_that_is_refused_for_now_is_tried_again_as_any_other() {
    in_every_mode(|mode| {
        for (status, words) in [
            (408, "408 Request Timeout"),
            (429, "429 Too Many Requests"),
            (500, "500 Internal Server Error"),
            (502, "502 Bad Gateway"),
            (503, "503 Service Unavailable"),
            (504, "504 Gateway Timeout"),
        ] {
            let proxy = HttpProxy::new(Manner::Refuses(status));
            let args = ["--retry", "1", "--retry-delay", "0s", "-x", &proxy.url("")];
            let seen = Run::json(mode).args(args).arg("https://site.test/").seen();
            let message = failed(&seen, 2);
            assert!(message.contains(words), "{message}");
        }
    });
}

#[test]
fn a_tunnel_that_is_refused_or_cut_at_first_serves_all_the_same() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        for first in [Manner::Refuses(429), Manner::Refuses(502), Manner::HangsUp] {
            let origin = TlsOrigin::new(&identity, |_| whole("hello"));
            let later = Manner::Serves(([127, 0, 0, 1], origin.port()).into());
            // Until the second request for a page; who asks for more about the first refusal is refused too.
            let proxy = HttpProxy::changing(2, first, later);
            let args = ["--retry", "3", "--retry-delay", "0s", "-x", &proxy.url(""), "--cacert"];
            let run = Run::json(mode).args(args).arg(authority.file());
            ok(&run.arg("https://site.test/").seen(), 5);
        }
    });
}

#[test]
fn a_tunnel_that_breaks_off_is_the_proxys_failure_and_tried_again() {
    in_every_mode(|mode| {
        let proxy = HttpProxy::new(Manner::HangsUp);
        let message =
            fails_thrice(mode, |run| run.args(["-x", &proxy.url(""), "https://site.test/"]));
        assert!(message.starts_with("cannot connect to the proxy: tunnel error: "), "{message}");
    });
}

#[test]
fn a_proxy_that_cannot_be_reached_is_the_proxys_failure_and_tried_again() {
    in_all_modes_at_once(|mode| {
        let proxies =
            ["http", "socks5", "socks5h"].map(|scheme| format!("{scheme}://{}", nowhere()));
        for proxy in proxies {
            for url in ["http://127.0.0.9/", "https://127.0.0.9/"] {
                let message = fails_thrice(mode, |run| run.args(["-x", &proxy, url]));
                assert!(message.starts_with("cannot connect to the proxy: "), "{message}");
                // The words are the same where the environment names the proxy.
                if url.starts_with("https") {
                    let named = fails_thrice(mode, |run| run.arg(url).env("all_proxy", &proxy));
                    assert_eq!(named, message);
                }
            }
        }
    });
}

#[test]
fn a_proxy_whose_name_is_unknown_is_the_proxys_failure() {
    in_every_mode(|mode| {
        for url in ["http://127.0.0.9/", "https://127.0.0.9/"] {
            let seen = trying_twice(mode).args(["-x", "http://name.invalid:3128", url]).seen();
            let message = failed(&seen, 1);
            assert!(
                message.starts_with("proxy: could not resolve host: name.invalid ("),
                "{message}"
            );
        }
    });
}

#[test]
fn what_the_proxy_answers_to_a_plain_request_is_a_reply_like_any_other() {
    in_every_mode(|mode| {
        for (status, class) in [(403, "http_4xx"), (407, "proxy"), (502, "http_5xx")] {
            let proxy = HttpProxy::new(Manner::Refuses(status));
            let args = ["--retry", "0", "-x", &proxy.url(""), "http://site.test/"];
            let row = Run::json(mode).args(args).seen().row();
            assert_eq!(
                (&row["http_status"], &row["error"]["class"]),
                (&status.into(), &class.into())
            );
        }
    });
}

#[test]
fn credentials_that_a_proxy_asks_for_are_the_proxys_failure_for_each_scheme_and_no_origins() {
    in_every_mode(|mode| {
        let proxy = HttpProxy::new(Manner::Refuses(407));
        for url in ["http://site.test/", "https://site.test/"] {
            let seen = trying_twice(mode).args(["-x", &proxy.url(""), url]).seen();
            let message = failed(&seen, 1);
            assert!(message.contains("407 Proxy Authentication Required"), "{message}");
        }
        // Without a proxy it is the word of an origin.
        let origin = Origin::new(|_| Reply::of("407 Proxy Authentication Required", "", ""));
        let row = trying_twice(mode).arg(origin.url("/")).seen().row();
        assert_eq!(row["error"]["class"], "http_4xx", "{row}");
    });
}

#[test]
fn the_environment_names_a_proxy_for_each_scheme_and_exceptions() {
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let secure = TlsOrigin::new(&identity, |_| whole("hello"));
    let plain = Origin::new(|_| Reply::ok("hello"));
    let urls = [plain.url("/"), format!("https://127.0.0.1:{}/", secure.port())];
    in_every_mode(|mode| {
        // Which variables are set, and which of the two requests then arrive at the proxy.
        let table: [(&[&str], &str, [usize; 2]); 6] = [
            (&["http_proxy"], "", [1, 0]),
            (&["https_proxy"], "", [0, 1]),
            (&["HTTPS_PROXY"], "", [0, 1]),
            (&["all_proxy"], "", [1, 1]),
            (&["http_proxy", "https_proxy"], "127.0.0.0/8", [0, 0]),
            (&["all_proxy"], "127.0.0.2,example.org", [1, 1]),
        ];
        for (variables, exceptions, at_the_proxy) in table {
            for (url, expected) in urls.iter().zip(at_the_proxy) {
                let proxy = HttpProxy::new(Manner::Serves(([127, 0, 0, 1], secure.port()).into()));
                let mut run = Run::json(mode).arg("--cacert").arg(authority.file()).arg(url);
                for variable in variables {
                    run = run.env(variable, proxy.url(""));
                }
                let seen = run.env("no_proxy", exceptions).seen();
                assert_eq!(seen.code, Some(0), "{seen:?}");
                assert_eq!(proxy.seen().len(), expected, "{variables:?} {exceptions} {url}");
            }
        }
    });
}

#[test]
fn a_proxy_on_the_command_line_goes_before_the_environments_and_an_empty_one_means_none() {
    in_every_mode(|mode| {
        let origin = Origin::new(|_| Reply::ok("hello"));
        let [typed, named] = [(); 2].map(|()| HttpProxy::new(Manner::Serves(nowhere())));
        let run = |proxy: &str| {
            let args = ["-x", proxy, &origin.url("/")];
            Run::json(mode).args(args).env("http_proxy", named.url("")).seen()
        };
        ok(&run(&typed.url("")), 7);
        ok(&run(""), 5);
        assert_eq!((typed.seen().len(), named.seen().len(), origin.seen().len()), (1, 0, 1));
    });
}

#[test]
fn a_pin_and_a_proxy_that_exclude_each_other_are_not_silently_one() {
    in_every_mode(|mode| {
        let proxy = HttpProxy::new(Manner::Serves(nowhere()));
        let pin = ["--connect-to", "site.test:80:127.0.0.1:1", "http://site.test/"];
        let typed = Run::json(mode).args(["-x", &proxy.url("")]).args(pin).seen();
        assert_eq!((typed.code, typed.stdout.as_str()), (Some(2), ""), "{typed:?}");
        let row = Run::json(mode).args(pin).env("http_proxy", proxy.url("")).seen().row();
        assert_eq!(
            (&row["error"]["class"], &row["attempts"]),
            (&"connect".into(), &1.into()),
            "{row}"
        );
        let message = row["error"]["message"].as_str().unwrap();
        assert!(message.contains("--connect-to has no effect behind a proxy"), "{message}");
        assert!(proxy.seen().is_empty());
    });
}

#[test]
fn socks5_leads_to_an_address_found_here_and_socks5h_to_a_name_found_there() {
    let authority = Authority::new();
    let identity = authority.identity(&["site.test"]);
    in_every_mode(|mode| {
        let plain = Origin::new(|_| Reply::ok("hello"));
        let secure = TlsOrigin::new(&identity, |_| whole("hello"));
        let secure_address = SocketAddr::from(([127, 0, 0, 1], secure.port()));
        for (origin, url, port) in [
            (plain.address(), "http://site.test/", 80),
            (secure_address, "https://site.test/", 443),
        ] {
            let proxy = SocksProxy::new(origin);
            for scheme in ["socks5", "socks5h"] {
                let seen = Run::json(mode)
                    .args(["-x", &format!("{scheme}://{}", proxy.address())])
                    .args(["--resolve", &format!("site.test:{port}:127.0.0.7"), "--cacert"])
                    .arg(authority.file())
                    .arg(url)
                    .seen();
                ok(&seen, 5);
            }
            let asked = proxy.seen();
            assert_eq!(asked, [(1, vec![127, 0, 0, 7]), (3, b"site.test".to_vec())]);
        }
    });
}
