//! A fuzz target for redaction: no text around a secret makes the secret appear in redacted output.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{
    PROVIDERS, SECRET, masked, masked_field, redacted, redacted_field, redacted_line,
    redacted_name, redacted_start, redacted_text,
};

/// The secret that must not be shown.
const HUNTER2: &str = "hunter2";

/// Input: a byte that selects the name of a parameter, then the texts around the secret, separated by newlines.
pub fn redaction(data: &[u8]) {
    let Some((name, data)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(data).replace(HUNTER2, "");
    let mut parts = text.splitn(4, '\n');
    let [a, b, c, d] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    check_passwords([a, b, c, d]);
    check_parameters(*name, [a, b, c, d]);
    check_lines([a, b, c]);
    for text in [&*text, a] {
        // An `@` in the value of a secret parameter may look like that of a user part, but no longer once the value is masked.
        if text.split('=').skip(1).any(|value| value.contains('@')) {
            continue;
        }
        let (shown, field) = (redacted_text(text), redacted_field(text));
        assert_eq!(redacted_text(&shown), shown, "once is enough");
        assert_eq!(redacted_field(&field), field, "once is enough");
    }
}

fn check_passwords([a, b, c, d]: [&str; 4]) {
    let with_password = format!("https://{a}:{b}{HUNTER2}{c}@a.test/{d}");
    let alone = format!("https://{b}{HUNTER2}{c}@a.test/{d}");
    for text in [with_password, alone] {
        let Ok(url) = Url::parse(&text) else { continue };
        let password = url.password().filter(|password| !password.is_empty());
        if password.unwrap_or(url.username()).contains(HUNTER2) {
            check_hidden(&url, a);
        }
    }
}

/// Checks a secret parameter, both of a URL itself and of an encoded URL in the value of another parameter.
fn check_parameters(name: u8, [a, b, c, d]: [&str; 4]) {
    let name = usize::from(name);
    let provider = ["", "X-Amz-", "x_goog_", "X.Oss."][name % (PROVIDERS.len() + 1)];
    let name = SECRET[name % SECRET.len()];
    let text = format!("https://{a}.test/{b}?{c}&{provider}{name}={HUNTER2}{d}");
    let Ok(url) = Url::parse(&text) else { return };
    check_hidden(&url, d);
    // Within the value, after characters that do not end a value.
    let start: String = b.chars().filter(|character| !"&#\t\n\r'`".contains(*character)).collect();
    let within = format!("https://a.test/?{name}={start}{HUNTER2}&{d}");
    if let Ok(url) = Url::parse(&within) {
        check_hidden(&url, c);
    }
    let inner = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    let twice = utf8_percent_encode(&inner, NON_ALPHANUMERIC);
    for inner in [&*inner, &twice.to_string()] {
        let text = format!("https://a.test/?{c}&u={inner}");
        if let Ok(url) = Url::parse(&text) {
            check_hidden(&url, b);
        }
    }
}

/// Checks that the secret is hidden in every form in which the URL is shown, alone or in a sentence.
fn check_hidden(url: &Url, beside: &str) {
    let text = url.as_str();
    for shown in [redacted(url), masked(url), masked_field(text).into_owned(), redacted_line(text)]
    {
        assert!(!shown.contains(HUNTER2), "{text}: {shown}");
    }
    let listed = format!("{beside}\thttp://b.test/\t{text}");
    for shown in [redacted_field(&listed), redacted_name(text)] {
        assert!(!shown.contains(HUNTER2), "{text}: {shown}");
    }
    for sentence in
        [format!("{beside} '{text}': no"), format!("{beside} ({text}); no"), format!("{text} no")]
    {
        let shown = redacted_text(&sentence);
        assert!(!shown.contains(HUNTER2), "{sentence}: {shown}");
    }
}

/// Checks a password before an `@` in a text that is not a valid URL.
fn check_lines([a, b, c]: [&str; 3]) {
    let text = format!("{a}u:{HUNTER2}{b}@{c}");
    for shown in [redacted_line(&text), redacted_name(&text).into_owned()] {
        assert!(!shown.contains(HUNTER2), "{text}: {shown}");
        assert!(shown.chars().count() <= text.chars().count() + 4);
    }
    let start = redacted_line(&text);
    assert!(start.chars().count() <= 200 && !start.contains(char::is_control), "{start:?}");
    let cut = format!("{a}u:{HUNTER2}{}", b.replace(['/', '?', '#', '\\'], ""));
    if !a.contains(['/', '?', '#', '\\']) {
        let shown = redacted_start(&cut);
        assert!(!shown.contains(HUNTER2), "{cut}: {shown}");
    }
}
