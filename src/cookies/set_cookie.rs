//! The `Set-Cookie` field: parses its cookie (RFC 6265bis section 5.6), and decides whether it may be kept (section 5.7).

use std::fmt;

use super::{
    Cookie, CookieOrigin, LONGEST_LIFE, MAX_ATTRIBUTE_BYTES, MAX_BYTES, date, domain_matches,
    is_public_suffix,
};

/// Why a cookie is not kept. `Display` does not show its name and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CookieRefusal {
    /// It is empty, or contains a control character.
    Malformed,
    /// Name and value have more than 4,096 bytes.
    TooLong,
    /// It is for a domain that its host does not belong to.
    OtherDomain,
    /// It is for all names below a public suffix.
    PublicSuffix,
    /// It is `Secure`, but its URL is neither https nor on this machine.
    Secure,
    /// It would replace or hide a `Secure` cookie, and its URL is neither https nor on this machine.
    OverSecure,
    /// It has `SameSite=None` without `Secure`.
    SameSite,
    /// Its name begins with `__Secure-` or `__Host-`, but it does not meet the requirements of that prefix.
    Prefix,
}

impl fmt::Display for CookieRefusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Malformed => "it is malformed",
            Self::TooLong => "it has more than 4096 bytes",
            Self::OtherDomain => "it is for another domain",
            Self::PublicSuffix => "it is for a public suffix",
            Self::Secure => "it is Secure and the URL is not https",
            Self::OverSecure => "it would replace a Secure one",
            Self::SameSite => "it has SameSite=None and is not Secure",
            Self::Prefix => "it is not what the prefix of its name promises",
        })
    }
}

/// The attributes of a cookie.
#[derive(Default)]
struct Attributes<'a> {
    expires: Option<i64>,
    max_age: Option<i64>,
    domain: &'a [u8],
    /// `None`: the directory of the URL.
    path: Option<&'a [u8]>,
    has_path: bool,
    secure: bool,
    http_only: bool,
    is_same_site_none: bool,
}

/// Parses the cookie that the `Set-Cookie` field of a reply from `origin` sets. A field that removes a cookie gives one
/// that has expired.
///
/// # Errors
/// Why the cookie is not kept.
pub(super) fn parse(
    field: &[u8],
    origin: &CookieOrigin<'_>,
    now: i64,
) -> Result<Cookie, CookieRefusal> {
    // Tabs are allowed by the RFC, and refused below where the file format, which separates fields by tabs, cannot keep them.
    if field.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(CookieRefusal::Malformed);
    }
    let mut parts = field.split(|byte| *byte == b';');
    let (name, value) = match split_once(parts.next().unwrap_or_default(), b'=') {
        (value, None) => (&b""[..], value),
        (name, Some(value)) => (name, value),
    };
    if name.is_empty() && value.is_empty() || [name, value].iter().any(|text| text.contains(&b'\t'))
    {
        return Err(CookieRefusal::Malformed);
    }
    if name.len() + value.len() > MAX_BYTES {
        return Err(CookieRefusal::TooLong);
    }
    let attributes = Attributes::read(parts, now);
    let (domain, host_only) = domain_of(attributes.domain, origin)?;
    let cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain,
        host_only,
        path: attributes.path.unwrap_or_else(|| default_path(origin.path)).to_owned(),
        secure: attributes.secure,
        http_only: attributes.http_only,
        expires: attributes.max_age.or(attributes.expires),
        created: 0,
        used: 0,
    };
    // The path of a URL contains no tab, so such a cookie would never be sent.
    if cookie.path.contains(&b'\t') {
        return Err(CookieRefusal::Malformed);
    }
    if cookie.secure && !origin.is_secure {
        return Err(CookieRefusal::Secure);
    }
    if attributes.is_same_site_none && !cookie.secure {
        return Err(CookieRefusal::SameSite);
    }
    if !keeps_promise(&cookie, attributes.has_path) {
        return Err(CookieRefusal::Prefix);
    }
    Ok(cookie)
}

impl<'a> Attributes<'a> {
    /// Parses the attributes. Of several with the same name, the last one counts.
    fn read(parts: impl Iterator<Item = &'a [u8]>, now: i64) -> Self {
        let mut attributes = Self::default();
        for part in parts {
            let (name, value) = split_once(part, b'=');
            let value = value.unwrap_or_default();
            if value.len() > MAX_ATTRIBUTE_BYTES {
                continue;
            }
            match &*name.to_ascii_lowercase() {
                b"expires" => {
                    let end = date::parse(value).map(|end| end.min(now + LONGEST_LIFE));
                    attributes.expires = end.or(attributes.expires);
                }
                b"max-age" => attributes.max_age = max_age_end(value, now).or(attributes.max_age),
                b"domain" => attributes.domain = value,
                b"path" => {
                    attributes.path = Some(value).filter(|path| path.starts_with(b"/"));
                    attributes.has_path = attributes.path.is_some();
                }
                b"secure" => attributes.secure = true,
                b"httponly" => attributes.http_only = true,
                b"samesite" => {
                    attributes.is_same_site_none = value.eq_ignore_ascii_case(b"none");
                }
                _ => {}
            }
        }
        attributes
    }
}

/// When a cookie with this `Max-Age` expires; `None` if it is not a number.
fn max_age_end(text: &[u8], now: i64) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() < text.len() {
        return Some(i64::MIN);
    }
    let add = |sum: i64, digit: &u8| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    match digits.iter().fold(0, add) {
        0 => Some(i64::MIN),
        seconds => Some(now + seconds.min(LONGEST_LIFE)),
    }
}

/// The domain of a cookie, and whether it is for that host only.
fn domain_of(attribute: &[u8], origin: &CookieOrigin<'_>) -> Result<(String, bool), CookieRefusal> {
    let of_host = || (origin.host.clone(), true);
    let attribute = attribute.strip_prefix(b".").unwrap_or(attribute);
    if attribute.is_empty() {
        return Ok(of_host());
    }
    let domain = str::from_utf8(attribute).map_err(|_| CookieRefusal::OtherDomain)?;
    let domain = domain.to_ascii_lowercase();
    if domain == origin.host && (origin.is_address || is_public_suffix(&domain)) {
        return Ok(of_host());
    }
    if !domain_matches(&origin.host, &domain) {
        return Err(CookieRefusal::OtherDomain);
    }
    if is_public_suffix(&domain) {
        return Err(CookieRefusal::PublicSuffix);
    }
    Ok((domain, false))
}

/// The path of a cookie without one: the directory of the URL that set it.
fn default_path(path: &str) -> &[u8] {
    match path.rfind('/') {
        None | Some(0) => b"/",
        Some(end) => &path.as_bytes()[..end],
    }
}

/// Whether a cookie meets the requirements of its name's prefix. A cookie without a name must not have a value with such a
/// prefix.
pub(super) fn keeps_promise(cookie: &Cookie, has_path: bool) -> bool {
    let text = if cookie.name.is_empty() { &cookie.value } else { &cookie.name };
    let has = |prefix: &[u8]| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let (of_https, of_host) = (has(b"__secure-"), has(b"__host-"));
    if cookie.name.is_empty() {
        return !of_https && !of_host;
    }
    let is_bound = cookie.host_only && has_path && cookie.path == b"/";
    (!of_https || cookie.secure) && (!of_host || cookie.secure && is_bound)
}

/// Splits a text at the first `separator`, and trims whitespace around both parts; the second is `None` if there is no
/// separator.
fn split_once(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == separator) {
        None => (text.trim_ascii(), None),
        Some(at) => (text[..at].trim_ascii(), Some(text[at + 1..].trim_ascii())),
    }
}
