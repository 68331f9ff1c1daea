//! Where credentials go when a redirect leads elsewhere: to the origin that is listed, and to no other.

use super::*;

/// Where a request of a chain goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// `http://a.test`
    Plain,
    /// The same host, another port.
    OtherPort,
    /// `https://a.test`
    Secure,
    /// `http://b.test`, which has credentials of its own.
    OtherHost,
    /// `http://sub.a.test`, likewise.
    SubDomain,
    /// `https://b.test`, likewise.
    OtherSecure,
}
use At::*;

/// Chains of redirects, and which of their requests are at the listed origin.
const CHAINS: [(&[At], &[bool]); 12] = [
    (&[Plain, Plain], &[true, true]),
    (&[Secure, Secure], &[true, true]),
    (&[Plain, OtherPort], &[true, false]),
    (&[Plain, Secure], &[true, false]),
    (&[Secure, Plain], &[true, false]),
    (&[Secure, Plain, Secure], &[true, false, true]),
    (&[Plain, OtherHost], &[true, false]),
    (&[Plain, OtherHost, Plain], &[true, false, true]),
    (&[Plain, OtherHost, OtherHost], &[true, false, false]),
    (&[Secure, OtherSecure, Secure], &[true, false, true]),
    (&[Plain, SubDomain], &[true, false]),
    (&[Secure, Plain, Plain], &[true, false, false]),
];

/// How a secret is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    UrlUser,
    ListHeader,
    Header,
    HeaderFile,
    User,
    UserVariable,
    HostUser,
    HostHeader,
    Netrc,
}
use Kind::*;

const KINDS: [Kind; 9] =
    [UrlUser, ListHeader, Header, HeaderFile, User, UserVariable, HostUser, HostHeader, Netrc];

/// Three servers, which redirect as the path says: to what is behind its first `?`.
struct Servers {
    plain: Origin,
    other_port: Origin,
    secure: TlsOrigin,
}

impl Servers {
    fn new(identity: &Identity) -> Self {
        let reply = |path: &str| match path.split_once('?') {
            Some((_, to)) => ("302 Found", format!("Location: {to}\r\n")),
            None => ("200 OK", String::new()),
        };
        let answer = move |request: &Request| {
            let (status, fields) = reply(&request.path);
            Reply::of(status, &fields, "hello")
        };
        let secure = TlsOrigin::new(identity, move |asked| {
            let (status, fields) = reply(&asked.head.target);
            (
                format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 5\r\n\r\nhello"),
                Then::KeepAlive,
            )
        });
        Self { plain: Origin::new(answer), other_port: Origin::new(answer), secure }
    }

    fn ports(&self) -> [u16; 3] {
        let ports = [&self.plain, &self.other_port].map(|origin| origin.address().port());
        [ports[0], ports[1], self.secure.port()]
    }

    fn base(&self, at: At, user: &str) -> String {
        let (scheme, host, port) = match at {
            Plain => ("http", "a.test", self.plain.address().port()),
            OtherPort => ("http", "a.test", self.other_port.address().port()),
            Secure => ("https", "a.test", self.secure.port()),
            OtherHost => ("http", "b.test", self.plain.address().port()),
            SubDomain => ("http", "sub.a.test", self.plain.address().port()),
            OtherSecure => ("https", "b.test", self.secure.port()),
        };
        format!("{scheme}://{user}{host}:{port}")
    }

    /// The URL at which a chain begins. The path of each request has the numbers of the chain and of the request.
    fn url(&self, number: usize, chain: &[At], user: &str) -> String {
        let hops = chain.iter().enumerate().map(|(hop, at)| {
            let user = if hop == 0 { user } else { "" };
            format!("{}/{number}/{hop}", self.base(*at, user))
        });
        hops.collect::<Vec<_>>().join("?")
    }

    /// The fields of each request by the beginning of its path.
    fn seen(&self) -> Vec<(String, Vec<(String, String)>)> {
        let plain = self.plain.seen().into_iter().chain(self.other_port.seen());
        let plain = plain.map(|request| (request.path, request.headers));
        let secure =
            self.secure.seen().into_iter().map(|asked| (asked.head.target, asked.head.fields));
        let path = |path: String| path.split('?').next().unwrap().to_owned();
        plain.chain(secure).map(|(target, fields)| (path(target), fields)).collect()
    }
}

/// Arranges that a secret of this kind is given for `a.test`, and others for the other hosts.
fn given(kind: Kind, run: Run, files: &Files) -> Run {
    match kind {
        UrlUser | ListHeader => run,
        Header => run.args(["-H", "Authorization: secret", "-H", "X-Key: secret"]),
        HeaderFile => run.arg("-H").arg(format!("@{}", files.path("headers").display())),
        User => run.args(["--user", "me:secret"]),
        UserVariable => run.env("FETCH_USER", "me:secret"),
        HostUser => run.arg("--config").arg(files.path("users.toml")),
        HostHeader => run.arg("--config").arg(files.path("headers.toml")),
        Netrc => run.arg("--netrc-file").arg(files.path("netrc")),
    }
}

#[test]
fn a_secret_reaches_its_listed_origin_and_no_other_whatever_its_kind() {
    let authority = Authority::new();
    let identity = authority.identity(&["a.test", "b.test", "sub.a.test"]);
    let user = |host: &str, user: &str| format!("[hosts.\"{host}\"]\nuser = \"{user}\"\n");
    let field = |host: &str, value: &str| {
        format!("[hosts.\"{host}\"]\nheader = [\"Authorization: {value}\", \"X-Key: {value}\"]\n")
    };
    let files = Files::new()
        .with("headers", "Authorization: secret\nX-Key: secret\n")
        .with(
            "users.toml",
            user("a.test", "me:secret")
                + &user("b.test", "b:secret")
                + &user("sub.a.test", "s:secret"),
        )
        .with(
            "headers.toml",
            field("a.test", "secret") + &field("b.test", "of b") + &field("sub.a.test", "of s"),
        )
        .with(
            "netrc",
            "machine b.test login b password secret\nmachine sub.a.test login s password secret\n\
             machine a.test login me password secret\n",
        );
    in_every_mode(|mode| {
        for kind in KINDS {
            let servers = Servers::new(&identity);
            let user = if kind == UrlUser { "me:secret@" } else { "" };
            let lines = match kind {
                ListHeader => "  header=Authorization: secret\n  header=X-Key: secret\n",
                _ => "",
            };
            let urls = CHAINS
                .iter()
                .enumerate()
                .map(|(number, (chain, _))| servers.url(number, chain, user) + "\n" + lines);
            let run = Run::json(mode).arg("--cacert").arg(authority.file());
            let run = servers
                .ports()
                .into_iter()
                .fold(run, |run, port| run.args(["--resolve", &format!("*:{port}:127.0.0.1")]));
            let run = given(kind, run, &files).arg("-").list(urls.collect::<String>());
            let seen = run.seen();
            assert_eq!(seen.code, Some(0), "{kind:?}: {seen:?}");
            let requests = servers.seen();
            let secret = match kind {
                UrlUser | User | UserVariable | HostUser | Netrc => basic("me:secret"),
                ListHeader | Header | HeaderFile | HostHeader => "secret".to_owned(),
            };
            let mut checked = 0;
            for (number, (chain, listed)) in CHAINS.iter().enumerate() {
                for (hop, (at, is_listed)) in chain.iter().zip(*listed).enumerate() {
                    // Of a host's section nothing is sent in the clear.
                    let is_section = matches!(kind, HostUser | HostHeader);
                    let is_sent = *is_listed && (!is_section || *at == Secure);
                    let what = format!("{kind:?}: request {hop} of {chain:?}");
                    let path = format!("/{number}/{hop}");
                    let mut there = requests.iter().filter(|(target, _)| *target == path);
                    let (_, fields) = there.next().unwrap_or_else(|| panic!("{what} is missing"));
                    assert!(there.next().is_none(), "{what}");
                    let value = |name: &str| {
                        let mut values = fields.iter().filter(|(given, _)| given == name);
                        let value = values.next().map(|(_, value)| value.as_str());
                        assert!(values.next().is_none(), "{what}: {fields:?}");
                        value
                    };
                    let expected = Some(secret.as_str()).filter(|_| is_sent);
                    assert_eq!(value("authorization"), expected, "{what}");
                    let has_key = matches!(kind, ListHeader | Header | HeaderFile | HostHeader);
                    assert_eq!(value("x-key"), expected.filter(|_| has_key), "{what}");
                    checked += 1;
                }
            }
            assert_eq!(requests.len(), checked, "{kind:?}");
        }
    });
}

#[test]
fn a_robots_txt_is_asked_for_with_secrets_only_at_a_listed_origin() {
    let files = Files::new().with("netrc", "default login me password secret\n");
    in_every_mode(|mode| {
        let other = hello();
        let away = other.url("/end");
        let origin = Origin::new(move |request| match request.path.as_str() {
            "/robots.txt" => Reply::ok("User-agent: *\nDisallow:\n"),
            _ => Reply::redirect(302, &away),
        });
        for words in [
            vec!["-u".to_owned(), "me:secret".into()],
            vec!["-H".into(), format!("Authorization: {}", basic("me:secret"))],
            vec!["--netrc-file".into(), files.path("netrc").display().to_string()],
        ] {
            let seen = Run::json(mode).args(words).args(["--robots", &origin.url("/")]).seen();
            assert_eq!(seen.code, Some(0), "{seen:?}");
            let secret = basic("me:secret");
            assert_eq!(sent(&origin.take_seen()), [Some(&*secret); 2]);
            let there = other.take_seen();
            assert_eq!((there.len(), there[0].path.as_str()), (2, "/robots.txt"));
            assert_eq!(sent(&there), [None; 2]);
        }
        // One file is for all users of a host.
        let url = origin.url("/").replace("http://", "http://me:secret@");
        let list = format!("{url}\n  header=X-Key: secret\n");
        assert_eq!(Run::json(mode).arg("--robots").list(list).seen().code, Some(0));
        let there = origin.take_seen();
        assert_eq!(there[0].path, "/robots.txt");
        assert!(!format!("{:?}", there[0]).contains("secret"));
        assert_eq!(sent(&there), [None, Some(&*basic("me:secret"))]);
    });
}

#[test]
fn each_mirror_is_an_origin_of_its_own() {
    let files = Files::new()
        .with("netrc", "machine a.test login a password a\nmachine b.test login b password b\n");
    in_every_mode(|mode| {
        let origin =
            Origin::new(|request| match request.header("host").unwrap().starts_with("a.") {
                true => Reply::of("404 Gone", "", ""),
                false => Reply::ok("hello"),
            });
        let port = origin.address().port();
        let run = || Run::json(mode).args(["--resolve", &format!("*:{port}:127.0.0.1")]);
        let mirrors = format!("http://a.test:{port}/\thttp://b.test:{port}/\n");
        let seen =
            run().arg("--netrc-file").arg(files.path("netrc")).arg("-").list(&mirrors).seen();
        assert_eq!(seen.code, Some(0), "{seen:?}");
        assert_eq!(sent(&origin.take_seen()), [Some(&*basic("a:a")), Some(&*basic("b:b"))]);
        let mirrors = mirrors.replacen("http://", "http://x:y@", 1);
        assert_eq!(run().args(["-u", "all:1", "-"]).list(&mirrors).seen().code, Some(0));
        assert_eq!(sent(&origin.take_seen()), [Some(&*basic("x:y")), Some(&*basic("all:1"))]);
    });
}
