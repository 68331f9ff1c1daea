//! Addresses that are not globally routable. Pure.
//!
//! The tables are IANA's registries of special-purpose addresses (RFC 6890): <https://www.iana.org/assignments/iana-ipv4-special-registry>
//! and <https://www.iana.org/assignments/iana-ipv6-special-registry>, as they were on 2025-10-09. Public is what they call globally
//! reachable, and everything that they do not list, except for:
//!
//! - multicast (RFC 5771, RFC 4291), which is in registries of its own;
//! - IPv6 addresses outside of 2000::/3, the only block from which unicast addresses are assigned (RFC 4291);
//! - blocks whose registration has ended or that are neither reachable nor not ("N/A").
//!
//! An IPv6 address that carries an IPv4 address is judged by that: traffic may end there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses: the first one, the bits that all have in common, and what they are; `None`: public.
type Row<A> = (A, u32, Option<&'static str>);

/// The first row that contains an address counts.
const IPV4: [Row<Ipv4Addr>; 24] = [
    (Ipv4Addr::new(0, 0, 0, 0), 32, Some("the unspecified address (RFC 1122)")),
    (Ipv4Addr::new(0, 0, 0, 0), 8, Some("an address of this network (RFC 791)")),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Some("a private address (RFC 1918)")),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Some("a shared address (RFC 6598)")),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Some("a loopback address (RFC 1122)")),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Some("a link-local address (RFC 3927)")),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Some("a private address (RFC 1918)")),
    (Ipv4Addr::new(192, 0, 0, 0), 29, Some("a service continuity address (RFC 7335)")),
    (Ipv4Addr::new(192, 0, 0, 8), 32, Some("the dummy address (RFC 7600)")),
    (Ipv4Addr::new(192, 0, 0, 9), 32, None),
    (Ipv4Addr::new(192, 0, 0, 10), 32, None),
    (Ipv4Addr::new(192, 0, 0, 170), 31, Some("a NAT64 discovery address (RFC 8880)")),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Some("a protocol assignment (RFC 6890)")),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Some("a documentation address (RFC 5737)")),
    (Ipv4Addr::new(192, 88, 99, 2), 32, Some("the 6a44 relay address (RFC 6751)")),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Some("a 6to4 relay address (RFC 7526)")),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Some("a private address (RFC 1918)")),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Some("a benchmarking address (RFC 2544)")),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Some("a documentation address (RFC 5737)")),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Some("a documentation address (RFC 5737)")),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Some("a multicast address (RFC 5771)")),
    (Ipv4Addr::BROADCAST, 32, Some("the broadcast address (RFC 919)")),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Some("a reserved address (RFC 1112)")),
    (Ipv4Addr::UNSPECIFIED, 0, None),
];

/// The first row that contains an address counts. Addresses that carry an IPv4 address are not here.
const IPV6: [Row<Ipv6Addr>; 23] = [
    (Ipv6Addr::LOCALHOST, 128, Some("a loopback address (RFC 4291)")),
    (Ipv6Addr::UNSPECIFIED, 128, Some("the unspecified address (RFC 4291)")),
    (block(0x100, 0, 0, 0), 64, Some("a discard-only address (RFC 6666)")),
    (block(0x100, 0, 0, 1), 64, Some("a dummy address (RFC 9780)")),
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128, None),
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128, None),
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128, None),
    (block(0x2001, 2, 0, 0), 48, Some("a benchmarking address (RFC 5180)")),
    (block(0x2001, 3, 0, 0), 32, None),
    (block(0x2001, 4, 0x112, 0), 48, None),
    (block(0x2001, 0x10, 0, 0), 28, Some("an ORCHID identifier (RFC 4843)")),
    (block(0x2001, 0x20, 0, 0), 28, None),
    (block(0x2001, 0x30, 0, 0), 28, None),
    (block(0x2001, 0, 0, 0), 23, Some("a protocol assignment (RFC 2928)")),
    (block(0x2001, 0xdb8, 0, 0), 32, Some("a documentation address (RFC 3849)")),
    (block(0x3fff, 0, 0, 0), 20, Some("a documentation address (RFC 9637)")),
    (block(0x5f00, 0, 0, 0), 16, Some("a segment routing identifier (RFC 9602)")),
    (block(0xfc00, 0, 0, 0), 7, Some("a unique local address (RFC 4193)")),
    (block(0xfe80, 0, 0, 0), 10, Some("a link-local address (RFC 4291)")),
    (block(0xfec0, 0, 0, 0), 10, Some("a site-local address (RFC 3879)")),
    (block(0xff00, 0, 0, 0), 8, Some("a multicast address (RFC 4291)")),
    (block(0x2000, 0, 0, 0), 3, None),
    (Ipv6Addr::UNSPECIFIED, 0, Some("no global unicast address (RFC 4291)")),
];

const fn block(one: u16, two: u16, three: u16, four: u16) -> Ipv6Addr {
    Ipv6Addr::new(one, two, three, four, 0, 0, 0, 0)
}

/// Why an address is not public. `Display` is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotPublic {
    what: &'static str,
    /// The address that this is about, if the address in question carries it.
    carried: Option<Ipv4Addr>,
}

impl fmt::Display for NotPublic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.carried {
            None => out.write_str(self.what),
            Some(carried) => write!(out, "a form of {carried}, {}", self.what),
        }
    }
}

/// Why an address is not globally routable; `None` if it is.
pub(crate) fn why_not_public(address: IpAddr) -> Option<NotPublic> {
    let address = match address {
        IpAddr::V4(address) => {
            return special_ipv4(address).map(|what| NotPublic { what, carried: None });
        }
        IpAddr::V6(address) => address,
    };
    let carried = carried(address);
    if carried.is_empty() {
        return special_ipv6(address).map(|what| NotPublic { what, carried: None });
    }
    let special = |ipv4| Some(NotPublic { what: special_ipv4(ipv4)?, carried: Some(ipv4) });
    carried.into_iter().find_map(special)
}

/// The IPv4 addresses that an IPv6 address may stand for; none if it is an address of its own.
pub(crate) fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = address.to_bits();
    // The 32 bits after the first `skip` ones.
    let after = |skip: u32| Ipv4Addr::from_bits((bits >> (96 - skip)) as u32);
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // IPv4-compatible and IPv4-mapped (RFC 4291 section 2.5.5).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] => vec![after(96)],
        // NAT64 with the well-known prefix (RFC 6052 section 2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => vec![after(96)],
        [0x64, 0xff9b, 1, ..] => carried_locally(bits),
        // 6to4 (RFC 3056 section 2).
        [0x2002, ..] => vec![after(16)],
        // Teredo (RFC 4380 section 4): the client, its bits inverted, and the server.
        [0x2001, 0, ..] => vec![Ipv4Addr::from_bits(!(bits as u32)), after(32)],
        _ => Vec::new(),
    }
}

/// The IPv4 addresses that an address with the prefix of local NAT64 (RFC 8215) may stand for. How long the prefix of the
/// network is cannot be seen: 48, 56, 64 or 96 bits (RFC 6052 section 2.2). A part of one reading may be in 0.0.0.0/8 by
/// another one, and is then no address. So a public address may be taken for one that is not.
fn carried_locally(bits: u128) -> Vec<Ipv4Addr> {
    let octets = bits.to_be_bytes();
    let at = |positions: [usize; 4]| Ipv4Addr::from(positions.map(|position| octets[position]));
    // The octet at position 8 is no part of the address.
    let short = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12]].map(at);
    let short = short.into_iter().filter(|reading| reading.octets()[0] != 0);
    let long = Some(at([12, 13, 14, 15])).filter(|reading| !reading.is_unspecified());
    let addresses: Vec<_> = short.chain(long).collect();
    if addresses.is_empty() { vec![Ipv4Addr::UNSPECIFIED] } else { addresses }
}

fn special_ipv4(address: Ipv4Addr) -> Option<&'static str> {
    let is_in = |(first, bits, _): &&Row<Ipv4Addr>| {
        let differing = first.to_bits() ^ address.to_bits();
        differing.leading_zeros() >= *bits
    };
    IPV4.iter().find(is_in).and_then(|(_, _, what)| *what)
}

fn special_ipv6(address: Ipv6Addr) -> Option<&'static str> {
    let is_in = |(first, bits, _): &&Row<Ipv6Addr>| {
        let differing = first.to_bits() ^ address.to_bits();
        differing.leading_zeros() >= *bits
    };
    IPV6.iter().find(is_in).and_then(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::AddressBlock;

    /// The registries, in their order: block, name, and whether it is globally reachable, or what it carries. Multicast has
    /// registries of its own.
    const REGISTRIES: &str = "\
        0.0.0.0/8 | This network | False
        0.0.0.0/32 | This host on this network | False
        10.0.0.0/8 | Private-Use | False
        100.64.0.0/10 | Shared Address Space | False
        127.0.0.0/8 | Loopback | False
        169.254.0.0/16 | Link Local | False
        172.16.0.0/12 | Private-Use | False
        192.0.0.0/24 | IETF Protocol Assignments | False
        192.0.0.0/29 | IPv4 Service Continuity Prefix | False
        192.0.0.8/32 | IPv4 dummy address | False
        192.0.0.9/32 | Port Control Protocol Anycast | True
        192.0.0.10/32 | Traversal Using Relays around NAT Anycast | True
        192.0.0.170/32 | NAT64/DNS64 Discovery | False
        192.0.0.171/32 | NAT64/DNS64 Discovery | False
        192.0.2.0/24 | Documentation (TEST-NET-1) | False
        192.31.196.0/24 | AS112-v4 | True
        192.52.193.0/24 | AMT | True
        192.88.99.0/24 | Deprecated (6to4 Relay Anycast) |
        192.88.99.2/32 | 6a44-relay anycast address | False
        192.168.0.0/16 | Private-Use | False
        192.175.48.0/24 | Direct Delegation AS112 Service | True
        198.18.0.0/15 | Benchmarking | False
        198.51.100.0/24 | Documentation (TEST-NET-2) | False
        203.0.113.0/24 | Documentation (TEST-NET-3) | False
        224.0.0.0/4 | Multicast | False
        240.0.0.0/4 | Reserved | False
        255.255.255.255/32 | Limited Broadcast | False
        ::1/128 | Loopback Address | False
        ::/128 | Unspecified Address | False
        ::ffff:0:0/96 | IPv4-mapped Address | carries
        64:ff9b::/96 | IPv4-IPv6 Translat. | carries
        64:ff9b:1::/48 | IPv4-IPv6 Translat. | carries
        100::/64 | Discard-Only Address Block | False
        100:0:0:1::/64 | Dummy IPv6 Prefix | False
        2001::/23 | IETF Protocol Assignments | False
        2001::/32 | TEREDO | carries
        2001:1::1/128 | Port Control Protocol Anycast | True
        2001:1::2/128 | Traversal Using Relays around NAT Anycast | True
        2001:1::3/128 | DNS-SD Service Registration Protocol Anycast | True
        2001:2::/48 | Benchmarking | False
        2001:3::/32 | AMT | True
        2001:4:112::/48 | AS112-v6 | True
        2001:10::/28 | Deprecated (previously ORCHID) |
        2001:20::/28 | ORCHIDv2 | True
        2001:30::/28 | Drone Remote ID Protocol Entity Tags (DETs) Prefix | True
        2001:db8::/32 | Documentation | False
        2002::/16 | 6to4 | carries
        2620:4f:8000::/48 | Direct Delegation AS112 Service | True
        3fff::/20 | Documentation | False
        5f00::/16 | Segment Routing (SRv6) SIDs | False
        fc00::/7 | Unique-Local | False
        fe80::/10 | Link-Local Unicast | False
        ff00::/8 | Multicast | False";

    /// A row of the registries.
    #[derive(Debug, Clone, Copy)]
    struct Registered {
        first: IpAddr,
        bits: u32,
        reachable: &'static str,
    }

    impl Registered {
        fn all() -> Vec<Self> {
            let rows = REGISTRIES.lines().map(|line| {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                let (first, bits) = cells[0].split_once('/').unwrap();
                let (first, bits) = (first.parse().unwrap(), bits.parse().unwrap());
                Self { first, bits, reachable: cells[2] }
            });
            rows.collect()
        }

        fn contains(self, address: IpAddr) -> bool {
            AddressBlock::new(self.first, self.bits).unwrap().contains(address)
        }

        /// The first address, the last one, one between them, and the ones before and after.
        fn samples(self) -> Vec<IpAddr> {
            match self.first {
                IpAddr::V4(first) => {
                    let (first, rest) = (first.to_bits(), 32 - self.bits);
                    let last = first | u32::MAX.checked_shr(self.bits).unwrap_or(0);
                    let between = first | (1 << rest.saturating_sub(1)) & (last ^ first);
                    let all = [first, last, between, first.wrapping_sub(1), last.wrapping_add(1)];
                    all.map(|bits| Ipv4Addr::from_bits(bits).into()).into()
                }
                IpAddr::V6(first) => {
                    let (first, rest) = (first.to_bits(), 128 - self.bits);
                    let last = first | u128::MAX.checked_shr(self.bits).unwrap_or(0);
                    let between = first | (1 << rest.saturating_sub(1)) & (last ^ first);
                    let all = [first, last, between, first.wrapping_sub(1), last.wrapping_add(1)];
                    all.map(|bits| Ipv6Addr::from_bits(bits).into()).into()
                }
            }
        }
    }

    fn is_public(text: &str) -> bool {
        why_not_public(text.parse().unwrap()).is_none()
    }

    #[test]
    fn every_address_is_judged_as_the_most_specific_block_of_the_registries_says() {
        let all = Registered::all();
        assert_eq!(all.len(), 27 + 26);
        let mut judged = 0;
        for address in all.iter().flat_map(|block| block.samples()) {
            let blocks = all.iter().filter(|block| block.contains(address));
            let expected = match blocks.max_by_key(|block| block.bits) {
                Some(block) if block.reachable == "carries" => continue,
                Some(block) => block.reachable == "True",
                None => match address {
                    IpAddr::V4(_) => true,
                    IpAddr::V6(address) => {
                        carried(address).is_empty() && address.segments()[0] >> 13 == 1
                    }
                },
            };
            assert_eq!(why_not_public(address).is_none(), expected, "{address}");
            judged += 1;
        }
        assert!(judged > 220, "{judged}");
    }

    #[test]
    fn no_row_of_the_tables_is_hidden_by_one_before_it() {
        for (at, (first, bits, _)) in IPV4.iter().enumerate() {
            let block = AddressBlock::new((*first).into(), *bits).unwrap();
            let hides = |row: &Row<Ipv4Addr>| hides((row.0.into(), row.1), block);
            assert!(!IPV4[..at].iter().any(hides), "{block}");
        }
        for (at, (first, bits, _)) in IPV6.iter().enumerate() {
            let block = AddressBlock::new((*first).into(), *bits).unwrap();
            let hides = |row: &Row<Ipv6Addr>| hides((row.0.into(), row.1), block);
            assert!(!IPV6[..at].iter().any(hides), "{block}");
        }
    }

    /// Whether a row contains all addresses of a block.
    fn hides(row: (IpAddr, u32), block: AddressBlock) -> bool {
        row.1 <= block.bits && AddressBlock::new(row.0, row.1).unwrap().contains(block.first)
    }

    #[test]
    fn an_address_that_carries_another_is_judged_by_that() {
        let inner =
            ["10.0.0.5", "127.0.0.1", "169.254.169.254", "192.168.1.1", "224.0.0.1", "0.0.0.1"];
        for inner in inner {
            let ipv4: Ipv4Addr = inner.parse().unwrap();
            for address in forms(ipv4) {
                assert!(why_not_public(address.into()).is_some(), "{address} is {inner}");
            }
        }
        for public in ["8.8.8.8", "93.184.216.34", "1.1.1.1", "223.20.30.40"] {
            for address in forms(public.parse().unwrap()) {
                assert_eq!(why_not_public(address.into()), None, "{address} is {public}");
            }
        }
    }

    /// The IPv6 addresses that carry an IPv4 address.
    fn forms(inner: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b, c, d] = inner.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let (own_high, own_low) = (!high, !low);
        vec![
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0x10, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, high, u16::from(c), u16::from(d) << 8, 0, 0),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, own_high, own_low),
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !0x808, !0x808),
        ]
    }

    #[test]
    fn nat64_of_a_network_is_judged_by_every_length_of_its_prefix() {
        for (address, public) in [
            ("64:ff9b:1:a00:0:500::", false),
            ("64:ff9b:1:20a:0:5::", false),
            ("64:ff9b:1:1:a:0:500::", false),
            ("64:ff9b:1::10.0.0.5", false),
            ("64:ff9b:1:a00:0:500:808:808", false),
            ("64:ff9b:1::", false),
            ("64:ff9b:1:10::0.0.0.1", false),
            ("64:ff9b:1:808:8:800::", true),
            ("64:ff9b:1:1::8.8.8.8", true),
        ] {
            assert_eq!(is_public(address), public, "{address}");
        }
    }

    #[test]
    fn what_an_address_is_can_be_read() {
        let what = |text: &str| why_not_public(text.parse().unwrap()).unwrap().to_string();
        assert_eq!(what("10.0.0.5"), "a private address (RFC 1918)");
        assert_eq!(what("::ffff:10.0.0.5"), "a form of 10.0.0.5, a private address (RFC 1918)");
        assert_eq!(what("2002:7f00:1::1"), "a form of 127.0.0.1, a loopback address (RFC 1122)");
        assert_eq!(what("fd00::1"), "a unique local address (RFC 4193)");
        assert_eq!(what("4000::1"), "no global unicast address (RFC 4291)");
    }
}
