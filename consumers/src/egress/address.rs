//! Sorts IP addresses into public ones, private ones, and those that nothing may ever be fetched from.
//!
//! Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates), the multicast
//! registries, and the documented metadata addresses of cloud providers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads. The text of the last two says why, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// An address of the public internet.
    Public,
    /// An address that a closed network gives to its servers. Allowed only by `allow_private_urls`.
    Private(&'static str),
    /// Never connected to, whatever the configuration says: metadata services, link-local, multicast, reserved.
    Forbidden(&'static str),
}

use Reach::{Forbidden, Private, Public};

const METADATA: Reach = Forbidden("metadata service of a cloud provider");

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// IPv4 networks that are not public. The first that contains an address decides, so single hosts come first.
const IPV4: &[(Ipv4Addr, u8, Reach)] = &[
    (v4(100, 100, 100, 200), 32, METADATA),                      // Alibaba Cloud
    (v4(168, 63, 129, 16), 32, METADATA),                        // Azure; a public address by the registry
    (v4(169, 254, 0, 0), 16, Forbidden("link-local, RFC 3927")), // also metadata of most clouds: 169.254.169.254
    (v4(192, 0, 0, 0), 24, Forbidden("IETF protocol assignments, RFC 6890")), // also metadata of Oracle Cloud
    (v4(0, 0, 0, 0), 8, Forbidden("this network, RFC 791")),
    (v4(10, 0, 0, 0), 8, Private("private use, RFC 1918")),
    (v4(100, 64, 0, 0), 10, Private("shared address space, RFC 6598")),
    (v4(127, 0, 0, 0), 8, Private("loopback, RFC 1122")),
    (v4(172, 16, 0, 0), 12, Private("private use, RFC 1918")),
    (v4(192, 0, 2, 0), 24, Forbidden("documentation, RFC 5737")),
    (v4(192, 88, 99, 0), 24, Forbidden("6to4 relay anycast, RFC 7526")),
    (v4(192, 168, 0, 0), 16, Private("private use, RFC 1918")),
    (v4(198, 18, 0, 0), 15, Forbidden("benchmarking, RFC 2544")),
    (v4(198, 51, 100, 0), 24, Forbidden("documentation, RFC 5737")),
    (v4(203, 0, 113, 0), 24, Forbidden("documentation, RFC 5737")),
    (v4(224, 0, 0, 0), 4, Forbidden("multicast, RFC 1112")),
    (v4(240, 0, 0, 0), 4, Forbidden("reserved and limited broadcast, RFC 1112 and RFC 919")),
];

/// An address that is zero but for its first parts.
const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// IPv6 networks that are decided by themselves. The first that contains an address decides. Of all others only
/// 2000::/3, the space of global unicast (RFC 4291), is public.
const IPV6: &[(Ipv6Addr, u8, Reach)] = &[
    (v6(0xfd00, 0xec2, 0), 32, METADATA), // AWS: fd00:ec2::254 and its neighbours
    (v6(0xfd20, 0xce, 0), 32, METADATA),  // Google Cloud: fd20:ce::254
    (Ipv6Addr::LOCALHOST, 128, Private("loopback, RFC 4291")),
    (Ipv6Addr::UNSPECIFIED, 96, Forbidden("unspecified or IPv4-compatible, RFC 4291")),
    (v6(0x64, 0xff9b, 1), 48, Forbidden("local translation prefix, RFC 8215")),
    (v6(0x100, 0, 0), 16, Forbidden("discard-only, RFC 6666")),
    (v6(0x2001, 0, 0), 32, Forbidden("Teredo, RFC 4380")),
    (v6(0x2001, 0, 0), 23, Forbidden("IETF protocol assignments, RFC 2928")),
    (v6(0x2001, 0xdb8, 0), 32, Forbidden("documentation, RFC 3849")),
    (v6(0x2002, 0, 0), 16, Forbidden("6to4, RFC 3056")),
    (v6(0x3fff, 0, 0), 20, Forbidden("documentation, RFC 9637")),
    (v6(0x5f00, 0, 0), 16, Forbidden("segment routing, RFC 9602")),
    (v6(0xfc00, 0, 0), 7, Private("unique local, RFC 4193")),
    (v6(0xfe80, 0, 0), 10, Forbidden("link-local, RFC 4291")),
    (v6(0xfec0, 0, 0), 10, Forbidden("site-local, RFC 3879")),
    (v6(0xff00, 0, 0), 8, Forbidden("multicast, RFC 4291")),
];

/// The prefix of addresses that a NAT64 translates to the IPv4 address in their last 32 bits (RFC 6052).
const NAT64: (Ipv6Addr, u8) = (v6(0x64, 0xff9b, 0), 96);

/// Says where `address` leads. An address that carries an IPv4 address to which it is translated on the way
/// (IPv4-mapped, NAT64) is judged by that one.
pub fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let within = |network: Ipv4Addr, bits: u8| address.to_bits() >> (32 - bits) == network.to_bits() >> (32 - bits);
    IPV4.iter().find(|(network, bits, _)| within(*network, *bits)).map_or(Public, |(_, _, reach)| *reach)
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let within = |network: Ipv6Addr, bits: u8| address.to_bits() >> (128 - bits) == network.to_bits() >> (128 - bits);
    if within(NAT64.0, NAT64.1) {
        let [.., a, b, c, d] = address.octets();
        return reach_v4(v4(a, b, c, d));
    }
    match IPV6.iter().find(|(network, bits, _)| within(*network, *bits)) {
        Some((_, _, reach)) => *reach,
        None if within(v6(0x2000, 0, 0), 3) => Public,
        None => Forbidden("not global unicast, RFC 4291"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefix of the expected reason, or "" for a public address; "private" and "forbidden" come before a colon.
    const TABLE: &[(&str, &str)] = &[
        // Public.
        ("1.1.1.1", ""),
        ("8.8.8.8", ""),
        ("9.255.255.255", ""),
        ("11.0.0.0", ""),
        ("100.63.255.255", ""),
        ("100.128.0.0", ""),
        ("126.255.255.255", ""),
        ("128.0.0.0", ""),
        ("169.253.255.255", ""),
        ("169.255.0.0", ""),
        ("172.15.255.255", ""),
        ("172.32.0.0", ""),
        ("192.0.1.0", ""),
        ("192.167.255.255", ""),
        ("192.169.0.0", ""),
        ("198.17.255.255", ""),
        ("198.20.0.0", ""),
        ("223.255.255.255", ""),
        ("2606:4700:4700::1111", ""),
        ("2a00:1450:4001:81b::200e", ""),
        ("2001:200::1", ""),
        ("2003::1", ""),
        ("::ffff:8.8.8.8", ""),
        ("64:ff9b::8.8.8.8", ""),
        // https://www.iana.org/assignments/iana-ipv4-special-registry
        ("0.0.0.0", "forbidden: this network"),
        ("0.255.255.255", "forbidden: this network"),
        ("10.0.0.0", "private: private use"),
        ("10.255.255.255", "private: private use"),
        ("100.64.0.0", "private: shared"),
        ("100.127.255.255", "private: shared"),
        ("127.0.0.1", "private: loopback"),
        ("127.255.255.255", "private: loopback"),
        ("169.254.0.0", "forbidden: link-local"),
        ("169.254.255.255", "forbidden: link-local"),
        ("172.16.0.0", "private: private use"),
        ("172.31.255.255", "private: private use"),
        ("192.0.0.1", "forbidden: IETF"),
        ("192.0.0.170", "forbidden: IETF"),
        ("192.0.2.255", "forbidden: documentation"),
        ("192.88.99.1", "forbidden: 6to4"),
        ("192.168.0.0", "private: private use"),
        ("192.168.255.255", "private: private use"),
        ("198.18.0.0", "forbidden: benchmarking"),
        ("198.19.255.255", "forbidden: benchmarking"),
        ("198.51.100.7", "forbidden: documentation"),
        ("203.0.113.7", "forbidden: documentation"),
        ("224.0.0.1", "forbidden: multicast"),
        ("239.255.255.255", "forbidden: multicast"),
        ("240.0.0.0", "forbidden: reserved"),
        ("255.255.255.255", "forbidden: reserved"),
        // Metadata services.
        ("169.254.169.254", "forbidden: link-local"),
        ("169.254.170.2", "forbidden: link-local"),
        ("100.100.100.200", "forbidden: metadata"),
        ("168.63.129.16", "forbidden: metadata"),
        ("192.0.0.192", "forbidden: IETF"),
        ("fd00:ec2::254", "forbidden: metadata"),
        ("fd20:ce::254", "forbidden: metadata"),
        // https://www.iana.org/assignments/iana-ipv6-special-registry
        ("::", "forbidden: unspecified"),
        ("::1", "private: loopback"),
        ("::2", "forbidden: unspecified"),
        ("::127.0.0.1", "forbidden: unspecified"),
        ("::ffff:127.0.0.1", "private: loopback"),
        ("::ffff:169.254.169.254", "forbidden: link-local"),
        ("::ffff:0:127.0.0.1", "forbidden: not global"),
        ("64:ff9b::10.0.0.1", "private: private use"),
        ("64:ff9b::169.254.169.254", "forbidden: link-local"),
        ("64:ff9b:1::1", "forbidden: local translation"),
        ("100::1", "forbidden: discard"),
        ("100:0:0:1::1", "forbidden: discard"),
        ("2001::1", "forbidden: Teredo"),
        ("2001:0:7f00:1::", "forbidden: Teredo"),
        ("2001:1::1", "forbidden: IETF"),
        ("2001:2::1", "forbidden: IETF"),
        ("2001:20::1", "forbidden: IETF"),
        ("2001:1ff:ffff::1", "forbidden: IETF"),
        ("2001:db8::1", "forbidden: documentation"),
        ("2002:7f00:1::", "forbidden: 6to4"),
        ("2002:808:808::1", "forbidden: 6to4"),
        ("3fff:fff::1", "forbidden: documentation"),
        ("4000::1", "forbidden: not global"),
        ("5f00::1", "forbidden: segment"),
        ("fc00::1", "private: unique local"),
        ("fdff:ffff::1", "private: unique local"),
        ("fe80::1", "forbidden: link-local"),
        ("febf::1", "forbidden: link-local"),
        ("fec0::1", "forbidden: site-local"),
        ("ff02::1", "forbidden: multicast"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "forbidden: multicast"),
    ];

    #[test]
    fn every_special_range_is_told_from_its_neighbours() {
        for (address, expected) in TABLE {
            let found = match reach(address.parse().unwrap()) {
                Public => String::new(),
                Private(why) => format!("private: {why}"),
                Forbidden(why) => format!("forbidden: {why}"),
            };
            assert!(found.starts_with(expected) && expected.is_empty() == found.is_empty(), "{address}: {found}");
        }
    }
}
