//! Redaction: replaces the secrets of URLs, and of texts that contain URLs, by `***`. This is the only table of secret
//! query parameters, and the only parser of the user part of URLs that may be invalid.
//!
//! `--no-redact` turns redaction off for the process, before anything is shown. The manifest has no secrets even then.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use memchr::{memchr, memchr2};
use percent_encoding::percent_decode_str;
use url::{Position, Url};

/// What is shown in place of a secret.
pub(crate) const MASK: &str = "***";

/// Names of query parameters whose values are signatures, keys, tokens or passwords: in lower case, without `-`, `_`
/// and `.`, sorted.
pub(crate) const SECRET: [&str; 47] = [
    "accesskey",
    "accesskeyid",
    "accesstoken",
    "apikey",
    "apitoken",
    "auth",
    "authkey",
    "authorization",
    "authtoken",
    "awsaccesskeyid",
    "awssecretaccesskey",
    "bearer",
    "bearertoken",
    "clientsecret",
    "credential",
    "googleaccessid",
    "hmac",
    "idtoken",
    "jobtoken",
    "jsessionid",
    "jwt",
    "key",
    "keypairid",
    "oauthtoken",
    "ossaccesskeyid",
    "pass",
    "passwd",
    "password",
    "phpsessid",
    "privatetoken",
    "pwd",
    "qak",
    "qsignature",
    "refreshtoken",
    "sas",
    "sastoken",
    "secret",
    "secretaccesskey",
    "secretkey",
    "securitytoken",
    "session",
    "sessionid",
    "sessiontoken",
    "sig",
    "sign",
    "signature",
    "token",
];

/// Prefixes of providers, after which a name of [`SECRET`] may stand; in the same form.
const PROVIDERS: [&str; 3] = ["xamz", "xgoog", "xoss"];

/// The minimum length of a parameter name that is looked up in [`SECRET`], in bytes.
const SHORTEST_NAME: usize = 3;

/// The maximum length of a parameter name that is looked up in [`SECRET`], in bytes, its escapes decoded.
const LONGEST_NAME: usize = 64;

/// How many times a parameter value is percent-decoded to find URLs in it.
const MAX_DECODINGS: u8 = 2;

/// Schemes of addresses with a name but no password before the `@`.
const ADDRESS_SCHEMES: [&str; 3] = ["mailto:", "news:", "xmpp:"];

/// The maximum number of characters of a line that are shown.
const MAX_SHOWN_CHARACTERS: usize = 200;

/// Whether secrets are shown.
static SECRETS_SHOWN: AtomicBool = AtomicBool::new(false);

/// Turns redaction off in this process (`--no-redact`).
pub(crate) fn show_secrets() {
    SECRETS_SHOWN.store(true, Relaxed);
}

/// Whether redaction is turned off.
pub(crate) fn shows_secrets() -> bool {
    SECRETS_SHOWN.load(Relaxed)
}

/// The URL as it may be shown: with `***` in place of its password, of a user name without one, which may be a token,
/// and of the values of secret query parameters.
pub(crate) fn redacted(url: &Url) -> String {
    redacted_url(url).into_owned()
}

/// As [`redacted`]; borrowed if the URL has no secret.
pub(crate) fn redacted_url(url: &Url) -> Cow<'_, str> {
    if shows_secrets() { Cow::Borrowed(url.as_str()) } else { masked_url(url) }
}

/// As [`redacted`], for a URL that was not parsed, or several of them separated by tabs.
pub(crate) fn redacted_field(text: &str) -> Cow<'_, str> {
    if shows_secrets() { Cow::Borrowed(text) } else { masked_field(text) }
}

/// As [`redacted`], for the URLs in a message.
pub(crate) fn redacted_text(text: &str) -> Cow<'_, str> {
    if shows_secrets() { Cow::Borrowed(text) } else { masked_text(text) }
}

/// As [`redacted_text`], but masked even with `--no-redact`.
pub(crate) fn masked_text(text: &str) -> Cow<'_, str> {
    masked_in(text, Surroundings::Sentence, 0)
}

/// As [`redacted`], but masked even with `--no-redact`: for what is kept on disk.
pub(crate) fn masked(url: &Url) -> String {
    masked_url(url).into_owned()
}

fn masked_url(url: &Url) -> Cow<'_, str> {
    let has_parameters =
        url.query().is_some() || url.fragment().is_some() || url.path().contains(';');
    match has_parameters || !url.username().is_empty() || url.password().is_some() {
        true => masked_field(url.as_str()),
        false => Cow::Borrowed(url.as_str()),
    }
}

/// As [`redacted_field`], but masked even with `--no-redact`.
pub(crate) fn masked_field(text: &str) -> Cow<'_, str> {
    masked_in(text, Surroundings::Nothing, 0)
}

/// The printable form of a line that is not a valid URL. Everything before its last `@`, except a scheme, is masked, since
/// it may contain a password. Control characters are replaced, and the text is cut to 200 characters.
pub(crate) fn redacted_line(text: &str) -> String {
    if shows_secrets() {
        return readable_line(["", "", text]);
    }
    let (scheme, rest) = scheme_and_rest(text);
    let shown = match rest.rsplit_once('@') {
        Some((name, _)) if is_address(name) => readable_line(["", "", &masked_field(text)]),
        Some(_) => readable_line([scheme, "***@", &masked_behind_user(text)]),
        None => readable_line(["", "", &masked_field(text)]),
    };
    mask_secret_words(shown)
}

/// Masks the secrets of a line that are not in URLs: `password=...`, header fields, command-line options of tools.
fn mask_secret_words(line: String) -> String {
    let (mut secrets, mut is_user) = (Vec::new(), false);
    let range = |part: &str| {
        let start = part.as_ptr() as usize - line.as_ptr() as usize;
        start..start + part.len()
    };
    for word in line.split_whitespace() {
        let bare = word.trim_start_matches(['"', '\'', '-']);
        if is_user {
            secrets.push(range(word));
        } else if let Some((name, value)) = bare.split_once('=')
            && is_secret(name, || false)
        {
            secrets.push(range(value));
        } else if let Some((name, value)) = bare.split_once(':')
            && (is_secret(name, || false) || name.eq_ignore_ascii_case("cookie"))
        {
            // The value of a field is the rest of the line.
            secrets.push(range(value).start..line.len());
            break;
        }
        is_user = matches!(word, "-u" | "-U" | "--user" | "--proxy-user");
    }
    secrets.retain(|secret| !secret.is_empty() && &line[secret.clone()] != MASK);
    if secrets.is_empty() { line } else { masked_from(0, &line, &secrets) }
}

/// As [`redacted_line`], for the beginning of a line whose rest is unknown and may contain an `@`: unless it reaches
/// beyond the host, only its scheme is shown.
pub(crate) fn redacted_start(text: &str) -> String {
    let (scheme, rest) = scheme_and_rest(text);
    let tail = rest.rsplit_once('@').map_or(rest, |(_, tail)| tail);
    let is_behind_the_host = tail.contains(['/', '?', '#', '\\']);
    if is_behind_the_host || shows_secrets() {
        redacted_line(text)
    } else {
        readable_line([scheme, "…", ""])
    }
}

/// The printable form of a file name that the user gave, which may have been meant as a URL.
pub(crate) fn redacted_name(name: &str) -> Cow<'_, str> {
    match name.rsplit_once('@') {
        Some((before, _)) if before.contains(':') && !is_address(before) && !shows_secrets() => {
            let (scheme, user) = scheme_and_rest(before);
            let user = user.split_once(':').map_or("", |(user, _)| user);
            // A text with these characters is not a user name, and may contain other secrets.
            let user = if user.contains(['@', '/', '?', '#']) { "" } else { user };
            let colon = if user.is_empty() { "" } else { ":" };
            Cow::Owned(format!("{scheme}{user}{colon}***@{}", masked_behind_user(name)))
        }
        _ => redacted_field(name),
    }
}

/// Splits a text after `scheme://`; the first part is empty if there is no valid scheme.
fn scheme_and_rest(text: &str) -> (&str, &str) {
    let Some(end) = text.find("://") else { return ("", text) };
    let scheme = &text[..end];
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if is_scheme { text.split_at(end + "://".len()) } else { ("", text) }
}

/// Whether the text before an `@` is an address scheme and a name, such as `mailto:bob`.
fn is_address(before: &str) -> bool {
    let name = ADDRESS_SCHEMES.iter().find_map(|scheme| before.strip_prefix(scheme));
    name.is_some_and(|name| !name.contains([':', '@', '/']))
}

/// The text around a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    /// None, or tabs between mirrors.
    Nothing,
    /// A sentence: whitespace, quotes and punctuation end the URL.
    Sentence,
}

impl Surroundings {
    /// Whether the character ends the value of a parameter.
    fn end_a_value(self, character: char) -> bool {
        match self {
            Self::Nothing => matches!(character, '&' | '#' | '\t'),
            Self::Sentence => character.is_whitespace() || "&#'\"<>`".contains(character),
        }
    }

    /// The beginning of a text up to the end of a parameter value, or up to the first character for which `ends` is true.
    /// In a sentence, a `'` or `` ` `` before another character of a value does not end it: URLs contain both unescaped.
    fn up_to_end(self, text: &str, ends: impl Fn(char) -> bool) -> &str {
        let is_of_value =
            |character: char| character.is_alphanumeric() || "%+-/=_~".contains(character);
        let is_end = |(at, character): &(usize, char)| {
            let is_within =
                matches!(character, '\'' | '`') && text[at + 1..].starts_with(is_of_value);
            ends(*character) || self.end_a_value(*character) && !is_within
        };
        text.char_indices().find(is_end).map_or(text, |(end, _)| &text[..end])
    }

    /// Whether the character ends the authority (user part and host). An apostrophe and `&` do not, since a password may
    /// contain them unescaped.
    fn end_an_authority(self, character: char) -> bool {
        let is_of_password = matches!(character, '&' | '\'');
        matches!(character, '/' | '?' | '#' | '\\')
            || self.end_a_value(character) && !is_of_password
    }
}

/// The text with its secrets masked; borrowed if it has none.
fn masked_in(text: &str, around: Surroundings, decoded: u8) -> Cow<'_, str> {
    match &secrets_in(text, around, decoded)[..] {
        [] => Cow::Borrowed(text),
        secrets => Cow::Owned(masked_from(0, text, secrets)),
    }
}

/// Finds the secrets in a text, in the order of their start.
fn secrets_in(text: &str, around: Surroundings, decoded: u8) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    // Without `@` there is no user part, and without `=` no parameter.
    if memchr2(b'@', b'=', text.as_bytes()).is_none() {
        return secrets;
    }
    if memchr(b'@', text.as_bytes()).is_some() {
        find_users(text, around, decoded, &mut secrets);
    }
    find_parameters(text, around, decoded, &mut secrets);
    secrets.retain(|secret| &text[secret.clone()] != MASK);
    secrets.sort_unstable_by_key(|secret| secret.start);
    secrets
}

/// The text from byte `start` on, its secrets masked. The rest of a secret that begins earlier is left out.
fn masked_from(start: usize, text: &str, secrets: &[Range<usize>]) -> String {
    let (mut shown, mut copied) = (String::with_capacity(text.len() - start), start);
    for secret in secrets {
        if secret.start >= copied {
            shown.extend([&text[copied..secret.start], MASK]);
        }
        copied = copied.max(secret.end);
    }
    shown.push_str(&text[copied..]);
    shown
}

/// The text after its last `@`, secrets masked. The `@` may itself be part of a secret.
fn masked_behind_user(text: &str) -> String {
    let start = text.rfind('@').map_or(0, |at| at + 1);
    masked_from(start, text, &secrets_in(text, Surroundings::Nothing, 0))
}

/// Finds the password, or else the user name, of every URL in a text. The value of a parameter may be a URL without a
/// scheme.
fn find_users(text: &str, around: Surroundings, decoded: u8, secrets: &mut Vec<Range<usize>>) {
    let (mut is_value, mut seen) = (false, 0);
    for (at, separator) in text.match_indices("//") {
        let begins_a_url = match text[..at].bytes().next_back() {
            Some(before) => matches!(before, b':' | b'='),
            None => decoded > 0,
        };
        if !begins_a_url {
            continue;
        }
        let start = at + separator.len();
        for character in text[seen..at].chars() {
            is_value = character == '?' || is_value && !character.is_whitespace();
        }
        seen = at;
        // In a query, `&` ends the URL.
        let is_end = |character| around.end_an_authority(character) || is_value && character == '&';
        let end = text[start..].find(is_end);
        let authority = end.map_or(&text[start..], |end| &text[start..start + end]);
        let Some(end) = authority.rfind('@').filter(|end| *end > 0) else { continue };
        let secret = match authority[..end].find(':') {
            Some(colon) if colon + 1 < end => colon + 1..end,
            _ => 0..end,
        };
        secrets.push(start + secret.start..start + secret.end);
    }
}

/// Finds the values of the secret parameters in a text. A parameter follows `?`, `&`, `#` or `;`.
fn find_parameters(text: &str, around: Surroundings, decoded: u8, secrets: &mut Vec<Range<usize>>) {
    const SEPARATORS: [char; 4] = ['?', '&', '#', ';'];
    let is_separator = |byte: &u8| matches!(byte, b'?' | b'&' | b'#' | b';');
    let is_login = || text.contains("state=");
    let mut at = 0;
    while let Some(separator) = text.as_bytes()[at..].iter().position(is_separator) {
        let start = at + separator + 1;
        let is_end = |character| {
            around.end_a_value(character) || character == '=' || SEPARATORS.contains(&character)
        };
        at = text[start..].find(is_end).map_or(text.len(), |end| start + end);
        if text[at..].strip_prefix('=').is_none() {
            continue;
        }
        let (name, first) = (text[start..at].trim_start(), at + 1);
        let value = if is_secret(name, is_login) {
            let value = around.up_to_end(&text[first..], |_| false);
            // Punctuation at the end of a value belongs to the sentence.
            let ends_a_sentence =
                |character| matches!(character, ':' | '?' | ',' | ';' | '.' | ')');
            let is_sentence = around == Surroundings::Sentence;
            value.trim_end_matches(|character| is_sentence && ends_a_sentence(character))
        } else {
            // Shorter than a secret value: another parameter may begin within it.
            let value =
                around.up_to_end(&text[first..], |character| SEPARATORS.contains(&character));
            if !hides_a_secret(value, decoded) {
                at = first;
                continue;
            }
            value
        };
        at = first + value.len();
        if !value.is_empty() {
            secrets.push(first..at);
        }
    }
}

/// Whether the value of a parameter with this name is secret. `code` is secret only in a reply to a login, which also has
/// `state` (RFC 6749 section 4.1.2).
fn is_secret(name: &str, is_login: impl Fn() -> bool) -> bool {
    // Three bytes are an escape of one.
    if !(SHORTEST_NAME..=3 * LONGEST_NAME).contains(&name.len()) {
        return false;
    }
    let name = match memchr(b'%', name.as_bytes()) {
        Some(_) => percent_decode_str(name).decode_utf8_lossy(),
        None => Cow::Borrowed(name),
    };
    // Form encodings write `user[token]=` and `token[]=`.
    let name = name.trim_end_matches("[]").trim_end_matches(']');
    let name = name.rsplit('[').next().unwrap_or_default();
    let plain = |character: char| !matches!(character, '-' | '_' | '.');
    let name: String = name
        .chars()
        .filter(|character| plain(*character))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let own = PROVIDERS.iter().find_map(|provider| name.strip_prefix(provider));
    let is_known = |name: &str| SECRET.contains(&name);
    // `x-api-key` is treated like `api-key`.
    is_known(own.unwrap_or(&name))
        || name.strip_prefix('x').is_some_and(is_known)
        || name == "code" && is_login()
}

/// Whether the value contains a secret in a URL that is percent-encoded once or twice.
fn hides_a_secret(value: &str, decoded: u8) -> bool {
    if decoded == MAX_DECODINGS || !value.contains('%') {
        return false;
    }
    let plain = percent_decode_str(value).decode_utf8_lossy();
    matches!(masked_in(&plain, Surroundings::Nothing, decoded + 1), Cow::Owned(_))
        || hides_a_secret(&plain, decoded + 1)
}

/// A scheme of temporarily signed URLs. A URL belongs to it if it has all parameters of `marks`; the parameters of
/// `values` change with each new signature.
struct SignedUrlScheme {
    marks: &'static [&'static str],
    values: &'static [&'static str],
}

/// The schemes of temporarily signed URLs of object stores, according to their documentation.
const SIGNED_URL_SCHEMES: [SignedUrlScheme; 7] = [
    SignedUrlScheme {
        marks: &["x-amz-signature", "x-amz-credential"],
        values: &[
            "x-amz-credential",
            "x-amz-date",
            "x-amz-expires",
            "x-amz-security-token",
            "x-amz-signature",
        ],
    },
    SignedUrlScheme {
        marks: &["x-goog-signature", "x-goog-credential"],
        values: &["x-goog-credential", "x-goog-date", "x-goog-expires", "x-goog-signature"],
    },
    SignedUrlScheme {
        marks: &["x-oss-signature", "x-oss-credential"],
        values: &[
            "x-oss-credential",
            "x-oss-date",
            "x-oss-expires",
            "x-oss-security-token",
            "x-oss-signature",
        ],
    },
    SignedUrlScheme {
        marks: &["q-signature", "q-ak"],
        values: &["q-ak", "q-key-time", "q-sign-time", "q-signature", "x-cos-security-token"],
    },
    SignedUrlScheme {
        marks: &["signature", "expires"],
        values: &[
            "awsaccesskeyid",
            "expires",
            "googleaccessid",
            "key-pair-id",
            "ossaccesskeyid",
            "security-token",
            "signature",
            "x-amz-security-token",
        ],
    },
    SignedUrlScheme {
        marks: &["signature", "key-pair-id", "policy"],
        values: &["key-pair-id", "policy", "signature"],
    },
    SignedUrlScheme {
        marks: &["sig", "se", "sv"],
        values: &["se", "sig", "ske", "skoid", "sks", "skt", "sktid", "skv", "st"],
    },
];

/// The query without its temporary signature, so that the same object is recognized when its URL is signed again: the
/// values that change with the signature are replaced by `***`. Borrowed if the query has no such signature. Everything
/// that distinguishes objects is kept, secret or not.
pub(crate) fn without_signature(query: &str) -> Cow<'_, str> {
    if !query.contains(['s', 'S']) {
        return Cow::Borrowed(query);
    }
    let name_of = |parameter: &str| {
        parameter.split_once('=').map_or_else(String::new, |(name, _)| name.to_ascii_lowercase())
    };
    let names: Vec<_> = query.split('&').map(name_of).collect();
    let has = |mark: &&str| names.iter().any(|name| name == *mark);
    let scheme = SIGNED_URL_SCHEMES.iter().find(|scheme| scheme.marks.iter().all(&has));
    let Some(scheme) = scheme else { return Cow::Borrowed(query) };
    let parameters = query.split('&').zip(&names).map(|(parameter, name)| {
        match scheme.values.contains(&name.as_str()) {
            true => Cow::Owned(format!("{}={MASK}", &parameter[..name.len()])),
            false => Cow::Borrowed(parameter),
        }
    });
    Cow::Owned(parameters.collect::<Vec<_>>().join("&"))
}

/// A path component without its secret parameters (`;jsessionid=`, RFC 3986 section 3.3); borrowed if it has none.
pub(crate) fn without_secret_parameters(component: &str) -> Cow<'_, str> {
    let is_secret =
        |part: &&str| part.split_once('=').is_some_and(|(name, _)| is_secret(name, || false));
    let mut parts = component.split(';');
    let name = parts.next().unwrap_or_default();
    if !parts.clone().any(|part| is_secret(&part)) {
        return Cow::Borrowed(component);
    }
    let shown = parts.filter(|part| !is_secret(part)).map(|part| format!(";{part}"));
    Cow::Owned(name.to_owned() + &shown.collect::<String>())
}

/// The URL from the host to the query, without a temporary signature: the same each time the URL is signed again.
pub(crate) fn object_of(url: &Url) -> Cow<'_, str> {
    let whole = &url[Position::BeforeHost..Position::AfterQuery];
    match url.query().map(without_signature) {
        Some(Cow::Owned(query)) => {
            Cow::Owned(format!("{}?{query}", &url[Position::BeforeHost..Position::AfterPath]))
        }
        _ => Cow::Borrowed(whole),
    }
}

/// Joins the parts, replaces control characters, and cuts the text to 200 characters.
fn readable_line(parts: [&str; 3]) -> String {
    let mut characters = parts.into_iter().flat_map(str::chars).map(replace_control);
    let mut text: String = characters.by_ref().take(MAX_SHOWN_CHARACTERS).collect();
    if characters.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

fn replace_control(character: char) -> char {
    match character {
        '\t' => ' ',
        // These change the direction of the text around them.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_url_are_masked_and_nothing_else() {
        for (url, shown) in [
            ("https://a.b/?id=1&SIG=x%2F=&page=2#end", "https://a.b/?id=1&SIG=***&page=2#end"),
            (
                "https://a.b/?X-Amz-Credential=AK/1&X-Amz-Signature=ff&X-Amz-Date=1",
                "https://a.b/?X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1",
            ),
            ("https://a.b/#access_token=x", "https://a.b/#access_token=***"),
            ("https://a.b/?to%6ben=x&api-key=y", "https://a.b/?to%6ben=***&api-key=***"),
            ("https://a.b/?a=1;token=x;y&b=2", "https://a.b/?a=1;token=***&b=2"),
            ("https://a.b/?a=1?token=x", "https://a.b/?a=1?token=***"),
            ("https://a.b/?token=x'y`z&b=2", "https://a.b/?token=***&b=2"),
            ("https://u:p@a.b/x@y", "https://u:***@a.b/x@y"),
            ("https://u:p%40@a.b/?key=1", "https://u:***@a.b/?key=***"),
            ("https://u:p&q'r@a.b/", "https://u:***@a.b/"),
            ("https://token@a.b/", "https://***@a.b/"),
            ("https://a.b/?to=http://c.d&by=u@e.f", "https://a.b/?to=http://c.d&by=u@e.f"),
            ("https://a.b/?to=http://u:p@c.d/", "https://a.b/?to=http://u:***@c.d/"),
            ("https://a.b/?to=//u:p@c.d/", "https://a.b/?to=//u:***@c.d/"),
            ("https://a.b/?to=%2F%2Fu:p@c.d/&x=1", "https://a.b/?to=***&x=1"),
            ("https://a.b//x:y@z?by=u@e.f//g@h", "https://a.b//x:y@z?by=u@e.f//g@h"),
            ("https://a.b/?to=http%3A%2F%2Fc.d%2F%3Fkey%3Dx", "https://a.b/?to=***"),
            ("https://a.b/?to=http%3A%2F%2Fu%3Ap%40c.d%2F&x=1", "https://a.b/?to=***&x=1"),
            ("https://a.b/?to=http%253A%252F%252Fc.d%252F%253Fkey%253Dx", "https://a.b/?to=***"),
            (
                "https://a.b/?to=http%3A%2F%2Fc.d%2F%3Fq%3Dx",
                "https://a.b/?to=http%3A%2F%2Fc.d%2F%3Fq%3Dx",
            ),
            ("https://a.b/?code=EUR", "https://a.b/?code=EUR"),
            (
                "https://a.b/?user[token]=x&key[]=y&session=z&a[b]=c",
                "https://a.b/?user[token]=***&key[]=***&session=***&a[b]=c",
            ),
            ("https://a.b/h;jsessionid=x", "https://a.b/h;jsessionid=***"),
            ("https://a.b/?code=4/P7&state=x", "https://a.b/?code=***&state=x"),
            ("https://a.b/token=x", "https://a.b/token=x"),
            (
                "https://a.b/?monkey=1&author=2&design=3&token=",
                "https://a.b/?monkey=1&author=2&design=3&token=",
            ),
        ] {
            let url: Url = url.parse().unwrap();
            let shown: Url = shown.parse().unwrap();
            assert_eq!(redacted(&url), shown.as_str());
            assert_eq!(redacted(&shown), shown.as_str(), "once is enough");
        }
    }

    #[test]
    fn secrets_in_a_sentence_end_where_the_url_does() {
        for (text, shown) in [
            (
                "bad 'http://a.b/?token=x': see http://c.d/?key=y for more",
                "bad 'http://a.b/?token=***': see http://c.d/?key=*** for more",
            ),
            ("http://a.b/?token=ü?x&auth=日", "http://a.b/?token=***&auth=***"),
            (
                "http://a.b/?key=x: no; http://a.b/?key=y?",
                "http://a.b/?key=***: no; http://a.b/?key=***?",
            ),
            ("(http://u:p@a.b) and 'http://v:w@c.d'", "(http://u:***@a.b) and 'http://v:***@c.d'"),
            ("no 'http://u:p&q'r@a.b/': x", "no 'http://u:***@a.b/': x"),
            (
                "'http://a.b/?token=x`y#key=p'q', 'http://a.b/?key=z'",
                "'http://a.b/?token=***#key=***', 'http://a.b/?key=***'",
            ),
            ("mail me@a.b about ://x", "mail me@a.b about ://x"),
        ] {
            assert_eq!(redacted_text(text), shown);
            assert!(matches!(redacted_text(shown), Cow::Borrowed(_)), "{shown}");
        }
        for text in ["token=x", "?", "", "&=", "://@", "a.b?monkey=1&author=2&design=3&token="] {
            assert!(matches!(redacted_text(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_may_be_a_password_in_a_bad_line_is_not_shown() {
        for (line, shown) in [
            ("htp://bob:secret@a.b/x", "htp://***@a.b/x"),
            ("http://bob:se/cr@et@a.b/x", "http://***@a.b/x"),
            ("bob:secret@a.b//x", "***@a.b//x"),
            ("http:bob:secret@a.b", "***@a.b"),
            ("http://a.b/\thttp://bob:secret@c.d", "http://***@c.d"),
            ("http://a.b/x", "http://a.b/x"),
            ("mailto:u:secret@a.b", "***@a.b"),
            ("mailto:secret@a.b@c.d", "***@c.d"),
            ("mailto:bob@a.b", "mailto:bob@a.b"),
            ("http//a.b/?token=sec ret'&x=1", "http//a.b/?token=***&x=1"),
            ("http://a.b/?token=sec@ret&x=1", "http://***@&x=1"),
        ] {
            assert_eq!(redacted_line(line), shown);
        }
        for (line, shown) in [
            ("password=hunter2", "password=***"),
            ("AWS_SECRET_ACCESS_KEY=hunter2 a=b", "AWS_SECRET_ACCESS_KEY=*** a=b"),
            ("Authorization: Basic hunter2 x", "Authorization:***"),
            ("curl -H 'X-Api-Key: hunter2' http://a.b/", "curl -H 'X-Api-Key:***"),
            ("http://a.b/ Cookie: sid=hunter2", "http://a.b/ Cookie:***"),
            ("curl -u me:hunter2 http://a.b/", "curl -u *** http://a.b/"),
            ("wget --password=hunter2 http://a.b/", "wget --password=*** http://a.b/"),
            ("see a.b/x=1 key: no", "see a.b/x=1 key:***"),
            ("plain words, and a=b", "plain words, and a=b"),
        ] {
            assert_eq!(redacted_line(line), shown);
        }
    }

    #[test]
    fn of_a_start_only_what_lies_behind_the_host_is_shown() {
        assert_eq!(redacted_start("http://bob:sec"), "http://…");
        assert_eq!(redacted_start("http://bob:sec@ret"), "http://…");
        assert_eq!(redacted_start("http://bob:secret@a.b/x"), "http://***@a.b/x");
        assert_eq!(redacted_start("http://a.b/xxx"), "http://a.b/xxx");
        assert_eq!(redacted_start("http://a.b/?token=xxx"), "http://a.b/?token=***");
    }

    #[test]
    fn a_long_line_is_cut_and_control_characters_are_replaced() {
        let text = redacted_line(&"ü".repeat(500));
        assert_eq!(text.chars().count(), MAX_SHOWN_CHARACTERS);
        assert!(text.ends_with('…'));
        assert_eq!(
            redacted_line(&"ü".repeat(MAX_SHOWN_CHARACTERS)),
            "ü".repeat(MAX_SHOWN_CHARACTERS)
        );
        assert_eq!(redacted_line("a\u{1b}[2J\u{202e}b\tc"), "a\u{fffd}[2J\u{fffd}b c");
    }

    #[test]
    fn the_password_in_a_name_is_masked() {
        for (name, shown) in [
            ("me:secret@a.b/x", "me:***@a.b/x"),
            ("htp://me:se/cr@et@a.b", "htp://me:***@a.b"),
            ("mailto:me:secret@a.b", "mailto:***@a.b"),
            ("mailto:me@a.b", "mailto:me@a.b"),
            ("logo@2x.txt", "logo@2x.txt"),
            ("a.b/?token=x", "a.b/?token=***"),
            ("me:secret@a.b/?token=x", "me:***@a.b/?token=***"),
            ("a:b", "a:b"),
        ] {
            assert_eq!(redacted_name(name), shown);
        }
    }

    #[test]
    fn an_object_is_recognized_when_it_is_signed_anew() {
        let same = [
            [
                "X-Amz-Credential=A&X-Amz-Date=1&X-Amz-Signature=x&versionId=3",
                "X-Amz-Credential=B&X-Amz-Date=2&X-Amz-Signature=y&versionId=3",
            ],
            ["AWSAccessKeyId=A&Expires=1&Signature=x", "AWSAccessKeyId=B&Expires=2&Signature=y"],
            ["sv=1&se=1&sr=b&sig=x", "sv=1&se=2&sr=b&sig=y"],
        ];
        for [one, other] in same {
            assert_eq!(without_signature(one), without_signature(other));
        }
        let different = [
            [
                "X-Amz-Credential=A&X-Amz-Signature=x&versionId=3",
                "X-Amz-Credential=A&X-Amz-Signature=x&versionId=4",
            ],
            ["key=1", "key=2"],
            ["token=1&expires=3", "token=2&expires=3"],
            ["se=1&sig=x", "se=2&sig=x"],
            ["signature=1", "signature=2"],
        ];
        for [one, other] in different {
            assert_ne!(without_signature(one), without_signature(other));
        }
    }

    #[test]
    fn every_name_of_the_table_is_written_as_it_is_compared() {
        assert!(SECRET.is_sorted());
        for name in SECRET {
            assert!(
                is_secret(name, || false) && is_secret(&name.to_uppercase(), || false),
                "{name}"
            );
        }
        for listed in [
            "X-Amz-Signature",
            "X-Amz-Credential",
            "sig",
            "signature",
            "token",
            "access_token",
            "api_key",
            "apikey",
            "key",
            "password",
            "auth",
        ] {
            assert!(is_secret(listed, || false), "{listed}");
        }
    }

    #[test]
    fn every_name_of_the_table_is_known_also_if_all_of_it_is_escaped() {
        for name in SECRET {
            let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let url: Url = format!("https://a.b/?{escaped}=x&user[{escaped}]=y").parse().unwrap();
            let shown = format!("https://a.b/?{escaped}=***&user[{escaped}]=***");
            assert_eq!(redacted(&url), shown, "{name}");
        }
    }

    #[test]
    fn a_long_hostile_text_takes_a_time_that_grows_with_its_length() {
        for piece in ["?a;", "://", "?a=%3D;", "&token=", ";token=;", "?x=://a@"] {
            let text = piece.repeat(20_000);
            let _ = masked_in(&text, Surroundings::Sentence, 0);
        }
    }
}
