//! Tests of cookies: the table of cases (`cases.jsonl`, which an integration test compares with curl), and the properties
//! that it cannot express.

use std::time::Duration;

use super::netscape::CookieFileError;
use super::*;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn sent(jar: &mut CookieJar, to: &str, at: SystemTime) -> String {
    let field = cookie_field(&url(to), at, Some(jar), None);
    field.map_or_else(String::new, |field| String::from_utf8(field.as_bytes().to_vec()).unwrap())
}

fn set(jar: &mut CookieJar, at: &str, fields: &[&str]) -> Option<CookieRefusal> {
    let fields: Vec<_> = fields.iter().map(|field| field.as_bytes().to_vec()).collect();
    jar.receive(&fields, &url(at), now())
}

const SITE: &str = "https://www.example.com/";

#[test]
fn every_case_of_the_table_is_decided_as_it_says_and_the_same_after_a_file() {
    let cases: Vec<serde_json::Value> = include_str!("cases.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.iter().filter(|case| case["set"].is_array()).count() >= 60);
    for case in cases {
        let lines = |name: &str| -> Vec<&str> {
            case[name].as_array().into_iter().flatten().map(|line| line.as_str().unwrap()).collect()
        };
        let (mut jar, next) = (CookieJar::default(), case["next"].as_str().unwrap());
        match case["at"].as_str() {
            Some(at) => drop(set(&mut jar, at, &lines("set"))),
            None => drop(jar.read(lines("file").join("\n").as_bytes(), now())),
        }
        assert_eq!(sent(&mut jar, next, now()), case["sent"], "{}", case["what"]);
        let mut again = CookieJar::default();
        let file = again.read(&jar.to_file(now()), now());
        assert_eq!((file.left_out, file.errors.len()), (0, 0), "{}", case["what"]);
        assert_eq!(again.to_file(now()), jar.to_file(now()), "{}", case["what"]);
        let pairs = |text: String| {
            let mut pairs: Vec<_> = text.split("; ").map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        let (before, after) = (sent(&mut jar, next, now()), sent(&mut again, next, now()));
        assert_eq!(pairs(after), pairs(before), "{}", case["what"]);
    }
}

#[test]
fn a_jar_is_bounded_and_keeps_what_was_used_last() {
    let mut jar = CookieJar::default();
    for number in 0..60 {
        set(&mut jar, SITE, &[&format!("c{number}=1; Path=/{number}/")]);
        // Sending the first one keeps it in use.
        assert_eq!(sent(&mut jar, "https://www.example.com/0/", now()), "c0=1");
    }
    assert_eq!(jar.sorted(now()).len(), MAX_PER_DOMAIN);
    assert_eq!(sent(&mut jar, "https://www.example.com/1/", now()), "");
    assert_eq!(sent(&mut jar, "https://www.example.com/59/", now()), "c59=1");
    let mut jar = CookieJar::default();
    set(&mut jar, "https://a.test/", &["old=1; Max-Age=10", "kept=1"]);
    for number in 0..MAX_PER_JAR - 2 {
        set(&mut jar, &format!("https://h{number}.test/"), &["a=1"]);
    }
    assert_eq!(jar.sorted(now()).len(), MAX_PER_JAR);
    let later = now() + Duration::from_secs(10);
    jar.receive(&[b"a=1".to_vec()], &url("https://b.test/"), later);
    assert_eq!(sent(&mut jar, "https://a.test/", later), "kept=1", "the expired one goes first");
    for number in 0..10 {
        set(&mut jar, &format!("https://x{number}.test/"), &["a=1"]);
    }
    assert_eq!(jar.sorted(now()).len(), MAX_PER_JAR);
    assert_eq!(sent(&mut jar, "https://a.test/", later), "kept=1");
    assert_eq!(sent(&mut jar, "https://h0.test/", later), "", "unused for the longest time");
    // Removed cookies leave no empty domains behind.
    let mut jar = CookieJar::default();
    for number in 0..1000 {
        set(&mut jar, &format!("https://h{number}.test/"), &["a=1", "a=; Max-Age=0"]);
    }
    assert!(jar.is_empty() && jar.by_domain_is_empty());
}

#[test]
fn a_request_and_a_reply_have_so_many_cookies_at_most() {
    let mut jar = CookieJar::default();
    let fields: Vec<_> = (0..60).map(|number| format!("c{number}=1")).collect();
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    set(&mut jar, SITE, &fields);
    assert_eq!(sent(&mut jar, SITE, now()).split("; ").count(), 50);
    let long = "x".repeat(3900);
    set(
        &mut jar,
        SITE,
        &["a", "b", "c"].map(|name| format!("{name}={long}")).each_ref().map(|text| &**text),
    );
    let field = sent(&mut jar, SITE, now());
    assert!(
        field.len() <= 8190 && field.contains("a=x") && field.contains("b=x"),
        "{}",
        field.len()
    );
    assert!(!field.contains("c=x"));
}

#[test]
fn the_cookies_of_a_target_hide_those_of_the_run_and_are_bounded() {
    let mut jar = CookieJar::default();
    set(&mut jar, SITE, &["a=run", "b=run", "c=run; Path=/x"]);
    let mut target = TargetCookies::default();
    let fields =
        ["a=own", "b=; Max-Age=0", "d=own; Path=/x/y"].map(|field| field.as_bytes().to_vec());
    assert_eq!(target.receive(&fields, &url(SITE), now(), Some(&jar)), None);
    let field =
        cookie_field(&url("https://www.example.com/x/y"), now(), Some(&mut jar), Some(&target));
    assert_eq!(field.unwrap(), "d=own; c=run; a=own");
    assert_eq!(sent(&mut jar, SITE, now()), "a=run; b=run", "other targets see nothing of it");
    for number in 0..1000 {
        let field = format!("c{number}={}", "x".repeat(number * 4));
        target.receive(&[field.into_bytes()], &url(SITE), now(), None);
    }
    assert!(target.size() <= 16 << 10 && target.len() <= 50);
}

#[test]
fn a_reply_over_http_leaves_secure_cookies_alone() {
    let mut jar = CookieJar::default();
    set(&mut jar, "https://www.example.com/login/x", &["sid=good; Secure; Domain=example.com"]);
    let plain = "http://www.example.com/login/x";
    for field in ["sid=evil", "sid=evil; Domain=example.com", "sid=; Max-Age=0; Domain=example.com"]
    {
        assert_eq!(set(&mut jar, plain, &[field]), Some(CookieRefusal::OverSecure), "{field}");
    }
    assert_eq!(set(&mut jar, plain, &["sid=else; Path=/"]), None, "it is sent behind the other");
    assert_eq!(sent(&mut jar, "https://www.example.com/login/x", now()), "sid=good; sid=else");
    let mut target = TargetCookies::default();
    let evil = [b"sid=evil".to_vec()];
    let refusal = target.receive(&evil, &url(plain), now(), Some(&jar));
    assert_eq!(refusal, Some(CookieRefusal::OverSecure));
}

#[test]
fn a_server_has_a_cookie_kept_for_400_days_and_a_file_for_longer() {
    let day = Duration::from_secs(24 * 3600);
    let line = ".example.com\tTRUE\t/\tFALSE\t4102444800\tb\t2";
    for lasting in ["Max-Age=99999999999", "Expires=Fri, 01 Jan 2100 00:00:00 GMT"] {
        let mut jar = CookieJar::default();
        set(&mut jar, SITE, &[&format!("a=1; {lasting}")]);
        jar.read(line.as_bytes(), now());
        assert_eq!(sent(&mut jar, SITE, now() + 400 * day - Duration::from_secs(1)), "a=1; b=2");
        assert_eq!(sent(&mut jar, SITE, now() + 400 * day), "b=2");
    }
}

#[test]
fn lines_that_are_no_cookies_are_named_with_their_numbers() {
    let good = ".example.com\tTRUE\t/\tFALSE\t0\ta\t1";
    for (line, expected) in [
        ("a.b TRUE / FALSE 0 a 1", "not a cookie: 7 fields separated by tabs are expected, not 1"),
        ("a.b\tTRUE\t/\tFALSE\t0", "not a cookie: 7 fields separated by tabs are expected, not 5"),
        ("\tTRUE\t/\tFALSE\t0\ta\t1", "not a cookie: invalid domain"),
        ("a b\tTRUE\t/\tFALSE\t0\ta\t1", "not a cookie: invalid domain"),
        // Those would be others, or comments, in a file that is written.
        (".#b\tFALSE\t/\tFALSE\t0\ta\t1", "not a cookie: invalid domain"),
        ("..b\tFALSE\t/\tFALSE\t0\ta\t1", "not a cookie: invalid domain"),
        ("[a:80]\tFALSE\t/\tFALSE\t0\ta\t1", "not a cookie: invalid domain"),
        ("[]\tFALSE\t/\tFALSE\t0\ta\t1", "not a cookie: invalid domain"),
        ("a.b\tYES\t/\tFALSE\t0\ta\t1", "not a cookie: invalid second field (TRUE or FALSE)"),
        ("a.b\tTRUE\tx\tFALSE\t0\ta\t1", "not a cookie: invalid path"),
        ("a.b\tTRUE\t/\t0\t0\ta\t1", "not a cookie: invalid fourth field (TRUE or FALSE)"),
        ("a.b\tTRUE\t/\tFALSE\tsoon\ta\t1", "not a cookie: invalid expiry time"),
        ("a.b\tTRUE\t/\tFALSE\t0\t\t", "not a cookie: invalid name or value"),
        ("a.b\tTRUE\t/\tFALSE\t0\ta\t\u{1}", "not a cookie: invalid name or value"),
        ("Set-Cookie: a=1", "a Set-Cookie header says not for which host it is"),
    ] {
        let mut jar = CookieJar::default();
        let file = jar.read(format!("\u{feff}# comment\n{good}\n\n{line}\n").as_bytes(), now());
        assert_eq!((file.cookies, file.errors.len(), file.errors[0].0), (1, 1, 4), "{line}");
        let message = file.errors[0].1.to_string();
        assert!(message.starts_with(expected), "{line}: {message}");
    }
    let file = CookieJar::default().read(b" [{\"domain\": \"a.b\"}]", now());
    assert_eq!(file.errors, [(1, CookieFileError::Json)]);
    // An address in brackets, and a time that no clock shows.
    let mut jar = CookieJar::default();
    let far = "99999999999999999999999999";
    for (domain, name) in [("[::1]", "a"), ("::1", "b"), ("[::1]:80", "c")] {
        jar.read(format!("{domain}\tFALSE\t/\tFALSE\t{far}\t{name}\t1").as_bytes(), now());
    }
    assert_eq!(sent(&mut jar, "http://[::1]/", now()), "a=1; b=1; c=1");
}

#[test]
fn a_dot_at_the_end_of_a_host_makes_no_name_of_a_public_suffix() {
    let sites = ["https://a.com./", "https://a.co.uk./", "https://a.com../"];
    for (site, domain) in sites.into_iter().zip(["com.", ".co.uk.", "com.."]) {
        let mut jar = CookieJar::default();
        let refusal = set(&mut jar, site, &[&format!("a=1; Domain={domain}")]);
        assert_eq!(refusal, Some(CookieRefusal::PublicSuffix), "{site}");
        assert!(jar.is_empty());
    }
    let mut jar = CookieJar::default();
    assert_eq!(set(&mut jar, "https://b.a.com./", &["a=1; Domain=a.com."]), None);
    assert_eq!(sent(&mut jar, "https://a.com./", now()), "a=1");
}

#[test]
fn too_many_cookies_in_a_file_are_counted() {
    let mut jar = CookieJar::default();
    let lines: Vec<_> =
        (0..60).map(|number| format!("a.test\tFALSE\t/\tFALSE\t0\tc{number}\t1")).collect();
    let file = jar.read(lines.join("\n").as_bytes(), now());
    assert_eq!((file.cookies, file.left_out), (60, 10));
}

#[test]
fn no_cookie_is_shown_for_debugging() {
    let mut jar = CookieJar::default();
    set(&mut jar, SITE, &["user=hunter2"]);
    let field = cookie_field(&url(SITE), now(), Some(&mut jar), None).unwrap();
    let mut target = TargetCookies::default();
    target.receive(&[b"user=hunter2".to_vec()], &url(SITE), now(), None);
    let shown = format!("{jar:?} {field:?} {target:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("user"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_server_sends_or_a_file_has_breaks_the_jar(
        fields in proptest::collection::vec(proptest::collection::vec(0u8.., 0..80), 0..8),
        file in proptest::collection::vec(0u8.., 0..200),
    ) {
        let mut jar = CookieJar::default();
        jar.receive(&fields, &url(SITE), now());
        jar.read(&file, now());
        let written = jar.to_file(now());
        let mut again = CookieJar::default();
        let read = again.read(&written, now());
        proptest::prop_assert!(read.errors.is_empty(), "{:?}", read.errors);
        proptest::prop_assert_eq!(again.to_file(now()), written);
    }
}
