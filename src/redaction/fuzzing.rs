//! A fuzz target for redaction: whatever the text around a secret, the secret is not in what is shown.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{
    PROVIDERS, SECRET, masked, masked_field, redacted, redacted_field, redacted_line,
    redacted_name, redacted_start, redacted_text,
};

/// The secret.
const HUNTER2: &str = "hunter2";

/// Texts around a secret, separated by newlines, behind a byte that chooses the name of a parameter.
pub fn redaction(data: &[u8]) {
    let Some((name, data)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(data).replace(HUNTER2, "");
    let mut parts = text.splitn(4, '\n');
    let [a, b, c, d] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    passwords([a, b, c, d]);
    parameters(*name, [a, b, c, d]);
    lines([a, b, c]);
    for text in [&*text, a] {
        // The `@` of a user part may be in the value of a secret parameter: then that is no user part when it is masked.
        if text.split('=').skip(1).any(|value| value.contains('@')) {
            continue;
        }
        let (shown, field) = (redacted_text(text), redacted_field(text));
        assert_eq!(redacted_text(&shown), shown, "once is enough");
        assert_eq!(redacted_field(&field), field, "once is enough");
    }
}

fn passwords([a, b, c, d]: [&str; 4]) {
    let with_password = format!("https://{a}:{b}{HUNTER2}{c}@a.test/{d}");
    let alone = format!("https://{b}{HUNTER2}{c}@a.test/{d}");
    for text in [with_password, alone] {
        let Ok(url) = Url::parse(&text) else { continue };
        let password = url.password().filter(|password| !password.is_empty());
        if password.unwrap_or(url.username()).contains(HUNTER2) {
            hidden_in(&url, a);
        }
    }
}

/// A secret parameter, as it is and in a URL that is the value of another parameter.
fn parameters(name: u8, [a, b, c, d]: [&str; 4]) {
    let name = usize::from(name);
    let provider = ["", "X-Amz-", "x_goog_", "X.Oss."][name % (PROVIDERS.len() + 1)];
    let name = SECRET[name % SECRET.len()];
    let text = format!("https://{a}.test/{b}?{c}&{provider}{name}={HUNTER2}{d}");
    let Ok(url) = Url::parse(&text) else { return };
    hidden_in(&url, d);
    // Somewhere in the value, for which no character of a sentence is mistaken.
    let start: String = b.chars().filter(|character| !"&#\t\n\r'`".contains(*character)).collect();
    let within = format!("https://a.test/?{name}={start}{HUNTER2}&{d}");
    if let Ok(url) = Url::parse(&within) {
        hidden_in(&url, c);
    }
    let inner = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    let twice = utf8_percent_encode(&inner, NON_ALPHANUMERIC);
    for inner in [&*inner, &twice.to_string()] {
        let text = format!("https://a.test/?{c}&u={inner}");
        if let Ok(url) = Url::parse(&text) {
            hidden_in(&url, b);
        }
    }
}

/// A secret of a URL is in no form in which the URL is shown, in a sentence or alone.
fn hidden_in(url: &Url, beside: &str) {
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

/// What stands before an `@` in a text that is no URL.
fn lines([a, b, c]: [&str; 3]) {
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
