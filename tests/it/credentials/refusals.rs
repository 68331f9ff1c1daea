//! What a failure says of credentials that are missing, of the wrong scheme, or not sent.

use super::*;

/// A server that refuses everything for want of these credentials.
fn refusing(challenge: &str) -> Origin {
    let head = format!("WWW-Authenticate: {challenge}\r\n");
    Origin::new(move |_| Reply::of("401 Unauthorized", &head, "no"))
}

fn refused(run: Run) -> String {
    let seen = run.seen();
    let row = seen.row();
    let facts = (seen.code, &row["error"]["class"], &row["http_status"], &row["attempts"]);
    assert_eq!(facts, (Some(1), &"http_4xx".into(), &401.into(), &1.into()), "{seen:?}");
    row["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_refusal_for_want_of_credentials_says_what_to_do_in_every_mode() {
    let digest = "Digest realm=\"a, b\", qop=\"auth\"";
    in_every_mode(|mode| {
        for (challenge, words, expected) in [
            ("Basic realm=\"a\"", &[][..], "use --user or --netrc"),
            ("Basic", &["-u", "a:b"], "the server does not accept the user and password"),
            (digest, &["-u", "a:b"], "the server requires Digest, users are sent as Basic; other"),
            ("Negotiate", &[], "the server requires Negotiate, users are sent as Basic; other"),
            (
                "Bearer",
                &["-H", "Authorization: Bearer x"],
                "the server does not accept the Authorization header",
            ),
        ] {
            let origin = refusing(challenge);
            let message = refused(Run::json(mode).args(words).arg(origin.url("/")));
            let expected = format!("HTTP 401 Unauthorized: {expected}");
            assert!(message.starts_with(&expected), "{challenge}: {message}");
            let away = origin.url("/there");
            let first = Origin::new(move |_| Reply::redirect(302, &away));
            let message = refused(Run::json(mode).args(words).arg(first.url("/")));
            let expected = "HTTP 401 Unauthorized: no credentials are sent to another origin after";
            assert!(message.starts_with(expected), "{challenge}: {message}");
        }
    });
}

#[test]
fn what_a_section_keeps_from_plain_http_is_said_in_every_mode() {
    let files = Files::new().with(
        "config.toml",
        "[hosts.\"a.test\"]\nuser = \"me:hunter2\"\nheader = \"X-Key: hunter2\"\nuser-agent = \"x\"\n\
         [hosts.\"b.test\"]\nuser-agent = \"x\"\n[hosts.\"127.0.0.1\"]\nuser = \"me:hunter2\"\n",
    );
    in_every_mode(|mode| {
        let origin = refusing("Basic");
        let port = origin.address().port();
        let run = |path: &str| {
            let run = Run::json(mode).args(["--resolve", &format!("*:{port}:127.0.0.1")]);
            run.arg("--config").arg(files.path("config.toml")).arg(format!("http://{path}"))
        };
        let message = refused(run(&format!("a.test:{port}/")));
        let expected = "HTTP 401 Unauthorized: the credentials of its [hosts] section are only";
        assert!(message.starts_with(expected), "{message}");
        assert_eq!(sent(&origin.take_seen()), [None]);
        for (host, is_warned) in
            [("a.test", true), ("u:p@a.test", true), ("b.test", false), ("127.0.0.1", false)]
        {
            let seen = run(&format!("{host}:{port}/")).seen();
            let warning = "warning: 1 request was sent without header fields of its [hosts] section, which are only \
                           sent over https\n";
            assert_eq!(seen.stderr.contains(warning), is_warned, "{host}: {seen:?}");
        }
    });
    let run = Run::new().arg("--config").arg(files.path("config.toml")).arg("--dry-run");
    let seen = run.args(["http://a.test/", "https://a.test/", "http://127.0.0.1/"]).seen();
    assert_eq!((seen.code, &*seen.stderr), (Some(0), ""), "{seen:?}");
    for line in [
        "Host http://a.test: 1 URL, 6 parallel, user-agent: ***, without x-key, authorization (only sent over https)\n",
        "Host https://a.test: 1 URL, 6 parallel, x-key: ***, authorization: ***, user-agent: ***\n",
        "Host http://127.0.0.1: 1 URL, unlimited parallel, authorization: ***\n",
    ] {
        assert!(seen.stdout.contains(line), "{line} in {}", seen.stdout);
    }
}
