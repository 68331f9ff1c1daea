//! Which targets may be reached: `--public-only`, `--allow-host`, `--deny-host` and `--https-only`.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Which URLs may be requested, and which addresses may be connected to. The default allows all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRules {
    /// The addresses that may be connected to.
    pub addresses: AddressScope,
    /// The schemes that URLs may have.
    pub schemes: UrlSchemes,
    /// Hosts and addresses that are exempt from [`AddressScope::Public`].
    pub allowed: Vec<HostRule>,
    /// Hosts and addresses that may not be connected to, even if `allowed` has them.
    pub denied: Vec<HostRule>,
}

impl TargetRules {
    /// Whether everything is allowed.
    pub(crate) fn allow_all(&self) -> bool {
        !self.judge_addresses()
            && self.schemes == UrlSchemes::HttpAndHttps
            && self.denied.is_empty()
    }

    /// Whether addresses must be checked before connecting to them.
    pub(crate) fn judge_addresses(&self) -> bool {
        let is_network = |rule: &HostRule| matches!(rule, HostRule::Network(_));
        self.addresses == AddressScope::Public || self.denied.iter().any(is_network)
    }
}

/// The addresses that may be connected to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressScope {
    /// All.
    #[default]
    Any,
    /// Only globally routable addresses.
    Public,
}

/// The schemes that URLs may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UrlSchemes {
    /// `http` and `https`.
    #[default]
    HttpAndHttps,
    /// `https`.
    HttpsOnly,
}

/// The hosts that an `--allow-host` or `--deny-host` applies to. `Display` is the form in which it is typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostRule {
    /// The host with this name, as in a parsed URL, without a trailing dot.
    Name(String),
    /// The host with this name, and all names below it.
    Domain(String),
    /// The addresses of a network.
    Network(AddressBlock),
}

impl fmt::Display for HostRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Domain(name) => write!(out, ".{name}"),
            Self::Network(block) => block.fmt(out),
        }
    }
}

/// A block of addresses with a common prefix (CIDR). `Display` omits the prefix length of a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBlock {
    /// The first address.
    pub first: IpAddr,
    /// The prefix length: the number of leading bits that all addresses share.
    pub bits: u32,
}

impl AddressBlock {
    /// The block of one address.
    pub(crate) fn single(address: IpAddr) -> Self {
        Self { first: address, bits: width(address) }
    }

    /// The block with this first address and prefix length; `None` if `first` has a bit set beyond its first `bits` bits,
    /// or `bits` exceeds the length of the address.
    pub(crate) fn new(first: IpAddr, bits: u32) -> Option<Self> {
        let rest = width(first).checked_sub(bits)?;
        let is_first = number(first).trailing_zeros() >= rest;
        is_first.then_some(Self { first, bits })
    }

    /// Whether the address is in the block.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let rest = width(self.first) - self.bits;
        let start = |address| number(address).checked_shr(rest).unwrap_or(0);
        address.is_ipv4() == self.first.is_ipv4() && start(address) == start(self.first)
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self == Self::single(self.first) {
            true => self.first.fmt(out),
            false => write!(out, "{}/{}", self.first, self.bits),
        }
    }
}

/// The number of bits of an address.
fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as a number.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_contains_the_addresses_that_begin_like_its_first_one() {
        let table = [
            ("10.0.0.0", 8, ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("192.0.2.7", 32, ["192.0.2.7", "192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
            ("0.0.0.0", 0, ["0.0.0.0", "255.255.255.255"], ["::", "::ffff:1.2.3.4"]),
            ("fe80::", 10, ["fe80::", "febf::1"], ["fe7f::", "fec0::"]),
            ("::", 0, ["::", "ffff::"], ["0.0.0.0", "1.2.3.4"]),
            ("::1", 128, ["::1", "::1"], ["::", "::2"]),
        ];
        for (first, bits, inside, outside) in table {
            let block = AddressBlock::new(address(first), bits).unwrap();
            assert!(inside.iter().all(|text| block.contains(address(text))), "{block}");
            assert!(!outside.iter().any(|text| block.contains(address(text))), "{block}");
        }
    }

    #[test]
    fn a_block_has_no_bits_beyond_its_length() {
        for (first, bits) in [("10.0.0.1", 8), ("10.0.0.0", 33), ("::1", 127), ("::", 129)] {
            assert_eq!(AddressBlock::new(address(first), bits), None, "{first}/{bits}");
        }
        assert_eq!(AddressBlock::new(address("::"), 0).unwrap().to_string(), "::/0");
        assert_eq!(AddressBlock::single(address("::1")).to_string(), "::1");
    }
}
