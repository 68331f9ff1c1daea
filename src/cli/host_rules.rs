//! Parses the hosts of `--allow-host` and `--deny-host`.

use std::net::IpAddr;

use url::Host;

use crate::plan::{AddressBlock, HostRule};

const EXPECTED: &str = "expected a name, an address or a network, e.g. example.org, .example.org, 10.0.0.5 or 10.0.0.0/8";

/// Reads `NAME`, `.SUFFIX`, `ADDRESS/BITS` or `ADDRESS`. IPv6 addresses may be in brackets.
pub(super) fn host_rule(text: &str) -> Result<HostRule, String> {
    if let Some((address, bits)) = text.split_once('/') {
        return network(text, address, bits);
    }
    if let Some(address) = address(text) {
        return Ok(HostRule::Network(AddressBlock::single(address.to_canonical())));
    }
    if let Some(name) = text.strip_prefix("*.") {
        return Err(format!("'*' is not supported; .{name} is this name and all names below it"));
    }
    match text.strip_prefix('.') {
        None => host(text),
        Some(suffix) => match host(suffix)? {
            HostRule::Name(name) => Ok(HostRule::Domain(name)),
            _ => Err(EXPECTED.to_owned()),
        },
    }
}

/// Reads a host in the forms that URLs have: an address, or a name, which becomes lower case and punycode.
fn host(text: &str) -> Result<HostRule, String> {
    let parsed = Host::parse(text.strip_suffix('.').unwrap_or(text));
    match parsed.map_err(|_| EXPECTED.to_owned())? {
        Host::Domain(name)
            if name.is_empty()
                || name.contains("..")
                || name.starts_with('.')
                || name.contains('*') =>
        {
            Err(EXPECTED.to_owned())
        }
        Host::Domain(name) => Ok(HostRule::Name(name.trim_end_matches('.').to_owned())),
        Host::Ipv4(address) => Ok(HostRule::Network(AddressBlock::single(address.into()))),
        Host::Ipv6(address) => Ok(HostRule::Network(AddressBlock::single(address.into()))),
    }
}

fn network(text: &str, first: &str, bits: &str) -> Result<HostRule, String> {
    let first = address(first).ok_or(EXPECTED)?;
    let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let bits: u32 = bits.parse().ok().filter(|_| is_number).ok_or(EXPECTED)?;
    // Addresses are compared as IPv4 or IPv6, never as IPv4-mapped IPv6.
    let block = match (first.to_canonical(), first) {
        (first @ IpAddr::V4(_), IpAddr::V6(_)) => {
            bits.checked_sub(96).and_then(|bits| AddressBlock::new(first, bits))
        }
        (_, first) => AddressBlock::new(first, bits),
    };
    block.map(HostRule::Network).ok_or_else(|| {
        format!("'{text}' is not a network: too many bits, or the address has bits beyond them")
    })
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_in_the_form_that_urls_have() {
        for (text, expected) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            (".Example.org", ".example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("10.0.0.5", "10.0.0.5"),
            ("0x0a.5", "10.0.0.5"),
            ("167772165", "10.0.0.5"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::]/8", "fd00::/8"),
            ("[::1]", "::1"),
            ("::ffff:10.0.0.5", "10.0.0.5"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            let rule = host_rule(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(rule.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_the_reason() {
        for (text, complaint) in [
            ("", EXPECTED),
            (".", EXPECTED),
            ("..a", EXPECTED),
            ("a b", EXPECTED),
            ("example.org:80", EXPECTED),
            ("http://example.org", EXPECTED),
            ("example.org/8", EXPECTED),
            (".10.0.0.5", EXPECTED),
            ("10.0.0.0/", EXPECTED),
            ("10.0.0.0/+8", EXPECTED),
            ("10.0.0.1/8", "'10.0.0.1/8' is not a network"),
            ("10.0.0.0/33", "'10.0.0.0/33' is not a network"),
            ("::ffff:10.0.0.0/8", "is not a network"),
            ("*.example.org", "'*' is not supported; .example.org is"),
        ] {
            let message = host_rule(text).unwrap_err();
            assert!(message.contains(complaint), "{text}: {message}");
        }
    }
}
