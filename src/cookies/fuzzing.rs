//! Fuzz targets for cookie dates, `cookies.txt` files, and Set-Cookie fields.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use url::Url;

use super::{
    Cookie, CookieJar, CookieOrigin, MAX_BYTES, MAX_PER_JAR, TargetCookies, cookie_field, date,
    domain_matches, is_public_suffix, set_cookie::keeps_promise,
};

/// The URLs that set cookies, and that are checked for the cookies they are sent.
const SITES: [&str; 11] = [
    "https://www.example.com/a/b?c",
    "http://www.example.com/a/b",
    "https://example.com/",
    "https://example.co.uk/",
    "http://co.uk/",
    "http://127.0.0.1/",
    "https://[::1]:8443/a",
    "http://x.localhost/",
    "https://example.com./",
    "https://other.com./",
    "https://xn--bcher-kva.example/",
];

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Input: the `Expires` of a cookie. A parsed date is in the allowed range of years. The first eight bytes are also taken
/// as a moment, each notation of which is parsed to that moment.
pub fn cookie_date(data: &[u8]) {
    if let Some(seconds) = date::parse(data) {
        assert!((-11_644_473_600..253_402_300_800).contains(&seconds), "{seconds}");
    }
    let Some((first, rest)) = data.split_first_chunk() else { return };
    let seconds = u64::from_le_bytes(*first) % 253_402_300_800;
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    let dashed = text.replace(' ', "-");
    let behind = rest.first().map_or(String::new(), |byte| format!(";{}", char::from(*byte)));
    for text in [format!("{text}{behind}"), dashed, text.to_lowercase(), text.replace(',', "~")] {
        assert_eq!(date::parse(text.as_bytes()), Some(seconds as i64), "{text}");
    }
}

/// Input: a `cookies.txt` file. The jar that it fills is bounded, and unchanged after it was written and read.
pub fn cookies_txt(data: &[u8]) {
    let mut jar = CookieJar::default();
    let file = jar.read(data, now());
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(file.cookies + file.errors.len() <= lines && file.left_out <= file.cookies);
    check(&jar);
    check_after_reread(&mut jar);
}

/// Input: a byte that selects a site, then the Set-Cookie fields of its reply, one per line. A cookie is kept, and sent,
/// only where its server may set it.
pub fn set_cookie(data: &[u8]) {
    let Some((site, fields)) = data.split_first() else { return };
    let url: Url = SITES[usize::from(*site) % SITES.len()].parse().expect("a URL");
    let fields: Vec<_> = fields.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (mut jar, mut target) = (CookieJar::default(), TargetCookies::default());
    target.receive(&fields, &url, now(), None);
    jar.receive(&fields, &url, now());
    check(&jar);
    let origin = CookieOrigin::of(&url).expect("it has a host");
    for cookie in jar.sorted(now()) {
        assert!(domain_matches(&origin.host, &cookie.domain), "{cookie:?}");
        assert!(cookie.host_only || !is_public_suffix(&cookie.domain), "{cookie:?}");
        assert!(!cookie.secure || origin.is_secure, "{cookie:?}");
        assert!(cookie.expires.is_none_or(|end| end <= 1_800_000_000 + 400 * 24 * 3600));
    }
    assert!(target.size() <= 16 << 10);
    for other in SITES.map(|site| site.parse::<Url>().expect("a URL")) {
        let sent = cookie_field(&other, now(), None, Some(&target));
        let host = CookieOrigin::of(&other).expect("it has a host").host;
        // The site itself, or both hosts are in one of these domains.
        let is_related = ["example.com", "x.localhost"]
            .iter()
            .any(|domain| domain_matches(&host, domain) && domain_matches(&origin.host, domain));
        assert!(sent.is_none() || host == origin.host || is_related, "{url} to {other}");
        assert!(sent.is_none_or(|sent| sent.len() <= 8190));
    }
    check_after_reread(&mut jar);
}

fn check(jar: &CookieJar) {
    let all = jar.sorted(now());
    assert!(all.len() <= MAX_PER_JAR);
    for Cookie { name, value, path, domain, .. } in &all {
        assert!(name.len() + value.len() <= MAX_BYTES && !domain.is_empty());
        for text in [&name[..], value, path] {
            assert!(!text.iter().any(u8::is_ascii_control));
        }
    }
    assert!(all.iter().all(|cookie| keeps_promise(cookie, true)));
}

/// Checks that the file of a jar has the same cookies, and that the same ones are sent to each site.
fn check_after_reread(jar: &mut CookieJar) {
    let written = jar.to_file(now());
    let mut again = CookieJar::default();
    let file = again.read(&written, now());
    assert_eq!((&file.errors[..], file.left_out), (&[][..], 0));
    assert_eq!(file.cookies, jar.sorted(now()).len());
    assert_eq!(again.to_file(now()), written);
    for site in SITES {
        let url = site.parse().expect("a URL");
        let sent = [&mut *jar, &mut again].map(|jar| cookie_field(&url, now(), Some(jar), None));
        // The order of cookies with equally long paths may differ.
        let [sent, later] = sent.map(|field| {
            let field = field.map_or_else(Vec::new, |field| field.as_bytes().to_vec());
            assert!(field.len() <= 8190);
            let mut bytes = field;
            bytes.sort_unstable();
            bytes
        });
        assert_eq!(later, sent, "{site}");
    }
}
